"""One name server over HTTPS: both versions of HTTP, its connections, and who finds its address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import dns.message
import pytest

from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net import dns_over_https as module
from shadesocks.net.dns_over_https import HttpsServer
from shadesocks.net.loop import run
from tests.certificates import Authority
from tests.dns_server import HOST, HOST6, How, Name, dns_server
from tests.net.doh_server import DohServer, doh_server

AUTHORITY = Authority()
BOTH = ("h2", "http/1.1")


async def nobody(host: str) -> Iterable[str]:
    raise AssertionError(f"{host} was looked up")


def serve(
    story: Callable[[DohServer, HttpsServer], Awaitable[None]],
    *,
    alpn: tuple[str, ...] = BOTH,
    names: tuple[str, ...] = (HOST,),
    host: str = HOST,
    at: str = HOST,
    find: Callable[[str], Awaitable[Iterable[str]]] = nobody,
    **options: Any,
) -> None:
    """Run a story with a server of that certificate, and the way to it."""

    async def main() -> None:
        async with dns_server() as zone, doh_server(zone, AUTHORITY.server(names, alpn), at) as server:
            zone.zone["a.test"] = Name(["192.0.2.1"])
            where = NameServer(Transport.HTTPS, host, server.port, **options)
            way = HttpsServer(where, AUTHORITY.client(), find)
            try:
                await story(server, way)
            finally:
                await way.close()

    run(main())


async def ask(way: HttpsServer, name: str = "a.test") -> str:
    """Ask for the one address of a name."""
    async with asyncio.timeout(30):
        answer, _ = await way.ask(dns.message.make_query(name, "A", id=0).to_wire())
    return str(dns.message.from_wire(answer).answer[0][0].to_text())


@pytest.mark.parametrize(("alpn", "version", "most"), [(BOTH, "2", 1), (("http/1.1",), "1.1", 4), ((), "1.1", 4)])
def test_queries_share_connections(alpn: tuple[str, ...], version: str, most: int) -> None:
    async def story(server: DohServer, way: HttpsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        assert set(await asyncio.gather(*[ask(way) for _ in range(20)])) == {"192.0.2.1"}
        assert server.versions == {version}
        assert len(server.connections) <= most
        assert set(server.paths) == {"/dns-query"}
        assert set(server.authorities) == {f"{HOST}:{server.port}"}
        assert {query.transport for query in server.names.queries} == {"https"}

    serve(story, alpn=alpn)


def test_paths_and_ipv6() -> None:
    async def story(server: DohServer, way: HttpsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        assert server.paths == ["/other"]
        assert server.authorities == [f"[{HOST6}]:{server.port}"]

    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind((HOST6, 0))
    except OSError:
        pytest.skip("no IPv6 here")
    serve(story, names=(HOST6,), host=HOST6, at=HOST6, path="/other")


def test_a_name_is_found_by_who_was_given_and_must_be_in_the_certificate() -> None:
    asked = []

    async def find(host: str) -> Iterable[str]:
        asked.append(host)
        return ["127.0.0.7", HOST]  # nobody listens on the first

    async def good(server: DohServer, way: HttpsServer) -> None:
        for _ in range(2):
            assert await ask(way) == "192.0.2.1"
        assert asked == ["dns.test"]
        assert server.authorities[0] == f"dns.test:{server.port}"

    serve(good, names=("dns.test",), host="dns.test", find=find)

    async def bad(server: DohServer, way: HttpsServer) -> None:
        with pytest.raises(OSError, match=r"dns\.test"):
            await ask(way)
        assert not server.paths

    serve(bad, names=("other.test", HOST), host="dns.test", find=find)


def test_a_name_without_addresses() -> None:
    async def find(host: str) -> Iterable[str]:
        return []

    async def story(server: DohServer, way: HttpsServer) -> None:
        with pytest.raises(OSError, match=r"dns\.test has no address"):
            await ask(way)

    serve(story, host="dns.test", find=find)


@pytest.mark.parametrize("trusted", [True, False])
def test_certificates_are_checked(trusted: bool) -> None:
    async def main() -> None:
        authority = AUTHORITY if trusted else Authority()
        context = authority.server(["dns.test"] if trusted else [HOST], BOTH)
        async with dns_server() as zone, doh_server(zone, context) as server:
            way = HttpsServer(NameServer(Transport.HTTPS, HOST, server.port), AUTHORITY.client(), nobody)
            with pytest.raises(OSError, match="certificate"):
                await ask(way)
            assert not server.paths
            await way.close()

    run(main())


@pytest.mark.parametrize("alpn", [BOTH, ("http/1.1",)])
def test_connections_that_the_server_closed_are_made_anew(alpn: tuple[str, ...]) -> None:
    async def story(server: DohServer, way: HttpsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        server.hang_up()
        assert await ask(way) == "192.0.2.1"
        server.drop_next_request = True
        assert await ask(way) == "192.0.2.1"
        assert len(server.connections) == 3
        await way.close()
        server.drop_next_request = True
        with pytest.raises(ConnectionError):  # over a new connection it is a failure
            await ask(way)

    serve(story, alpn=alpn)


@pytest.mark.parametrize("alpn", [BOTH, ("http/1.1",)])
def test_silent_connections_go_with_the_query_that_waited_for_them(
    alpn: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(server: DohServer, way: HttpsServer) -> None:
        server.names.zone["never.test"] = Name(how=How.DROP)
        assert await ask(way) == "192.0.2.1"
        for quiet in (1000.0, 0.0):
            monkeypatch.setattr(module, "QUIET", quiet)
            pool = way._pool
            never = asyncio.get_running_loop().create_task(ask(way, "never.test"))
            await server.names.until(len(server.names.queries) + 1)
            never.cancel()
            await asyncio.wait([never])
            assert (way._pool is pool) == bool(quiet)
            assert await ask(way) == "192.0.2.1"

    serve(story, alpn=alpn)


def test_what_is_no_answer() -> None:
    async def story(server: DohServer, way: HttpsServer) -> None:
        server.status = 404
        with pytest.raises(OSError, match="404"):
            await ask(way)
        server.status, server.size = 200, module.SIZE_MOST + 1
        with pytest.raises(OSError, match="longer"):
            await ask(way)
        server.size = 0
        assert await ask(way) == "192.0.2.1"

    serve(story)


def test_the_age_of_an_answer() -> None:
    async def story(server: DohServer, way: HttpsServer) -> None:
        query = dns.message.make_query("a.test", "A", id=0).to_wire()
        assert (await way.ask(query))[1] == 0
        server.age = 30
        assert (await way.ask(query))[1] == 30

    serve(story)
    assert module._age([(b"age", b"-1")]) == module._age([(b"Age", b"9" * 99)]) == 0


def test_nobody_there() -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            where = NameServer(Transport.HTTPS, HOST, taken.getsockname()[1])
            way = HttpsServer(where, AUTHORITY.client(), nobody)
            with pytest.raises(OSError, match="failed"):
                await ask(way)
            await way.close()

    run(main())
