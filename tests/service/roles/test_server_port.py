"""The port of a server: what it is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shadesocks.config.model import Config, Mode
from shadesocks.proxy.outbound.direct import DirectDialer
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.service.roles.server_port import server_dialer, server_flow, server_port
from tests.service.furniture import furnished
from tests.service.rig import run, server_config


def test_who_dials_how() -> None:
    async def story() -> None:
        server = server_config(port=1)
        async with furnished(Config(servers=(server,))) as shared:
            assert isinstance(server_dialer(shared, server), DirectDialer)
            assert isinstance(server_dialer(shared, replace(server, outbound_proxy=(server,))), ShadowsocksDialer)
            assert server_flow(shared, server)._inbound.header_lane is None

    run(story())


@pytest.mark.parametrize("mode", Mode)
def test_a_port_listens_as_the_mode_says(mode: Mode) -> None:
    server = replace(server_config(port=1), mode=mode)
    port = server_port(server)
    assert (port.streams is not None, port.packets is not None, port.has_packets) == (mode.tcp, mode.udp, mode.udp)
    assert port.server is server
    assert (port.role, port.public) == ("server", None)


def test_a_port_of_streams_alone_has_strangers_and_no_relay() -> None:
    async def story() -> None:
        server = server_config(port=1)
        async with furnished(Config(servers=(server,))) as shared:
            face = server_port(server).open(shared, None)
            assert face.flow is not None
            assert face.strangers is not None
            assert face.packets is None
            assert not shared.crowd.relays
            face.evict()

    run(story())
