"""Services that take datagrams: modes, ports, accounts, names in the log, from start to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.service import Service

from .rig import HOST, run, server_config, started, until

BOTH = Mode.TCP_AND_UDP


@asynccontextmanager
async def udp_pair(config: Config, server: ServerConfig, **local: Any) -> AsyncIterator[tuple[Service, Service]]:
    """A server and a local for it, both with UDP."""
    server = replace(server, mode=BOTH)
    async with started(Service.server(replace(config, servers=(server,), allow_private=True))) as far:
        there = replace(server, address=far.addresses[0], outbound_proxy=())
        listener = LocalConfig(Address(HOST, 0), mode=local.pop("mode", BOTH), **local)
        async with started(Service.local(replace(config, servers=(there,), locals=(listener,)))) as near:
            yield far, near


@asynccontextmanager
async def echo() -> AsyncIterator[Address]:
    """A target that sends back what it gets."""
    loop = asyncio.get_running_loop()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data, addr)

    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=(HOST, 0))
    try:
        yield Address(*transport.get_extra_info("sockname"))
    finally:
        transport.close()
        await asyncio.sleep(0)


@contextmanager
def taken_port() -> Iterator[int]:
    """A number that nobody has for TCP, and that is taken for UDP."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free,
        ):
            taken.bind((HOST, 0))
            port = taken.getsockname()[1]
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                free.bind((HOST, port))
            except OSError:
                continue
            free.close()
            yield port
            return


async def ask(near: Service, code: int = 3) -> tuple[asyncio.StreamWriter, bytes]:
    """Ask a local for a command, and return the connection and the reply."""
    reader, writer = await asyncio.open_connection(near.addresses[0].host, near.addresses[0].port)
    writer.write(b"\5\1\0" + bytes((5, code, 0, 1)) + bytes(6))
    assert await reader.readexactly(2) == b"\5\0"
    return writer, await reader.readexactly(10)


async def trip(relay: tuple[str, int], target: Address, payload: bytes) -> bytes:
    """Send a payload to a target through a relay, and return what comes back from it."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((HOST, 0))
        head = b"\0\0\0" + target.pack()
        await loop.sock_sendto(sock, head + payload, relay)
        answer = await loop.sock_recv(sock, 70_000)
    assert answer.startswith(head)
    return answer[len(head) :]


def relay_of(reply: bytes) -> tuple[str, int]:
    assert reply[:4] == b"\5\0\0\1"
    return socket.inet_ntoa(reply[4:8]), int.from_bytes(reply[8:])


@pytest.mark.parametrize("way", ["auto", "plain"])
@pytest.mark.parametrize("event_model", ["epoll", "portable"])
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm", "none"])
def test_datagrams_go_there_and_back(method: str, event_model: str, way: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        config = Config(event_model=event_model, udp_io=way)
        async with echo() as target, udp_pair(config, server_config(method)) as (far, near):
            writer, reply = await ask(near)
            assert relay_of(reply) == (near.addresses[0].host, near.addresses[0].port)
            for payload in (b"x", os.urandom(1300), os.urandom(65_000)):
                assert await trip(relay_of(reply), target, payload) == payload
            for end in (far, near):
                counts = end.packets
                assert (counts.up_packets, counts.up_bytes) == (counts.down_packets, counts.down_bytes) == (3, 66_301)
                assert not counts.dropped
                assert end.totals == (0, 66_301, 66_301)
            writer.close()
            await until(lambda: not near.packets.sessions)
        assert near.journal.reasons == {"done": 3}
        assert sum(far.journal.reasons.values()) == far.journal.reasons["stopped"] > 0
        assert far.totals == near.totals == (0, 66_301, 66_301)

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    lines = [
        line for record in caplog.records if record.name == "shadesocks.access" for line in record.message.splitlines()
    ]
    assert any("up 1300 down 1300" in line and line.endswith("packets done") for line in lines)


@pytest.mark.parametrize(("mode", "listening"), [(Mode.TCP_ONLY, 1), (Mode.UDP_ONLY, 1), (Mode.TCP_AND_UDP, 2)])
def test_a_server_listens_as_its_mode_says(mode: Mode, listening: int, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while True:  # a number that is nobody's for either
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
                    other.bind((HOST, 0))
                    port = other.getsockname()[1]
                    try:
                        sock.bind((HOST, port))
                    except OSError:
                        continue
                    break
        server = replace(server_config(port=port), mode=mode)
        async with started(Service.server(Config(servers=(server,)))) as far:
            [address] = far.addresses  # one number for both
            for kind, wanted in ((socket.SOCK_STREAM, mode.tcp), (socket.SOCK_DGRAM, mode.udp)):
                with socket.socket(socket.AF_INET, kind) as sock:
                    if kind is socket.SOCK_STREAM:  # connections that are over keep their number for a minute
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    if wanted:
                        with pytest.raises(OSError, match="in use"):
                            sock.bind((address.host, address.port))
                    else:
                        sock.bind((address.host, address.port))
        assert far.addresses == ()

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    assert sum(record.message.startswith("listening") for record in caplog.records) == listening


@pytest.mark.parametrize(
    ("mode", "code", "reply"),
    [
        (Mode.TCP_ONLY, 3, 7),
        (Mode.UDP_ONLY, 1, 7),
        (Mode.UDP_ONLY, 3, 0),
        (Mode.TCP_AND_UDP, 3, 0),
        (Mode.TCP_AND_UDP, 2, 7),
    ],
)
def test_a_local_serves_the_commands_of_its_mode(mode: Mode, code: int, reply: int) -> None:
    async def story() -> None:
        async with udp_pair(Config(), server_config(), mode=mode) as (_, near):
            writer, answer = await ask(near, code)
            assert answer[1] == reply
            writer.close()

    run(story())


def test_each_association_may_have_a_socket_of_its_own() -> None:
    async def story() -> None:
        local = {"udp_socket_per_association": True}
        async with echo() as target, udp_pair(Config(), server_config(), **local) as (_, near):
            asked = [await ask(near) for _ in range(2)]
            relays = [relay_of(reply) for _, reply in asked]
            assert len({*relays, (near.addresses[0].host, near.addresses[0].port)}) == 3
            for relay in relays:
                assert await trip(relay, target, b"x") == b"x"
            for writer, _ in asked:
                writer.close()
            await until(lambda: not near.packets.sessions)
            assert near.packets.up_packets == 2

    run(story())


def test_datagrams_may_come_in_elsewhere_than_connections() -> None:
    async def story() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.2", 0))
            there = Address(*free.getsockname())
        async with echo() as target, udp_pair(Config(), server_config(), udp_listen=there) as (_, near):
            writer, reply = await ask(near)
            assert relay_of(reply) == (there.host, there.port)
            assert await trip(relay_of(reply), target, b"x") == b"x"
            writer.close()

    run(story())


def test_a_taken_udp_port_is_told_and_nothing_is_left() -> None:
    async def story() -> None:
        with taken_port() as port:
            service = Service.server(Config(servers=(replace(server_config(port=port), mode=BOTH),)))
            with pytest.raises(ConfigError, match=f"cannot listen on {HOST}:{port}: .*another instance"):
                await service.start()
        async with started(service):
            assert service.addresses == (Address(HOST, port),)

    run(story())


def test_a_server_is_no_target_of_its_own_users() -> None:
    """Even where private addresses are allowed: the process's own ports stay closed."""

    async def story() -> None:
        async with udp_pair(Config(), server_config("2022-blake3-aes-128-gcm")) as (far, near):
            writer, reply = await ask(near)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"\0\0\0" + far.addresses[0].pack() + b"x", relay_of(reply))
                await until(lambda: far.packets.dropped == {"denied": 1})
            writer.close()

    run(story())


def test_a_chain_seals_datagrams_anew() -> None:
    async def story() -> None:
        last = replace(server_config("2022-blake3-aes-128-gcm"), mode=BOTH)
        async with echo() as target, started(Service.server(Config(servers=(last,), allow_private=True))) as end:
            there = replace(last, address=end.addresses[0])
            first = replace(server_config("chacha20-ietf-poly1305"), outbound_proxy=(there,))
            async with udp_pair(Config(), first) as (_, near):
                writer, reply = await ask(near)
                assert await trip(relay_of(reply), target, b"through both") == b"through both"
                assert end.packets.up_packets == 1
                writer.close()

    run(story())


def test_a_service_can_be_started_again() -> None:
    async def story() -> None:
        async with echo() as target, udp_pair(Config(), server_config()) as (_, near):
            for _ in range(2):
                writer, reply = await ask(near)
                assert await trip(relay_of(reply), target, b"x") == b"x"
                await near.stop()
                writer.close()
                await near.start()

    run(story())


def test_limits_come_from_the_configuration() -> None:
    async def story() -> None:
        config = Config(udp_max_associations=2)
        async with echo() as target, udp_pair(config, server_config()) as (far, near):
            writer, reply = await ask(near)
            for _ in range(5):
                assert await trip(relay_of(reply), target, b"x") == b"x"
            assert (far.packets.sessions, near.packets.sessions) == (2, 2)
            assert near.journal.reasons == {"crowded": 3}
            writer.close()

    run(story())
