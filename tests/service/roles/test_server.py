"""A server, as a role: its ports, its manager, and what it does with a changed configuration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from shadesocks.config.model import Config, Mode, PluginConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.roles import ports_of
from shadesocks.service.roles.server import ServerRole
from shadesocks.service.service import Service
from tests.service.rig import run, server_config, started


def role_of(service: Service) -> ServerRole:
    return cast("ServerRole", service._role)


def test_each_server_has_a_port() -> None:
    servers = tuple(replace(server_config(port=number), mode=Mode.TCP_AND_UDP) for number in (1, 2))
    assert [port.server for port in ports_of("server", Config(servers=servers))] == [*servers]


@pytest.mark.parametrize("place", ["127.0.0.1:0", "path"])
def test_a_manager_listens_while_it_runs(place: str, tmp_path: Path) -> None:
    where = str(tmp_path / "manager") if place == "path" else place

    async def story() -> None:
        service = Service.server(Config(manager_listen=where))
        assert role_of(service).has_packets
        async with started(service):
            at = service.manager_address
            assert at == where if isinstance(at, str) else at is not None
            assert service._house.numbers == ({at.port} if isinstance(at, Address) else set())
        assert (role_of(service).management, service.manager_address) == (None, None)

    run(story())


def test_a_start_that_fails_leaves_no_manager() -> None:
    async def story() -> None:
        service = Service.server(Config(manager_listen="127.0.0.1:0", event_model="none such"))
        with pytest.raises(ConfigError):
            await service.start()
        assert role_of(service).management is None
        assert service.manager_address is None

    run(story())


def test_a_changed_configuration_is_served() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(),)))
        async with started(service):
            kept = service.servers[0]
            config = replace(service.config, servers=(*service.config.servers, server_config("aes-128-gcm")))
            assert await service.reload(config) == ()
            assert len(service.servers) == 2
            assert service.servers[0] == kept
            bad = replace(server_config(port=1), plugin=PluginConfig("/nowhere/plugin"))
            problems = await service.reload(replace(config, servers=(*config.servers[1:], bad)))
            assert [problem.key for problem in problems] == ["plugin"]
            assert [server.method.name for server in service.servers] == ["aes-128-gcm"]

    run(story())
