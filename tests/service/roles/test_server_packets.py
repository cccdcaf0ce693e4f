"""The datagrams of a server."""

from __future__ import annotations

from dataclasses import replace
from socket import AF_INET

from shadesocks.config.model import Config, Mode
from shadesocks.net.backs import DirectBack
from shadesocks.net.datagrams import DatagramOptions, bind_socket
from shadesocks.service.roles.server_packets import server_back, server_relay
from tests.service.furniture import furnished
from tests.service.rig import HOST, run, server_config


def test_a_relay_serves_the_socket_that_was_bound() -> None:
    async def story() -> None:
        server = replace(server_config(), mode=Mode.UDP_ONLY)
        async with furnished(Config(servers=(server,))) as shared:
            sock = bind_socket((HOST, 0), AF_INET, DatagramOptions())
            relay = server_relay(shared, server, sock)
            assert [*shared.crowd.relays] == [relay]
            assert relay.front.sock is sock
            assert isinstance(server_back(shared, server), DirectBack)
            relay.close()
            shared.reactor.settle()
            assert sock.fileno() < 0

    run(story())
