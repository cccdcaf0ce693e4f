"""A client, as a role: its listeners stay, and its servers are those of the configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from shadesocks.config.model import Config, LocalConfig, OnlineConfig, PluginConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.service.roles import ports_of
from shadesocks.service.roles.client import ClientRole
from shadesocks.service.service import Service
from tests.service.rig import HOST, run, server_config, started

A, B = server_config(port=1), server_config(port=2)
LOCAL = LocalConfig(Address(HOST, 0))


def test_each_listener_has_a_port() -> None:
    assert [port.streams for port in ports_of("local", Config(locals=(LOCAL, LOCAL)))] == [LOCAL.address] * 2


def test_its_listeners_stay_and_use_the_servers_that_are_named() -> None:
    async def story() -> None:
        async with started(Service.local(Config(servers=(A,), locals=(LOCAL,)))) as service:
            before = service.addresses
            assert service.servers == (A,)
            assert service.manager_address is None
            bad = replace(server_config(port=3), plugin=PluginConfig("/nowhere/plugin"))
            problems = await service.reload(replace(service.config, servers=(B, bad), locals=()))
            assert [problem.key for problem in problems] == ["plugin"]
            assert service.servers == (B,)
            assert service.addresses == before
            assert service.config.locals == (LOCAL,)

    run(story())


def test_subscriptions_begin_when_some_are_named() -> None:
    online = OnlineConfig((Secret("http://127.0.0.1:1/"),))

    async def story() -> None:
        service = Service.local(Config(servers=(A,), locals=(LOCAL,), state_dir="/nowhere"))
        role = cast("ClientRole", service._role)

        def asks() -> bool:
            return role._online is not None and role._online._subscriptions is not None

        async with started(service):
            assert [asks(), role._online] == [False, None]
            await service.reload(replace(service.config, online=online))
            assert asks()
            await service.reload(replace(service.config, online=None))
            assert not asks()

    run(story())
