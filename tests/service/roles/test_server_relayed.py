"""A server in front of others: what its ports are made of. tests/service/test_users.py has it as a service."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from shadesocks.config.model import Config, DestinationConfig, Mode
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.proxy.outbound.direct import DirectDialer
from shadesocks.proxy.outbound.relayed import RelayedBack
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.service.roles.server_packets import server_packets
from shadesocks.service.roles.server_port import server_dialer, shadow_inbound
from shadesocks.service.roles.server_relayed import relayed_dialer, relayed_packets, relayed_shadow
from shadesocks.wire.packet_aead2022 import REMEMBERED
from shadesocks.wire.relayed import RelayedShadow, RelayHost
from tests.service.furniture import furnished
from tests.service.rig import HOST, run, server_config

EAST = DestinationConfig("east", Secret(base64.b64encode(b"e" * 16).decode()), Address(HOST, 1))
FRONT = replace(server_config("2022-blake3-aes-128-gcm", 1), mode=Mode.TCP_AND_UDP, destinations=(EAST,))


def test_it_passes_on_streams_and_datagrams() -> None:
    async def story() -> None:
        async with furnished(Config(servers=(FRONT,))) as shared:
            assert isinstance(relayed_shadow(FRONT), RelayedShadow)
            assert isinstance(shadow_inbound(shared, FRONT)._shadow, RelayedShadow)
            for host, back, idle_min in (relayed_packets(shared, FRONT), server_packets(shared, FRONT, None)):
                assert isinstance(host, RelayHost)
                assert isinstance(back, RelayedBack)
                assert idle_min == REMEMBERED

    run(story())


def test_what_is_behind_it_may_be_behind_proxies_too() -> None:
    async def story() -> None:
        async with furnished(Config(servers=(FRONT,))) as shared:
            assert isinstance(relayed_dialer(shared, FRONT), DirectDialer)
            assert isinstance(server_dialer(shared, FRONT), DirectDialer)
            chained = replace(FRONT, outbound_proxy=(server_config(port=2),))
            assert isinstance(server_dialer(shared, chained), ShadowsocksDialer)

    run(story())


def test_who_has_none_behind_him_has_no_such_parts() -> None:
    with pytest.raises(AssertionError, match="asked only of a server that has some"):
        relayed_shadow(server_config())
