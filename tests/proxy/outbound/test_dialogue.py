"""The talk with a proxy, whatever it and the way to it do: pieces, ends, resets, silence."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError, LocalProtocolError
from shadesocks.core.secret import Secret
from shadesocks.net.end import End
from shadesocks.proxy.outbound.chain import HttpHop, ShadowHop, SocksHop
from shadesocks.proxy.outbound.dialogue import converse
from shadesocks.wire.socks5 import ask
from tests.proxy.outbound.hops import Net, reset, run, scripted
from tests.wire.codecs import shadow_of

if TYPE_CHECKING:
    from shadesocks.proxy.seams import First
    from tests.proxy.outbound.hops import Hop

TARGET = Address("example.com", 80)
ANSWERS: dict[type[SocksHop | HttpHop], bytes] = {
    SocksHop: b"\x05\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50",
    HttpHop: b"HTTP/1.1 200 Fine\r\nVia: 1.1 a\r\n\r\n",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_in_single_bytes(kind: type[SocksHop | HttpHop]) -> None:
    async def story(net: Net) -> None:
        done = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            for byte in ANSWERS[kind]:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            await reader.readuntil(b"first")
            done.set()

        end = await net.dial(net.chain(kind(await net.listen(slow))), TARGET, b"first")
        await done.wait()
        assert (end.held, end.tail) == (b"", b"")
        net.drop(end)

    run(story)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("cut", [0, 1, 2, 5, -1])
def test_a_proxy_that_ends_early(kind: type[SocksHop | HttpHop], cut: int) -> None:
    async def story(net: Net) -> None:
        async with scripted(net, ANSWERS[kind][:cut]) as address:
            with pytest.raises(DialError) as failed:
                await net.dial(net.chain(kind(address)), TARGET, b"first")
        assert failed.value.code == "bad_hop"

    run(story)


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_proxy_that_resets(kind: type[SocksHop | HttpHop]) -> None:
    async def story(net: Net) -> None:
        async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            reset(writer)

        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(kind(await net.listen(rude))), TARGET)
        assert failed.value.code == "bad_hop"

    run(story)


@pytest.mark.parametrize("before", ["", "socks5", "ss"])
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_proxy_that_stays_silent_has_its_time(kind: type[SocksHop | HttpHop], before: str) -> None:
    """Wherever in a chain it stands."""

    async def story(net: Net) -> None:
        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        hops: list[Hop] = []
        if before == "socks5":
            hops.append(await net.socks())
        elif before == "ss":
            hops.append(await net.shadow())
        with pytest.raises(DialError) as failed:
            await net.dial(net.chain(*hops, kind(await net.listen(silent))), TARGET)
        assert failed.value.code == "dial_timeout"

    run(story, deadline=0.2)


def test_every_proxy_has_its_own_time() -> None:
    """The deadline of the second begins when the first is done, and ends with its answer."""

    async def story(net: Net) -> None:
        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.read()

        end = await net.dial(net.chain(await net.socks(), await net.http()), await net.listen(silent))
        assert len(net.means.deadline) == 0
        net.drop(end)

    run(story)


def test_a_story_that_is_given_up_closes_its_connection() -> None:
    async def story(net: Net) -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            begun.set()
            heard.set_result(await reader.read())

        begun = asyncio.Event()
        dialling = net.reactor.spawn(net.chain(SocksHop(await net.listen(silent))).dial(TARGET, b""))
        await begun.wait()
        dialling.cancel()
        assert await heard == b""
        assert len(net.means.deadline) == 0

    run(story)


def test_what_cannot_be_said_is_no_reason_to_connect() -> None:
    async def story(net: Net) -> None:
        for kind in (SocksHop, HttpHop):
            with pytest.raises(LocalProtocolError):
                await net.dial(net.chain(kind(TARGET)), Address("not a name", 80))
        with pytest.raises(LocalProtocolError):
            await net.dial(net.chain(HttpHop(TARGET, "a:b", Secret("x"))), TARGET)
        assert net.opened == 0

    run(story)


def test_a_login_that_has_no_form_closes_the_connection() -> None:
    """Found out when the proxy wants it."""

    async def story(net: Net) -> None:
        proxy = await net.socks(login=True)
        with pytest.raises(LocalProtocolError) as failed:
            await net.dial(net.chain(SocksHop(proxy.address, "x" * 256, Secret("y"))), TARGET)
        assert failed.value.code == "bad_login"

    run(story)


def test_a_first_payload_that_the_socket_does_not_take_is_the_end_s_tail() -> None:
    async def story(net: Net) -> None:
        heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        read = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(3)
            writer.write(ANSWERS[SocksHop])
            await read.wait()
            heard.set_result(len(await reader.read()))

        first = bytes(64 << 20)
        program = await net.join(net.chain(SocksHop(await net.listen(slow))), TARGET, first)
        assert net.scratch.tails > 0
        read.set()
        program.end()
        assert await heard == 18 + len(first)  # with the request
        assert await program.hear() == b""

    run(story)


@pytest.mark.parametrize("method", ["none", "aes-256-gcm", "2022-blake3-aes-128-gcm"])
def test_a_proxy_behind_a_server_that_says_more_than_its_answer(method: str) -> None:
    """What was opened beyond the answer, and what is sealed behind it, both come, in order."""

    async def story(net: Net) -> None:
        target = os.urandom(200_000)
        async with scripted(net, ANSWERS[SocksHop] + target, wait=3) as proxy:
            program = await net.join(net.chain(await net.shadow(method), SocksHop(proxy)), TARGET)
            program.end()
            assert await program.hear_all() == target

    run(story)


def test_bytes_that_an_earlier_proxy_left_are_heard_first() -> None:
    async def story(net: Net) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)

        async def connect(_first: First) -> End:
            end = End(ours)
            end.held = ANSWERS[SocksHop] + b"and more"
            return end

        end, bound = await net.reactor.spawn(converse(net.means, connect, partial(ask, target=TARGET)))
        assert (end.held, bound) == (b"and more", Address("127.0.0.1", 80))
        theirs.close()
        net.drop(end)

    run(story)


def test_a_server_that_answers_with_noise() -> None:
    async def story(net: Net) -> None:
        async with scripted(net, os.urandom(100)) as address:
            chain = net.chain(ShadowHop(address, shadow_of("aes-256-gcm")), SocksHop(TARGET))
            with pytest.raises(DialError) as failed:
                await net.dial(chain, TARGET)
        assert failed.value.code == "bad_server"

    run(story)
