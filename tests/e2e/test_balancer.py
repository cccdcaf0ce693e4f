"""Several servers, in this process: who gets the connections and the datagrams, and what a dead or slow one costs."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from shadesocks.config.model import TUNNEL, Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.proxy.balance.policies import POLICIES
from shadesocks.service.service import Service
from tests.service.rig import HOST, echo, run, server_config, started, target, until
from tests.service.test_service_udp import echo as udp_echo

from .test_tunnels import ask, client, trip

BOTH = Mode.TCP_AND_UDP
FIRST = "aes-128-gcm"


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
async def choosing(word: str, to: Address, *names: ServerConfig) -> AsyncIterator[Service]:
    """A tunnel to a target through some of these."""
    listener = LocalConfig(Address(HOST, 0), TUNNEL, BOTH, forward=to)
    async with started(Service.local(Config(servers=names, locals=(listener,), balancer_policy=word))) as near:
        yield near


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
                assert counts([one]) == [3]
                [roster] = near._shared.rosters
                failures = [row["tcp"]["failures"] for row in roster.table()]
                assert list(map(bool, failures)) == [True, True, False]
                if word == "ordered":
                    assert failures == [1, 1, 0], "never tried again"

    run(story())
