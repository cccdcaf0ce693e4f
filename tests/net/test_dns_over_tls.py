"""One name server over TLS: its connection, who shares it, and when it is made anew."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import dns.message
import pytest

from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net import dns_over_tls as module
from shadesocks.net.dns_over_tls import TlsServer, tls_context
from shadesocks.net.loop import run
from tests.certificates import Authority
from tests.dns_server import HOST, HOST6, DnsServer, How, Name, dns_server

AUTHORITY = Authority()


def serve(
    story: Callable[[DnsServer, TlsServer], Awaitable[None]], *, names: tuple[str, ...] = (HOST,), **options: Any
) -> None:
    """Run a story with a server of that certificate, and the way to it."""

    async def main() -> None:
        async with dns_server(tls=AUTHORITY.server(names, ["dot"])) as server:
            server.zone["a.test"] = Name(["192.0.2.1"])
            where = NameServer(Transport.TLS, options.pop("host", HOST), server.port, **options)
            way = TlsServer(where, tls_context(AUTHORITY.client()))
            try:
                await story(server, way)
            finally:
                await way.close()

    run(main())


def query(name: str, ident: int = 7) -> bytes:
    return dns.message.make_query(name, "A", id=ident).to_wire()


async def ask(way: TlsServer, name: str = "a.test", ident: int = 7) -> str:
    """Ask for the one address of a name."""
    async with asyncio.timeout(30):
        answer, age = await way.ask(query(name, ident))
    assert age == 0
    message = dns.message.from_wire(answer)
    assert message.id == ident
    return str(message.answer[0][0].to_text())


def test_queries_share_a_connection_and_answers_may_overtake_each_other() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        server.zone["slow.test"] = Name(["192.0.2.2"], how=How.DROP)
        async with asyncio.TaskGroup() as tasks:
            slow = tasks.create_task(ask(way, "slow.test"))
            quick = [tasks.create_task(ask(way)) for _ in range(20)]
            assert {await task for task in quick} == {"192.0.2.1"}
            assert not slow.done()
            slow.cancel()
        assert await ask(way) == "192.0.2.1"
        assert server.connections == 1
        assert {query.transport for query in server.queries} == {"tls"}
        assert len({query.id for query in server.queries}) == len(server.queries)

    serve(story)


@pytest.mark.parametrize(
    ("names", "options"),
    [
        ((HOST,), {}),
        (("dns.test",), {"certificate": "dns.test"}),
        (("*.dns.test",), {"certificate": "one.dns.test"}),
        (("dns.test", HOST), {}),
    ],
)
def test_the_certificate_may_show_the_address_or_a_name(names: tuple[str, ...], options: dict[str, str]) -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        assert await ask(way) == "192.0.2.1"

    serve(story, names=names, **options)


@pytest.mark.parametrize(
    ("names", "options"), [(("dns.test",), {}), (("other.test", HOST), {"certificate": "dns.test"})]
)
def test_a_certificate_of_somebody_else_is_refused(names: tuple[str, ...], options: dict[str, str]) -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await ask(way)
        assert not server.queries

    serve(story, names=names, **options)


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    async def main() -> None:
        async with dns_server(tls=Authority().server([HOST])) as server:
            way = TlsServer(NameServer(Transport.TLS, HOST, server.port), tls_context(AUTHORITY.client()))
            with pytest.raises(ssl.SSLCertVerificationError):
                await ask(way)
            await way.close()

    run(main())


def test_ipv6_and_zones() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        if HOST6 in server.hosts:
            assert await ask(way) == "192.0.2.1"

    serve(story, names=(HOST6,), host=HOST6)
    name = socket.if_nameindex()[0]
    assert module._place(f"fe80::1%{name[1]}", 853) == (socket.AF_INET6, ("fe80::1", 853, 0, name[0]))
    assert module._place("fe80::1%7", 853) == (socket.AF_INET6, ("fe80::1", 853, 0, 7))


def test_a_connection_that_the_server_closed_is_made_anew() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        assert way._stream is not None
        server.hang_up()
        await way._stream.lost
        assert await ask(way) == "192.0.2.1"
        assert server.connections == 2

    serve(story)


def test_a_connection_that_is_closed_under_a_query_is_made_anew_once() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        server.zone["lost.test"] = Name(["192.0.2.2"], drop=1)
        async with asyncio.TaskGroup() as tasks:
            lost = tasks.create_task(ask(way, "lost.test"))
            await server.until(2)
            server.hang_up()
            assert await lost == "192.0.2.2"
        server.zone["gone.test"] = Name(how=How.DROP)
        gone = asyncio.get_running_loop().create_task(ask(way, "gone.test"))
        for count in (4, 5):
            await server.until(count)
            server.hang_up()
        with pytest.raises(ConnectionError):
            await gone

    serve(story)


def test_what_is_idle_for_long_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        old = way._stream
        assert old is not None
        monkeypatch.setattr(module, "IDLE_MOST", 0.0)
        assert await ask(way) == "192.0.2.1"
        await old.lost
        assert server.connections == 2

    serve(story)


def test_a_silent_connection_goes_with_the_query_that_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        assert await ask(way) == "192.0.2.1"
        server.zone["never.test"] = Name(how=How.DROP)
        for quiet, connections in ((1000.0, 1), (0.0, 2)):
            monkeypatch.setattr(module, "QUIET", quiet)
            never = asyncio.get_running_loop().create_task(ask(way, "never.test"))
            await server.until(len(server.queries) + 1)
            never.cancel()
            await asyncio.wait([never])
            assert await ask(way) == "192.0.2.1"
            assert server.connections == connections

    serve(story)


def test_one_who_gives_up_while_connecting_takes_nobody_along() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        loop = asyncio.get_running_loop()
        first, second = loop.create_task(ask(way)), loop.create_task(ask(way))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "192.0.2.1"
        assert server.connections == 1

    serve(story)


def test_closing_ends_what_is_under_way() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        server.zone["never.test"] = Name(how=How.DROP)
        never = asyncio.get_running_loop().create_task(ask(way, "never.test"))
        await asyncio.sleep(0)
        await way.close()  # while it connects
        with pytest.raises(asyncio.CancelledError):
            await never
        assert await ask(way) == "192.0.2.1"

    serve(story)


def test_wrong_ids_are_passed_over_and_what_is_no_message_ends_the_connection() -> None:
    async def story(server: DnsServer, way: TlsServer) -> None:
        server.zone["wrong.test"] = Name(["192.0.2.2"], how=How.WRONG_ID)
        assert await ask(way, "wrong.test") == "192.0.2.2"
        assert way._stream is not None
        way._stream.data_received(b"\x00\x02xx")
        await way._stream.lost
        assert await ask(way) == "192.0.2.1"

    serve(story)


def test_nobody_there() -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            where = NameServer(Transport.TLS, HOST, taken.getsockname()[1])
            way = TlsServer(where, tls_context(AUTHORITY.client()))
            with pytest.raises(ConnectionRefusedError):
                await ask(way)
            await way.close()

    run(main())
