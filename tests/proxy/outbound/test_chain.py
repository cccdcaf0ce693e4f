"""Chains of proxies on loopback: every pair, long ones, half-closes, resets, who speaks first."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.core.secret import Secret
from shadesocks.proxy.outbound.chain import HttpHop, ShadowHop, SocksHop, can_packets
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from tests.proxy.outbound.hops import METHOD, PASSWORD, USER, Net, echo, reset, run, scripted
from tests.proxy.rig import NOW
from tests.wire.codecs import packets_of, shadow_of

if TYPE_CHECKING:
    from tests.proxy.outbound.hops import Hop

KINDS: Final = ("socks5", "http", "ss")
PAIRS: Final = tuple(itertools.product(KINDS, repeat=2))
CHAINS: Final = (*((kind,) for kind in KINDS), *PAIRS, ("ss", "socks5", "ss", "http", "ss"), ("socks5",) * 4)


async def make(net: Net, kinds: tuple[str, ...], behind: bytes = b"") -> list[Hop]:
    """Proxies of these kinds; `behind` is what the last says right behind its answer."""
    hops: list[Hop] = []
    for number, kind in enumerate(kinds):
        last = behind if number + 1 == len(kinds) else b""
        if kind == "socks5":
            hops.append(await net.socks(login=bool(number % 2), behind=last))
        elif kind == "http":
            hops.append(await net.http(login=bool(number % 2), behind=last))
        else:
            hops.append(await net.shadow(("none", METHOD, "aes-256-gcm")[(number + len(kinds)) % 3]))
    return hops


@pytest.mark.parametrize("first", [b"", b"first "])
@pytest.mark.parametrize("kinds", CHAINS, ids="+".join)
def test_bytes_there_and_back(kinds: tuple[str, ...], first: bytes) -> None:
    """A name goes as a name to the last proxy; each is asked for the next; half-closes pass."""

    async def story(net: Net) -> None:
        hops = await make(net, kinds)
        target = Address("localhost", (await net.listen(echo)).port)
        program = await net.join(net.chain(*hops), target, first)
        payload = os.urandom(300_000)
        heard = asyncio.ensure_future(program.hear_all())
        await program.say(payload)
        program.end()
        assert await heard == b"hello " + first + payload + b" %d" % len(first + payload)
        ways = [*(hop.address for hop in hops[1:]), target]
        assert net.asked == [(kind, to.host, to.port) for kind, to in zip(kinds, ways, strict=True)]
        assert net.opened == 1 + kinds.count("ss")
        await net.quiet()
        assert net.words == {"done": 1}

    run(story)


@pytest.mark.parametrize("kinds", [chain for chain in CHAINS if chain[-1] != "ss"], ids="+".join)
def test_what_comes_right_behind_the_answer_is_delivered(kinds: tuple[str, ...]) -> None:
    """With nothing more to come that would carry it along."""

    async def story(net: Net) -> None:
        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        hops = await make(net, kinds, behind=b"SSH-2.0-speaks first\r\n")
        program = await net.join(net.chain(*hops), await net.listen(silent))
        assert await program.hear() == b"SSH-2.0-speaks first\r\n"
        program.end()
        assert await program.hear() == b""

    run(story)


@pytest.mark.parametrize("kinds", [*PAIRS, ("ss", "ss", "ss")], ids="+".join)
def test_back_pressure_passes(kinds: tuple[str, ...]) -> None:
    """A target that does not read stops who writes; once it reads, nothing is missing."""

    async def story(net: Net) -> None:
        read = asyncio.Event()
        heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def slow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await read.wait()
            heard.set_result(len(await reader.read()))

        program = await net.join(net.chain(*await make(net, kinds)), await net.listen(slow))
        sent = 0
        stuck = 0
        while stuck < 200:  # turns in which nothing could be sent
            try:
                sent += program.sock.send(bytes(1 << 18))
                stuck = 0
            except BlockingIOError:
                stuck += 1
                await asyncio.sleep(0.001)
        assert sent < 64 << 20
        assert net.scratch.tails < 16 << 20
        read.set()
        program.end()
        assert await heard == sent
        assert await program.hear() == b""

    run(story)


@pytest.mark.parametrize("kinds", [("ss", "ss"), ("socks5", "ss"), ("http", "socks5")], ids="+".join)
def test_resets_pass(kinds: tuple[str, ...]) -> None:
    async def story(net: Net) -> None:
        async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(2)
            reset(writer)

        program = await net.join(net.chain(*await make(net, kinds)), await net.listen(rude))
        await program.say(b"hi")
        assert await program.hear() == b""  # a socket pair has no reset
        await net.quiet()
        assert net.words == {"reset_right": 1}

    run(story)


def test_a_server_behind_a_server_that_cuts_it_off_is_truncated() -> None:
    """The outer stream ends well, the inner one inside a chunk: that is no end of file."""

    async def story(net: Net) -> None:
        hop = await net.shadow()
        inner = shadow_of("aes-256-gcm")
        async with scripted(net, b"s" * 32 + b"a size field that is not whole"[:10]) as liar:
            program = await net.join(net.chain(hop, ShadowHop(liar, inner)), Address("x", 1), b"first")
            assert await program.hear() == b""
        await net.quiet()
        assert net.words == {"truncated": 1}

    run(story)


def test_a_client_reaches_its_server_through_a_chain() -> None:
    """The dialer of a server has the chain as its connect, as any other way."""

    async def story(net: Net) -> None:
        proxy, server = await net.socks(), await net.shadow()
        chain = net.chain(proxy)
        dialer = ShadowsocksDialer(
            lambda first: chain.dial(server.address, first), server.shadow, net.scratch, lambda: NOW, os.urandom
        )
        program = await net.join(dialer, await net.listen(echo), b"x")
        program.end()
        assert await program.hear_all() == b"hello x 1"

    run(story)


def test_no_hop_is_straight() -> None:
    async def story(net: Net) -> None:
        program = await net.join(net.chain(), await net.listen(echo), b"x")
        program.end()
        assert await program.hear_all() == b"hello x 1"

    run(story)


@pytest.mark.parametrize("before", KINDS)
@pytest.mark.parametrize(
    ("kind", "word"), [("socks5", "refused"), ("http", "denied"), ("login", "bad_login"), ("nonsense", "bad_hop")]
)
def test_what_a_later_proxy_refuses_is_told(before: str, kind: str, word: str) -> None:
    async def story(net: Net) -> None:
        [hop] = await make(net, (before,))
        last: Hop
        if kind == "socks5":
            last = await net.socks(reply=5)
        elif kind == "http":
            last = await net.http(answer=b"HTTP/1.1 403 No\r\n\r\n")
        elif kind == "login":
            last = SocksHop((await net.socks(login=True)).address, USER, Secret("wrong"))
        else:
            async with scripted(net, b"220 ESMTP\r\n") as address:
                last = HttpHop(address)
        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(hop, last), Address("example.com", 80), b"first")
        assert failed.value.code == word

    run(story)


def test_a_server_before_a_proxy_that_has_another_key() -> None:
    """It falls silent, as to any stranger; and if it answers, that does not authenticate."""

    async def story(net: Net) -> None:
        proxy = await net.socks()
        async with scripted(net, os.urandom(200)) as address:
            hop = ShadowHop(address, shadow_of("aes-256-gcm"))
            with pytest.raises(DialError) as failed:
                await net.dial(net.chain(hop, proxy), Address("example.com", 80))
            assert failed.value.code == "bad_server"

    run(story)


def test_which_chains_take_datagrams() -> None:
    address = Address("proxy.example", 1080)
    socks, http, streams = SocksHop(address), HttpHop(address), ShadowHop(address, shadow_of(METHOD))
    shadow = ShadowHop(address, shadow_of(METHOD), packets_of(METHOD))
    for hops in ((), (socks,), (shadow,), (socks, shadow), (shadow, socks)):
        assert can_packets(hops)
    for without in ((http,), (streams,), (socks, http), (http, shadow), (shadow, streams)):
        assert not can_packets(without)


def test_no_repr_shows_a_password() -> None:
    address = Address("proxy.example", 1080)
    for hop in (SocksHop(address, USER, Secret(PASSWORD)), HttpHop(address, USER, Secret(PASSWORD))):
        assert PASSWORD not in repr(hop)
    assert "shadow=" not in repr(ShadowHop(address, shadow_of(METHOD)))
