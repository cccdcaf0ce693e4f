"""The system's resolver in threads: how many there are, who waits for them, and what they make of its answers."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from socket import AF_INET, AF_INET6
from typing import Any, Final

import pytest

from shadesocks.core.errors import DialError
from shadesocks.net.lookup import TTL_EMPTY, Found, Outcome
from shadesocks.net.system_lookup import TTL, SystemLookup, ask_system

FOUND: Final[tuple[Found, ...]] = ((AF_INET6, "2606:2800::1"), (AF_INET, "93.184.216.34"))
ANSWER: Final = Outcome(FOUND, TTL)
WAIT: Final = 30.0
"""Seconds before a test that hangs fails."""


class System:
    """A resolver of the system that answers when it is told to, or at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.answers: dict[str, tuple[Found, ...]] = {}
        self.threads: set[threading.Thread] = set()
        self._held: dict[str, tuple[threading.Event, threading.Event]] = {}

    def hold(self, name: str) -> None:
        """Let the next look-up of the name wait for `release`."""
        self._held[name] = threading.Event(), threading.Event()

    def release(self, *names: str) -> None:
        for name in names or list(self._held):
            self._held[name][1].set()

    async def reached(self, name: str) -> None:
        """Wait until a thread is looking the name up."""
        assert await asyncio.to_thread(self._held[name][0].wait, WAIT)

    def __call__(self, name: str) -> tuple[Found, ...]:
        self.asked.append(name)
        self.threads.add(threading.current_thread())
        if name in self._held:
            begun, go_on = self._held[name]
            begun.set()
            assert go_on.wait(WAIT)
        if name in self.errors:
            raise self.errors[name]
        return self.answers.get(name, FOUND)


@pytest.fixture
def system() -> Iterator[System]:
    system = System()
    yield system
    system.release()
    for thread in system.threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def run(story: Callable[[SystemLookup], Awaitable[None]], system: System, **options: Any) -> None:
    async def main() -> None:
        lookup = SystemLookup(ask=system, **options)
        try:
            await asyncio.wait_for(story(lookup), WAIT)
        finally:
            system.release()
            await lookup.close()
        await asyncio.sleep(0)  # a turn for the callbacks of futures
        assert not lookup._queue

    asyncio.run(main(), debug=True)


async def code_of(future: asyncio.Future[Outcome]) -> str:
    with pytest.raises(DialError) as failed:
        await future
    return failed.value.code


def gai(name: str) -> socket.gaierror:
    return socket.gaierror(getattr(socket, name), "so it is")


class TestAnswers:
    def test_come_in_the_order_of_the_system(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            assert await lookup.start("example.com") == ANSWER

        run(story, system)

    def test_are_of_the_families_that_count(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            assert await lookup.start("example.com") == Outcome(FOUND[:1], TTL)
            system.answers["four.example"] = FOUND[1:]
            assert await lookup.start("four.example") == Outcome((), TTL_EMPTY)

        run(story, system, families=[AF_INET6])

    def test_are_told_once_each(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            system.answers["twice.example"] = FOUND + FOUND
            assert await lookup.start("twice.example") == ANSWER

        run(story, system)

    def test_no_such_name_is_one(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            assert await lookup.start("example.com") == Outcome((), TTL_EMPTY)

        system.errors["example.com"] = gai("EAI_NONAME")
        run(story, system)

    @pytest.mark.parametrize(
        "error",
        [
            gai("EAI_AGAIN"),
            gai("EAI_FAIL"),
            OSError("no more descriptors"),
            UnicodeError("label too long"),
            ZeroDivisionError("a bug"),
        ],
    )
    def test_every_failure_is_one_error(self, system: System, error: Exception) -> None:
        async def story(lookup: SystemLookup) -> None:
            assert await code_of(lookup.start("example.com")) == "no_name"
            assert await lookup.start("example.org") == ANSWER

        system.errors["example.com"] = error
        run(story, system)


class TestThreads:
    @pytest.mark.parametrize("threads", [1, 3])
    def test_are_no_more_than_allowed_and_work_all_off(self, system: System, threads: int) -> None:
        async def story(lookup: SystemLookup) -> None:
            names = [f"held{number}" for number in range(threads)]
            for name in names:
                system.hold(name)
            held = [lookup.start(name) for name in names]
            for name in names:
                await system.reached(name)
            more = [lookup.start(f"host{number}") for number in range(50)]
            assert len(system.threads) == threads
            assert not any(future.done() for future in more)
            system.release(names[-1])
            assert await asyncio.gather(*more) == [ANSWER] * 50
            system.release()
            await asyncio.gather(*held)

        run(story, system, threads=threads)
        assert len(system.threads) == threads
        assert all(thread.daemon for thread in system.threads)

    def test_are_started_as_they_are_needed(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            for number in range(20):
                await lookup.start(f"host{number}")

        run(story, system)
        assert len(system.threads) == 1

    def test_are_asked_in_turn(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            system.hold("first")
            futures = [lookup.start("first")]
            await system.reached("first")
            futures += [lookup.start(f"host{number}") for number in range(20)]
            system.release("first")
            await asyncio.gather(*futures)

        run(story, system, threads=1)
        assert system.asked == ["first", *(f"host{number}" for number in range(20))]

    def test_ask_nobody_for_what_nobody_waits_for(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            system.hold("busy")
            busy = lookup.start("busy")
            await system.reached("busy")
            for number in range(100):
                lookup.start(f"host{number}").cancel()
            await asyncio.sleep(0)
            assert not lookup._queue
            system.release("busy")
            assert await busy == ANSWER

        run(story, system, threads=1)
        assert system.asked == ["busy"]

    def test_bring_what_is_cancelled_to_nobody(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            system.hold("gone")
            gone = lookup.start("gone")
            await system.reached("gone")
            gone.cancel()
            system.release("gone")
            assert await lookup.start("next") == ANSWER

        run(story, system, threads=1)

    def test_that_cannot_be_had(self, system: System, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        async def story(lookup: SystemLookup) -> None:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                assert await code_of(lookup.start("example.com")) == "limit"
            system.hold("held")
            held = lookup.start("held")
            await system.reached("held")
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse)
                future = lookup.start("example.com")
            system.release("held")
            assert await future == await held == ANSWER

        run(story, system)


class TestClose:
    def test_ends_idle_threads(self, system: System) -> None:
        before = threading.active_count()

        async def main() -> None:
            lookup = SystemLookup(ask=system)
            await asyncio.gather(*(lookup.start(f"host{number}") for number in range(30)))
            await lookup.close()
            assert threading.active_count() == before
            await lookup.close()

        asyncio.run(main(), debug=True)

    def test_does_not_wait_for_a_thread_that_hangs(self, system: System) -> None:
        async def story(lookup: SystemLookup) -> None:
            system.hold("hangs")
            lookup.start("hangs")
            await system.reached("hangs")
            queued = lookup.start("queued")
            await lookup.close()
            assert queued.cancelled()

        run(story, system, threads=1)
        assert system.asked == ["hangs"]

    def test_after_the_loop(self, system: System) -> None:
        """What a thread brings when the loop is gone goes nowhere, quietly."""

        async def main() -> SystemLookup:
            lookup = SystemLookup(ask=system)
            system.hold("hangs")
            lookup.start("hangs")
            await system.reached("hangs")
            return lookup

        lookup = asyncio.run(main())
        system.release("hangs")
        asyncio.run(lookup.close())
        gc.collect()


class TestAskSystem:
    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_knows_this_host(self, name: str) -> None:
        answer = ask_system(name)
        assert {ip for _, ip in answer} <= {"127.0.0.1", "::1"}
        assert all(family in (AF_INET, AF_INET6) for family, _ in answer)

    def test_gives_the_resolver_the_name_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def getaddrinfo(host: bytes, *_: object, **__: object) -> list[Any]:
            asked.append(host)
            return [(AF_INET, socket.SOCK_STREAM, 6, "", ("1.2.3.4", 0))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        for name in ("under_score.example", "x" * 80 + ".example", "trailing."):
            assert ask_system(name) == ((AF_INET, "1.2.3.4"),)
        assert asked == [b"under_score.example", b"x" * 80 + b".example", b"trailing."]
