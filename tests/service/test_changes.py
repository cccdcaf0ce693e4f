"""Servers that come and go while a service runs."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.changes import check_server, reload
from shadesocks.service.service import Service

from .rig import HOST, run, server_config, started


def test_a_service_that_does_not_run_takes_none() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(),)))
        with pytest.raises(RuntimeError):
            await service.add(server_config())
        assert not await service.remove(1)
        async with started(service):
            await service.drain(0)
            with pytest.raises(RuntimeError):
                await service.change(server_config())

    run(story())


def test_one_is_added_changed_and_removed() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as service:
            (first,) = service.addresses
            second = await service.add(server_config())
            assert [*service.addresses] == [first, second]
            other = replace(server_config("chacha20-ietf-poly1305"), address=second)
            await service.change(other)
            await service.change(other)
            assert service.servers[1] == other
            assert await service.remove(second)
            assert not await service.remove(second)
            assert [*service.addresses] == [first]

    run(story())


def test_the_first_with_datagrams_brings_what_serves_them() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as service:
            had = service._house.has_packets
            await service.add(replace(server_config(), mode=Mode.TCP_AND_UDP))
            assert (had, service._house.has_packets) == (False, True)
            assert len(service._shared.crowd.relays) == 1

    run(story())


def test_what_cannot_be_served_changes_nothing() -> None:
    async def story() -> None:
        async with (
            started(Service.server(Config(servers=(server_config(),)))) as other,
            started(Service.server(Config(servers=(server_config(),)))) as service,
        ):
            before = service.servers
            for bad in (
                replace(server_config(), address=other.addresses[0]),
                replace(server_config(), address=before[0].address, acl="/nowhere/rules.acl"),
            ):
                with pytest.raises(ConfigError):
                    await service.change(bad)
                assert service.servers == before
            with pytest.raises(ConfigError):
                check_server(service._house, replace(server_config(), acl="/nowhere/rules.acl"))

    run(story())


def test_one_may_listen_beside_the_ports_of_a_client() -> None:
    async def story() -> None:
        local = LocalConfig(Address(HOST, 0))
        async with started(Service.local(Config(servers=(server_config(port=1),), locals=(local,)))) as service:
            added = await service.add(server_config())
            assert added in service.addresses

    run(story())


def test_of_a_changed_configuration_it_says_what_needs_a_restart(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as service:
            config = replace(service.config, nofile=100, dial_timeout=2.0)
            reloaded, problems = await reload(service._house, service._role, config)
            assert (reloaded.restart, reloaded.settings, problems) == (("nofile",), ("dial_timeout",), ())
            assert (service.config.nofile, service.config.dial_timeout) == (None, 2.0)

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "changed, and in force after a restart only: nofile" in caplog.messages


def test_a_configuration_that_cannot_be_used_changes_nothing() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as service:
            before = service.config
            config = replace(before, servers=(replace(server_config(), acl="/nowhere/rules.acl"),))
            reloaded, problems = await reload(service._house, service._role, config)
            assert not reloaded.applied
            assert [problem.key for problem in problems] == ["acl"]
            assert service.config is before

    run(story())
