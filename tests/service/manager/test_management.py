"""A service and managers: what it tells one of others, what its own has at the next start, and who may command it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from shadesocks.config.model import Config
from shadesocks.config.user import UserConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.networks import EVERYBODY
from shadesocks.core.secret import Secret
from shadesocks.service.manager.management import Management
from shadesocks.service.roles.server import ServerRole
from shadesocks.service.service import Service
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.wire.manager.signed import sign
from tests.peers import free_port

from ..rig import HOST, echo, run, server_config, started, target, until
from ..test_ports import client_of, connected, ended, talk
from .test_socket import Tool, managed, tool

PASSWORD = "correct horse battery staple"
SECRET = "a secret of the managers"


def add(port: int, **keys: object) -> str:
    return "add: " + json.dumps({"server_port": port, "password": PASSWORD, "method": "aes-256-gcm", **keys})


def management_of(service: Service) -> Management:
    management = cast("ServerRole", service._role).management
    assert management is not None
    return management


async def visit(near: Service, there: Address, size: int) -> None:
    """Send bytes to an echo through a client, and get them back."""
    stream = await connected(near, there)
    await talk(stream, size)
    stream[1].close()


def test_without_managers_there_is_nothing_behind_it() -> None:
    management = Management(Config())
    assert not management.is_there
    assert management.address is None
    management.end({})


@pytest.mark.parametrize("dialect", ["libev", "rust"])
def test_a_manager_of_others_is_told_at_the_start_and_for_the_last_time_at_the_end(dialect: str) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        end = {"libev": "\0", "rust": "\n"}[dialect]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as manager:
            manager.bind((HOST, 0))
            manager.setblocking(False)
            where = f"{HOST}:{manager.getsockname()[1]}"
            config = Config((server_config(),), manager_address=where, manager_dialect=dialect, allow_private=True)
            async with target(echo) as there:
                async with started(Service.server(config)) as far:
                    [address] = far.addresses
                    assert await loop.sock_recv(manager, 100) == f'stat: {{"{address.port}":0}}{end}'.encode()
                    async with client_of(server_config(), address) as near:
                        await visit(near, there, 1000)
                assert await loop.sock_recv(manager, 100) == f'stat: {{"{address.port}":2000}}{end}'.encode()

    run(story())


def test_a_start_that_fails_leaves_no_socket(tmp_path: Path) -> None:
    async def story() -> None:
        service = Service.server(Config((server_config(),), manager_listen=str(tmp_path), manager_address=f"{HOST}:9"))
        with pytest.raises(ConfigError):
            await service.start()
        assert service.manager_address is None
        await service.stop()

    run(story())


# -- ports that are kept ----------------------------------------------------------------------------


def keeping(path: Path, **more: object) -> Service:
    """A service whose manager keeps its ports."""
    config = managed(f"{HOST}:0", "libev").config
    return Service.server(replace(config, manager_keep=str(path), **more))  # type: ignore[arg-type]


def test_added_ports_are_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "ports.json"
    first, second, third = free_port(), free_port(), free_port()

    async def story() -> None:
        async with started(keeping(path)) as far:
            with tool(far) as panel:
                for port in (first, second, third):
                    assert await panel.ask(add(port)) == b"ok"
                assert await panel.ask(add(second, password="another password, as long")) == b"ok"
                assert await panel.ask(f'remove: {{"server_port": {third}}}') == b"ok"
                before = await panel.ask("list")
        async with started(keeping(path)) as far, target(echo) as there:
            assert {address.port for address in far.addresses} == {first, second}
            with tool(far) as panel:
                assert await panel.ask("list") == before
            server = replace(server_config(), password=Secret(PASSWORD))
            async with client_of(server, Address(HOST, first)) as near:
                await visit(near, there, 10)

    run(story())


def test_a_port_that_the_config_has_is_as_the_config_says(tmp_path: Path) -> None:
    path, port = tmp_path / "ports.json", free_port()
    path.write_text(json.dumps({"format": 1, "ports": [{"server_port": port, "password": PASSWORD}]}))

    async def story() -> None:
        own = server_config(port=port)
        async with started(keeping(path, servers=(own,))) as far:
            assert far.servers == (own,)

    run(story())


def test_a_kept_port_that_is_taken_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    path, port = tmp_path / "ports.json", free_port()

    async def story() -> None:
        with socket.create_server((HOST, 0)) as other:
            taken = other.getsockname()[1]
            ports = [{"server_port": number, "password": PASSWORD} for number in (taken, port)]
            path.write_text(json.dumps({"format": 1, "ports": ports}))
            async with started(keeping(path)) as far:
                assert [address.port for address in far.addresses] == [port]
        assert len(json.loads(path.read_text())["ports"]) == 2  # the next start may have it

    run(story())


# -- ports with a store -----------------------------------------------------------------------------


async def _row(far: Service, port: int) -> dict[str, Any]:
    assert far.accounting is not None
    far.accounting.sweep()
    (found,) = await far.accounting.rows(str(port))
    return found


def test_what_passed_through_an_added_port_outlives_the_service(tmp_path: Path) -> None:
    port = free_port()
    server = replace(server_config(), password=Secret(PASSWORD))

    async def story(before: int) -> None:
        far = keeping(tmp_path / "ports.json", store=Secret(str(tmp_path / "users.db")))
        async with started(far), target(echo) as there:
            with tool(far) as panel:
                assert await panel.ask(add(port)) == b"ok"
                opened = far.servers
                assert await panel.ask(add(port)) == b"ok"
                assert far.servers == opened, "the same again changes nothing"
                async with client_of(server, Address(HOST, port)) as near:
                    await visit(near, there, 500)
                await until(lambda: not far.totals[0])
                assert (await _row(far, port))["up"] == before + 500
                assert await panel.ask(f'remove: {{"server_port": {port}}}') == b"ok"
                assert await panel.ask(add(port)) == b"ok"
                assert (await _row(far, port))["up"] == before + 500
                assert await panel.ask("ping") == b'stat: {"%d":0}' % port, "since it was added, as ever"

    run(story(0))
    run(story(500))


def test_a_user_called_by_its_number_limits_a_port(tmp_path: Path) -> None:
    """Also one who comes or changes while the port is open, and after a restart."""
    port, path = free_port(), tmp_path / "users.db"
    server = replace(server_config(), password=Secret(PASSWORD))

    def limit(size: int) -> None:
        store = SqliteStore(str(path))
        store.open()
        write_user(store, UserConfig(str(port), (), Limits(quota=Quota(size))))
        store.close()

    async def story(quota: int, later: int) -> None:
        far = keeping(tmp_path / "ports.json", store=Secret(str(path)))
        async with started(far), target(echo) as there:
            with tool(far) as panel:
                assert await panel.ask(add(port)) == b"ok"
                assert (await _row(far, port))["quota"] == quota
                async with client_of(server, Address(HOST, port)) as near:
                    await visit(near, there, 100)
                    await until(lambda: not far.totals[0])
                    limit(later)
                    await far.reload(keeping(tmp_path / "ports.json", store=Secret(str(path))).config)
                    row = await _row(far, port)
                    assert (row["quota"], row["refused"]) == (later, "quota")
                assert await panel.ask(add(port, password="another password, as long")) == b"ok"
                assert (await _row(far, port))["refused"] == "quota", "another password is no way around it"

    limit(10_000)
    run(story(10_000, 150))
    limit(20_000)
    run(story(20_000, 300))


# -- who may command --------------------------------------------------------------------------------


def guarded(**rules: object) -> Service:
    """A service whose manager has rules."""
    config = managed(f"{HOST}:0", "rust").config
    return Service.server(replace(config, **rules))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("allow", "may"),
    [(None, True), ((HOST,), True), (("127.0.0.0/8",), True), (EVERYBODY, True), (("192.0.2.0/24", "::1"), False)],
)
def test_s27_only_those_who_are_allowed_command(
    allow: tuple[str, ...] | None, may: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with started(guarded(manager_allow=allow)) as far:
            with tool(far) as panel:
                if may:
                    assert await panel.ask("ping") == b"stat: {}\n"
                    return
                panel.send(add(free_port()))
                await until(lambda: "127.0.0.1 is not in manager_allow" in caplog.text)
                assert far.servers == ()

    run(story())


def signed(panel: Tool, command: str, *, secret: str = SECRET, late: int = 0) -> str:
    data = sign(secret.encode(), int(time.time()) - late, command.encode()).decode()
    panel.send(data)
    return data


def test_s27_with_a_secret_commands_are_signed_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with started(guarded(manager_secret=Secret(SECRET))) as far:
            with tool(far) as panel:
                port = free_port()
                panel.send(add(port))
                signed(panel, add(port), secret="another")
                signed(panel, add(port), late=100)
                said = signed(panel, "ping")
                assert await panel.hear() == b"stat: {}\n"
                panel.send(said)
                signed(panel, add(port))
                assert await panel.hear() == b"ok\n"
                signed(panel, "ping\n")
                assert await panel.hear() == b'stat: {"%d":0}\n' % port
                manager = management_of(far).socket
                assert manager is not None
                assert manager._refused == 4
        assert caplog.text.count("is not taken") == 1
        assert SECRET not in caplog.text

    run(story())


def test_a_unix_socket_asks_for_no_secret(tmp_path: Path) -> None:
    """Whoever may write to it is its owner."""

    async def story() -> None:
        config = managed(str(tmp_path / "m"), "rust").config
        service = Service.server(replace(config, manager_secret=Secret(SECRET), manager_allow=("192.0.2.1",)))
        async with started(service) as far:
            with tool(far, str(tmp_path / "t")) as panel:
                assert await panel.ask("ping") == b"stat: {}\n"

    run(story())


# -- ports that are replaced ------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["libev", "rust", "go"])
def test_s29_a_port_is_replaced_as_a_whole_and_counts_on(dialect: str) -> None:
    async def story() -> None:
        async with started(managed(f"{HOST}:0", dialect)) as far, target(echo) as there:
            with tool(far) as panel:
                port = free_port()
                assert (await panel.ask(add(port))).strip() == b"ok"
                old = replace(server_config(), password=Secret(PASSWORD))
                async with client_of(old, Address(HOST, port)) as near:
                    stream = await connected(near, there)
                    await talk(stream, 100)
                    assert (await panel.ask(add(port, password="another password, as long"))).strip() == b"ok"
                    if dialect == "libev":
                        assert await ended(stream)
                    else:
                        await talk(stream, 100)
                        stream[1].close()
                    new = replace(old, password=Secret("another password, as long"))
                    async with client_of(new, Address(HOST, port)) as other:
                        await visit(other, there, 50)
                passed = far.passed()[port]
                assert passed == (300 if dialect == "libev" else 500)
                if dialect != "go":
                    assert (await panel.ask("ping")).strip(b"\0\n") == b'stat: {"%d":%d}' % (port, passed)

    run(story())


def test_s29_one_that_cannot_be_replaced_serves_on() -> None:
    async def story() -> None:
        async with started(managed(f"{HOST}:0", "libev")) as far, target(echo) as there:
            with tool(far) as panel:
                port = free_port()
                assert await panel.ask(add(port)) == b"ok"
                server = replace(server_config(), password=Secret(PASSWORD))
                async with client_of(server, Address(HOST, port)) as near:
                    stream = await connected(near, there)
                    for keys in ({"method": "nope"}, {"password": ""}, {"plugin": "nope"}):
                        assert await panel.ask(add(port, **keys)) == b"err"
                    assert await panel.ask(add(port, method="aes-256-gcm")) == b"ok"
                    await talk(stream, 10)
                    stream[1].close()
                    assert far.servers[0].password.reveal() == PASSWORD

    run(story())
