"""Looking names up: the pool, the cache, and who waits how long. The system's resolver is a stand-in."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any, Final

import pytest

from shadesocks.core.errors import DialError
from shadesocks.net.resolve import (
    CACHE_AGE,
    CACHE_AGE_NONE,
    CACHE_MOST,
    PENDING_MOST,
    Answer,
    Resolver,
    ask_system,
    ipv6_first,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ANSWER: Final = ((int(socket.AF_INET6), "2606:2800::1"), (int(socket.AF_INET), "93.184.216.34"))
WAIT: Final = 30.0
"""Seconds before a test that hangs fails."""


class System:
    """A resolver of the system that answers when it is told to, or at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.answers: dict[str, Answer] = {}
        self.threads: set[threading.Thread] = set()
        self.now = 0.0
        self._held: dict[str, tuple[threading.Event, threading.Event]] = {}

    def hold(self, host: str) -> None:
        """Let the next look-up of the name wait for `release`."""
        self._held[host] = threading.Event(), threading.Event()

    def release(self, host: str) -> None:
        self._held[host][1].set()

    async def reached(self, host: str) -> None:
        """Wait until a thread is looking the name up."""
        assert await asyncio.to_thread(self._held[host][0].wait, WAIT)

    def __call__(self, host: str) -> Answer:
        self.asked.append(host)
        self.threads.add(threading.current_thread())
        if host in self._held:
            begun, go_on = self._held[host]
            begun.set()
            assert go_on.wait(WAIT)
        if host in self.errors:
            raise self.errors[host]
        return self.answers.get(host, ANSWER)

    def clock(self) -> float:
        return self.now


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    for thread in system.threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def run(story: Callable[[Resolver], Awaitable[None]], system: System, **options: Any) -> None:
    """Run a test in a loop of its own, with a resolver that is closed at its end."""

    async def main() -> None:
        resolver = Resolver(ask=system, clock=system.clock, **options)
        try:
            await asyncio.wait_for(story(resolver), WAIT)
        finally:
            for host in system._held:
                system.release(host)
            resolver.close()
        await asyncio.sleep(0)  # a turn for the callbacks of futures
        assert not resolver._queries
        assert not resolver._queue
        assert resolver._pending == 0

    asyncio.run(main(), debug=True)


async def code_of(future: asyncio.Future[Answer]) -> str:
    with pytest.raises(DialError) as failed:
        await future
    return failed.value.code


def gai(name: str) -> socket.gaierror:
    return socket.gaierror(getattr(socket, name), "so it is")


class TestAnswers:
    def test_a_name_has_its_addresses_in_their_order(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            assert resolver.cached("example.com") is None
            assert await resolver.lookup("example.com") == ANSWER
            assert resolver.cached("example.com") == ANSWER
            assert await resolver.resolve("example.com") == ANSWER
            assert await resolver.resolve("example.org") == ANSWER

        run(story, system)
        assert system.asked == ["example.com", "example.org"]

    @pytest.mark.parametrize(
        ("host", "family"),
        [("93.184.216.34", socket.AF_INET), ("127.0.0.1", socket.AF_INET), ("2606:2800::1", socket.AF_INET6)],
    )
    def test_a_literal_is_its_own_answer(self, system: System, host: str, family: int) -> None:
        async def story(resolver: Resolver) -> None:
            assert resolver.cached(host) == ((family, host),)
            future = resolver.lookup(host)
            assert future.done()
            assert await future == ((family, host),)

        before = threading.active_count()
        run(story, system)
        assert not system.asked
        assert threading.active_count() == before

    @pytest.mark.parametrize(
        "host", ["127.1", "0x7f.1", "017700000001", "2130706433", "127.0.0.1.", "fe80::1%lo", "::1%1"]
    )
    def test_an_odd_spelling_is_a_name(self, system: System, host: str) -> None:
        async def story(resolver: Resolver) -> None:
            assert resolver.cached(host) is None
            assert await resolver.lookup(host) == ANSWER

        run(story, system)
        assert system.asked == [host]

    @pytest.mark.parametrize(
        "error",
        [
            gai("EAI_NONAME"),
            gai("EAI_AGAIN"),
            gai("EAI_FAIL"),
            OSError("no more descriptors"),
            UnicodeError("label too long"),
            ZeroDivisionError("a bug"),
        ],
    )
    def test_every_failure_is_one_error(self, system: System, error: Exception) -> None:
        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == "no_name"
            assert await resolver.lookup("example.org") == ANSWER

        system.errors["example.com"] = error
        run(story, system)

    def test_no_addresses_are_a_failure(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == "no_name"

        system.answers["example.com"] = ()
        run(story, system)


class TestCache:
    def test_an_answer_is_good_for_a_while(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            await resolver.lookup("example.com")
            system.now += CACHE_AGE - 0.1
            assert resolver.cached("example.com") == ANSWER
            system.now += 0.1
            assert resolver.cached("example.com") is None
            assert await resolver.lookup("example.com") == ANSWER

        run(story, system)
        assert len(system.asked) == 2

    def test_that_there_is_no_such_name_is_good_for_less(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == "no_name"
            system.now += CACHE_AGE_NONE - 0.1
            with pytest.raises(DialError):
                resolver.cached("example.com")
            assert await code_of(resolver.lookup("example.com")) == "no_name"
            assert len(system.asked) == 1
            system.now += 0.1
            del system.errors["example.com"]
            assert await resolver.resolve("example.com") == ANSWER

        system.errors["example.com"] = gai("EAI_NONAME")
        run(story, system)

    @pytest.mark.parametrize("error", [gai("EAI_AGAIN"), gai("EAI_FAIL"), OSError("network")])
    def test_trouble_of_the_resolver_is_forgotten_at_once(self, system: System, error: Exception) -> None:
        async def story(resolver: Resolver) -> None:
            assert await code_of(resolver.lookup("example.com")) == "no_name"
            del system.errors["example.com"]
            assert await resolver.resolve("example.com") == ANSWER

        system.errors["example.com"] = error
        run(story, system)

    def test_is_bounded_and_keeps_what_is_used(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            await resolver.lookup("often")
            for number in range(CACHE_MOST + 50):
                await resolver.lookup(f"host{number}")
                assert resolver.cached("often")
            assert resolver.cached("host0") is None
            assert resolver.cached(f"host{CACHE_MOST + 49}") == ANSWER
            assert len(resolver._cache) == CACHE_MOST

        run(story, system)


class TestWaiting:
    def test_one_look_up_serves_all_who_wait(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("example.com")
            futures = [resolver.lookup("example.com") for _ in range(10)]
            await system.reached("example.com")
            futures += [resolver.lookup("example.com") for _ in range(10)]
            system.release("example.com")
            assert await asyncio.gather(*futures) == [ANSWER] * 20

        run(story, system)
        assert system.asked == ["example.com"]

    def test_one_failure_serves_all_who_wait(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            futures = [resolver.lookup("example.com") for _ in range(10)]
            errors = await asyncio.gather(*futures, return_exceptions=True)
            assert [error.code for error in errors if isinstance(error, DialError)] == ["no_name"] * 10
            assert len(set(map(id, errors))) == 10, "each waiter raises an error of its own"

        system.errors["example.com"] = gai("EAI_AGAIN")
        run(story, system)
        assert system.asked == ["example.com"]

    def test_ends_after_its_time_and_what_comes_late_is_kept(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("example.com")
            assert await code_of(resolver.lookup("example.com")) == "dial_timeout"
            future = resolver.lookup("example.com")
            system.release("example.com")
            assert await future == ANSWER
            assert resolver.cached("example.com") == ANSWER

        run(story, system, timeout=0.05)
        assert system.asked == ["example.com"]

    def test_ends_by_cancelling_and_the_others_wait_on(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("example.com")
            first, second = resolver.lookup("example.com"), resolver.lookup("example.com")
            await system.reached("example.com")
            first.cancel()
            await asyncio.sleep(0)
            system.release("example.com")
            assert await second == ANSWER
            assert first.cancelled()

        run(story, system)

    def test_who_is_cancelled_leaves_nothing(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("busy")
            busy = resolver.lookup("busy")
            await system.reached("busy")
            futures = [resolver.lookup(f"host{number % 50}") for number in range(500)]
            for future in futures:
                future.cancel()
            await asyncio.sleep(0)
            assert list(resolver._queries) == ["busy"]
            assert not resolver._queue
            assert resolver._pending == 1
            again = resolver.lookup("host7")
            system.release("busy")
            assert await busy == await again == ANSWER

        run(story, system, threads=1)
        assert system.asked == ["busy", "host7"], "nobody is asked for names that nobody waits for"

    def test_is_done_by_so_many_at_most(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("example.com")
            futures = [resolver.lookup("example.com")]
            await system.reached("example.com")
            futures += [resolver.lookup(f"host{number % 100}") for number in range(PENDING_MOST - 1)]
            for host in ("one.too.many", "example.com"):
                future = resolver.lookup(host)
                assert future.done()
                assert await code_of(future) == "limit"
            assert resolver.cached("1.2.3.4"), "literals go on"
            futures.pop().cancel()
            await asyncio.sleep(0)
            futures.append(resolver.lookup("one.too.many"))
            system.release("example.com")
            assert await asyncio.gather(*futures) == [ANSWER] * PENDING_MOST

        run(story, system, threads=1)


class TestThreads:
    @pytest.mark.parametrize("threads", [1, 3])
    def test_are_no_more_than_allowed_and_work_all_off(self, system: System, threads: int) -> None:
        async def story(resolver: Resolver) -> None:
            hosts = [f"held{number}" for number in range(threads)]
            for host in hosts:
                system.hold(host)
            held = [resolver.lookup(host) for host in hosts]
            for host in hosts:
                await system.reached(host)
            more = [resolver.lookup(f"host{number}") for number in range(50)]
            assert len(system.threads) == threads
            assert not any(future.done() for future in more)
            system.release(hosts[-1])
            assert await asyncio.gather(*more) == [ANSWER] * 50
            for host in hosts:
                system.release(host)
            await asyncio.gather(*held)

        run(story, system, threads=threads)
        assert len(system.threads) == threads
        assert all(thread.daemon for thread in system.threads)

    def test_are_started_as_they_are_needed(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            for number in range(20):
                await resolver.lookup(f"host{number}")

        run(story, system)
        assert len(system.threads) == 1

    def test_are_asked_in_turn(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("first")
            futures = [resolver.lookup("first")]
            await system.reached("first")
            futures += [resolver.lookup(f"host{number}") for number in range(20)]
            system.release("first")
            await asyncio.gather(*futures)

        run(story, system, threads=1)
        assert system.asked == ["first", *(f"host{number}" for number in range(20))]

    def test_that_cannot_be_had(self, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        async def story(resolver: Resolver) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                assert await code_of(resolver.lookup("example.com")) == "limit"
            system.hold("held")
            held = resolver.lookup("held")
            await system.reached("held")
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                future = resolver.lookup("example.com")
            system.release("held")
            assert await future == await held == ANSWER

        run(story, system)


class TestClose:
    def test_ends_idle_threads(self, system: System) -> None:
        before = threading.active_count()

        async def main() -> None:
            resolver = Resolver(ask=system)
            await asyncio.gather(*(resolver.lookup(f"host{number}") for number in range(30)))
            resolver.close()
            assert threading.active_count() == before
            resolver.close()

        asyncio.run(main(), debug=True)

    def test_ends_whoever_waits_and_does_not_wait_for_a_thread_that_hangs(self, system: System) -> None:
        async def story(resolver: Resolver) -> None:
            system.hold("hangs")
            hangs = resolver.lookup("hangs")
            await system.reached("hangs")
            queued = resolver.lookup("queued")
            resolver.close()
            assert await code_of(hangs) == await code_of(queued) == "stopped"
            assert await code_of(resolver.lookup("example.com")) == "stopped"
            assert resolver.cached("1.2.3.4")

        run(story, system, threads=1)
        assert system.asked == ["hangs"]

    def test_before_anything_began(self, system: System) -> None:
        Resolver(ask=system).close()

    def test_after_the_loop(self, system: System) -> None:
        """What a thread brings when the loop is gone goes nowhere, quietly."""

        async def main() -> Resolver:
            resolver = Resolver(ask=system)
            system.hold("hangs")
            resolver.lookup("hangs")
            await system.reached("hangs")
            return resolver

        resolver = asyncio.run(main())
        system.release("hangs")
        resolver.close()
        gc.collect()


class TestAskSystem:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "localhost"])
    def test_knows_this_host(self, host: str) -> None:
        answer = ask_system(host)
        assert {ip for _, ip in answer} <= {"127.0.0.1", "::1"}
        assert all(family in (socket.AF_INET, socket.AF_INET6) for family, _ in answer)

    @pytest.mark.parametrize("host", ["é" * 70, "é..x", "\ud800"])
    def test_a_name_without_a_form_on_the_wire(self, host: str) -> None:
        with pytest.raises(UnicodeError):
            ask_system(host)

    def test_gives_the_resolver_the_name_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def getaddrinfo(host: bytes, *_: object, **__: object) -> list[Any]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.2.3.4", 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        for host in ("under_score.example", "x" * 80 + ".example", "trailing.", "a..b", "bücher.example"):
            assert ask_system(host) == ((socket.AF_INET, "1.2.3.4"),)
        assert asked == [
            b"under_score.example",
            b"x" * 80 + b".example",
            b"trailing.",
            b"a..b",
            b"xn--bcher-kva.example",
        ]


def test_ipv6_first_moves_only_the_families() -> None:
    """Within a family the system's order holds."""
    answer = ((AF_INET, "192.0.2.1"), (AF_INET6, "2001:db8::1"), (AF_INET, "192.0.2.2"), (AF_INET6, "2001:db8::2"))
    assert [ip for _, ip in ipv6_first(lambda _host: answer)("two.example")] == [
        "2001:db8::1",
        "2001:db8::2",
        "192.0.2.1",
        "192.0.2.2",
    ]
