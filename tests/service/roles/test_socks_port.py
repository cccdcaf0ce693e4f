"""The port of a SOCKS5 listener."""

from __future__ import annotations

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.service.roles.socks_port import socks_inbound, socks_port
from tests.service.furniture import furnished
from tests.service.rig import HOST, run, server_config


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("apart", [False, True])
def test_it_always_takes_connections(mode: Mode, apart: bool) -> None:
    port = socks_port(LocalConfig(Address(HOST, 1), mode=mode, udp_socket_per_association=apart))
    assert port.streams == Address(HOST, 1)
    assert (port.packets is not None) == (mode.udp and not apart)
    assert port.has_packets == mode.udp


def test_its_time_outs_are_those_of_the_configuration() -> None:
    async def story() -> None:
        local = LocalConfig(Address(HOST, 0))
        config = Config(servers=(server_config(port=1),), locals=(local,), first_payload_timeout=0.125)
        async with furnished(config) as shared:
            lane = socks_inbound(shared, local, None).header_lane
            assert lane is not None
            assert lane.delay == 0.125

    run(story())
