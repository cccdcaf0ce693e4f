"""Names asked through c-ares, of a name server that answers late, cuts short, lies, or does not answer at all."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

import pytest

from shadesocks.core.errors import DialError
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net import ares_lookup
from shadesocks.net.ares_lookup import FALLBACK, AresLookup, system_servers
from shadesocks.net.lookup import ADDRESSES_MOST, TTL_EMPTY, TTL_PARTIAL, Outcome
from tests.dns_server import DnsServer, How, Name, dns_server

WAIT = 30.0
"""Seconds before a test that hangs fails."""
NAME = "far.test"


def run(
    story: Callable[[AresLookup, DnsServer], Awaitable[None]], transport: Transport = Transport.UDP, **options: Any
) -> DnsServer:
    """Run a test with a name server and a look-up that asks it."""
    servers = []

    async def main() -> None:
        async with dns_server() as server:
            servers.append(server)
            lookup = AresLookup([NameServer(transport, server.host, server.port)], **options)
            try:
                async with asyncio.timeout(WAIT):
                    await story(lookup, server)
            finally:
                await lookup.close()

    asyncio.run(main())
    gc.collect()
    return servers[0]


async def code_of(future: asyncio.Future[Outcome]) -> str:
    with pytest.raises(DialError) as failed:
        await future
    return failed.value.code


def test_both_families_are_asked_for_and_ipv4_comes_first() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1", "192.0.2.2", "2001:db8::1"], ttl=77)
        outcome = await lookup.start(NAME)
        found = ((AF_INET, "192.0.2.1"), (AF_INET, "192.0.2.2"), (AF_INET6, "2001:db8::1"))
        assert sorted(outcome.addresses) == sorted(found)
        assert [family for family, _ in outcome.addresses] == [AF_INET, AF_INET, AF_INET6]
        assert outcome.ttl == 77

    run(story)


def test_one_family_alone_may_be_asked_for() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1", "2001:db8::1"])
        assert (await lookup.start(NAME)).addresses == ((AF_INET6, "2001:db8::1"),)
        assert server.asked(NAME, "A") == 0

    run(story, families=[AF_INET6])


@pytest.mark.parametrize("how", [How.NXDOMAIN, How.NODATA])
def test_that_there_is_none_is_an_answer(how: How) -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(how=how)
        assert await lookup.start(NAME) == Outcome((), TTL_EMPTY)

    run(story)


@pytest.mark.parametrize("how", [How.SERVFAIL, How.REFUSED])
def test_a_server_that_cannot_say_is_a_failure(how: How) -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(how=how)
        assert await code_of(lookup.start(NAME)) == "no_name"

    run(story)


def test_a_server_that_says_nothing_was_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ares_lookup, "TRY", 0.3)  # c-ares takes no less
    monkeypatch.setattr(ares_lookup, "TRIES", 1)

    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(how=How.DROP)
        assert await code_of(lookup.start(NAME)) == "dial_timeout"

    run(story)


def test_what_is_lost_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ares_lookup, "TRY", 0.3)

    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], drop=1)
        assert (await lookup.start(NAME)).addresses == ((AF_INET, "192.0.2.1"),)

    run(story)


@pytest.mark.parametrize("how", [How.WRONG_ID, How.WRONG_QUESTION, How.OTHER_PORT, How.OTHER_ADDRESS])
def test_what_was_not_asked_is_not_believed(how: How) -> None:
    """The forgery comes first, the right answer after it."""

    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], how=how)
        outcome = await lookup.start(NAME)
        assert outcome.addresses == ((AF_INET, "192.0.2.1"),)

    run(story)


def test_what_cannot_be_read_is_a_failure() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], how=How.GARBAGE)
        assert await code_of(lookup.start(NAME)) == "no_name"

    run(story)


def test_what_is_cut_short_is_asked_again_over_tcp() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], how=How.TRUNCATED)
        assert (await lookup.start(NAME)).addresses == ((AF_INET, "192.0.2.1"),)
        assert {query.transport for query in server.queries} == {"udp", "tcp"}

    run(story)


def test_an_answer_of_64_kb_is_read_and_most_of_it_forgotten() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name([f"192.0.{number >> 8}.{number & 255}" for number in range(4000)])
        assert len((await lookup.start(NAME)).addresses) == ADDRESSES_MOST

    run(story)


def test_a_server_may_be_asked_over_tcp_alone() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"])
        assert (await lookup.start(NAME)).addresses == ((AF_INET, "192.0.2.1"),)
        assert {query.transport for query in server.queries} == {"tcp"}

    run(story, Transport.TCP)


def test_a_chain_of_names_is_good_for_its_shortest_time() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], ttl=300, aliases=[("one.test", 20), ("two.test", 90)])
        outcome = await lookup.start(NAME)
        assert (outcome.addresses, outcome.ttl) == (((AF_INET, "192.0.2.1"),), 20)

    run(story)


def test_a_chain_in_a_circle_ends() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(how=How.LOOP)
        assert await lookup.start(NAME) == Outcome((), TTL_EMPTY)

    run(story)


def test_each_answer_of_no_time_is_asked_for_anew() -> None:
    """c-ares has a memory of its own, which must not stretch what a name server said."""

    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(turns=[["192.0.2.1"], ["127.0.0.1"]], ttl=0)
        assert [(await lookup.start(NAME)).addresses[0][1] for _ in range(2)] == ["192.0.2.1", "127.0.0.1"]

    run(story)


def test_one_family_does_not_wait_for_the_other_for_long() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], of={"AAAA": Name(how=How.DROP)})
        assert await lookup.start(NAME) == Outcome(((AF_INET, "192.0.2.1"),), TTL_PARTIAL)

    run(story)


def test_the_next_server_is_asked_where_one_fails() -> None:
    async def main() -> None:
        async with dns_server() as bad, dns_server() as good:
            bad.otherwise = lambda _name: Name(how=How.SERVFAIL)
            good.zone[NAME] = Name(["192.0.2.1"])
            servers = [NameServer(Transport.UDP, server.host, server.port) for server in (bad, good)]
            lookup = AresLookup(servers)
            try:
                async with asyncio.timeout(WAIT):
                    assert (await lookup.start(NAME)).addresses == ((AF_INET, "192.0.2.1"),)
            finally:
                await lookup.close()

    asyncio.run(main())


def test_channels_are_renewed_and_so_are_their_ports() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.otherwise = lambda _name: Name(["192.0.2.1"])
        names = [f"name{number}.test" for number in range(3 * ares_lookup.QUERIES_MOST)]
        await asyncio.gather(*map(lookup.start, names))
        ports = {query.port for query in server.queries}
        assert len(ports) >= 3
        idents = {(query.name, query.type): query.id for query in server.queries}  # asked again, the id is the same
        assert len(set(idents.values())) > len(idents) * 0.9, "ids are random"
        gc.collect()
        assert len(lookup._channels) == 1, "old ones are gone"

    run(story)


def test_a_crowd_of_names_begins_a_few_at_a_time() -> None:
    """Others have their turns in between."""

    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.otherwise = lambda _name: Name(["192.0.2.1"])
        futures = [lookup.start(f"name{number}.test") for number in range(100)]
        assert len(lookup._waiting) >= 100 - ares_lookup.PER_TURN
        futures[50].cancel()
        turns = 0
        while lookup._waiting:
            await asyncio.sleep(0)
            turns += 1
        assert 99 // ares_lookup.PER_TURN - 1 <= turns <= 100
        assert len(await asyncio.gather(*futures[:50], *futures[51:])) == 99
        assert server.asked("name50.test") == 0

    run(story)


def test_a_query_that_is_cancelled_is_forgotten() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(["192.0.2.1"], delay=0.05)
        future = lookup.start(NAME)
        await asyncio.wrap_future(server.arrival(1))
        future.cancel()
        await asyncio.sleep(0)
        assert future.cancelled()
        assert (await lookup.start("far.test")).addresses

    run(story)


def test_closing_ends_what_is_under_way() -> None:
    async def story(lookup: AresLookup, server: DnsServer) -> None:
        server.zone[NAME] = Name(how=How.DROP)
        future = lookup.start(NAME)
        await asyncio.wrap_future(server.arrival(1))
        await lookup.close()
        assert await code_of(future) == "no_name"

    run(story)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("nameserver 192.0.2.1\nnameserver 2001:db8::1\n", ["192.0.2.1", "2001:db8::1"]),
        ("# nameserver 192.0.2.9\n nameserver\t192.0.2.1 # ours\nsearch example\n", ["192.0.2.1"]),
        ("nameserver fe80::1%eth0\nnameserver dns.example\n", ["fe80::1%eth0"]),
    ],
)
def test_the_system_s_servers_are_those_of_its_file(tmp_path: Path, text: str, hosts: list[str]) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert [server.host for server in system_servers(path)] == hosts


@pytest.mark.parametrize(
    ("host", "written"),
    [
        ("192.0.2.1", "192.0.2.1:5353"),
        ("2001:db8::1", "[2001:db8::1]:5353"),
        ("fe80::1%lo", "[fe80::1]:5353%lo"),
        ("fe80::1%1", "[fe80::1]:5353%lo"),
    ],
)
def test_a_server_is_written_as_c_ares_reads_it(host: str, written: str) -> None:
    async def story() -> None:
        lookup = AresLookup([NameServer(Transport.UDP, host, 5353)])
        assert lookup._fresh_channel()._channel.servers == [written]
        await lookup.close()

    asyncio.run(story())


def test_servers_that_cannot_be_asked_are_a_failure() -> None:
    async def story() -> None:
        lookup = AresLookup([NameServer(Transport.UDP, "fe80::1%nowhere0")])
        assert await code_of(lookup.start(NAME)) == "no_name"
        await lookup.close()

    asyncio.run(story())


@pytest.mark.parametrize("text", [None, "", "search example\nnameserver\n", "nameserver dns.example\n"])
def test_where_it_names_none_others_are_asked_and_it_is_said(
    tmp_path: Path, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert tuple(server.host for server in system_servers(path)) == FALLBACK
    assert len(caplog.records) == 1
    assert "8.8.8.8 and 8.8.4.4" in caplog.text
