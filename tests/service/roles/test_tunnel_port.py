"""The port of a tunnel."""

from __future__ import annotations

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.service.roles.tunnel_port import tunnel_inbound, tunnel_port
from tests.service.furniture import furnished
from tests.service.rig import HOST, run, server_config

TARGET = Address("192.0.2.1", 53)


@pytest.mark.parametrize("mode", Mode)
def test_it_listens_as_its_mode_says(mode: Mode) -> None:
    port = tunnel_port(LocalConfig(Address(HOST, 1), "tunnel", mode, forward=TARGET))
    assert (port.streams is not None, port.packets is not None, port.has_packets) == (mode.tcp, mode.udp, mode.udp)
    assert port.forward == TARGET


def test_without_streams_it_has_no_flow() -> None:
    async def story() -> None:
        local = LocalConfig(Address(HOST, 0), "tunnel", Mode.UDP_ONLY, forward=TARGET)
        async with furnished(Config(servers=(server_config(port=1),), locals=(local,))) as shared:
            assert tunnel_port(local).open(shared, None).flow is None
            lane = tunnel_inbound(shared, local).header_lane
            assert lane is not None
            assert lane.delay == shared.config.first_payload_timeout

    run(story())
