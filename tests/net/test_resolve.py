"""Looking names up: literals, the hosts file, the cache, and who waits how long. What is asked is a stand-in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from socket import AF_INET, AF_INET6
from typing import Any, Final

import pytest

from shadesocks.core.errors import DialError
from shadesocks.net.name_cache import STALE_MOST, STALE_TTL, Answer, NameCache
from shadesocks.net.resolve import PENDING_MOST, Resolver, fold, literal

from .lookups import Held, Table

ANSWER: Final[Answer] = ((AF_INET, "93.184.216.34"), (AF_INET6, "2606:2800::1"))
OTHER: Final[Answer] = ((AF_INET, "93.184.216.35"),)
WAIT: Final = 30.0
"""Seconds before a test that hangs fails."""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def run(story: Callable[[Resolver], Awaitable[None]], lookup: Table, size: int = 1024, **options: Any) -> None:
    """Run a test in a loop of its own, with a resolver that is closed at its end."""

    async def main() -> None:
        resolver = Resolver(lookup, NameCache(size, 1, 3600), **options)
        try:
            await asyncio.wait_for(story(resolver), WAIT)
        finally:
            await resolver.close()
        await asyncio.sleep(0)  # a turn for the callbacks of futures
        assert not resolver._queries
        assert resolver._pending == 0
        assert lookup.closed

    asyncio.run(main(), debug=True)


async def code_of(future: asyncio.Future[Answer]) -> str:
    with pytest.raises(DialError) as failed:
        await future
    return failed.value.code


class TestAnswers:
    def test_a_name_has_its_addresses_in_their_order(self) -> None:
        lookup = Table(otherwise=ANSWER)

        async def story(resolver: Resolver) -> None:
            assert resolver.cached("example.com") is None
            assert await resolver.lookup("example.com") == ANSWER
            assert resolver.cached("example.com") == ANSWER
            assert await resolver.resolve("example.com") == ANSWER
            assert await resolver.resolve("example.org") == ANSWER

        run(story, lookup)
        assert lookup.asked == ["example.com", "example.org"]

    def test_what_came_of_look_ups_is_counted(self) -> None:
        lookup = Table({"no.example": (), "dead.example": DialError("dial_timeout")}, otherwise=ANSWER)
        clock = Clock()

        async def story(resolver: Resolver) -> None:
            for host in ("a.example", "a.example", "no.example", "no.example", "dead.example", "192.0.2.1"):
                with contextlib.suppress(DialError):
                    await resolver.resolve(host)
            assert resolver.results == {"found": 1, "no_name": 1, "dial_timeout": 1}
            assert resolver.hits == 2

        run(story, lookup, clock=clock)

    @pytest.mark.parametrize("host", ["EXAMPLE.com", "example.com.", "Example.Com."])
    def test_spellings_of_one_name_are_one_name(self, host: str) -> None:
        lookup = Table(otherwise=ANSWER)

        async def story(resolver: Resolver) -> None:
            await resolver.lookup("example.com")
            assert resolver.cached(host) == ANSWER
            assert await resolver.lookup(host) == ANSWER

        run(story, lookup)
        assert lookup.asked == ["example.com"]

    @pytest.mark.parametrize("host", ["93.184.216.34", "127.0.0.1", "2606:2800::1", "fe80::1%lo", "::ffff:1.2.3.4"])
    def test_a_literal_is_its_own_answer(self, host: str) -> None:
        lookup = Table()

        async def story(resolver: Resolver) -> None:
            family = AF_INET6 if ":" in host else AF_INET
            assert resolver.cached(host) == ((family, host),)
            assert await resolver.lookup(host) == ((family, host),)

        run(story, lookup, ipv6_only=True)
        assert not lookup.asked

    @pytest.mark.parametrize(
        ("host", "ip"),
        [
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("ff02::fb%2", "ff02::fb%2"),
            ("::1%1", "::1"),
            ("2606:2800::1%eth0", "2606:2800::1"),
            ("::ffff:127.0.0.1%lo", "::ffff:127.0.0.1"),
        ],
    )
    def test_a_zone_stays_where_it_means_something(self, host: str, ip: str) -> None:
        assert literal(host) == ((AF_INET6, ip),)

    @pytest.mark.parametrize("zone", ["", "01", "99999999999999999999", "a/b", "a b", "%", "x" * 16, "²", "eth0\0"])
    def test_nobody_has_such_a_zone(self, zone: str) -> None:
        for ip in ("fe80::1", "2606:2800::1"):
            assert literal(f"{ip}%{zone}") is None
            with pytest.raises(DialError):
                fold(f"{ip}%{zone}")

    @pytest.mark.parametrize(
        "host",
        [
            *("127.1", "0x7f.1", "0x7f000001", "017700000001", "2130706433", "127.0.0.1.", "1.2.3.4.5", "a.0x"),
            *("", ".", "a..b", ".a", "a b", "a/b", "a%b", "-a.b", "a-.b", "x" * 64, "x." * 127 + "xx", "é" * 70),
            *("a\nb", "a\x00b", "[::1]", "1.2.3.4:80", "::g", "*.example", "a,b"),
        ],
    )
    def test_what_cannot_be_a_name_is_asked_of_nobody(self, host: str) -> None:
        lookup = Table(otherwise=ANSWER)

        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup(host)) == "no_name"

        run(story, lookup)
        assert not lookup.asked

    @pytest.mark.parametrize(
        ("host", "name"),
        [
            ("under_score.example", "under_score.example"),
            ("_dmarc.example", "_dmarc.example"),
            ("x" * 63 + ".example", "x" * 63 + ".example"),
            ("localhost", "localhost"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("1e100.net", "1e100.net"),
            ("4.example", "4.example"),
        ],
    )
    def test_a_name_is_asked_for_in_one_form(self, host: str, name: str) -> None:
        assert fold(host) == name
        assert literal(host) is None

    @pytest.mark.parametrize("code", ["no_name", "dial_timeout"])
    def test_a_failure_says_its_kind_and_is_forgotten_at_once(self, code: str) -> None:
        lookup = Table({"example.com": DialError(code)})

        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == code
            lookup.answers["example.com"] = ANSWER
            assert await resolver.resolve("example.com") == ANSWER

        run(story, lookup)

    def test_a_bug_below_is_our_own_error(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            future = resolver.lookup("example.com")
            lookup.futures["example.com"].set_exception(ZeroDivisionError())
            assert await code_of(future) == "internal"

        run(story, lookup)


class TestFamilies:
    BOTH: Final[Answer] = (
        (AF_INET, "192.0.2.1"),
        (AF_INET6, "2001:db8::1"),
        (AF_INET, "192.0.2.2"),
        (AF_INET6, "2001:db8::2"),
    )

    @pytest.mark.parametrize(
        ("options", "order"),
        [
            ({}, ["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"]),
            ({"ipv6_first": True}, ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"]),
            ({"ipv6_only": True}, ["2001:db8::1", "2001:db8::2"]),
        ],
    )
    def test_are_in_the_order_that_was_asked_for(self, options: dict[str, bool], order: list[str]) -> None:
        async def story(resolver: Resolver) -> None:
            for _ in range(2):
                assert [ip for _, ip in await resolver.resolve("two.example")] == order

        run(story, Table(otherwise=self.BOTH), **options)

    def test_a_name_without_the_one_that_counts_has_no_address(self) -> None:
        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("four.example")) == "no_name"

        run(story, Table(otherwise=OTHER), ipv6_only=True)


class File:
    """A hosts file."""

    def __init__(self, **names: Answer) -> None:
        self.names = names

    def find(self, name: str) -> Answer | None:
        return self.names.get(name)


class TestHosts:
    def test_comes_before_everybody_else(self) -> None:
        lookup = Table(otherwise=ANSWER)
        hosts = File(known=OTHER)

        async def story(resolver: Resolver) -> None:
            assert resolver.cached("Known.") == OTHER
            assert await resolver.lookup("known") == OTHER
            assert await resolver.lookup("other") == ANSWER
            hosts.names["other"] = OTHER
            assert resolver.cached("other") == OTHER, "what was remembered counts less"

        run(story, lookup, hosts=hosts)
        assert lookup.asked == ["other"]

    def test_that_has_no_address_of_the_family_is_passed_over(self) -> None:
        lookup = Table(otherwise=ANSWER)

        async def story(resolver: Resolver) -> None:
            assert await resolver.resolve("known") == ANSWER[1:]

        run(story, lookup, hosts=File(known=OTHER), ipv6_only=True)


class TestCache:
    def test_whoever_is_told_may_ask_again_though_nothing_is_remembered(self) -> None:
        """A datagram that waited asks once more, and must not wait once more; whoever comes later asks anew."""
        lookup = Table(otherwise=ANSWER)
        again: list[Answer | None] = []

        async def story(resolver: Resolver) -> None:
            for _ in range(2):
                waiters = [resolver.lookup("Example.com") for _ in range(3)]
                for waiter in waiters:
                    waiter.add_done_callback(lambda _waiter: again.append(resolver.cached("Example.com")))
                await asyncio.gather(*waiters)
                await asyncio.sleep(0)
                assert resolver.cached("Example.com") is None
            assert not resolver._told

        run(story, lookup, size=0)
        assert again == [ANSWER] * 6
        assert lookup.asked == ["example.com"] * 2

    def test_an_answer_is_good_for_its_time(self) -> None:
        lookup, clock = Table(otherwise=ANSWER, ttl=30), Clock()

        async def story(resolver: Resolver) -> None:
            await resolver.lookup("example.com")
            clock.now += 29.9
            assert resolver.cached("example.com") == ANSWER
            clock.now += 0.1
            assert resolver.cached("example.com") is None
            assert await resolver.lookup("example.com") == ANSWER

        run(story, lookup, clock=clock)
        assert len(lookup.asked) == 2

    def test_so_is_that_there_is_no_such_name(self) -> None:
        lookup, clock = Table(ttl=5), Clock()

        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == "no_name"
            clock.now += 4.9
            with pytest.raises(DialError):
                resolver.cached("example.com")
            assert await code_of(resolver.lookup("example.com")) == "no_name"
            assert len(lookup.asked) == 1
            clock.now += 0.1
            lookup.answers["example.com"] = ANSWER
            assert await resolver.resolve("example.com") == ANSWER

        run(story, lookup, clock=clock)

    def test_may_be_off(self) -> None:
        lookup = Table(otherwise=ANSWER)

        async def story(resolver: Resolver) -> None:
            for _ in range(3):
                assert await resolver.resolve("example.com") == ANSWER
                await asyncio.sleep(0)

        run(story, lookup, size=0)
        assert len(lookup.asked) == 3

    def test_is_bounded_and_keeps_what_is_used(self) -> None:
        lookup = Table(otherwise=ANSWER)

        async def story(resolver: Resolver) -> None:
            await resolver.lookup("often")
            for number in range(50):
                await resolver.lookup(f"host{number}")
                assert resolver.cached("often")
            assert resolver.cached("host0") is None
            assert resolver.cached("host49") == ANSWER

        run(story, lookup, size=10)


class TestStale:
    """RFC 8767: where the name servers fail, what they said before serves on."""

    def test_an_old_answer_serves_when_they_fail(self) -> None:
        lookup, clock = Table({"example.com": ANSWER}, otherwise=DialError("no_name"), ttl=30), Clock()

        async def story(resolver: Resolver) -> None:
            await resolver.lookup("example.com")
            lookup.answers.clear()
            clock.now += 31
            assert resolver.cached("example.com") is None
            assert await resolver.lookup("example.com") == ANSWER
            assert resolver.cached("example.com") == ANSWER
            assert len(lookup.asked) == 2, "and they are left alone for a while"
            clock.now += STALE_TTL
            assert resolver.cached("example.com") == ANSWER, "then they are asked behind the scenes"
            await asyncio.sleep(0)
            assert len(lookup.asked) == 3
            lookup.answers["example.com"] = OTHER
            clock.now += STALE_TTL
            assert resolver.cached("example.com") == ANSWER
            await asyncio.sleep(0)
            assert resolver.cached("example.com") == OTHER

        run(story, lookup, clock=clock)

    def test_but_not_for_more_than_a_day(self) -> None:
        lookup, clock = Table({"example.com": ANSWER}, otherwise=DialError("no_name")), Clock()

        async def story(resolver: Resolver) -> None:
            await resolver.lookup("example.com")
            lookup.answers.clear()
            clock.now += 60 + STALE_MOST
            assert await code_of(resolver.lookup("example.com")) == "no_name"

        run(story, lookup, clock=clock)

    def test_that_the_name_is_gone_is_an_answer(self) -> None:
        lookup, clock = Table({"example.com": ANSWER}), Clock()

        async def story(resolver: Resolver) -> None:
            await resolver.lookup("example.com")
            lookup.answers.clear()
            clock.now += 61
            assert await code_of(resolver.lookup("example.com")) == "no_name"

        run(story, lookup, clock=clock)

    def test_an_old_answer_serves_when_they_are_slow(self) -> None:
        lookup, clock = Held(), Clock()

        async def story(resolver: Resolver) -> None:
            first = resolver.lookup("example.com")
            lookup.say("example.com", *ANSWER)
            assert await first == ANSWER
            clock.now += 61
            assert await resolver.lookup("example.com") == ANSWER, "after a short wait"
            lookup.say("example.com", *OTHER)
            await asyncio.sleep(0)
            assert resolver.cached("example.com") == OTHER, "what came at last is kept"

        run(story, lookup, clock=clock, timeout=0.02)


class TestWaiting:
    def test_one_look_up_serves_all_who_wait(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            futures = [resolver.lookup(host) for host in ("example.com", "EXAMPLE.COM", "example.com.") * 10]
            lookup.say("example.com", *ANSWER)
            assert await asyncio.gather(*futures) == [ANSWER] * 30

        run(story, lookup)
        assert lookup.asked == ["example.com"]

    def test_one_failure_serves_all_who_wait(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            futures = [resolver.lookup("example.com") for _ in range(10)]
            lookup.fail("example.com")
            errors = await asyncio.gather(*futures, return_exceptions=True)
            assert [error.code for error in errors if isinstance(error, DialError)] == ["no_name"] * 10
            assert len(set(map(id, errors))) == 10, "each waiter raises an error of its own"

        run(story, lookup)

    def test_ends_after_its_time(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == "dial_timeout"
            await asyncio.sleep(0)
            assert lookup.futures["example.com"].cancelled()

        run(story, lookup, timeout=0.02)

    def test_ends_by_cancelling_and_the_others_wait_on(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            first, second = resolver.lookup("example.com"), resolver.lookup("example.com")
            first.cancel()
            await asyncio.sleep(0)
            lookup.say("example.com", *ANSWER)
            assert await second == ANSWER
            assert first.cancelled()

        run(story, lookup)

    def test_who_is_cancelled_leaves_nothing(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            futures = [resolver.lookup(f"host{number % 50}") for number in range(500)]
            for future in futures:
                future.cancel()
            await asyncio.sleep(0)
            assert not resolver._queries
            assert resolver._pending == 0
            assert all(question.cancelled() for question in lookup.futures.values())
            again = resolver.lookup("host7")
            lookup.say("host7", *ANSWER)
            assert await again == ANSWER

        run(story, lookup)

    def test_is_done_by_so_many_at_most(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            futures = [resolver.lookup(f"host{number % 100}") for number in range(PENDING_MOST)]
            for host in ("one.too.many", "host0"):
                future = resolver.lookup(host)
                assert future.done()
                assert await code_of(future) == "limit"
            assert resolver.cached("1.2.3.4"), "literals go on"
            futures.pop().cancel()
            await asyncio.sleep(0)
            futures.append(resolver.lookup("host0"))
            for name in list(lookup.futures):
                lookup.say(name, *ANSWER)
            assert await asyncio.gather(*futures) == [ANSWER] * PENDING_MOST

        run(story, lookup)

    def test_ends_when_the_resolver_does(self) -> None:
        lookup = Held()

        async def story(resolver: Resolver) -> None:
            future = resolver.lookup("example.com")
            await resolver.close()
            assert await code_of(future) == "stopped"
            assert await code_of(resolver.lookup("example.org")) == "stopped"
            assert resolver.cached("1.2.3.4")

        run(story, lookup)
