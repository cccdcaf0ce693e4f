"""Several servers, in this process: who gets the connections and the datagrams, and what a dead or slow one costs."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from shadesocks.config.model import TUNNEL, Config, LocalConfig, Mode, PluginConfig, ProxyConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.proxy.balance.member import MUTE_MOST
from shadesocks.proxy.balance.policies import POLICIES
from shadesocks.service.roster import Roster
from shadesocks.service.service import Service
from tests.proxy.balance.field import name_server, saying
from tests.proxy.balance.test_probe_udp import good
from tests.service.rig import HOST, echo, run, server_config, socks, started, target, until
from tests.service.test_service_udp import echo as udp_echo

from .test_tunnels import ask, client, trip

BOTH = Mode.TCP_AND_UDP
FIRST = "aes-128-gcm"
NOTHING_TO_ASK: dict[str, Any] = {
    "balancer_probe_url": f"http://{HOST}:9/",
    "balancer_probe_dns": Address(HOST, 9),
    "balancer_max_rtt": 0.5,
}
"""Probes that nobody answers."""


@asynccontextmanager
async def servers(count: int) -> AsyncIterator[list[Service]]:
    async with AsyncExitStack() as stack:
        config = Config(servers=(replace(server_config(FIRST), mode=BOTH),), allow_private=True)
        yield [await stack.enter_async_context(started(Service.server(config))) for _ in range(count)]


def at(place: Service | Address, **options: Any) -> ServerConfig:
    """How a client names a server."""
    address = place if isinstance(place, Address) else place.addresses[0]
    return replace(server_config(FIRST), address=address, mode=BOTH, **options)


@asynccontextmanager
async def choosing(word: str, to: Address, *names: ServerConfig, **options: Any) -> AsyncIterator[Service]:
    """A tunnel to a target through some of these; what probes ask for is on this machine."""
    listener = LocalConfig(Address(HOST, 0), TUNNEL, BOTH, forward=to)
    options = {"balancer_policy": word, "balancer_interval": 0.1, **NOTHING_TO_ASK, **options}
    async with started(Service.local(Config(servers=names, locals=(listener,), **options))) as near:
        yield near


def roster_of(near: Service) -> Roster:
    [roster] = near._shared.rosters
    return roster


def best(near: Service, transport: str) -> str:
    """The name of the server that leads."""
    member = roster_of(near).group("").best(transport)
    return "" if member is None else member.name


def counts(services: list[Service]) -> list[int]:
    """How many connections each server had."""
    return [service.journal.accepted + service.totals[0] for service in services]


@contextmanager
def dead() -> Iterator[Address]:
    """A port that refuses, as long as this lasts."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((HOST, 0))
        yield Address(*sock.getsockname())


@contextmanager
def silent() -> Iterator[Address]:
    """A port that does not answer: its queue is full."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((HOST, 0))
        sock.listen(0)
        waiting = []
        try:
            for _ in range(8):
                one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                one.setblocking(False)
                waiting.append(one)
                with suppress(BlockingIOError):
                    one.connect(sock.getsockname())
            yield Address(*sock.getsockname())
        finally:
            for one in waiting:
                one.close()


def test_random_spreads_connections_and_sessions_over_all() -> None:
    """One of four is left out by 64 draws once in 25 million runs."""

    async def story() -> None:
        async with servers(4) as four, target(echo) as to:
            async with choosing("random", to, *map(at, four)) as near:
                for _ in range(64):
                    assert await trip(near, b"x") == b"x"
            assert all(counts(four))
            assert sum(counts(four)) == 64
        async with servers(4) as four, udp_echo() as to:
            async with choosing("random", to, *map(at, four)) as near:
                for _ in range(64):
                    with client() as sock:
                        for payload in (b"one", b"two"):
                            assert await ask(sock, near, payload) == payload
            got = [service.packets.up_packets for service in four]
            assert all(got)
            assert sum(got) == 128
            assert all(not number % 2 for number in got), "P13: a session stays where it began"

    run(story())


@pytest.mark.parametrize("word", POLICIES)
def test_a_server_that_refuses_costs_nobody_a_connection(word: str) -> None:
    """N3: lite told the client."""

    async def story() -> None:
        with dead() as nowhere:
            async with servers(2) as two, target(echo) as to:
                async with choosing(word, to, at(nowhere), *map(at, two)) as near:
                    for _ in range(16):
                        assert await trip(near, b"x") == b"x"
                assert sum(counts(two)) >= 16

    run(story())


@pytest.mark.parametrize("word", POLICIES)
def test_no_server_at_all_is_an_end_of_file(word: str) -> None:
    async def story() -> None:
        with dead() as one, dead() as other:
            async with choosing(word, Address(HOST, 9), at(one), at(other)) as near:
                assert await trip(near, b"") == b""
                await until(lambda: near.journal.reasons == {"refused": 1})

    run(story())


@pytest.mark.parametrize("word", ["score", "ordered"])
def test_g10_a_server_that_is_silent_costs_its_dial_time_out(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in a circuit it costs that once. go waited as long as the system does: minutes, where a test has seconds."""
    monkeypatch.setattr(Random, "randrange", lambda _self, limit: limit - 1)  # no chance for who failed

    async def story() -> None:
        with silent() as nobody:
            dials = at(nobody, dial_timeout=0.2), at(nobody, dial_timeout=0.2, remarks="again")
            async with servers(1) as [one], target(echo) as to, choosing(word, to, *dials, at(one)) as near:
                for _ in range(3):
                    assert await trip(near, b"x") == b"x"
                if word == "ordered":
                    failures = [row["tcp"]["failures"] for row in roster_of(near).table()]
                    assert failures == [1, 1, 0], "never tried again"
                    assert counts([one]) == [3]

    run(story())


@pytest.mark.parametrize(
    ("answer", "word", "most"), [(b"", "no_answer", MUTE_MOST), (b"HTTP/1.1 302 Found\r\n" * 9, "bad_server", 1)]
)
def test_a_server_that_takes_everything_and_leads_nowhere_is_left(
    answer: bytes, word: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead backend behind what accepts for it, a page to log in at: no dial fails, and nobody probes."""
    monkeypatch.setattr(Random, "randrange", lambda _self, limit: limit - 1)  # no chance for who failed

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(answer)

    async def story() -> None:
        async with target(hang_up) as nowhere, servers(1) as [one], target(echo) as to:
            listener = LocalConfig(Address(HOST, 0))
            config = Config(servers=(at(nowhere), at(one)), locals=(listener,), balancer_policy="ordered")
            async with started(Service.local(config)) as near:
                got = [await said(near, Address((HOST, "localhost")[each % 2], to.port)) for each in range(9)]
                assert got == [b""] * most + [b"x"] * (9 - most), near.journal.reasons
                assert roster_of(near).table()[0]["tcp"]["error"] == word

    async def said(near: Service, to: Address) -> bytes:
        """What comes back of one byte, through a SOCKS listener; nothing where the connection broke."""
        reader, writer, reply = await socks(near, to)
        assert reply == 0
        try:
            writer.write(b"x")
            return await reader.read(1)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    run(story())


@asynccontextmanager
async def slow_proxy(seconds: float) -> AsyncIterator[ProxyConfig]:
    """A SOCKS5 proxy that takes its time before each connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(3)
        writer.write(b"\5\0")
        request = await reader.readexactly(10)
        await asyncio.sleep(seconds)
        other, onward = await asyncio.open_connection(HOST, int.from_bytes(request[-2:]))
        writer.write(b"\5\0\0\1" + bytes(6))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(copy(reader, onward))
                both.create_task(copy(other, writer))
        except* OSError:
            pass
        finally:
            onward.close()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)
        if writer.can_write_eof():
            writer.write_eof()

    async with target(handle) as address:
        yield ProxyConfig("socks5", address)


@asynccontextmanager
async def asked() -> AsyncIterator[dict[str, Any]]:
    """What probes ask for, and is there."""
    async with target(saying(b"HTTP/1.1 204 No Content\r\n\r\n")) as page, name_server(good) as (dns, _):
        yield {"balancer_probe_url": f"http://{page}/", "balancer_probe_dns": dns}


@pytest.mark.parametrize("word", ["fastest", "score"])
def test_n03_the_best_is_found_by_asking_through_it(word: str, caplog: pytest.LogCaptureFixture) -> None:
    """The first of the list is slow; it may serve until it was measured, and then no more."""

    async def story() -> None:
        # The machine may be slow, too: no probe is to run out of time, and half a second is more than any noise.
        async with asked() as there, slow_proxy(0.5) as proxy, servers(2) as (slow, quick), target(echo) as to:
            names = at(slow, outbound_proxy=(proxy,), remarks="slow"), at(quick, remarks="quick")
            async with choosing(word, to, *names, balancer_max_rtt=20.0, **there) as near:
                assert await trip(near, b"x") == b"x"
                await until(lambda: best(near, "tcp") == "quick")
                before = quick.totals[1]
                for _ in range(10):
                    assert await trip(near, b"x") == b"x"
                assert quick.totals[1] - before >= 10
                row = roster_of(near).table()[0]["tcp"]
                assert row["latency_ms"] is None or row["latency_ms"] > 500

    with caplog.at_level(logging.INFO):
        run(story())
    switches = [message for message in caplog.messages if " -> quick: " in message and "connections" in message]
    assert len(switches) == 1
    assert "http" not in caplog.text, "what is asked for is nobody's business"


@pytest.mark.parametrize("word", ["fastest", "score"])
def test_sessions_go_where_datagrams_are_answered(word: str) -> None:
    """The first server takes connections, and its datagrams are lost: only a probe of datagrams can tell."""

    async def story() -> None:
        async with asked() as there, servers(1) as [good_one], udp_echo() as to, target(echo) as deaf:
            names = at(deaf, remarks="deaf"), at(good_one, remarks="good")
            async with choosing(word, to, *names, **there) as near:
                with client() as sock:
                    sock.sendto(b"lost, perhaps", (HOST, near.addresses[0].port))
                    await until(lambda: near.packets.up_packets == 1)
                    await until(lambda: best(near, "udp") == "good")
                    await until(lambda: roster_of(near).table()[0]["udp"]["failures"] > 1)
                    while True:  # the session leaves its server once that is known to be down
                        sock.sendto(b"x", (HOST, near.addresses[0].port))
                        try:
                            async with asyncio.timeout(0.2):
                                got = await asyncio.get_running_loop().sock_recv(sock, 100)
                        except TimeoutError:
                            continue
                        if got == b"x":
                            break

    run(story())


def test_listeners_use_the_servers_of_their_group() -> None:
    async def story() -> None:
        async with servers(4) as four, target(echo) as to, udp_echo() as far:
            names = [at(one, group="ab"[number % 2]) for number, one in enumerate(four)]
            locals_ = [
                LocalConfig(Address(HOST, 0), TUNNEL, BOTH, forward=address, group=group)
                for address in (to, far)
                for group in ("a", "b", "")
            ]
            config = Config(servers=tuple(names), locals=tuple(locals_), balancer_policy="round-robin")
            async with started(Service.local(config)) as near:
                streams = [address.port for address in near.addresses[:3]]
                packets = [address.port for address in near.addresses[3:]]
                for port, wanted in zip(streams, ([3, 0, 3, 0], [3, 3, 3, 3], [4, 5, 4, 5]), strict=True):
                    for _ in range(6):
                        reader, writer = await asyncio.open_connection(HOST, port)
                        writer.write(b"x")
                        writer.write_eof()
                        assert await reader.read(-1) == b"x"
                        writer.close()
                    assert sorted(counts(four)) == sorted(wanted)
                for port, wanted in zip(packets, ([2, 0, 2, 0], [2, 2, 2, 2], [3, 3, 3, 3]), strict=True):
                    for _ in range(4):
                        with client() as sock:
                            sock.sendto(b"x", (HOST, port))
                            assert await asyncio.get_running_loop().sock_recv(sock, 10) == b"x"
                    assert sorted(one.packets.up_packets for one in four) == sorted(wanted)

    run(story())


# -- servers that come and go


def test_a_client_without_servers_says_so_until_it_has_one(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        config = Config(locals=(LocalConfig(Address(HOST, 0), mode=BOTH),), **NOTHING_TO_ASK)
        async with servers(1) as [one], target(echo) as to, started(Service.local(config)) as near:
            assert list(near.servers) == []
            _, writer, reply = await socks(near, to)
            assert reply == 1
            writer.close()
            await until(lambda: near.journal.reasons == {"no_server": 1})
            assert await near.reload(replace(config, servers=(at(one),))) == ()
            assert list(near.servers) == [at(one)]
            reader, writer, reply = await socks(near, to)
            assert reply == 0
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await near.reload(replace(config, locals=(), idle_timeout=7.0))
            assert list(near.servers) == []

    run(story())
    assert [line for line in caplog.messages if "restart" in line] == [
        "changed, and in force after a restart only: locals"
    ]


def test_a_connection_through_a_server_that_is_gone_goes_on() -> None:
    async def story() -> None:
        async with servers(3) as (one, two, three), target(echo) as to:
            names = at(one), at(two)
            async with choosing("ordered", to, *names) as near:
                roster = roster_of(near)
                reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
                writer.write(b"first")
                assert await reader.readexactly(5) == b"first"
                assert counts([one, two]) == [1, 0]
                second = roster.members[at(two)]
                second.tcp.health.measured(near._shared.reactor.loop.time(), 0.25)
                known = second.tcp.health.latency
                assert await near.reload(replace(near.config, servers=(at(two), at(three)))) == ()
                assert roster.members[at(two)] is second
                assert second.tcp.health.latency == known == 0.25
                assert await trip(near, b"x") == b"x"
                assert counts([one, two, three]) == [1, 1, 0]
                writer.write(b"and on")
                assert await reader.readexactly(6) == b"and on"
                assert len(roster._leaving) == 1
                writer.close()
                await until(lambda: not any(member.relays for member in roster._leaving))
                roster.settle()
                assert not roster._leaving

    run(story())


def test_a_session_through_a_server_that_is_gone_goes_on() -> None:
    async def story() -> None:
        async with servers(2) as (one, two), udp_echo() as to:
            first = at(one)
            async with choosing("ordered", to, first) as near:
                with client() as old, client() as new:
                    assert await ask(old, near, b"x") == b"x"
                    await near.reload(replace(near.config, servers=(at(two),)))
                    assert await ask(old, near, b"y") == b"y"
                    assert await ask(new, near, b"z") == b"z"
                    assert [service.packets.up_packets for service in (one, two)] == [2, 1]

    run(story())


def test_what_a_new_server_needs_and_is_not_there_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with servers(1) as [one], target(echo) as to, choosing("ordered", to, at(one)) as near:
            bad = at(Address(HOST, 9), remarks="bad", plugin=PluginConfig("/nowhere/plugin"))
            [problem] = await near.reload(replace(near.config, servers=(bad, at(one))))
            assert "/nowhere/plugin" in str(problem)
            assert list(near.servers) == [at(one)]
            assert await trip(near, b"x") == b"x"

    run(story())


@pytest.mark.parametrize("drops", [False, True])
def test_live_ones_follow_a_switch_where_that_is_wanted(drops: bool) -> None:
    async def story() -> None:
        async with servers(2) as (one, two), target(echo) as to, udp_echo() as far:
            names = at(one, remarks="one"), at(two, remarks="two")
            listeners = [LocalConfig(Address(HOST, 0), TUNNEL, BOTH, forward=address) for address in (to, far)]
            config = Config(servers=names, locals=tuple(listeners), balancer_drops=drops)
            async with started(Service.local(config)) as near:
                roster, now = roster_of(near), near._shared.reactor.loop.time()
                assert roster._prober is not None
                roster._prober.close()  # the test says what it would find out
                members = list(roster.members.values())
                for member, seconds in zip(members, (0.1, 0.3), strict=True):
                    for side in (member.tcp, member.udp):
                        side.health.measured(now, seconds)
                reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                with client() as sock:
                    loop = asyncio.get_running_loop()
                    to_packets = (HOST, near.addresses[1].port)
                    sock.sendto(b"x", to_packets)
                    assert await loop.sock_recv(sock, 10) == b"x"
                    for side in (members[1].tcp, members[1].udp):
                        for _ in range(60):
                            side.health.measured(now, 0.001)
                    for transport in ("tcp", "udp"):
                        roster.learnt(members[1], transport)
                        assert best(near, transport) == "two"
                    sock.sendto(b"y", to_packets)
                    assert await loop.sock_recv(sock, 10) == b"y"
                    assert [service.packets.up_packets for service in (one, two)] == ([1, 1] if drops else [2, 0])
                writer.write(b"y")
                if drops:
                    assert await reader.read(-1) == b""
                else:
                    assert await reader.readexactly(1) == b"y"
                writer.close()

    run(story())
