"""A question through a server, whatever the way, and all that may come instead of an answer."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, ProxyConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.net.packets import PacketRelay
from shadesocks.proxy.balance.group import TCP, UDP
from shadesocks.service.service import Service
from shadesocks.wire.dns_question import pack_question
from tests.proxy.balance.field import BOTH, METHODS, client_of, name_server, probe, saying, serving
from tests.service.rig import HOST, run, server_config, started, target
from tests.service.stubs import stub

SHORT = {"balancer_max_rtt": 0.2}


def good(question: bytes) -> list[bytes]:
    return [question[:2] + b"\x81\x80" + question[4:]]


@pytest.mark.parametrize("way", ["auto", "plain"])
@pytest.mark.parametrize("method", METHODS)
def test_a_name_server_that_answers(method: str, way: str) -> None:
    async def story() -> None:
        async with name_server(good) as (to, there), serving(method) as server:
            options = {"balancer_probe_dns": to, "balancer_probe_name": "example.com", "udp_io": way}
            async with client_of(server, **options) as (near, member):
                for _ in range(2):
                    assert await probe(near, member, UDP) == ""
                first, second = there.asked
                assert first[2:] == pack_question(b"", "example.com")
                assert first[:2] != second[:2]
                assert (member.udp.live, near.packets.sessions) == (0, 0)
                assert member.back is not None
                assert member.back.answers == 0, "a probe is no traffic"
                assert not near._shared.reactor.stories

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: [],
        lambda question: [question],
        lambda question: [bytes(2) + good(question)[0][2:]],
        lambda question: [good(question)[0][:11]],
    ],
)
def test_what_is_no_answer(answer: Callable[[bytes], list[bytes]]) -> None:
    """An id is drawn: that nothing comes of zeros is so but for one run of 65,536."""

    async def story() -> None:
        async with (
            name_server(answer) as (to, there),
            serving() as server,
            client_of(server, balancer_probe_dns=to, **SHORT) as (near, member),
        ):
            assert await probe(near, member, UDP) == "no_answer"
            assert len(there.asked) == 1

    run(story())


def test_what_comes_before_the_answer_does_no_harm() -> None:
    async def story() -> None:
        async with (
            name_server(lambda question: [b"", question, *good(question) * 2]) as (to, _),
            serving() as server,
            client_of(server, balancer_probe_dns=to) as (near, member),
        ):
            assert await probe(near, member, UDP) == ""

    run(story())


def test_a_server_that_is_not_there() -> None:
    """Its port says so, which nobody hears."""

    async def story() -> None:
        async with client_of(replace(server_config(port=9), mode=BOTH), **SHORT) as (near, member):
            assert await probe(near, member, UDP) == "no_answer"

    run(story())


def test_a_probe_goes_the_way_of_datagrams() -> None:
    """Through a server before the server, and through an association with a SOCKS5 proxy."""

    async def story() -> None:
        async with name_server(good) as (to, there), serving() as first, serving(METHODS[1]) as server:
            socks = Config(servers=(first,), locals=(LocalConfig(Address(HOST, 0), mode=BOTH),))
            async with started(Service.local(socks)) as proxy:
                hops: list[ServerConfig | ProxyConfig] = [first, ProxyConfig("socks5", proxy.addresses[0])]
                for hop in hops:
                    chained = replace(server, outbound_proxy=(hop,))
                    async with client_of(chained, balancer_probe_dns=to) as (near, member):
                        assert await probe(near, member, UDP) == ""
                        assert await probe(near, member, UDP) == ""
                assert len(there.asked) == 4

    run(story())


def test_a_probe_goes_through_the_plugin_of_its_server(tmp_path: Path) -> None:
    async def story() -> None:
        async with name_server(good) as (to, there), target(saying(b"HTTP/1.0 200\n")) as page, serving() as server:
            behind = replace(server, plugin=stub(tmp_path, "udp", BOTH))
            options = {"balancer_probe_dns": to, "balancer_probe_url": f"http://{page}/"}
            async with client_of(behind, **options) as (near, member):
                assert await probe(near, member, TCP) == ""
                assert await probe(near, member, UDP) == ""
                assert len(there.asked) == 1

    run(story())


def test_a_way_that_cannot_be_opened_is_known_at_once() -> None:
    async def story() -> None:
        hop = ProxyConfig("socks5", Address(HOST, 9))
        server = replace(server_config(port=9), mode=BOTH, outbound_proxy=(hop,))
        async with client_of(server) as (near, member):
            assert await probe(near, member, UDP) == "refused"

    run(story())


def test_a_question_leaves_nothing_to_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[PacketRelay]] = []
    make = PacketRelay.__init__

    def init(self: PacketRelay, *args: Any) -> None:
        make(self, *args)
        made.append(weakref.ref(self))

    async def story() -> None:
        async with (
            name_server(good) as (to, _),
            serving() as server,
            client_of(server, balancer_probe_dns=to) as (near, member),
        ):
            monkeypatch.setattr(PacketRelay, "__init__", init)
            gc.disable()
            try:
                assert await probe(near, member, UDP) == ""
                assert [relay() for relay in made] == [None]
            finally:
                gc.enable()

    run(story())
