"""Servers of a running service that come, go, change and are counted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service

from .rig import HOST, echo, run, server_config, socks, started, target, until
from .test_service_udp import ask, relay_of, trip
from .test_service_udp import echo as udp_echo

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BOTH = Mode.TCP_AND_UDP
OTHER = Secret("another password")


@asynccontextmanager
async def serving(*servers: ServerConfig) -> AsyncIterator[Service]:
    """A running service of these servers."""
    async with started(Service.server(Config(servers=servers, allow_private=True))) as service:
        yield service


@asynccontextmanager
async def client_of(server: ServerConfig, address: Address) -> AsyncIterator[Service]:
    """A client of a server that listens on an address."""
    there = replace(server, address=address)
    listener = LocalConfig(Address(HOST, 0), mode=server.mode)
    async with started(Service.local(Config(servers=(there,), locals=(listener,)))) as near:
        yield near


async def talk(stream: Stream, size: int) -> None:
    """Send bytes to an echo, and get them back."""
    reader, writer = stream
    writer.write(bytes(size))
    await reader.readexactly(size)


async def connected(near: Service, to: Address) -> Stream:
    """Return a connection through a client."""
    reader, writer, reply = await socks(near, to)
    assert reply == 0
    return reader, writer


async def ended(stream: Stream) -> bool:
    """Wait for the end of a connection, by FIN or RST."""
    try:
        left = await stream[0].read()
    except ConnectionError:
        left = b""
    stream[1].close()
    return left == b""


def is_free(address: Address, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """True where nobody listens."""
    with socket.socket(socket.AF_INET, kind) as sock:
        if kind is socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError:
            return False
    return True


def test_a_service_without_servers_gets_one_and_loses_it() -> None:
    async def story() -> None:
        server = replace(server_config(), mode=BOTH)
        async with serving() as far, target(echo) as there, udp_echo() as udp:
            assert not far.addresses
            address = await far.add(server)
            assert [*far.addresses] == [address]
            assert [one.address for one in far.servers] == [address]
            async with client_of(server, address) as near:
                stream = await connected(near, there)
                await talk(stream, 1000)
                writer, reply = await ask(near)
                assert await trip(relay_of(reply), udp, b"x" * 10) == b"x" * 10
                assert far.passed() == {address.port: 2020}
                assert await far.remove(address)
                assert await ended(stream)
                assert not far.addresses
                assert not far.packets.sessions
                assert is_free(address)
                assert is_free(address, socket.SOCK_DGRAM)
                writer.close()
            assert not await far.remove(address)
            assert far.passed() == {address.port: 2020}

    run(story())


@pytest.mark.parametrize("by_number", [True, False])
def test_no_byte_is_lost_or_told_twice_when_a_port_comes_back(by_number: bool) -> None:
    async def story() -> None:
        server = replace(server_config(), mode=BOTH)
        async with serving(server) as far, target(echo) as there, udp_echo() as udp:
            [address] = far.addresses
            total = 0
            for round_ in range(3):
                async with client_of(server, address) as near:
                    over = await connected(near, there)
                    await talk(over, 100 + round_)
                    over[1].close()
                    await until(lambda: near.totals[0] == 0 and far.totals[0] == 0)
                    live = await connected(near, there)
                    await talk(live, 10)
                    writer, reply = await ask(near)
                    await trip(relay_of(reply), udp, b"x" * 7)
                    total += 2 * (100 + round_) + 20 + 14
                    assert far.passed() == {address.port: total}
                    assert await far.remove(address.port if by_number else address)
                    assert await ended(live)
                    writer.close()
                assert far.passed() == {address.port: total}
                assert await far.add(replace(server, address=address)) == address
                assert far.passed() == {address.port: total}
            assert sum(far.totals[1:]) == total

    run(story())


def test_a_connection_that_is_dialled_ends_with_its_port() -> None:
    """So does one that has not authenticated."""

    async def story() -> None:
        server = server_config()
        with socket.socket() as full:
            full.bind((HOST, 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            async with serving(server) as far:
                [address] = far.addresses
                async with client_of(server, address) as near:
                    reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
                    writer.write(b"\5\1\0\5\1\0" + Address(*full.getsockname()).pack() + b"first")
                    stranger = await asyncio.open_connection(address.host, address.port)
                    stranger[1].write(bytes(100))
                    reactor = far._shared.reactor
                    await until(lambda: len(reactor.stories) == 1 and far.journal.accepted == 0)
                    assert await far.remove(address)
                    assert not reactor.stories
                    assert await stranger[0].read() == b""
                    stranger[1].close()
                    assert far.journal.reasons["stopped"] == 1
                    writer.close()
                    del reader
            for filler in fillers:
                filler.close()

    run(story())


def test_a_server_that_cannot_be_added_leaves_all_as_it_was(tmp_path: Path) -> None:
    async def story() -> None:
        server = server_config()
        async with serving(server) as far:
            before = far.addresses
            with pytest.raises(ConfigError, match="cannot listen on"):
                await far.add(replace(server, address=before[0]))
            with pytest.raises(ConfigError, match="access list cannot be read"):
                await far.add(replace(server, acl=f"{tmp_path}/none.acl"))
            assert far.addresses == before
        with pytest.raises(RuntimeError):
            await far.add(server)
        assert not await far.remove(before[0])

    run(story())


def test_the_own_ports_follow() -> None:
    """A client reaches no listener of the process, also none that was added; a port that is gone is anybody's."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)
        writer.close()

    async def story() -> None:
        server = server_config()
        async with serving(server) as far:
            address = await far.add(server)
            async with client_of(server, far.addresses[0]) as near:
                stream = await connected(near, address)
                stream[1].write(b"first")
                assert await ended(stream)
                assert far.journal.reasons == {"denied": 1}
                await far.change(replace(server, address=address, password=OTHER))
                stream = await connected(near, address)
                stream[1].write(b"first")
                assert await ended(stream)
                assert far.journal.reasons == {"denied": 2}
                await far.remove(address)
                listening = await asyncio.start_server(answer, address.host, address.port)
                stream = await connected(near, address)
                await talk(stream, 5)
                stream[1].close()
                await until(lambda: not far.totals[0])
                listening.close()
                await asyncio.sleep(0)

    run(story())


def test_a_changed_server_takes_the_place_of_the_old_one_whose_connections_go_on() -> None:
    async def story() -> None:
        server = server_config()
        async with serving(server) as far, target(echo) as there:
            [address] = far.addresses
            other = replace(server, address=address, password=OTHER)
            async with client_of(server, address) as old, client_of(other, address) as new:
                stream = await connected(old, there)
                await talk(stream, 10)
                await far.change(other)
                assert far.addresses == (address,)
                await talk(stream, 10)
                late = await connected(new, there)
                await talk(late, 10)
                assert far.passed() == {address.port: 60}
                await far.change(other)
                stream[1].close()
                await talk(late, 10)
                await far.remove(address)
                assert await ended(late)
                assert far.passed() == {address.port: 80}

    run(story())


def test_a_reload_leaves_alone_what_is_as_before(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        same, changed, gone = (replace(server_config(), mode=BOTH), server_config(), server_config())
        async with serving(same, changed, gone) as far, target(echo) as there:
            same, changed, gone = far.servers
            first = replace(far.config, servers=(same, changed, gone))
            assert await far.reload(first) == ()
            added = await far.add(server_config())
            new = server_config("aes-128-gcm")
            streams = []
            async with client_of(same, same.address) as near, client_of(gone, gone.address) as far_gone:
                for client in (near, far_gone):
                    streams.append(await connected(client, there))
                    await talk(streams[-1], 10)
                writer, _ = await ask(near)
                other = replace(changed, password=OTHER)
                assert await far.reload(replace(first, servers=(same, other, new), idle_timeout=1.0, nofile=99)) == ()
                assert is_free(gone.address)
                for stream in streams:
                    await talk(stream, 10)
                async with client_of(other, changed.address) as late:
                    streams.append(await connected(late, there))
                    await talk(streams[-1], 10)
                assert {one.address for one in far.servers} >= {same.address, changed.address, added}
                assert len(far.servers) == 4
                assert far.passed()[gone.address.port] == 40
                for _, each in (*streams, (None, writer)):
                    each.close()
                await until(lambda: not far.totals[0])
                assert far.passed()[gone.address.port] == 40

    run(story())
    assert "after a restart only: nofile" in caplog.text


def test_a_port_that_cannot_listen_is_told_and_the_others_go_on() -> None:
    """G7: it ended the process of shadowsocks-go."""

    async def story() -> None:
        server = server_config()
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            taken.listen()
            async with serving(server) as far:
                [kept] = far.servers
                await far.reload(replace(far.config, servers=(kept,)))
                bad = server_config(port=taken.getsockname()[1])
                good = server_config("aes-128-gcm")
                [problem] = await far.reload(replace(far.config, servers=(bad, kept, good)))
                assert str(bad.address) in problem.text
                assert len(far.servers) == 2

    run(story())


def test_a_change_that_cannot_be_leaves_the_old_server() -> None:
    async def story() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind((HOST, 0))
            port = taken.getsockname()[1]
            try:
                old = server_config(port=port)
                async with serving(old) as far, target(echo) as there:
                    [problem] = await far.reload(replace(far.config, servers=(replace(old, mode=BOTH),)))
                    assert "cannot listen" in problem.text
                    assert far.servers == (old,)
                    async with client_of(old, old.address) as near:
                        stream = await connected(near, there)
                        await talk(stream, 10)
                        stream[1].close()
            except ConfigError:
                pytest.skip("somebody has that number for TCP")

    run(story())


def test_nothing_is_added_while_a_service_drains() -> None:
    async def story() -> None:
        async with serving(server_config()) as far:
            await far.drain(0.0)
            assert far.addresses == ()
            with pytest.raises(RuntimeError):
                await far.add(server_config())

    run(story())


def test_a_new_start_knows_the_servers_of_the_reload_and_none_that_was_added() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(),)))
        async with started(service):
            await service.add(server_config())
            new = server_config("aes-128-gcm")
            await service.reload(replace(service.config, servers=(new,)))
        async with started(service):
            [server] = service.servers
            assert server.method == new.method

    run(story())
