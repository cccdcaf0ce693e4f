"""The associations of a SOCKS5 port: one socket for all, or one for each."""

from __future__ import annotations

from socket import AF_INET

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.net.datagrams import DatagramOptions, bind_socket
from shadesocks.service.roles.socks_packets import socks_associations
from tests.service.furniture import furnished
from tests.service.rig import HOST, run, server_config


@pytest.mark.parametrize("shares", [True, False])
def test_the_socket_is_shared_or_bound_beside(shares: bool) -> None:
    async def story() -> None:
        local = LocalConfig(Address(HOST, 0), mode=Mode.TCP_AND_UDP)
        async with furnished(Config(servers=(server_config(port=1),), locals=(local,))) as shared:
            sock = bind_socket((HOST, 0), AF_INET, DatagramOptions()) if shares else None
            associations = socks_associations(shared, local, sock)
            assert len(shared.crowd.relays) == shares
            if not shares:
                assert associations.bind is not None
                own = associations.bind()
                assert own.getsockname()[0] == HOST
                own.close()
            associations.close()
            for relay in list(shared.crowd.relays):
                relay.close()

    run(story())
