"""The ports of a client: whom they ask."""

from __future__ import annotations

from pathlib import Path

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.proxy.balance.balancer import Balancer
from shadesocks.proxy.balance.balancer_packets import BalancerBack
from shadesocks.proxy.outbound.split import SplitBack
from shadesocks.proxy.route import AclRouter
from shadesocks.proxy.seams import OneWay
from shadesocks.service.roles.local_port import local_back, local_flow, local_port
from shadesocks.service.roles.socks_port import socks_inbound
from tests.service.furniture import furnished
from tests.service.rig import HOST, run, server_config


def test_all_goes_to_the_servers() -> None:
    async def story() -> None:
        server = server_config(port=1)
        config = Config(servers=(server, server), locals=(LocalConfig(Address(HOST, 0)),))
        async with furnished(config) as shared:
            (local,) = config.locals
            flow = local_flow(shared, local, socks_inbound(shared, local, None))
            lane = flow._inbound.header_lane
            assert lane is not None
            assert lane.delay == config.first_payload_timeout
            assert isinstance(flow._router, OneWay)
            assert isinstance(flow._router.dialer, Balancer)
            assert isinstance(local_back(shared, local)[0], BalancerBack)

    run(story())


def test_with_an_access_list_some_goes_straight(tmp_path: Path) -> None:
    rules = tmp_path / "rules.acl"
    rules.write_text("[bypass_list]\n192.0.2.0/24\n")

    async def story() -> None:
        local = LocalConfig(Address(HOST, 0), mode=Mode.TCP_AND_UDP, acl=str(rules))
        async with furnished(Config(servers=(server_config(port=1),), locals=(local,))) as shared:
            flow = local_flow(shared, local, socks_inbound(shared, local, None))
            assert isinstance(flow._router, AclRouter)
            assert isinstance(local_back(shared, local)[0], SplitBack)

    run(story())


def test_a_listener_is_of_its_protocol() -> None:
    target = Address("192.0.2.1", 53)
    assert local_port(LocalConfig(Address(HOST, 0))).role == "local"
    tunnel = local_port(LocalConfig(Address(HOST, 0), "tunnel", forward=target))
    assert (tunnel.role, tunnel.forward) == ("tunnel", target)
