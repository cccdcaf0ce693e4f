"""When servers are probed, and what of it is told, on a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from heapq import heappop, heappush
from itertools import pairwise
from random import Random
from typing import Any

from shadesocks.core.errors import DialError
from shadesocks.proxy.balance.group import TCP, UDP
from shadesocks.proxy.balance.member import Member, MemberBack
from shadesocks.proxy.balance.prober import JITTER, REST_AFTER, SKIPPED_MOST, SPREAD, Prober, Rules

from .rig import INTERVAL, make_member

TAKES = 0.1


class Story:
    """A probe that the test ends."""

    def __init__(self, world: World, done: Callable[[Any, BaseException | None], None]) -> None:
        self.world, self.done = world, done

    def end(self, error: BaseException | None = None) -> None:
        self.world.stories.remove(self)
        self.done(None, error)

    def abort(self) -> None:
        self.world.aborted += 1
        self.end(asyncio.CancelledError())


class Call:
    """A call that is to come."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class World:
    """A loop, a reactor and a roster: as much of them as a prober sees."""

    def __init__(self, *members: Member, rules: Rules = Rules(INTERVAL, INTERVAL, 8), seed: int = 1) -> None:  # noqa: B008 - it is frozen
        self.now = 1000.0
        self.calls: list[tuple[float, int, Call]] = []
        self.stories: list[Story] = []
        self.probed: list[tuple[float, str, str]] = []
        """When, whom, how."""
        self.learns: list[tuple[Member, str]] = []
        self.errors: list[BaseException] = []
        self.best: Member | None = None
        self.aborted = self.settled = 0
        self.fails: dict[Member, DialError] = {}
        self.waits = False
        self.prober = Prober(
            self,  # type: ignore[arg-type]  # stories of the test's own
            self,
            rules,
            {TCP: self._probe(TCP), UDP: self._probe(UDP)},
            self,
            Random(seed),  # noqa: S311 - the same in each run
        )
        self.members = members
        self.prober.watch([(member, TCP) for member in members])

    def _probe(self, transport: str) -> Callable[[Member], Coroutine[Any, Any, None]]:
        async def probe(member: Member) -> None:
            self.probed.append((self.now, member.name, transport))
            if member in self.fails:
                raise self.fails[member]

        return probe

    # as a loop

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Call:
        call = Call(callback)
        heappush(self.calls, (when, id(call), call))
        return call

    def go(self, seconds: float) -> None:
        """Let time pass, with all that is to happen in it."""
        until = self.now + seconds
        while self.calls and self.calls[0][0] <= until:
            when, _, call = heappop(self.calls)
            self.now = max(self.now, when)
            if call.callback is not None:
                call.callback()
        self.now = until

    # as a reactor

    def tell(self, story: Coroutine[Any, Any, None], done: Callable[[Any, BaseException | None], None]) -> Story:
        mine = Story(self, done)
        self.stories.append(mine)
        error: BaseException | None = None
        try:
            story.send(None)
        except StopIteration:
            pass
        except Exception as failed:
            error = failed
        if not self.waits:
            self.call_at(self.now + TAKES, lambda: mine.end(error) if mine in self.stories else None)
        return mine

    def settle(self) -> None:
        self.settled += 1

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)

    # as a roster

    def is_best(self, member: Member, _transport: str) -> bool:
        return member is self.best

    def learnt(self, member: Member, transport: str) -> None:
        self.learns.append((member, transport))

    def times(self, name: str) -> list[float]:
        return [when for when, whom, _ in self.probed if whom == name]


def two(**options: Any) -> World:
    return World(make_member("a"), make_member("b"), **options)


def test_nothing_is_probed_before_somebody_wants_a_server() -> None:
    world = two()
    world.go(1000)
    assert not world.probed
    world.prober.wanted()
    assert not world.probed, "whoever asks does not wait for it"
    world.go(SPREAD)
    assert [whom for _, whom, _ in world.probed] == ["a", "b"]
    assert world.learns == [(world.members[0], TCP), (world.members[1], TCP)]
    assert [round(member.tcp.health.latency or 0, 3) for member in world.members] == [TAKES, TAKES]
    assert world.settled


def test_the_first_round_is_spread_out() -> None:
    world = World(*(make_member(f"{number}") for number in range(20)))
    world.prober.wanted()
    world.go(SPREAD)
    begun = [when - 1000 for when, _, _ in world.probed]
    assert len(begun) == 20
    for number, when in enumerate(begun):
        assert number * SPREAD / 20 <= when < (number + 1) * SPREAD / 20


def test_probes_come_by_their_interval_and_in_no_step() -> None:
    world = two()
    for _ in range(200):
        world.prober.wanted()
        world.go(INTERVAL)
    for name in "ab":
        times = world.times(name)
        gaps = [after - before - TAKES for before, after in pairwise(times)]
        assert min(gaps) >= INTERVAL * (1 - JITTER)
        assert max(gaps) <= INTERVAL * (1 + JITTER)
        assert max(gaps) - min(gaps) > INTERVAL * JITTER
        assert abs(sum(gaps) / len(gaps) - INTERVAL) < 1


def test_the_best_one_may_be_probed_more_often() -> None:
    world = two(rules=Rules(INTERVAL, INTERVAL / 5, 8))
    world.best = world.members[1]
    for _ in range(10):
        world.prober.wanted()
        world.go(INTERVAL)
    assert 9 <= len(world.times("a")) <= 13
    assert 44 <= len(world.times("b")) <= 60


def test_an_idle_client_says_nothing_to_anybody() -> None:
    world = two()
    world.prober.wanted()
    world.go(REST_AFTER)
    known = len(world.probed)
    assert known >= 2 * REST_AFTER / INTERVAL / (1 + JITTER) - 2
    world.go(2 * INTERVAL)
    known = len(world.probed)
    world.go(10_000)
    assert len(world.probed) == known
    assert not [call for _, _, call in world.calls if call.callback is not None]
    world.prober.wanted()
    world.go(SPREAD)
    assert len(world.probed) == known + 2, "and all of them are asked at the next request"


def test_no_more_than_so_many_at_a_time() -> None:
    world = World(*(make_member(f"{number}") for number in range(10)), rules=Rules(INTERVAL, INTERVAL, 3))
    world.waits = True
    world.prober.wanted()
    world.go(SPREAD)
    assert len(world.stories) == 3
    for _ in range(7):
        world.stories[0].end()
        world.go(0)
        assert len(world.stories) == 3
    assert len({whom for _, whom, _ in world.probed}) == 10


def test_traffic_stands_for_five_probes_in_a_row() -> None:
    world = two()
    carried, idle = world.members
    world.prober.wanted()
    world.go(SPREAD)
    for _ in range(int(18 * INTERVAL)):
        carried.moved += 1
        world.prober.wanted()
        world.go(1)
    assert len(world.times("b")) in range(15, 21)
    assert len(world.times("a")) == 1 + 18 // (SKIPPED_MOST + 1)
    assert carried.tcp.health.count >= 15, "a probe that was not sent counts as the last one did"
    assert idle.tcp.health.failures(world.now) == 0


def test_traffic_says_nothing_of_a_server_that_was_never_measured_or_fails() -> None:
    world = two()
    carried, _ = world.members
    carried.moved += 1
    world.prober.wanted()
    carried.moved += 1
    world.go(SPREAD)
    assert len(world.times("a")) == 1
    for _ in range(5):
        carried.tcp.health.failed(world.now, "refused")
        carried.moved += 1
        world.prober.wanted()
        world.go(INTERVAL * (1 + JITTER))
    assert len(world.times("a")) >= 6


def test_a_failure_is_known_by_its_word_unless_traffic_says_else() -> None:
    world = two()
    dead, fine = world.members
    world.fails = {dead: DialError("refused"), fine: DialError("no_answer")}
    world.prober.wanted()
    world.go(SPREAD)
    assert [member.tcp.health.last_word for member in world.members] == ["refused", "no_answer"]
    assert len(world.learns) == 2
    world.waits = True
    world.prober.wanted()
    world.go(INTERVAL * (1 + JITTER))
    assert len(world.stories) == 2
    fine.moved += 1  # while the probe waits
    for story in list(world.stories):
        story.end(DialError("no_answer"))
    assert dead.tcp.health.failures(world.now) == 2
    assert fine.tcp.health.failures(world.now) == 0
    assert world.prober.results == {"refused": 1, "no_answer": 3}


def test_what_says_nothing_of_the_server_is_not_held_against_it() -> None:
    world = two()
    world.fails = {world.members[0]: DialError("limit")}
    world.prober.wanted()
    world.go(SPREAD)
    assert world.members[0].tcp.health.count == 0
    assert len(world.learns) == 2


def test_an_error_of_our_own_is_told_and_probing_goes_on() -> None:
    world = two()
    world.waits = True
    world.prober.wanted()
    world.go(SPREAD)
    world.stories[0].end(KeyError("x"))
    assert [type(error) for error in world.errors] == [KeyError]
    world.go(INTERVAL * (1 + JITTER))
    assert len(world.times("a")) == 2


def test_a_server_is_looked_at_now_where_connections_come_to_nothing() -> None:
    world = two()
    doubted = world.members[0]
    assert not world.prober.look((doubted, TCP)), "nobody wants a server: nobody is asked"
    world.prober.wanted()
    world.go(SPREAD)
    doubted.moved += 1  # which would stand for a probe else
    before = len(world.probed)
    assert world.prober.look((doubted, TCP))
    assert world.prober.look((doubted, TCP)), "once is enough"
    world.go(TAKES)
    assert [whom for _, whom, _ in world.probed[before:]] == ["a"]
    world.go(INTERVAL * (1 + JITTER))
    assert len(world.times("a")) == 3, "and at its interval from then on"
    assert not world.prober.look((doubted, UDP)), "nobody looks at its datagrams"
    world.waits = True
    world.go(INTERVAL * (1 + JITTER))
    begun = len(world.stories)
    assert world.prober.look((doubted, TCP))
    world.go(0)
    assert len(world.stories) == begun, "one is under way"


def test_servers_that_come_go_and_stay() -> None:
    world = two()
    a, b = world.members
    c = make_member("c")
    world.waits = True
    world.prober.wanted()
    world.go(SPREAD)
    assert len(world.stories) == 2
    world.prober.watch([(b, TCP), (c, TCP)])
    assert world.aborted == 1
    assert len(world.stories) == 1
    assert a.tcp.health.count == 0
    world.stories[0].end()
    world.go(SPREAD)
    assert len(world.times("c")) == 1, "a new one is looked at soon"
    assert len(world.times("b")) == 1, "one that stays has its turn when it had it"
    world.prober.watch([])
    world.go(1000)
    assert len(world.probed) == 3
    assert world.aborted == 2
    world.prober.watch([(a, TCP), (b, TCP)])
    world.prober.wanted()
    world.go(SPREAD)
    assert len(world.probed) == 5


def test_datagrams_have_probes_of_their_own() -> None:
    class Back:
        room = 0
        forward = tick = read = None

    world = World()
    a, b = make_member("a"), make_member("b")
    for member in (a, b):
        member.back = MemberBack(member, Back(), world.time)  # type: ignore[arg-type]  # nothing is sent
    world.prober.watch([(a, TCP), (a, UDP), (b, UDP)])
    world.prober.wanted()
    world.go(SPREAD)
    assert [(whom, how) for _, whom, how in world.probed] == [("a", TCP), ("a", UDP), ("b", UDP)]
    assert a.back is not None
    for _ in range(int(INTERVAL * (1 + JITTER))):
        a.back.answers += 1
        world.prober.wanted()
        world.go(1)
    assert [how for _, whom, how in world.probed if whom == "a"] == [TCP, UDP, TCP]


def test_after_its_close_nothing_is_left() -> None:
    world = two()
    world.waits = True
    world.prober.wanted()
    world.go(SPREAD)
    world.prober.close()
    assert world.aborted == 2
    assert not world.stories
    world.prober.wanted()
    world.go(1000)
    assert len(world.probed) == 2
