"""Roles are parts: which parts a configuration becomes."""

from __future__ import annotations

from dataclasses import replace

from shadesocks.config.model import Config, LocalConfig
from shadesocks.core.address import Address
from shadesocks.crypto.replay_packets import PacketSalts
from shadesocks.net.crowd import Crowd
from shadesocks.net.datagrams import PlainDatagrams
from shadesocks.net.origin import OriginPolicy
from shadesocks.net.pipe import Scratch
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.balance.balancer import Balancer
from shadesocks.proxy.outbound.direct import DirectDialer
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.proxy.seams import OneWay
from shadesocks.service.build import local_flow, server_flow, socks_inbound
from shadesocks.service.journal import Journal
from shadesocks.service.names import make_resolver
from shadesocks.service.rules import AclShelf
from shadesocks.service.shared import Shared
from shadesocks.service.state import SaltMemory
from shadesocks.service.ways import server_dialer

from .rig import HOST, run, server_config


def shared_of(config: Config) -> Shared:
    """What listeners share, with nothing kept on a disk."""
    reactor = Reactor()
    salts = SaltMemory(None, reactor.loop.time)
    return Shared(
        config,
        reactor,
        Scratch(),
        Journal(show_targets=False),
        make_resolver(config),
        OriginPolicy(),
        OriginPolicy(allow_private=True),
        AclShelf(config),
        salts,
        10,
        PlainDatagrams(),
        Crowd(1, 1, 1),
        PacketSalts(),
    )


def test_who_dials_how() -> None:
    async def story() -> None:
        server = server_config(port=1)
        two = Config(servers=(server, server), locals=(LocalConfig(Address(HOST, 0)),))
        shared = shared_of(two)
        try:
            assert isinstance(server_dialer(shared, server), DirectDialer)
            assert isinstance(server_dialer(shared, replace(server, outbound_proxy=(server,))), ShadowsocksDialer)
            assert server_flow(shared, server)._inbound.header_lane is None
            flow = local_flow(shared, two.locals[0], socks_inbound(shared, two.locals[0], None))
            lane = flow._inbound.header_lane
            assert lane is not None
            assert lane.delay == two.first_payload_timeout
            assert isinstance(flow._router, OneWay)
            assert isinstance(flow._router.dialer, Balancer)
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    run(story())
