"""Long work in slices: nobody waits for it, and of those who began it nobody for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from shadesocks.net import slices as slices_file
from shadesocks.net.slices import SLICE, SLICE_MIN, Slices

from .world import World

STEP = SLICE / 10


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.assert_clean()


class Work:
    """A job of so many steps, each of which takes time."""

    def __init__(self, world: World, steps: int, said: list[str] | None = None, name: str = "") -> None:
        self.world, self.left, self.name = world, steps, name
        self.said = [] if said is None else said
        self.ended = 0
        self.at_end: Callable[[], None] | None = None

    def step(self) -> bool:
        self.world.clock.now += STEP
        self.left -= 1
        self.said.append(self.name)
        return self.left <= 0

    def done(self) -> None:
        self.ended += 1
        if self.at_end is not None:
            self.at_end()


def turn(world: World) -> None:
    """One turn of the loop: the calls that are due, and not those that they make due."""
    ready = world.clock._ready
    for _ in range(len(ready)):
        ready.popleft()._run()


def turns(world: World) -> list[float]:
    """Turn until there is no more to do; return how long each turn took."""
    took = []
    while world.clock._ready:
        before = world.clock.now
        turn(world)
        took.append(world.clock.now - before)
    return took


def test_a_slice_is_short_and_all_is_done(world: World) -> None:
    slices, work = Slices(world.reactor), Work(world, 1000)
    assert slices.add("a", work)
    took = turns(world)
    assert (work.left, work.ended, len(slices)) == (0, 1, 0)
    assert max(took) <= SLICE + STEP + 1e-9
    assert len(took) > 100


def test_it_takes_a_quarter_of_the_time_where_there_is_other_work(world: World) -> None:
    """A step is done once the others took three times as long, in one turn or in many."""
    for other in (0.3 * SLICE, 2 * SLICE, 10 * SLICE):
        slices, work = Slices(world.reactor), Work(world, 100)
        slices.add("a", work)
        began = world.clock.now
        while work.left > 0:
            world.clock.now += other
            before = work.left
            turn(world)
            assert (before - work.left) * STEP <= SLICE + STEP
        assert (world.clock.now - began) * 0.37 >= 100 * STEP
        turns(world)


def test_where_there_is_none_a_slice_is_a_step(world: World) -> None:
    slices, work = Slices(world.reactor), Work(world, 300)
    slices.add("a", work)
    turn(world)
    for number in range(10):
        assert work.left == 300 - number
        world.clock.now += SLICE_MIN / 4
        turn(world)
    slices.clear("a")
    turns(world)


def test_the_loop_polls_before_the_first_step(world: World) -> None:
    """Who says all and ends is heard before anything is done for him."""
    slices, work = Slices(world.reactor), Work(world, 300)
    world.clock.now += 60
    slices.add("a", work)
    turn(world)
    slices.drop("a", work)
    turns(world)
    assert work.left == 300


def test_sources_take_turns_and_of_one_the_earliest_goes_first(world: World) -> None:
    said: list[str] = []
    slices = Slices(world.reactor)
    jobs = [(name, Work(world, 3, said, name)) for name in ("a1", "a2", "a3", "b1")]
    for name, work in jobs:
        slices.add(name[0], work)
    turns(world)
    assert said == ["a1", "b1", "a1", "b1", "a1", "b1", "a2", "a2", "a2", "a3", "a3", "a3"]
    assert [work.ended for _, work in jobs] == [1, 1, 1, 1]


def test_a_hundred_of_one_source_take_no_more_from_another_than_one(world: World) -> None:
    slices = Slices(world.reactor)
    for _ in range(100):
        slices.add("prober", Work(world, 1000))
    mine = Work(world, 10)
    slices.add("me", mine)
    began = world.clock.now
    while not mine.ended:
        turn(world)
    assert world.clock.now - began <= 21 * STEP
    slices.clear("prober")
    turns(world)


def test_what_is_dropped_is_not_done(world: World) -> None:
    slices = Slices(world.reactor)
    work, other = Work(world, 1000), Work(world, 5)
    slices.add("a", work)
    slices.add("a", other)
    turn(world)
    slices.drop("a", work)
    slices.drop("a", work)
    slices.drop("b", work)
    assert (len(slices), [*slices.of("a")], [*slices.of("b")]) == (1, [other], [])
    turns(world)
    assert (work.ended, other.ended) == (0, 1)
    assert work.left > 900


def test_all_of_a_source_are_dropped(world: World) -> None:
    slices = Slices(world.reactor)
    jobs = [Work(world, 5) for _ in range(3)]
    for job in jobs:
        slices.add("a", job)
    slices.clear("a")
    slices.clear("a")
    turns(world)
    assert [job.ended for job in jobs] == [0, 0, 0]


def test_the_end_of_one_may_begin_another(world: World) -> None:
    slices = Slices(world.reactor)
    work, following = Work(world, 1), Work(world, 1)

    def begin() -> None:
        slices.add("a", following)

    work.at_end = begin
    slices.add("a", work)
    turns(world)
    assert following.ended == 1
    slices.add("a", again := Work(world, 1))
    turns(world)
    assert again.ended == 1


def test_one_that_fails_ends_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    slices = Slices(world.reactor)

    class Bad(Work):
        def step(self) -> bool:
            raise ValueError("this one")

    bad, good = Bad(world, 1), Work(world, 1)
    slices.add("a", bad)
    slices.add("b", good)
    turns(world)
    assert (bad.ended, good.ended) == (1, 1)
    assert world.reactor.errors == 1
    assert "this one" in caplog.text
    world.reactor.errors = 0


def draw(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let lots fall on that one from now on, or on the last."""
    monkeypatch.setattr(slices_file, "choice", lambda those: those[min(number, len(those) - 1)])
    monkeypatch.setattr(slices_file, "randbelow", lambda bound: min(number, bound - 1))


def test_where_there_are_too_many_one_of_whoever_has_most_gives_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices_file, "JOBS_MAX", 4)
    slices = Slices(world.reactor)
    heavy = [Work(world, 1) for _ in range(3)]
    for job in heavy:
        assert slices.add("heavy", job)
    assert slices.add("light", Work(world, 1))
    draw(monkeypatch, 1)
    assert slices.add("other", Work(world, 1))
    assert [job.ended for job in heavy] == [0, 1, 0], "a random one of the heaviest"
    draw(monkeypatch, 3)
    assert not slices.add("heavy", Work(world, 1)), "it is the heaviest itself, and the lot falls on whoever comes"
    assert len(slices) == 4
    turns(world)
    assert [job.ended for job in heavy] == [1, 1, 1]


def test_where_all_have_one_a_random_one_gives_way(world: World) -> None:
    """Or 1,024 addresses keep everybody out."""
    slices = Slices(world.reactor)
    held = [Work(world, 1000) for _ in range(slices_file.JOBS_MAX)]
    for number, job in enumerate(held):
        assert slices.add(number.to_bytes(4), job)
    came = [slices.add(f"newcomer {number}", Work(world, 1000)) for number in range(20)]
    assert sum(came) >= 15
    assert len(slices) == slices_file.JOBS_MAX
    assert 1 <= sum(job.ended for job in held) <= 20
    for source in list(slices._jobs):
        slices.clear(source)
    turns(world)


def test_what_has_its_turn_keeps_its_place(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a flood would end each long search before it is over."""
    monkeypatch.setattr(slices_file, "JOBS_MAX", 64)
    slices = Slices(world.reactor)
    turned = [Work(world, 200) for _ in range(slices_file.ACTIVE_MOST)]
    for number, job in enumerate(turned):
        slices.add(f"early {number}", job)
    for _ in range(30):
        turn(world)
    for number in range(3000):
        slices.add(number, Work(world, 1))
    assert not any(job.ended for job in turned)
    turns(world)
    assert all(job.ended == 1 and job.left <= 0 for job in turned)


def test_the_64s_of_a_48_count_as_one_where_there_is_no_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_file, "JOBS_MAX", 8)
    slices = Slices(world.reactor)
    site, newcomer = b"\x20\x01\x0d\xb8\x00\x01", Work(world, 1)
    held = [Work(world, 1) for _ in range(8)]
    for number, job in enumerate(held):
        assert slices.add(site + number.to_bytes(2), job)
    assert slices.add(b"\xc0\x00\x02\x01", newcomer)
    for number in range(8, 500):
        slices.add(site + number.to_bytes(2), Work(world, 1))
    assert not newcomer.ended, "only they give way"
    turns(world)
    assert newcomer.left == 0


def test_beside_more_sources_than_can_be_served_each_has_a_chance(world: World) -> None:
    """Turns for all would end nobody's job: a few are worked on, and who is next came last or is drawn."""
    slices = Slices(world.reactor)
    jobs = [Work(world, 100) for _ in range(1000)]
    for number, job in enumerate(jobs):
        slices.add(number, job)
    while sum(job.ended for job in jobs) < 50:
        turn(world)
    begun = sum(0 < job.left < 99 for job in jobs)
    assert begun <= slices_file.ACTIVE_MOST
    done = [number for number, job in enumerate(jobs) if job.ended]
    assert len([number for number in done if number < 900]) > 5, "the last ones are not all"
    assert len([number for number in done if number >= 900]) > 5, "nor are the first ones"
    for number in range(1000):
        slices.clear(number)
    turns(world)
    assert len(slices) == 0


def test_a_48_has_the_chance_of_one_where_many_wait(world: World) -> None:
    slices = Slices(world.reactor)
    for number in range(900):
        slices.add(b"\x20\x01\x0d\xb8\x00\x01" + number.to_bytes(2), Work(world, 40))
    mine = Work(world, 40)
    slices.add(b"\xc0\x00\x02\x01", mine)
    began = world.clock.now
    while not mine.ended:
        turn(world)
    assert world.clock.now - began < 200 * 40 * STEP, "of 901 it was soon drawn"
    for source in list(slices._jobs):
        slices.clear(source)
    turns(world)


def test_the_first_step_of_whoever_is_new_waits_for_no_long_job(world: World) -> None:
    slices = Slices(world.reactor)
    for number in range(500):
        slices.add(number, Work(world, 10_000))
    for _ in range(1000):
        turn(world)
    mine = Work(world, 1)
    slices.add("me", mine)
    for _ in range(3):
        turn(world)
    assert mine.ended
    for number in range(500):
        slices.clear(number)
    turns(world)


def test_those_who_come_all_the_time_leave_half_of_the_steps_to_the_others(world: World) -> None:
    slices = Slices(world.reactor)
    long = [Work(world, 10_000) for _ in range(40)]
    for number, job in enumerate(long):
        slices.add(number, job)
    turn(world)
    before = sum(job.left for job in long)
    for number in range(400):
        slices.add(f"new {number}", Work(world, 10_000))
        turn(world)
    assert before - sum(job.left for job in long) >= 190
    for source in list(slices._jobs):
        slices.clear(source)
    turns(world)


def test_who_comes_to_many_that_wait_is_soon_next(world: World) -> None:
    """A thousand that were opened once and hold on keep nobody out."""
    slices = Slices(world.reactor)
    for number in range(1000):
        slices.add(number, Work(world, 500))
    for _ in range(1000):
        turn(world)
    mine = Work(world, 500)
    slices.add("me", mine)
    began = world.clock.now
    while not mine.ended:
        turn(world)
    assert world.clock.now - began < 4 * 500 * slices_file.ACTIVE_MOST * STEP
    for number in range(1000):
        slices.clear(number)
    turns(world)


def test_a_reactor_has_them_when_they_are_asked_for(world: World) -> None:
    assert not world.reactor.has_slices
    assert world.reactor.slices is world.reactor.slices
    assert world.reactor.has_slices
