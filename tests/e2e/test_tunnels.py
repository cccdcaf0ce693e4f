"""Tunnels from end to end: one target for all that comes, in streams and datagrams, through a server or several."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import TUNNEL, Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.service.service import Service
from tests.service.rig import HOST, echo, run, server_config, started, target, until
from tests.service.test_service_udp import echo as udp_echo

BOTH = Mode.TCP_AND_UDP
METHODS = ("aes-256-gcm", "2022-blake3-aes-128-gcm", "none")


@asynccontextmanager
async def tunnel(
    to: Address, method: str = METHODS[0], mode: Mode = BOTH, hops: tuple[ServerConfig, ...] = (), **local: Any
) -> AsyncIterator[tuple[Service, Service]]:
    """A server, and a tunnel through it."""
    server = replace(server_config(method), mode=BOTH)
    async with started(Service.server(Config(servers=(server,), allow_private=True))) as far:
        there = replace(server, address=far.addresses[0], outbound_proxy=hops)
        listener = LocalConfig(Address(HOST, 0), TUNNEL, mode, forward=to, **local)
        config = Config(servers=(there,), locals=(listener,), first_payload_timeout=0.05)
        async with started(Service.local(config)) as near:
            yield far, near


@asynccontextmanager
async def hop(method: str = "chacha20-ietf-poly1305") -> AsyncIterator[tuple[Service, ServerConfig]]:
    """A server on the way, and how it is named there."""
    server = replace(server_config(method), mode=BOTH)
    async with started(Service.server(Config(servers=(server,), allow_private=True))) as service:
        yield service, replace(server, address=service.addresses[0])


def client() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((HOST, 0))
    return sock


async def ask(sock: socket.socket, near: Service, payload: bytes) -> bytes:
    """Send a datagram into a tunnel, and return what comes out."""
    sock.sendto(payload, (HOST, near.addresses[0].port))
    return await asyncio.get_running_loop().sock_recv(sock, 70_000)


async def trip(near: Service, payload: bytes) -> bytes:
    """Send this through a tunnel and end; return all that comes back."""
    reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
    try:
        writer.write(payload)
        writer.write_eof()
        return await reader.read(-1)
    finally:
        writer.close()


@pytest.mark.parametrize("method", METHODS)
def test_connections_lead_to_the_one_target(method: str) -> None:
    async def story() -> None:
        async with target(echo) as to, tunnel(to, method) as (far, near):
            for payload in (b"hello", b"p" * 300_000):
                assert await trip(near, payload) == payload
            await until(lambda: near.journal.reasons == {"done": 2})
            assert far.totals == near.totals == (0, 300_005, 300_005)

    run(story())


@pytest.mark.parametrize("fast_open", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_target_that_speaks_first_is_heard_by_a_silent_client(method: str, fast_open: bool) -> None:
    """P9: the header goes alone once no payload came in `first_payload_timeout`."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome\r\n")
        await reader.read(-1)

    async def story() -> None:
        async with target(greet) as to, tunnel(to, method) as (far, near):
            near._house.config = replace(near.config, fast_open=fast_open)
            await near.stop()
            await near.start()
            reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
            assert await reader.readline() == b"220 welcome\r\n"
            assert far.totals[1:] == (0, 13)
            writer.close()
            await until(lambda: far.journal.reasons == {"done": 1})

    run(story())


def test_both_go_through_a_chain() -> None:
    async def story() -> None:
        async with target(echo) as to, hop() as (between, way), tunnel(to, hops=(way,)) as (far, near):
            assert await trip(near, b"through both") == b"through both"
            assert between.journal.accepted + between.totals[0] == far.journal.accepted + far.totals[0] == 1
        async with udp_echo() as to, hop() as (between, way), tunnel(to, hops=(way,)) as (far, near):
            with client() as sock:
                assert await ask(sock, near, b"through both") == b"through both"
            assert between.packets.up_packets == far.packets.up_packets == 1

    run(story())


@pytest.mark.parametrize("method", METHODS)
def test_datagrams_go_bare_and_come_back_bare(method: str) -> None:
    """Nobody associates here, whatever `udp_require_association` says."""

    async def story() -> None:
        async with udp_echo() as to, tunnel(to, method, udp_require_association=True) as (far, near):
            with client() as one, client() as other:
                for payload in (b"x", b"p" * 1400, b"q" * 60_000):
                    assert await ask(one, near, payload) == payload
                    assert await ask(other, near, payload[::-1]) == payload[::-1]
                assert near.packets.sessions == 2
                assert near.packets.up_bytes == near.packets.down_bytes == far.packets.up_bytes == 2 * 61_401

    run(story())


def test_a_name_may_be_the_target() -> None:
    async def story() -> None:
        async with udp_echo() as to, tunnel(Address("localhost", to.port)) as (far, near):
            with client() as sock:
                assert await ask(sock, near, b"question") == b"question"
            assert far.packets.down_packets == 1

    run(story())


def test_what_another_than_the_target_sends_reaches_nobody() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        with client() as there, client() as stranger, client() as sock:
            async with tunnel(Address(*there.getsockname())) as (_, near):
                sock.sendto(b"question", (HOST, near.addresses[0].port))
                got, outlet = await loop.sock_recvfrom(there, 100)
                assert got == b"question"
                stranger.sendto(b"forged", outlet)
                await until(lambda: near.packets.dropped == {"stray": 1})
                for answer in (b"answer", b""):
                    there.sendto(answer, outlet)
                    assert await loop.sock_recv(sock, 100) == answer
                sock.sendto(b"", (HOST, near.addresses[0].port))
                assert (await loop.sock_recvfrom(there, 100))[0] == b""

    run(story())


@pytest.mark.parametrize("mode", list(Mode))
def test_a_tunnel_listens_as_its_mode_says(mode: Mode) -> None:
    async def story() -> None:
        async with target(echo) as to, tunnel(to, mode=mode) as (_, near):
            [address] = near.addresses
            assert bool(near._shared.crowd.relays) == mode.udp
            if mode.tcp:
                assert await trip(near, b"x") == b"x"
            else:
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection(HOST, address.port)

    run(story())


def test_its_rules_say_what_goes_straight(tmp_path: Path) -> None:
    rules = tmp_path / "home.acl"
    rules.write_text("[proxy_all]\n[bypass_list]\n127.0.0.0/8\n")

    async def story() -> None:
        async with target(echo) as to, tunnel(to, acl=str(rules)) as (far, near):
            assert await trip(near, b"x") == b"x"
            assert far.journal.accepted == far.totals[0] == 0
        async with udp_echo() as to, tunnel(to, acl=str(rules)) as (far, near):
            with client() as sock:
                assert await ask(sock, near, b"x") == b"x"
            assert far.packets.up_packets == 0

    run(story())
