"""Deadlines: one lane for each delay, one timer for each lane; on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from shadesocks.net.lane import Lane

from .world import World


class Waiter:
    """Somebody with a deadline: notes when it came."""

    def __init__(self, world: World, act: Callable[[Waiter], None] | None = None) -> None:
        self._world = world
        self._act = act
        self.expired_at: list[float] = []

    def expire(self) -> None:
        self.expired_at.append(self._world.clock.now)
        if self._act is not None:
            self._act(self)


@pytest.fixture
def world() -> World:
    return World()


def test_a_deadline_comes_after_its_delay(world: World) -> None:
    waiter = Waiter(world)
    lane = world.reactor.lane(59.0)
    lane.start(waiter)
    world.advance(58.9)
    assert waiter.expired_at == []
    world.advance(0.2)
    assert waiter.expired_at == [1059.0]
    assert len(lane) == 0
    world.advance(1000)
    assert len(waiter.expired_at) == 1


def test_a_deadline_that_was_cancelled_does_not_come(world: World) -> None:
    lane = world.reactor.lane(10.0)
    kept, dropped = Waiter(world), Waiter(world)
    lane.start(kept)
    lane.start(dropped)
    lane.cancel(dropped)
    lane.cancel(dropped)
    lane.cancel(Waiter(world))
    world.advance(100)
    assert (kept.expired_at, dropped.expired_at) == ([1010.0], [])


def test_each_deadline_comes_at_its_own_time_without_a_common_phase(world: World) -> None:
    lane = world.reactor.lane(10.0)
    waiters = []
    for _ in range(50):
        world.advance(0.37)
        waiters.append((world.clock.now, Waiter(world)))
        lane.start(waiters[-1][1])
    world.advance(100)
    assert [waiter.expired_at for _, waiter in waiters] == [[pytest.approx(at + 10.0)] for at, _ in waiters]


def test_deadlines_of_one_moment_come_in_the_order_they_were_set(world: World) -> None:
    lane = world.reactor.lane(1.0)
    order: list[int] = []
    for number in range(5):
        lane.start(Waiter(world, lambda _, number=number: order.append(number)))  # type: ignore[misc]
    world.advance(1.0)
    assert order == [0, 1, 2, 3, 4]


def test_a_deadline_that_is_set_again_counts_from_then(world: World) -> None:
    lane = world.reactor.lane(10.0)
    again, once = Waiter(world), Waiter(world)
    lane.start(again)
    world.advance(5)
    lane.start(once)
    lane.start(again)
    assert len(lane) == 2
    world.advance(100)
    assert again.expired_at == once.expired_at == [1015.0]


def test_every_caller_with_the_same_delay_shares_one_lane(world: World) -> None:
    assert world.reactor.lane(10.0) is world.reactor.lane(10)
    assert world.reactor.lane(10.0) is not world.reactor.lane(59.0)


def test_a_lane_tells_who_waits_the_earliest_first(world: World) -> None:
    lane = world.reactor.lane(1.0)
    waiters = [Waiter(world) for _ in range(4)]
    for waiter in waiters:
        lane.start(waiter)
    lane.cancel(waiters[1])
    assert list(lane.waiting()) == [waiters[0], waiters[2], waiters[3]]


def test_a_deadline_that_raises_costs_nobody_else_his(world: World) -> None:
    def fail(_waiter: Waiter) -> None:
        raise RuntimeError("a bug")

    lane = world.reactor.lane(1.0)
    first, last = Waiter(world, fail), Waiter(world)
    lane.start(first)
    lane.start(last)
    world.advance(1.0)
    assert last.expired_at == [1001.0]
    assert world.reactor.errors == 1


def test_what_deadlines_queue_is_run_when_they_have_all_come(world: World) -> None:
    said: list[str] = []

    def act(_waiter: Waiter) -> None:
        said.append("expired")
        world.reactor.queue.append(lambda: said.append("queued"))

    lane = world.reactor.lane(1.0)
    lane.start(Waiter(world, act))
    lane.start(Waiter(world, act))
    world.advance(1.0)
    assert said == ["expired", "expired", "queued", "queued"]


def test_a_stopped_lane_fires_nothing(world: World) -> None:
    lane = world.reactor.lane(1.0)
    waiter = Waiter(world)
    lane.start(waiter)
    lane.stop()
    lane.stop()
    world.advance(10)
    assert waiter.expired_at == []
    assert world.clock.timers == []


def test_an_expiry_may_cancel_the_ones_behind_it(world: World) -> None:
    lane = world.reactor.lane(1.0)
    behind = Waiter(world)
    lane.start(Waiter(world, lambda _: lane.cancel(behind)))
    lane.start(behind)
    world.advance(5)
    assert behind.expired_at == []


def test_an_expiry_may_put_off_the_ones_behind_it(world: World) -> None:
    lane = world.reactor.lane(1.0)
    behind = Waiter(world)
    lane.start(Waiter(world, lambda _: lane.start(behind)))
    lane.start(behind)
    world.advance(5)
    assert behind.expired_at == [1002.0]


def test_an_expiry_may_start_the_same_lane_again(world: World) -> None:
    lane = world.reactor.lane(1.0)
    waiter = Waiter(world, lane.start)
    lane.start(waiter)
    world.advance(5.5)
    assert waiter.expired_at == [1001.0, 1002.0, 1003.0, 1004.0, 1005.0]


def test_a_lane_has_one_timer_however_many_wait(world: World) -> None:
    lane = world.reactor.lane(1.0)
    for _ in range(100):
        lane.start(Waiter(world))
        world.advance(0.005)
        assert len(world.clock.timers) == 1
    world.advance(10)
    assert world.clock.timers == []


def test_a_lane_has_one_timer_when_expiries_start_it_again(world: World) -> None:
    """As looks at a send queue do while headers wait in the same lane: each timer too many would live for ever."""
    lane = world.reactor.lane(1.0)
    for _ in range(10):
        lane.start(Waiter(world, lane.start))
        world.advance(0.1)
    for _ in range(100):
        world.advance(0.37)
        assert len(world.clock.timers) == 1


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_started_and_cancelled_comes_when_it_is_due(world: World, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a schedule
    lane: Lane = world.reactor.lane(3.0)
    due: dict[Waiter, float] = {}
    everybody = []
    for _ in range(300):
        what = random.randrange(4)
        if what == 0 or not due:
            waiter = Waiter(world)
            everybody.append(waiter)
        else:
            waiter = random.choice(list(due))
        if what == 1:
            lane.cancel(waiter)
            due.pop(waiter, None)
        elif what == 2:
            world.advance(random.random() * 2)
        else:
            lane.start(waiter)
            due.pop(waiter, None)
            due[waiter] = world.clock.now + 3.0
        for done in [one for one, at in due.items() if at <= world.clock.now]:
            assert done.expired_at[-1] == pytest.approx(due.pop(done))
        assert list(lane.waiting()) == sorted(due, key=lambda one: due[one])
