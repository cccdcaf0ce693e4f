"""Servers and clients with plugins: through them, without them, and as they come and go."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, PluginConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.plugins.plugin import UP, Plugin
from shadesocks.service.service import Service

from ..rig import HOST, echo, run, server_config, socks, started, target
from ..stubs import alive, children, stub
from ..test_service_udp import echo as udp_echo
from .test_plugin import until

METHODS = ("aes-256-gcm", "2022-blake3-aes-128-gcm")


def plugins_of(service: Service) -> list[Plugin]:
    return [*service._shared.plugins]


async def ready(*services: Service) -> None:
    """Wait until every plugin is up."""
    for service in services:
        for plugin in plugins_of(service):
            await plugin.waiting()


@asynccontextmanager
async def both(
    server: ServerConfig, far: PluginConfig | None, near: PluginConfig | None, **keys: Any
) -> AsyncIterator[tuple[Service, Service]]:
    """A server behind a plugin, and a client with another in front of it."""
    config = Config(servers=(replace(server, plugin=far),), allow_private=True)
    async with started(Service.server(config)) as there:
        reached = replace(server, address=there.addresses[0], plugin=near, **keys)
        listener = LocalConfig(Address(HOST, 0), mode=server.mode)
        async with started(Service.local(Config(servers=(reached,), locals=(listener,)))) as here:
            yield there, here
    assert children() == []


async def trip(near: Service, to: Address) -> None:
    reader, writer, reply = await socks(near, to)
    assert reply == 0
    writer.write(b"there and back")
    assert await reader.readexactly(14) == b"there and back"
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pool", [0, 2])
def test_connections_go_through_both_plugins(method: str, pool: int, tmp_path: Path) -> None:
    async def story() -> None:
        plugins = stub(tmp_path, "server"), stub(tmp_path)
        async with target(echo) as to, both(server_config(method), *plugins, pool=pool) as (far, near):
            await ready(far)  # the client waits for its own by itself
            for _ in range(5):
                await trip(near, to)
            (plugin,) = plugins_of(near)
            assert near._shared.rosters[0].table()[0]["plugin"]["state"] == UP
            assert plugin.status.restarts == 0

    run(story())


def test_where_a_server_behind_a_plugin_is(tmp_path: Path) -> None:
    """Others find the plugin; the server itself is on loopback, and neither is a target."""

    async def story() -> None:
        config = Config(servers=(replace(server_config(), plugin=stub(tmp_path, "server")),), allow_private=True)
        async with started(Service.server(config)) as far:
            await ready(far)
            (public,) = far.addresses
            assert [server.address for server in far.servers] == [public]
            (port,) = far.ports
            assert port.listener is not None
            behind = port.listener.address
            assert behind.host == HOST
            assert behind.port != public.port
            assert far._house.numbers == port.numbers == {public.port, behind.port}
            reached = replace(config.servers[0], address=behind, plugin=None)
            local = Config(servers=(reached,), locals=(LocalConfig(Address(HOST, 0)),))
            async with started(Service.local(local)) as near:
                for place in (public, behind):
                    reader, writer, _ = await socks(near, place)
                    writer.write(b"let me in")
                    assert await reader.read() == b""
                    writer.close()
            assert far.passed()[public.port] == 0

    run(story())


@pytest.mark.parametrize("mode", ["tcp_only", "tcp_and_udp", "udp_only"])
def test_datagrams_go_through_a_plugin_that_carries_them(mode: str, tmp_path: Path) -> None:
    words = {"tcp_only": "", "tcp_and_udp": "udp", "udp_only": "udp;tcp=no"}[mode]

    async def story() -> None:
        plugins = (stub(tmp_path, f"{side}{words}", Mode(mode)) for side in ("server;", ""))
        server = replace(server_config("2022-blake3-aes-128-gcm"), mode=Mode.TCP_AND_UDP)
        async with target(echo) as to, udp_echo() as packets, both(server, *plugins) as (far, near):
            await ready(far, near)
            await trip(near, to)
            await ask(near, packets)
            (plugin,) = plugins_of(near)
            if plugin.address is not None and mode == "tcp_and_udp":
                peers = [
                    session.outlet.sock.getpeername()
                    for relay in near._shared.crowd.relays
                    for session in relay.sessions.values()
                    if session.outlet is not None
                ]
                assert peers == [(plugin.address.host, plugin.address.port)]

    run(story())


async def ask(near: Service, to: Address) -> None:
    """Send a datagram by an association, and wait for its echo."""
    reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
    writer.write(b"\x05\x01\x00\x05\x03\x00\x01\0\0\0\0\0\0")
    await reader.readexactly(2)
    reply = await reader.readexactly(10)
    assert reply[1] == 0
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((HOST, int.from_bytes(reply[8:10])))
        await loop.sock_sendall(sock, b"\0\0\0" + to.pack() + b"ping")
        assert (await loop.sock_recv(sock, 4096)).endswith(b"ping")
    writer.close()
    await writer.wait_closed()


def test_who_asks_while_the_plugin_is_down_is_told_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        down = replace(server_config(port=1), plugin=stub(tmp_path, "die"))
        local = Config(servers=(down,), locals=(LocalConfig(Address(HOST, 0)),))
        async with target(echo) as to, started(Service.local(local)) as near:
            reader, writer, reply = await socks(near, to)
            assert reply != 0 or await reader.read() == b""
            writer.close()
            await until(lambda: near._shared.rosters[0].table()[0]["tcp"]["error"] == "plugin_down")

    run(story())


def test_another_server_takes_over_where_the_plugin_is_down(tmp_path: Path) -> None:
    async def story() -> None:
        config = Config(servers=(server_config(),), allow_private=True)
        async with target(echo) as to, started(Service.server(config)) as far:
            good = replace(server_config(), address=far.addresses[0])
            down = replace(server_config(port=1), plugin=stub(tmp_path, "die"))
            local = Config(servers=(down, good), locals=(LocalConfig(Address(HOST, 0)),), balancer_policy="ordered")
            async with started(Service.local(local)) as near:
                for _ in range(3):
                    await trip(near, to)

    run(story())


def test_a_plugin_that_dies_comes_back_for_both_ends(tmp_path: Path) -> None:
    async def story() -> None:
        plugins = stub(tmp_path, "server"), stub(tmp_path)
        async with target(echo) as to, both(server_config(), *plugins) as (far, near):
            await ready(far, near)
            for service in (far, near):
                (plugin,) = plugins_of(service)
                pid = plugin.status.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                await until(lambda plugin=plugin: plugin.status.restarts == 1)  # type: ignore[misc]
                await ready(service)
                await trip(near, to)

    run(story())


def test_servers_with_plugins_come_and_go(tmp_path: Path) -> None:
    async def story() -> None:
        plain = server_config()
        plugged = replace(server_config("chacha20-ietf-poly1305"), plugin=stub(tmp_path, "server"))
        async with started(Service.server(Config(servers=(plain,), allow_private=True))) as far:
            place = await far.add(plugged)
            await ready(far)
            (plugin,) = plugins_of(far)
            pid = plugin.status.pid
            assert pid is not None
            assert await far.remove(place)
            await far._shared.plugins.settle()
            assert plugins_of(far) == []
            assert alive(pid) == []
            # The same place again: by a server with a plugin, by one with another, and by one without.
            await far.add(replace(plugged, address=place))
            await ready(far)
            await far.change(replace(plugged, address=place, plugin=stub(tmp_path, "server;x")))
            await ready(far)
            assert len(plugins_of(far)) == 1
            await far.change(replace(plugged, address=place, plugin=None))
            assert plugins_of(far) == []
            (port,) = (port for port in far.ports if place in port.addresses)
            assert port.listener is not None
            assert port.listener.address == place
            await far.change(replace(plugged, address=place))
            await ready(far)
        assert children() == []

    run(story())


def test_a_reload_keeps_the_plugin_of_a_server_that_stays(tmp_path: Path) -> None:
    async def story() -> None:
        plugin = stub(tmp_path, "server")
        first = replace(server_config(), plugin=plugin)
        config = Config(servers=(first,), allow_private=True)
        async with target(echo) as to, started(Service.server(config)) as far:
            await ready(far)
            (before,) = plugins_of(far)
            other = replace(server_config("chacha20-ietf-poly1305"), plugin=plugin)
            assert await far.reload(replace(config, servers=(first, other))) == ()
            await ready(far)
            assert before in plugins_of(far)
            assert len(plugins_of(far)) == 2
            # One with a connection under way ends after it.
            near = replace(first, address=far.addresses[0], plugin=stub(tmp_path))
            async with started(Service.local(Config(servers=(near,), locals=(LocalConfig(Address(HOST, 0)),)))) as here:
                reader, writer, _ = await socks(here, to)
                writer.write(b"one")
                assert await reader.readexactly(3) == b"one"
                assert await far.reload(replace(config, servers=(other,))) == ()
                writer.write(b"two")
                assert await reader.readexactly(3) == b"two"
                assert before in plugins_of(far)
                writer.close()
                await writer.wait_closed()
                await until(lambda: before not in plugins_of(far))

    run(story())


def test_a_client_lets_the_plugin_of_a_server_go_that_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        servers = [replace(server_config(port=number), plugin=stub(tmp_path)) for number in (1, 2)]
        config = Config(servers=tuple(servers), locals=(LocalConfig(Address(HOST, 0)),))
        async with started(Service.local(config)) as near:
            await ready(near)
            kept = near._shared.plugins.of(servers[1])
            await near.reload(replace(config, servers=(servers[1],)))
            assert plugins_of(near) == [kept]
            await near._shared.plugins.settle()
        assert children() == []

    run(story())


def test_quit_gives_the_place_up(tmp_path: Path) -> None:
    async def story() -> None:
        config = Config(servers=(replace(server_config(), plugin=stub(tmp_path, "server")),), allow_private=True)
        async with started(Service.server(config)) as far:
            await ready(far)
            (place,) = far.addresses
            await far.quit()
            with socket.socket() as sock:
                sock.bind((place.host, place.port))

    run(story())


def test_a_client_that_quits_keeps_its_plugin_for_those_who_use_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with target(echo) as to, both(server_config(), None, stub(tmp_path)) as (_, near):
            reader, writer, _ = await socks(near, to)
            leaving = asyncio.ensure_future(near.quit())
            await until(lambda: not near.addresses)
            writer.write(b"still")
            assert await reader.readexactly(5) == b"still"
            writer.close()
            await writer.wait_closed()
            await leaving

    run(story())


def test_a_place_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    async def story() -> None:
        with socket.create_server((HOST, 0)) as taken:
            server = replace(server_config(port=taken.getsockname()[1]), plugin=stub(tmp_path, "server"))
            service = Service.server(Config(servers=(server,)))
            with pytest.raises(ConfigError, match="cannot listen on"):
                await service.start()
            await service.stop()
        assert children() == []

    run(story())


def test_what_is_missing_is_told_before_anything_starts() -> None:
    async def story() -> None:
        server = replace(server_config(), plugin=PluginConfig("no-such-plugin"))
        for service in (Service.server(Config(servers=(server,))), Service.local(Config(servers=(server,)))):
            with pytest.raises(ConfigError, match="no-such-plugin is no program"):
                await service.start()
        async with started(Service.server(Config(servers=(server_config(),)))) as far:
            with pytest.raises(ConfigError, match="no-such-plugin is no program"):
                await far.add(server)

    run(story())
