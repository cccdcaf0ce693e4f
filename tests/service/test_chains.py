"""The ways through proxies: of a server to targets, of a client to its server."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, ProxyConfig
from shadesocks.core.address import Address
from shadesocks.net.backs import ClosedBack, DirectBack, ShadowBack
from shadesocks.proxy.outbound.direct import DirectDialer
from shadesocks.proxy.outbound.guarded import GuardedBack, GuardedDialer
from shadesocks.proxy.outbound.packets import ChainBack
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.service.parts import packets_of
from shadesocks.service.roles.client_ways import shadow_back
from shadesocks.service.roles.server_packets import server_back
from shadesocks.service.roles.server_port import server_dialer
from shadesocks.service.service import Service

from .furniture import shared_of
from .rig import HOST, echo, pair, run, server_config, socks, started, target
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
        through_http = replace(server, outbound_proxy=(HTTP,))
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
            assert isinstance(shadow_back(shared, through_http, packets_of(shared, server)), ClosedBack)
        finally:
            shared.salts.close()
            await shared.names.close()
            shared.reactor.stop()

    with caplog.at_level(logging.WARNING):
        run(story())
    assert "an http:// proxy takes no datagrams" in caplog.text


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
