"""Settings and access lists that a running service takes over, for new connections and for those that are open."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.service.service import Service

from .rig import HOST, echo, pair, run, server_config, started, target
from .test_ports import OTHER, client_of, connected, ended, serving, talk
from .test_service_udp import ask, relay_of, trip
from .test_service_udp import echo as udp_echo

SERVER = replace(server_config(), mode=Mode.TCP_AND_UDP)


async def reload(service: Service, **changes: Any) -> None:
    """Let a service with the addresses that it has read a changed configuration, and see that it took it."""
    assert await service.reload(replace(service.config, **changes)) == ()
    assert service.reloaded is not None
    assert service.reloaded.applied


def test_a_password_is_changed_without_a_connection_lost_or_refused() -> None:
    async def story() -> None:
        async with serving(SERVER) as far, target(echo) as there:
            await reload(far, servers=far.servers)  # with the numbers that the system chose
            [server] = far.servers
            async with client_of(server, server.address) as near:
                stream = await connected(near, there)
                other = replace(server, password=OTHER)
                refused = 0
                changing = asyncio.create_task(reload(far, servers=(other,)))
                while not changing.done():
                    try:
                        _, writer = await asyncio.open_connection(server.address.host, server.address.port)
                        writer.close()
                    except ConnectionError:
                        refused += 1
                await changing
                assert not refused
                await talk(stream, 1000)
                async with client_of(other, server.address) as late:
                    second = await connected(late, there)
                    await talk(second, 10)
                    second[1].close()
                assert far.reloaded is not None
                assert far.reloaded.changed == (f"{server.address} (password)",)
                stream[1].close()

    run(story())


def sockets(service: Service) -> list[tuple[int, int]]:
    """Return what the system calls the sockets of the first port, whatever descriptor they have here."""
    port = next(iter(service.ports))
    assert port.listener is not None
    assert port.face.packets is not None
    found = [os.fstat(sock.fileno()) for sock in (port.listener.sock, port.face.packets.front.sock)]
    return [(one.st_dev, one.st_ino) for one in found]


def test_a_port_that_stays_keeps_its_sockets() -> None:
    """So nobody is refused meanwhile, nobody who waits to be accepted is reset, and no other program takes the port."""

    async def story() -> None:
        async with serving(SERVER) as far:
            await reload(far, servers=far.servers)
            [server] = far.servers
            before = sockets(far)
            await reload(far, servers=(replace(server, password=OTHER),))
            assert sockets(far) == before
            await reload(far, udp_timeout=7.0)
            assert sockets(far) == before
            await far.change(server)
            assert sockets(far) == before
            [problem] = await far.reload(replace(far.config, servers=(replace(server, acl="nowhere"),)))
            assert "nowhere" in str(problem)
            assert sockets(far) == before

    run(story())


def test_a_list_that_says_something_else_is_gone_by_at_once(tmp_path: Path) -> None:
    rules = tmp_path / "rules.acl"
    rules.write_text("[outbound_allow_list]\n127.0.0.0/8\n")

    async def story() -> None:
        server = replace(SERVER, acl=str(rules))
        async with serving(server) as far, target(echo) as there, udp_echo() as udp:
            [server] = far.servers
            async with client_of(server, server.address) as near:
                stream = await connected(near, there)
                await talk(stream, 10)
                control, reply = await ask(near)
                assert await trip(relay_of(reply), udp, b"x") == b"x"
                sessions = far.packets.sessions
                rules.write_text("[outbound_block_list]\n127.0.0.0/8\n")
                await reload(far)
                assert far.reloaded is not None
                assert far.reloaded.lists == (str(rules),)
                assert await ended(await connected(near, there))
                assert "denied" in far.journal.reasons
                await talk(stream, 10)
                assert far.packets.sessions == sessions == 1
                # One with mistakes changes nothing, and says where they are.
                rules.write_text("[no such list]\n")
                [problem] = await far.reload(replace(far.config, servers=(replace(server, password=OTHER),)))
                assert str(rules) in str(problem)
                assert not far.reloaded.applied
                assert far.servers == (server,)
                rules.unlink()
                assert len(await far.reload(far.config)) == 1
                rules.write_text("[outbound_allow_list]\n127.0.0.0/8\n")
                await reload(far)
                again = await connected(near, there)
                await talk(again, 10)
                for _, each in (stream, again, (None, control)):
                    each.close()

    run(story())


def test_the_list_of_a_client_is_read_again(tmp_path: Path) -> None:
    rules = tmp_path / "rules.acl"
    rules.write_text("[bypass_all]\n")

    async def story() -> None:
        async with serving(SERVER) as far, target(echo) as there:
            [server] = far.servers
            local = LocalConfig(Address(HOST, 0), acl=str(rules))
            async with started(Service.local(Config(servers=(server,), locals=(local,)))) as near:
                stream = await connected(near, there)
                await talk(stream, 10)
                assert far.totals[1] == 0
                rules.write_text("[proxy_all]\n")
                await reload(near)
                second = await connected(near, there)
                await talk(second, 10)
                assert far.totals[1] == 10
                await talk(stream, 10)
                for _, writer in (stream, second):
                    writer.close()

    run(story())


def test_a_setting_of_ports_is_gone_by_from_then_on() -> None:
    async def story() -> None:
        async with serving(SERVER) as far, target(echo) as there:
            await reload(far, servers=far.servers)
            [server] = far.servers
            added = await far.add(replace(server_config("aes-128-gcm"), mode=Mode.TCP_AND_UDP))
            async with client_of(server, server.address) as near:
                stream = await connected(near, there)
                for changes in ({"forbidden_port": ((there.port, there.port),)}, {"allow_private": False}):
                    await reload(far, **changes)
                    assert far.reloaded is not None
                    assert far.reloaded.settings == tuple(changes)
                    assert await ended(await connected(near, there))
                    await reload(far, forbidden_port=(), allow_private=True)
                    assert {one.address for one in far.servers} == {server.address, added}
                    late = await connected(near, there)
                    await talk(late, 10)
                    late[1].close()
                await talk(stream, 10)
                stream[1].close()

    run(story())


def test_a_time_out_holds_for_those_that_are_open() -> None:
    async def story() -> None:
        async with pair(Config(), server_config()) as (far, near), target(echo) as there:
            stream = await connected(near, there)
            await talk(stream, 10)
            await reload(far, idle_timeout=0.001)
            far.journal.sweep(asyncio.get_running_loop().time(), far.config, _options(far))
            far.journal.sweep(asyncio.get_running_loop().time() + 1, far.config, _options(far))
            assert far.journal.reasons["idle"] == 1
            assert await ended(stream)

    run(story())


def _options(service: Service) -> Any:
    from shadesocks.service.sockets import dialled_options

    return dialled_options(service.config)


async def visit(near: Service, there: Address) -> None:
    stream = await connected(near, Address("localhost", there.port))
    await talk(stream, 10)
    stream[1].close()


def test_names_are_asked_of_others(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with pair(Config(), server_config()) as (far, near), target(echo) as there:
            await visit(near, there)
            before = far._shared.names
            await reload(far, dns=(NameServer(Transport.SYSTEM),), ipv6_only=True)
            assert far._shared.names is before
            assert far.reloaded is not None
            assert far.reloaded.settings == ("dns", "ipv6_only")
            await reload(far, dns=(), ipv6_only=False)
            await visit(near, there)

    run(story())


def test_targets_are_named_from_then_on() -> None:
    async def story() -> None:
        async with serving(SERVER) as far:
            assert not far.journal.show_targets
            await reload(far, log_targets=True)
            assert far.journal.show_targets

    run(story())
