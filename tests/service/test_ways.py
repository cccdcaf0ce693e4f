"""The ways out of a server, and of a client to its server: straight, through a server, through proxies."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, ProxyConfig
from shadesocks.core.address import Address
from shadesocks.net.backs import ClosedBack, DirectBack, ShadowBack
from shadesocks.proxy.balance.balancer import Balancer
from shadesocks.proxy.balance.balancer_packets import BalancerBack
from shadesocks.proxy.outbound.direct import DirectDialer
from shadesocks.proxy.outbound.guarded import GuardedBack, GuardedDialer
from shadesocks.proxy.outbound.packets import ChainBack
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.service.service import Service
from shadesocks.service.ways import (
    client_back,
    client_dialer,
    client_way,
    quirks_of,
    roster_of,
    server_back,
    server_dialer,
    shadow_back,
)
from shadesocks.wire.shadow import Quirks

from .rig import HOST, echo, pair, run, server_config, socks, started, target, until
from .test_build import shared_of
from .test_service_udp import BOTH, ask, relay_of, trip, udp_pair
from .test_service_udp import echo as udp_echo

SS = replace(server_config(port=1), mode=BOTH)
SOCKS = ProxyConfig("socks5", Address(HOST, 1))
HTTP = ProxyConfig("http", Address(HOST, 1))


def test_who_dials_how_and_what_sends_datagrams_on(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = server_config(port=1)
        config = Config(servers=(server,))
        shared = shared_of(config)
        ruled = replace(shared, config=replace(config, forbidden_port=((25, 25),)))
        cases: list[tuple[Any, tuple[Any, ...], type, type]] = [
            (shared, (), DirectDialer, DirectBack),
            (ruled, (), DirectDialer, DirectBack),
            (shared, (SS,), ShadowsocksDialer, ShadowBack),
            (ruled, (SS,), GuardedDialer, GuardedBack),
            (shared, (SOCKS,), GuardedDialer, GuardedBack),
            (shared, (SS, SOCKS), GuardedDialer, GuardedBack),
            (shared, (SOCKS, SS), ShadowsocksDialer, ChainBack),
            (shared, (HTTP, SS), ShadowsocksDialer, ClosedBack),
        ]
        try:
            for parts, hops, dialer, back in cases:
                one = replace(server, outbound_proxy=hops)
                assert isinstance(server_dialer(parts, one), dialer)
                assert isinstance(server_back(parts, one), back)
            assert isinstance(shadow_back(shared, replace(server, outbound_proxy=(HTTP,)), None), ClosedBack)  # type: ignore[arg-type]  # nothing is packed
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "an http:// proxy takes no datagrams" in caplog.text


@pytest.mark.parametrize(
    ("options", "config", "quirks"),
    [
        ({}, {}, Quirks()),
        ({"one_time_auth": True}, {}, Quirks(one_time_auth=True)),
        ({"compat": "procurator"}, {}, Quirks(names_only=True)),
        ({}, {"stream_replay": "refuse"}, Quirks(refuse_repeats=True)),
    ],
)
def test_the_habits_of_old_programs_reach_the_wire(
    options: dict[str, Any], config: dict[str, Any], quirks: Quirks
) -> None:
    assert quirks_of(Config(**config), replace(server_config(), **options)) == quirks


def test_all_listeners_share_what_is_known_of_the_servers() -> None:
    async def story() -> None:
        two = SS, replace(SS, address=Address(HOST, 2), group="far")
        shared = shared_of(Config(servers=two))
        try:
            assert isinstance(client_dialer(shared, ""), Balancer)
            back, idle_min = client_back(shared, "far")
            assert isinstance(back, BalancerBack)
            assert idle_min == 0
            [roster] = shared.rosters
            assert roster_of(shared) is roster
            assert [group.name for group in roster.groups] == ["", "far"]
            assert [len(group.members) for group in roster.groups] == [2, 1]
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    run(story())


def test_a_session_with_a_2022_server_is_remembered_longer() -> None:
    async def story() -> None:
        shared = shared_of(Config(servers=(SS, replace(server_config("2022-blake3-aes-128-gcm", port=2), mode=BOTH))))
        try:
            assert client_back(shared, "")[1] > 0
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    run(story())


@pytest.mark.parametrize(("mode", "kind"), [(BOTH, ShadowBack), (Mode.TCP_ONLY, type(None))])
def test_a_server_takes_datagrams_where_a_listener_does(mode: Mode, kind: type) -> None:
    async def story() -> None:
        shared = shared_of(Config(servers=(SS,), locals=(LocalConfig(Address(HOST, 0), mode=mode),)))
        try:
            way = client_way(shared, SS)
            assert isinstance(way.dialer, ShadowsocksDialer)
            assert isinstance(way.back, kind)
            assert way.about() == {}
            way.close()
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    run(story())


def test_a_server_goes_out_through_a_socks_proxy_with_both() -> None:
    """The proxy is a client of ours, and what it speaks to a server of ours."""

    async def story() -> None:
        async with target(echo) as to, udp_echo() as far, udp_pair(Config(), server_config()) as (last, proxy):
            hop = ProxyConfig("socks5", proxy.addresses[0])
            first = replace(server_config("2022-blake3-aes-128-gcm"), outbound_proxy=(hop,))
            async with udp_pair(Config(), first) as (_, near):
                reader, writer, reply = await socks(near, to)
                assert reply == 0
                writer.write(b"hello")
                writer.write_eof()
                assert await reader.read(-1) == b"hello"
                writer.close()
                writer, bound = await ask(near)
                assert await trip(relay_of(bound), far, b"through both") == b"through both"
                writer.close()
            assert last.packets.up_packets == 1

    run(story())


def test_a_client_reaches_its_server_through_another() -> None:
    async def story() -> None:
        config = Config(servers=(replace(server_config(), mode=BOTH),), allow_private=True)
        async with target(echo) as to, udp_echo() as far, started(Service.server(config)) as hop:
            there = replace(server_config(), address=hop.addresses[0], mode=BOTH)
            async with started(Service.server(config)) as server:
                way = replace(there, address=server.addresses[0], outbound_proxy=(there,))
                local = Config(servers=(way,), locals=(LocalConfig(Address(HOST, 0), mode=BOTH),))
                async with started(Service.local(local)) as near:
                    reader, writer, reply = await socks(near, to)
                    assert reply == 0
                    writer.write(b"hello")
                    assert await reader.readexactly(5) == b"hello"
                    assert hop.totals[0] == server.totals[0] == 1
                    writer.close()
                    writer, bound = await ask(near)
                    assert await trip(relay_of(bound), far, b"through both") == b"through both"
                    writer.close()
                    assert hop.packets.up_packets == server.packets.up_packets == 1

    run(story())


def test_a_proxy_on_this_machine_is_no_way_to_its_loopback() -> None:
    async def story() -> None:
        async with target(echo) as to, udp_pair(Config(), server_config()) as (last, proxy):
            hop = ProxyConfig("socks5", proxy.addresses[0])
            server = replace(server_config(), outbound_proxy=(hop,))
            async with started(Service.server(Config(servers=(server,)))) as far:
                there = replace(server_config(), address=far.addresses[0])
                local = Config(servers=(there,), locals=(LocalConfig(Address(HOST, 0)),))
                async with started(Service.local(local)) as near:
                    for host in (HOST, "localhost", "::ffff:127.0.0.1", "127.1"):
                        reader, writer, _ = await socks(near, replace(to, host=host))
                        writer.write(b"x")
                        assert await reader.read(-1) == b"", host
                        writer.close()
                    assert last.journal.accepted == last.totals[0] == 0

    run(story())


def test_a_proxy_that_is_not_there_is_said() -> None:
    async def story() -> None:
        hop = ProxyConfig("socks5", Address(HOST, 9))  # which may be anywhere: it is the operator's choice
        async with pair(Config(), replace(server_config(), outbound_proxy=(hop,))) as (far, near):
            reader, writer, _ = await socks(near, Address(HOST, 80))
            writer.write(b"x")
            assert await reader.read(-1) == b""
            writer.close()
            assert far.journal.reasons["refused"] == 1

    run(story())


def test_the_rules_of_a_server_hold_for_what_it_passes_on() -> None:
    async def story() -> None:
        async with target(echo) as to, udp_pair(Config(), server_config()) as (_, proxy):
            hop = ProxyConfig("socks5", proxy.addresses[0])
            first = replace(server_config(), outbound_proxy=(hop,))
            async with pair(Config(forbidden_port=((to.port, to.port),)), first) as (far, near):
                reader, writer, _ = await socks(near, to)
                writer.write(b"x")
                assert await reader.read(-1) == b""
                writer.close()
                assert far.journal.reasons["denied"] == 1

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
            (port,) = far._ports
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
        shared = shared_of(Config(servers=(replace(SS, pool=2), SS)))
        try:
            way = client_way(shared, shared.config.servers[0])
            assert way.about() == {"pool": {"size": 2, "ready": 0}}
            assert not shared.reactor.stories
            way.rest()
            way.close()
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    run(story())


@pytest.mark.parametrize("options", [{"pool": 0}, {"mode": Mode.UDP_ONLY}, {"handshake_timeout": 1.5}])
def test_where_no_connection_can_wait_there_is_no_pool(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        shared = shared_of(Config(servers=(replace(SS, **{"pool": 8, **options}),)))
        try:
            assert client_way(shared, shared.config.servers[0]).about() == {}
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    run(story())
    assert ("handshake_timeout of 1.5 s" in caplog.text) == ("handshake_timeout" in options)
