"""What a service consists of while it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.service.roles import ports_of
from shadesocks.service.service import Service

from .rig import run, server_config, started


def test_it_takes_changes_while_it_runs_and_does_not_drain() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(),)))
        house = service._house

        def state() -> tuple[bool, bool, bool]:
            return house.was_up, house.is_up, house.takes_changes

        assert state() == (False, False, False)
        async with started(service):
            assert state() == (True, True, True)
            await service.drain(0)
            assert state() == (True, True, False)
        assert state() == (True, False, False)

    run(story())


def test_its_numbers_are_those_of_its_ports() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(), server_config())))
        async with started(service):
            house = service._house
            assert house.numbers == {address.port for address in service.addresses}
            house.other_numbers = (1,)
            house.settle()
            assert house.numbers == {1, *(address.port for address in service.addresses)}
        assert not house.numbers

    run(story())


def test_what_cannot_be_bound_is_told_whole_and_nothing_stays_bound() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as other:
            taken = replace(server_config(), address=other.addresses[0])
            service = Service.server(Config(servers=(server_config(), taken, taken)))
            with pytest.raises(ConfigError) as caught:
                await service._house.bind_all(ports_of("server", service.config))
            assert len(caught.value.problems) == 2

    run(story())
