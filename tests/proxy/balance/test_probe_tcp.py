"""A page through a server, whatever the way, and all that may come instead of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shadesocks.config.model import ProxyConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.proxy.balance.group import TCP
from tests.proxy.balance.field import METHODS, client_of, probe, saying, serving
from tests.service.rig import HOST, run, server_config, target


def url(address: Address) -> str:
    return f"http://{address}/success.txt"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("answer", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000])
def test_a_page_that_is_there(method: str, answer: bytes) -> None:
    async def story() -> None:
        heard: list[bytes] = []
        async with (
            target(saying(answer, heard)) as to,
            serving(method) as server,
            client_of(server, balancer_probe_url=url(to)) as (near, member),
        ):
            assert await probe(near, member, TCP) == ""
            assert heard == [
                f"GET /success.txt HTTP/1.1\r\nHost: {to}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
            ]
            assert member.tcp.live == 0
            assert not near._shared.reactor.stories

    run(story())


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 302 Found\r\n\r\n", b"HTTP/1.1 407 No\r\n\r\n", b"SSH-2.0-OpenSSH_9.9", b"HTTP/1.1 2", b""]
)
def test_what_is_no_answer(answer: bytes) -> None:
    async def story() -> None:
        async with (
            target(saying(answer)) as to,
            serving() as server,
            client_of(server, balancer_probe_url=url(to)) as (near, member),
        ):
            assert await probe(near, member, TCP) == "bad_answer"

    run(story())


def test_a_server_that_is_not_there() -> None:
    async def story() -> None:
        async with client_of(server_config(port=9), balancer_probe_url=url(Address(HOST, 9))) as (near, member):
            assert await probe(near, member, TCP) == "refused"

    run(story())


def test_a_server_that_does_not_know_us() -> None:
    async def story() -> None:
        async with target(saying(b"")) as to, serving() as server:
            other = server_config("chacha20-ietf-poly1305")
            other = replace(other, address=server.address)
            async with client_of(other, balancer_probe_url=url(to), balancer_max_rtt=0.2) as (near, member):
                assert await probe(near, member, TCP) == "dial_timeout"

    run(story())


def test_a_page_that_is_silent() -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            asked.set()
            await reader.read(-1)

        async with (
            target(silent) as to,
            serving() as server,
            client_of(server, balancer_probe_url=url(to), balancer_max_rtt=0.2) as (near, member),
        ):
            assert await probe(near, member, TCP) == "dial_timeout"
            assert asked.is_set()

    run(story())


def test_a_probe_goes_the_way_of_connections() -> None:
    """Through a server before the server; and a proxy on the way that is none keeps its own word."""

    async def story() -> None:
        async with (
            target(saying(b"HTTP/1.0 200\n")) as to,
            target(saying(b"no proxy\r\n\r\n")) as none,
            serving() as first,
            serving(METHODS[1]) as server,
        ):
            hops: dict[ServerConfig | ProxyConfig, str] = {first: "", ProxyConfig("http", none): "bad_hop"}
            for hop, word in hops.items():
                chained = replace(server, outbound_proxy=(hop,))
                async with client_of(chained, balancer_probe_url=url(to)) as (near, member):
                    assert await probe(near, member, TCP) == word

    run(story())


def test_a_probe_takes_no_warm_connection() -> None:
    async def story() -> None:
        async with (
            target(saying(b"HTTP/1.0 200\n")) as to,
            serving() as server,
            client_of(replace(server, pool=2), balancer_probe_url=url(to)) as (near, member),
        ):
            assert member.fresh is not member.dialer
            assert await probe(near, member, TCP) == ""

    run(story())
