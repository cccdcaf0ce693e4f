"""The ways of a client through its servers, with what it keeps ready."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.net.backs import ShadowBack
from shadesocks.proxy.balance.balancer import Balancer
from shadesocks.proxy.balance.balancer_packets import BalancerBack
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.service.roles.client_ways import client_back, client_dialer, client_way, roster_of
from shadesocks.service.service import Service
from tests.service.furniture import furnished
from tests.service.rig import HOST, echo, run, server_config, socks, started, target, until
from tests.service.test_service_udp import BOTH

SS = replace(server_config(port=1), mode=BOTH)


def test_all_listeners_share_what_is_known_of_the_servers() -> None:
    async def story() -> None:
        two = SS, replace(SS, address=Address(HOST, 2), group="far")
        async with furnished(Config(servers=two)) as shared:
            assert isinstance(client_dialer(shared, ""), Balancer)
            back, idle_min = client_back(shared, "far")
            assert isinstance(back, BalancerBack)
            assert idle_min == 0
            [roster] = shared.rosters
            assert roster_of(shared) is roster
            assert [group.name for group in roster.groups] == ["", "far"]
            assert [len(group.members) for group in roster.groups] == [2, 1]

    run(story())


def test_a_session_with_a_2022_server_is_remembered_longer() -> None:
    async def story() -> None:
        async with furnished(
            Config(servers=(SS, replace(server_config("2022-blake3-aes-128-gcm", port=2), mode=BOTH)))
        ) as shared:
            assert client_back(shared, "")[1] > 0

    run(story())


@pytest.mark.parametrize(("mode", "kind"), [(BOTH, ShadowBack), (Mode.TCP_ONLY, type(None))])
def test_a_server_takes_datagrams_where_a_listener_does(mode: Mode, kind: type) -> None:
    async def story() -> None:
        async with furnished(Config(servers=(SS,), locals=(LocalConfig(Address(HOST, 0), mode=mode),))) as shared:
            way = client_way(shared, SS)
            assert isinstance(way.dialer, ShadowsocksDialer)
            assert isinstance(way.back, kind)
            assert way.about() == {}
            way.close()

    run(story())


def test_a_client_of_one_server_has_warm_connections_from_its_start() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),), allow_private=True))) as far:
            there = replace(server_config(), address=far.addresses[0], pool=2)
            local = LocalConfig(Address(HOST, 0))
            async with started(Service.local(Config(servers=(there,), locals=(local, local), fast_open=True))) as near:
                (roster,) = near._shared.rosters
                await until(lambda: roster.table()[0]["pool"] == {"size": 2, "ready": 2})
                async with target(echo) as to:
                    reader, writer, _ = await socks(near, to)
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                    writer.close()
                await near.drain(1.0)
                assert roster.table()[0]["pool"] == {"size": 2, "ready": 0}
            await until(lambda: not far.totals[0])

    run(story())


def test_a_server_that_stays_keeps_its_warm_connections_and_one_that_goes_loses_them() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),), allow_private=True))) as far:
            there = replace(server_config(), address=far.addresses[0], pool=2)
            config = Config(servers=(there,), locals=(LocalConfig(Address(HOST, 0)),))
            (port,) = far.ports
            strangers = port.face.strangers
            assert strangers is not None
            async with started(Service.local(config)) as near:
                await until(lambda: len(strangers) == 2)
                other = replace(server_config(), address=Address(HOST, 1), pool=2)
                before = list(strangers.waiting)
                assert await near.reload(replace(config, servers=(there, other))) == ()
                assert [row["pool"]["ready"] for row in near._shared.rosters[0].table()] == [2, 0]
                assert list(strangers.waiting) == before
                assert await near.reload(replace(config, servers=(other,))) == ()
                await until(lambda: not len(strangers))

    run(story())


def test_a_server_whose_warm_connections_fail_is_left_before_anybody_asks_it() -> None:
    async def story() -> None:
        far, other = (Service.server(Config(servers=(server_config(),), allow_private=True)) for _ in range(2))
        async with target(echo) as to, started(far), started(other):
            servers = tuple(replace(server_config(), address=each.addresses[0], pool=2) for each in (far, other))
            config = Config(servers=servers, locals=(LocalConfig(Address(HOST, 0)),), balancer_policy="ordered")
            async with started(Service.local(config)) as near:
                (roster,) = near._shared.rosters
                for name, gone in ((far, True), (other, False)):
                    reader, writer, reply = await socks(near, to)
                    writer.write(b"x")
                    assert (reply, await reader.readexactly(1)) == (0, b"x")
                    writer.close()
                    await until(lambda: sum(each.totals[0] for each in (far, other)) == 0)
                    assert name.totals[1] == 1
                    if gone:
                        await until(lambda: roster.table()[0]["pool"]["ready"] == 2)
                        await far.stop()
                        await until(lambda: roster.table()[0]["tcp"]["failures"] > 0)

    run(story())


def test_of_several_servers_each_fills_its_pool_when_it_is_used() -> None:
    async def story() -> None:
        async with furnished(Config(servers=(replace(SS, pool=2), SS))) as shared:
            way = client_way(shared, shared.config.servers[0])
            assert way.about() == {"pool": {"size": 2, "ready": 0}}
            assert not shared.reactor.stories
            way.rest()
            way.close()

    run(story())


@pytest.mark.parametrize("options", [{"pool": 0}, {"mode": Mode.UDP_ONLY}, {"handshake_timeout": 1.5}])
def test_where_no_connection_can_wait_there_is_no_pool(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with furnished(Config(servers=(replace(SS, **{"pool": 8, **options}),))) as shared:
            assert client_way(shared, shared.config.servers[0]).about() == {}

    run(story())
    assert ("handshake_timeout of 1.5 s" in caplog.text) == ("handshake_timeout" in options)
