"""Names asked over TLS and HTTPS: what answers mean, and which server is asked when."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from socket import AF_INET, AF_INET6

import dns.message
import pytest

from shadesocks.core.errors import ConfigError, DialError
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net import secure_lookup as module
from shadesocks.net.lookup import ADDRESSES_MOST, TTL_EMPTY, TTL_PARTIAL, Lookup, Outcome
from shadesocks.net.loop import run
from shadesocks.net.secure_lookup import SecureLookup
from tests.certificates import Authority
from tests.dns_server import HOST, DnsServer, How, Name, dns_server, many
from tests.net.doh_server import doh_server

AUTHORITY = Authority()
STRANGER = Authority()
FOUR, SIX = (AF_INET, "192.0.2.1"), (AF_INET6, "2001:db8::1")
BOTH = Name([FOUR[1], SIX[1]], ttl=77)

Story = Callable[[DnsServer, SecureLookup], Awaitable[None]]


def tls(server: DnsServer) -> NameServer:
    return NameServer(Transport.TLS, HOST, server.port)


def make(
    *servers: NameServer, families: tuple[int, ...] = (AF_INET, AF_INET6), bootstrap: Lookup | None = None
) -> SecureLookup:
    return SecureLookup(servers, families, bootstrap=bootstrap, make_context=AUTHORITY.client)


def serve(story: Story, families: tuple[int, ...] = (AF_INET, AF_INET6)) -> None:
    """Run a story with one good server over TLS."""

    async def main() -> None:
        async with dns_server(tls=AUTHORITY.server([HOST])) as server:
            server.zone["a.test"] = BOTH
            lookup = make(tls(server), families=families)
            try:
                await story(server, lookup)
            finally:
                await lookup.close()

    run(main())


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the families wait for each other, however busy the machine is."""
    monkeypatch.setattr(module, "RESOLUTION_DELAY", 20.0)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged; asyncio's own notes are not ours."""
    return [record.getMessage() for record in caplog.records if record.name == module.__name__]


async def ask(lookup: SecureLookup, name: str = "a.test") -> Outcome:
    async with asyncio.timeout(30):
        return await lookup.start(name)


def test_addresses_come_with_their_time() -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        assert await ask(lookup) == Outcome((FOUR, SIX), 77)
        server.zone["c.test"] = Name([FOUR[1]], aliases=[("d.test", 5), ("e.test", 9)])
        assert await ask(lookup, "c.test") == Outcome((FOUR,), 5)
        server.zone["zero.test"] = Name([SIX[1]], ttl=0)
        assert await ask(lookup, "zero.test.") == Outcome((SIX,), 0)
        server.zone["many.test"] = Name(many(200))
        assert len((await ask(lookup, "many.test")).addresses) == ADDRESSES_MOST
        assert server.connections == 1

    serve(story)


def test_only_the_families_that_are_wanted_are_asked_for() -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        assert await ask(lookup) == Outcome((SIX,), 77)
        assert [query.type for query in server.queries] == ["AAAA"]

    serve(story, (AF_INET6,))


def test_no_address_is_an_answer() -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        for how in (How.NXDOMAIN, How.NODATA):
            server.zone["none.test"] = Name(how=how, negative_ttl=33)
            assert await ask(lookup, "none.test") == Outcome((), 33)
            server.zone["none.test"] = Name(how=how, negative_ttl=None)
            assert await ask(lookup, "none.test") == Outcome((), TTL_EMPTY)

    serve(story)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (Name(how=How.SERVFAIL), "SERVFAIL"),
        (Name(how=How.REFUSED), "REFUSED"),
        (Name(how=How.LOOP), "cannot be read"),
        (Name(how=How.GARBAGE, right=False), "cannot be read"),
        (Name(how=How.WRONG_QUESTION, right=False), "another question"),
        (Name(many(4000)), "an answer of 640.. bytes"),
    ],
)
def test_what_is_no_answer(name: Name, text: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        server.zone["bad.test"] = name
        with pytest.raises(DialError, match=rf"bad\.test: tls://{HOST}:{server.port}: .*{text}") as caught:
            await ask(lookup, "bad.test")
        assert caught.value.code == "no_name"
        assert await ask(lookup) == Outcome((FOUR, SIX), 77)

    serve(story)
    assert not said(caplog)  # the name is bad, and not the server


@pytest.mark.parametrize("name", ["", "a..test", "x" * 64, ".".join(["x" * 60] * 5), "ä.test"])
def test_what_is_no_name(name: str) -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        with pytest.raises(DialError, match="cannot be a host's name"):
            await ask(lookup, name)
        assert not server.queries

    serve(story)


def test_a_wrong_id_is_passed_over() -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        server.zone["a.test"] = Name([FOUR[1]], how=How.WRONG_ID)
        assert await ask(lookup) == Outcome((FOUR,), 60)

    serve(story)


def test_one_family_does_not_wait_for_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        server.zone["half.test"] = Name([FOUR[1]], ttl=900, of={"AAAA": Name(how=How.DROP)})
        with monkeypatch.context() as patch:
            patch.setattr(module, "RESOLUTION_DELAY", 0.05)
            assert await ask(lookup, "half.test") == Outcome((FOUR,), TTL_PARTIAL)
        server.zone["half.test"] = Name([FOUR[1]], ttl=900, of={"AAAA": Name(how=How.SERVFAIL)})
        assert await ask(lookup, "half.test") == Outcome((FOUR,), TTL_PARTIAL)
        server.zone["half.test"] = Name([FOUR[1]], ttl=900)
        assert await ask(lookup, "half.test") == Outcome((FOUR,), 900)
        server.zone["half.test"] = Name(how=How.NODATA, of={"AAAA": Name([SIX[1]], delay=0.1)})
        assert await ask(lookup, "half.test") == Outcome((SIX,), 60)

    serve(story)


def test_a_cancelled_query_ends() -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        server.zone["never.test"] = Name(how=How.DROP)
        future = lookup.start("never.test")
        await server.until(2)
        future.cancel()
        await asyncio.wait([future])
        assert future.cancelled()
        assert await ask(lookup) == Outcome((FOUR, SIX), 77)
        assert server.connections == 1
        left = lookup.start("never.test")
        await server.until(6)
        await lookup.close()
        assert left.cancelled()

    serve(story)


def test_servers_are_asked_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            dead = stack.enter_context(socket.socket())
            dead.bind((HOST, 0))
            servers = [
                await stack.enter_async_context(dns_server(tls=authority.server([name])))
                for authority, name in (
                    (AUTHORITY, "other.test"),
                    (STRANGER, HOST),
                    (AUTHORITY, HOST),
                    (AUTHORITY, HOST),
                )
            ]
            for server in servers:
                server.zone["a.test"] = BOTH
            lookup = make(NameServer(Transport.TLS, HOST, dead.getsockname()[1]), *map(tls, servers))
            for _ in range(2):
                assert await ask(lookup) == Outcome((FOUR, SIX), 77)
            assert [len(server.queries) for server in servers] == [0, 0, 4, 0]
            servers[2].zone["a.test"] = Name(how=How.SERVFAIL)
            assert await ask(lookup) == Outcome((FOUR, SIX), 77)
            assert len(servers[3].queries) == 2
            await lookup.close()

    with caplog.at_level(logging.WARNING):
        run(main())
    # Each is told once, though two families and three names met it.
    assert len(said(caplog)) == len({line.split()[2] for line in said(caplog)}) == 3


def test_a_server_that_does_not_answer_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        context = AUTHORITY.server([HOST])
        async with dns_server(tls=context) as first, dns_server(tls=context) as second:
            lookup = make(tls(first), tls(second))
            first.zone["a.test"] = Name(how=How.SERVFAIL)
            second.zone["a.test"] = Name([FOUR[1]])
            assert await ask(lookup) == Outcome((FOUR,), 60)  # both are connected to now
            monkeypatch.setattr(module, "TRY", 0.5)
            first.zone["a.test"] = Name(how=How.DROP)
            for _ in range(2):
                assert await ask(lookup) == Outcome((FOUR,), 60)
            assert (len(first.queries), len(second.queries)) == (4, 6)
            second.zone["a.test"] = Name(how=How.SERVFAIL)
            first.zone["a.test"] = Name([SIX[1]])
            assert await ask(lookup) == Outcome((SIX,), 60)
            await lookup.close()

    run(main())


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        await ask(lookup)  # the handshake takes what it takes
        monkeypatch.setattr(module, "TRY", 0.2)
        monkeypatch.setattr(module, "IN_ALL", 1.0)
        server.zone["never.test"] = Name(how=How.DROP)
        with pytest.raises(DialError, match=r"no name server answered for never\.test") as caught:
            await ask(lookup, "never.test")
        assert caught.value.code == "dial_timeout"
        assert server.asked("never.test") > 1

    serve(story)


def test_a_query_that_was_lost_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRY", 0.3)

    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        server.zone["b.test"] = Name([FOUR[1], SIX[1]], drop=1)
        assert await ask(lookup, "b.test") == Outcome((FOUR, SIX), 60)

    serve(story)


def test_a_surprise_of_a_library_is_an_error_like_others(caplog: pytest.LogCaptureFixture) -> None:
    async def story(server: DnsServer, lookup: SecureLookup) -> None:
        async def surprise(message: bytes) -> tuple[bytes, float]:
            raise LookupError("well")

        lookup._servers[0].way.ask = surprise  # type: ignore[method-assign]
        with pytest.raises(DialError, match="well") as caught:
            await ask(lookup)
        assert caught.value.code == "no_name"

    serve(story)
    assert said(caplog)


def test_https_and_its_name() -> None:
    class Bootstrap:
        def __init__(self) -> None:
            self.asked: list[str] = []
            self.error: DialError | None = None

        def start(self, name: str) -> asyncio.Future[Outcome]:
            self.asked.append(name)
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            if self.error is None:
                future.set_result(Outcome(((AF_INET, HOST),), 60))
            else:
                future.set_exception(self.error)
            return future

        async def close(self) -> None:
            self.asked.append("closed")

    async def main() -> None:
        async with dns_server() as names, doh_server(names, AUTHORITY.server(["dns.test"], ["h2"])) as server:
            names.zone["a.test"] = BOTH
            where = NameServer(Transport.HTTPS, "dns.test", server.port, path="/q")
            bootstrap = Bootstrap()
            lookup = make(where, bootstrap=bootstrap)
            assert await ask(lookup) == Outcome((FOUR, SIX), 77)
            server.age = 70
            assert await ask(lookup) == Outcome((FOUR, SIX), 7)
            server.age = 700
            assert await ask(lookup) == Outcome((FOUR, SIX), 0)
            await lookup.close()
            assert set(bootstrap.asked) == {"dns.test", "closed"}
            assert set(server.paths) == {"/q"}
            assert {query.id for query in names.queries} == {0}

            bootstrap.error = DialError("no_name", "nobody knows")
            lookup = make(where, bootstrap=bootstrap)
            with pytest.raises(DialError, match="nobody knows") as caught:
                await ask(lookup)
            assert caught.value.code == "no_name"
            await lookup.close()
            lookup = make(where)
            with pytest.raises(DialError, match=r"nobody to ask where dns\.test is"):
                await ask(lookup)
            await lookup.close()

    run(main())


@pytest.mark.parametrize("missing", ["dns", "httpcore2", "h2"])
def test_a_missing_library_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setitem(sys.modules, "httpcore", None)
    with pytest.raises(ConfigError) as caught:
        make(NameServer(Transport.HTTPS, HOST, 443))
    assert str(caught.value) == ("dns: name servers over TLS and HTTPS need dnspython: pip install 'shadesocks[dns]'")
    assert len(str(caught.value).splitlines()) == 1


def test_queries_carry_neither_edns_nor_an_id() -> None:
    query = dns.message.from_wire(module._pack_query("a.test", AF_INET6))
    assert (query.id, query.edns) == (0, -1)
    assert query.question[0].to_text() == "a.test. IN AAAA"
