"""The relay of a socket's datagrams."""

from __future__ import annotations

from socket import AF_INET

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.net.backs import ClosedBack
from shadesocks.net.datagrams import DatagramOptions, bind_socket
from shadesocks.service.packets import packet_relay
from shadesocks.wire.packet_tunnel import TunnelPackets

from .furniture import furnished
from .rig import HOST, run


def test_a_session_lasts_as_long_as_the_format_needs_and_the_file_says() -> None:
    async def story() -> None:
        async with furnished(Config(udp_timeout=100.0)) as shared:
            for least, lasts in ((0, 100.0), (300, 300)):
                sock = bind_socket((HOST, 0), AF_INET, DatagramOptions())
                host = TunnelPackets(Address(HOST, 9))
                relay = packet_relay(shared, sock, host, ClosedBack(shared.datagrams), least)
                assert relay in shared.crowd.relays
                assert relay._idle == lasts
                relay.close()

    run(story())
