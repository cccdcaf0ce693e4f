"""The name server of the tests: what it answers, as dnspython's own client sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from shadesocks.net.loop import run
from tests.dns_server import FORGED, DnsServer, How, Name, dns_server, dns_server_thread, many

LIMIT = 30.0


def serve(story: Callable[[DnsServer], Awaitable[None]]) -> None:
    async def main() -> None:
        async with dns_server() as server:
            await story(server)

    run(main())


async def udp(server: DnsServer, name: str, type: str = "A", host: str = "", sift: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, type)
    where = host or server.host
    return await dns.asyncquery.udp(query, where, LIMIT, port=server.port, ignore_errors=sift, ignore_unexpected=sift)


async def tcp(server: DnsServer, name: str, type: str = "A") -> dns.message.Message:
    query = dns.message.make_query(name, type)
    return await dns.asyncquery.tcp(query, server.host, LIMIT, port=server.port)


def addresses(message: dns.message.Message) -> list[str]:
    return [record.address for rrset in message.answer for record in rrset if hasattr(record, "address")]


def test_records_come_over_every_way() -> None:
    async def story(server: DnsServer) -> None:
        server.zone["two.test"] = Name(["192.0.2.1", "2001:db8::1"], ttl=7)
        for host in server.hosts:
            assert addresses(await udp(server, "Two.test", host=host)) == ["192.0.2.1"]
        answer = await tcp(server, "two.test", "AAAA")
        assert addresses(answer) == ["2001:db8::1"]
        assert answer.answer[0].ttl == 7
        assert [(query.name, query.type, query.transport) for query in server.queries] == [
            *[("two.test", "A", "udp")] * len(server.hosts),
            ("two.test", "AAAA", "tcp"),
        ]
        assert all(query.port and query.port != server.port for query in server.queries)

    serve(story)


def test_a_chain_of_aliases() -> None:
    async def story(server: DnsServer) -> None:
        server.zone["a.test"] = Name(["192.0.2.1"], aliases=[("b.test", 5), ("c.test", 9)], ttl=60)
        answer = await udp(server, "a.test")
        assert [(rrset.name.to_text(), rrset.ttl) for rrset in answer.answer] == [
            ("a.test.", 5),
            ("b.test.", 9),
            ("c.test.", 60),
        ]
        server.zone["a.test"] = Name(how=How.LOOP)
        assert len((await udp(server, "a.test")).answer) == 2

    serve(story)


@pytest.mark.parametrize("how", [How.SERVFAIL, How.REFUSED, How.NXDOMAIN, How.NODATA])
def test_failures(how: How) -> None:
    async def story(server: DnsServer) -> None:
        server.zone["a.test"] = Name(["192.0.2.1"], how=how, negative_ttl=3)
        answer = await udp(server, "a.test")
        assert answer.rcode() == {"NODATA": dns.rcode.NOERROR}.get(how.name, getattr(dns.rcode, how.name, None))
        assert not answer.answer
        assert [rrset[0].minimum for rrset in answer.authority] == ([3] if how in (How.NXDOMAIN, How.NODATA) else [])

    serve(story)


def test_long_answers_are_cut_short_over_udp() -> None:
    async def story(server: DnsServer) -> None:
        server.zone["long.test"] = Name(many(4000))
        server.zone["short.test"] = Name(["192.0.2.1"], how=How.TRUNCATED)
        for name, count in (("long.test", 4000), ("short.test", 1)):
            cut = await udp(server, name)
            assert cut.flags & dns.flags.TC
            assert not cut.answer
            assert len(addresses(await tcp(server, name))) == count

    serve(story)


def test_turns_types_and_the_rest() -> None:
    async def story(server: DnsServer) -> None:
        server.zone["turn.test"] = Name(turns=[["192.0.2.1"], ["192.0.2.2"]], ttl=0)
        assert [addresses(await udp(server, "turn.test"))[0][-1] for _ in range(3)] == ["1", "2", "1"]
        server.zone["half.test"] = Name(["192.0.2.1"], of={"AAAA": Name(how=How.SERVFAIL)})
        assert addresses(await udp(server, "half.test")) == ["192.0.2.1"]
        assert (await udp(server, "half.test", "AAAA")).rcode() == dns.rcode.SERVFAIL
        assert server.asked("turn.test") == 3
        server.otherwise = lambda name: Name([f"192.0.2.{name.split('.')[0]}"])
        assert addresses(await udp(server, "9.test")) == ["192.0.2.9"]

    serve(story)


@pytest.mark.parametrize("how", [How.WRONG_ID, How.WRONG_QUESTION, How.OTHER_PORT, How.OTHER_ADDRESS, How.GARBAGE])
def test_forgeries_come_before_the_right_answer(how: How) -> None:
    async def story(server: DnsServer) -> None:
        server.zone["a.test"] = Name(["192.0.2.1"], how=how)
        answer = await udp(server, "a.test", sift=True)
        assert addresses(answer) == ["192.0.2.1"]
        with pytest.raises(dns.exception.DNSException):  # they came: who does not look, stumbles
            await udp(server, "a.test")
        assert FORGED["A"] not in addresses(await tcp(server, "b.test"))

    serve(story)


def test_what_is_dropped_and_what_is_late() -> None:
    async def story(server: DnsServer) -> None:
        server.zone["second.test"] = Name(["192.0.2.1"], drop=1)
        server.zone["late.test"] = Name(["192.0.2.1"], delay=0.05)
        server.zone["never.test"] = Name(["192.0.2.1"], how=How.DROP)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(udp(server, "second.test"))
            never = tasks.create_task(udp(server, "never.test"))
            await server.until(2)
            assert addresses(await udp(server, "second.test")) == ["192.0.2.1"]
            begin = time.monotonic()
            assert addresses(await udp(server, "late.test")) == ["192.0.2.1"]
            assert time.monotonic() - begin > 0.04
            assert not first.done()
            assert not never.done()
            for task in (first, never):
                task.cancel()

    serve(story)


def test_connections_can_be_hung_up() -> None:
    async def story(server: DnsServer) -> None:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        server.zone["a.test"] = Name(["192.0.2.1"])
        await tcp(server, "a.test")
        server.hang_up()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert server.connections == 2

    serve(story)


def test_a_thread_serves_whoever_blocks() -> None:
    with dns_server_thread() as server:
        server.zone["a.test"] = Name(["192.0.2.1"])
        query = dns.message.make_query("a.test", "A")
        arrival = server.arrival(2)
        assert addresses(dns.query.udp(query, server.host, LIMIT, port=server.port)) == ["192.0.2.1"]
        assert not arrival.done()
        assert addresses(dns.query.tcp(query, server.host, LIMIT, port=server.port)) == ["192.0.2.1"]
        arrival.result(LIMIT)
        with pytest.raises(OSError, match="in use"), dns_server_thread(port=server.port):
            pass
