"""Datagrams through chains on loopback: every pair, and what opens, keeps and ends a way."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.net.backs import HELD_MOST
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.net.packets import DNS_IDLE
from shadesocks.proxy.outbound.chain import HttpHop, ShadowHop, SocksHop
from shadesocks.proxy.outbound.packets import ChainBack
from tests.net import packet_rig
from tests.net.packet_rig import HOST, Rig, heard, nothing
from tests.proxy.outbound.hops import METHOD, USER, Net, scripted
from tests.wire.codecs import packets_of, shadow_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from shadesocks.net.packets import PacketRelay
    from tests.proxy.outbound.hops import Hop

METHODS: Final = ("aes-256-gcm", METHOD)
CHAINS: Final = (
    ("socks5",),
    ("ss",),
    ("socks5", "socks5"),
    ("socks5", "ss"),
    ("ss", "socks5"),
    ("ss", "ss"),
    ("ss", "socks5", "ss"),
    ("socks5", "ss", "socks5"),
)


class World:
    """A rig of datagrams, and one of streams, on the same reactor."""

    def __init__(self, rig: Rig, net: Net) -> None:
        self.rig, self.net = rig, net
        self.plain = rig.packets("none")

    async def shadow(self, method: str = METHOD) -> ShadowHop:
        """A Shadowsocks server, of streams and datagrams."""
        packets = packets_of(method)
        while True:
            port = self.rig.relay(packets).front.sock.getsockname()[1]
            try:
                hop = await self.net.shadow(method, port)
            except OSError:  # somebody has the number for streams
                continue
            return ShadowHop(hop.address, hop.shadow, packets)

    async def make(self, kinds: tuple[str, ...]) -> list[Hop]:
        return [
            await self.net.socks(login=bool(number % 2), bound="0.0.0.0" if number % 2 else HOST)
            if kind == "socks5"
            else await self.shadow(METHODS[number % 2])
            for number, kind in enumerate(kinds)
        ]

    def back(self, *hops: Hop) -> ChainBack:
        rig, net = self.rig, self.net
        return ChainBack(rig.datagrams, rig.names, hops, net.connect_to, net.means, DatagramOptions())

    def through(self, *hops: Hop) -> PacketRelay:
        """A relay whose clients go through these hops."""
        return self.rig.relay(self.plain, self.back(*hops))

    def client(self, relay: PacketRelay) -> packet_rig.Client:
        return self.rig.client(relay, self.plain)

    def live(self) -> list[bool]:
        return [association.live for association in self.net.associations]


def run(story: Callable[[World], Coroutine[Any, Any, None]], way: str = "auto") -> None:
    async def whole(rig: Rig) -> None:
        async with AsyncExitStack() as stack:
            net = Net(stack, 10.0, rig.reactor)
            await story(World(rig, net))
            for relay in list(rig.crowd.relays):
                relay.close()
            rig.reactor.settle()
            assert not any(relay.back._ways for relay in rig.crowd.relays if isinstance(relay.back, ChainBack))
            await net.quiet()

    packet_rig.run(whole, way)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what holds tells nobody
        await asyncio.sleep(0)


@pytest.mark.parametrize("way", ["plain", "auto"])
@pytest.mark.parametrize("kinds", CHAINS, ids="+".join)
def test_there_and_back(kinds: tuple[str, ...], way: str) -> None:
    async def story(world: World) -> None:
        relay = world.through(*await world.make(kinds))
        client, target = world.client(relay), world.rig.socket()
        sources = set()
        for payload in (b"one", b"", os.urandom(1400), os.urandom(9000)):
            await client.say(target, payload)
            got, outlet = await heard(target)
            assert got == payload
            sources.add(outlet)
            target.sendto(payload[::-1], outlet)
            assert await client.hear() == (Address(*target.getsockname()), payload[::-1])
        assert len(sources) == 1
        assert world.live() == [True] * kinds.count("socks5")
        assert relay.sums()[:2] == (4, 10_403)
        assert not relay.dropped

    run(story, way)


@pytest.mark.parametrize("kinds", [("socks5",), ("ss", "socks5")], ids="+".join)
def test_messages_wait_while_the_way_is_opened(kinds: tuple[str, ...]) -> None:
    async def story(world: World) -> None:
        relay = world.through(*await world.make(kinds))
        client, target = world.client(relay), world.rig.socket()
        for number in range(HELD_MOST + 3):
            client.sock.sendto(client.sealed(target, bytes([number])), client.server)
        assert [(await heard(target))[0][0] for _ in range(HELD_MOST)] == list(range(HELD_MOST))
        assert relay.dropped == {"limit": 3}
        assert len(world.net.associations) == 1

    run(story)


@pytest.mark.parametrize("number", [0, 1])
def test_the_end_of_a_connection_ends_the_way_and_not_the_session(number: int) -> None:
    async def story(world: World) -> None:
        relay = world.through(*await world.make(("socks5", "socks5")))
        client, target = world.client(relay), world.rig.socket()
        await client.say(target, b"one")
        _, before = await heard(target)
        world.net.controls[number].close()
        [session] = relay.sessions.values()
        await until(lambda: session.outlet is None)
        await until(lambda: not any(world.live()))
        await client.say(target, b"two")
        got, after = await heard(target)
        assert got == b"two"
        assert after != before
        assert world.live() == [False, False, True, True]
        assert list(relay.sessions.values()) == [session]

    run(story)


def test_the_end_of_a_session_hangs_up() -> None:
    async def story(world: World) -> None:
        relay = world.through(*await world.make(("ss", "socks5")))
        client, target = world.client(relay), world.rig.socket()
        await client.say(target, b"one")
        await heard(target)
        relay.evict()
        world.rig.reactor.settle()
        await until(lambda: not any(world.live()))

    run(story)


def test_a_look_up_hangs_up_after_a_while() -> None:
    """As its socket closes, so do the connections behind it."""

    async def story(world: World) -> None:
        relay = world.through(*await world.make(("socks5",)))
        client = world.client(relay)
        await client.say(Address(HOST, 53), b"query")
        await until(lambda: relay.sums()[0] == 1)
        world.rig.now += DNS_IDLE
        relay.sweep()
        world.rig.reactor.settle()
        await until(lambda: not any(world.live()))
        assert len(relay.sessions) == 1

    run(story)


def test_a_session_that_ends_before_its_way_stands() -> None:
    async def story(world: World) -> None:
        begun, over = asyncio.Event(), asyncio.Event()

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            begun.set()
            await reader.read()
            over.set()

        relay = world.through(SocksHop(await world.net.listen(silent)))
        client = world.client(relay)
        await client.say(Address(HOST, 9), b"x")
        await begun.wait()
        relay.evict()
        world.rig.reactor.settle()
        await over.wait()
        assert not world.rig.reactor.stories
        await world.rig.settle()
        assert not relay.dropped

    run(story)


@pytest.mark.parametrize("kind", ["refuses", "login", "leaves", "port 0", "nobody"])
def test_a_way_that_fails_is_counted_and_not_tried_before_the_next_tick(kind: str) -> None:
    async def story(world: World) -> None:
        hop, word = SocksHop(Address(HOST, 9)), "bad_hop"
        if kind == "refuses":
            hop, word = await world.net.socks(reply=7), "bad_command"
        elif kind == "login":
            hop = SocksHop((await world.net.socks(login=True)).address, USER, Secret("wrong"))
            word = "bad_login"
        elif kind == "leaves":
            async with scripted(world.net, b"\5\0\5\0") as address:
                hop = SocksHop(address)
        elif kind == "port 0":
            async with scripted(world.net, b"\5\0" + b"\5\0\0\1\0\0\0\0\0\0") as address:
                hop = SocksHop(address)
        else:
            hop, word = SocksHop((await world.net.socks()).address, "x" * 256, Secret("y")), ""
        relay = world.through(hop)
        client = world.client(relay)
        target = world.rig.socket()
        if not word:  # it wants no login, so the one without a form is never said
            await client.say(target, b"x")
            await heard(target)
            return
        await client.say(target, b"x")
        await until(lambda: relay.dropped == {word: 1})
        opened = world.net.opened
        for _ in range(3):
            await client.say(target, b"x")
        assert relay.dropped == {word: 4}
        assert world.net.opened == opened == 1
        relay.sweep()
        await client.say(target, b"x")
        await until(lambda: relay.dropped == {word: 5})
        assert world.net.opened == 2
        assert nothing(target)

    run(story)


def test_a_server_with_a_name_is_looked_up_once_it_is_needed() -> None:
    async def story(world: World) -> None:
        hop = await world.shadow()
        named = ShadowHop(Address("server.test", hop.address.port), hop.shadow, hop.packets)
        relay = world.through(named, await world.shadow())
        client, target = world.client(relay), world.rig.socket()
        for number in range(3):
            await client.say(target, bytes([number]))
        assert nothing(target)
        world.rig.names.find("server.test", HOST)
        assert [(await heard(target))[0][0] for _ in range(3)] == [0, 1, 2]

    run(story)


def test_a_name_that_does_not_exist_is_counted() -> None:
    async def story(world: World) -> None:
        relay = world.through(ShadowHop(Address("none.test", 1), shadow_of(METHOD), packets_of(METHOD)))
        client = world.client(relay)
        await client.say(Address(HOST, 9), b"x")
        world.rig.names.find("none.test")
        await world.rig.settle()
        assert relay.dropped == {"no_name": 1}

    run(story)


def test_what_somebody_else_sends_through_the_first_hop_is_dropped() -> None:
    async def story(world: World) -> None:
        relay = world.through(*await world.make(("ss", "socks5")))
        client, target, forger = world.client(relay), world.rig.socket(), world.rig.socket()
        await client.say(target, b"x")
        _, outlet = await heard(target)
        [association] = world.net.associations
        forger.sendto(b"\0\0\0" + Address(*target.getsockname()).pack() + b"forged", association.client)
        await until(lambda: relay.dropped == {"bad_hop": 1})
        target.sendto(b"the answer", outlet)
        assert (await client.hear())[1] == b"the answer"

    run(story)


def test_what_is_too_large_for_all_layers_is_dropped() -> None:
    async def story(world: World) -> None:
        relay = world.through(*await world.make(("ss", "ss")))
        client, target = world.client(relay), world.rig.socket()
        await client.say(target, bytes(65_480))
        await client.say(target, b"x")
        assert (await heard(target))[0] == b"x"
        assert relay.dropped + world.rig.datagrams.dropped == {"too_large": 1}

    run(story)


def test_only_chains_that_take_datagrams_have_a_back() -> None:
    async def story(world: World) -> None:
        for hops in ((), (HttpHop(Address(HOST, 1)),)):
            with pytest.raises(AssertionError):
                world.back(*hops)

    run(story)
