"""Shares of a speed: what they add up to, who gets what, and how soon."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.bucket import TokenBucket
from shadesocks.proxy.users.lease import Want, lease

SPEED = 1_000_000


def shares(*wants: int, workers: int = 4, speed: int = SPEED) -> list[int]:
    """Return what each has once all have looked often enough, in turn."""
    found = [0] * len(wants)
    for _ in range(4):
        for place, want in enumerate(wants):
            others = [(wants[other], found[other]) for other in range(len(wants)) if other != place]
            found[place] = lease(speed, want, others, workers)
            yet = sum(found)
            assert yet <= speed + (len(wants) - 1) * (speed // (2 * max(workers, len(wants))) * 1.01 + 2048) + len(
                wants
            )
    return found


def test_who_is_alone_has_all() -> None:
    assert shares(0) == shares(SPEED) == [SPEED]


def test_who_all_want_all_have_the_same() -> None:
    assert shares(SPEED, SPEED) == [SPEED // 2] * 2
    assert shares(SPEED, SPEED, SPEED, SPEED) == [SPEED // 4] * 4


def test_who_wants_little_gets_it_and_the_others_the_rest() -> None:
    assert shares(200_000, SPEED, SPEED) == [200_000, 400_000, 400_000]
    assert shares(SPEED, 600_000, 300_000) == [350_000, 350_000, 300_000]


def test_a_newcomer_begins_with_the_least_share() -> None:
    assert shares(SPEED, 0) == [SPEED, SPEED // 8]
    assert shares(SPEED, 0, workers=2) == [SPEED, SPEED // 4]


def test_what_nobody_wants_is_split() -> None:
    assert shares(0, 0, 0, 0) == [SPEED // 4] * 4
    assert shares(100_000, 300_000) == [400_000, 600_000]


@given(
    st.integers(1024, 10**9),
    st.lists(st.integers(0, 2 * 10**9), min_size=1, max_size=8),
    st.integers(0, 8),
)
def test_the_sum_is_bounded_and_nobody_has_nothing(speed: int, wants: list[int], idle: int) -> None:
    workers = len(wants) + idle
    found = shares(*wants, workers=workers, speed=speed)
    least = speed // (2 * workers)
    assert min(found) >= max(1, least)
    assert sum(found) <= speed + (len(wants) - 1) * max(least, 1) + len(wants)
    assert sum(found) < 1.5 * speed + 8


@given(st.lists(st.integers(0, SPEED), min_size=2, max_size=8))
def test_nobody_hungry_has_less_than_a_fair_part(wants: list[int]) -> None:
    for want, share in zip(wants, shares(*wants, workers=8), strict=True):
        assert share >= min(want, SPEED // len(wants))


def test_nobody_takes_what_others_still_have() -> None:
    assert lease(SPEED, SPEED, [(SPEED, SPEED)], 4) == SPEED // 8
    assert lease(SPEED, SPEED, [(SPEED, SPEED // 2)], 4) == SPEED // 2
    assert lease(SPEED, SPEED, [(0, SPEED // 2)], 4) == SPEED // 2
    assert lease(SPEED, SPEED, [(0, SPEED // 8)] * 3, 4) == SPEED, "the least of those who are idle costs nobody"


def test_who_has_just_come_has_the_least_unless_nobody_is_there() -> None:
    assert lease(SPEED, None, [(0, 0)], 4) == SPEED // 8
    assert lease(SPEED, None, [], 4) == SPEED
    assert lease(1024, None, [(0, 0)] * 600, 256) == 1


def test_a_want_is_more_than_what_passed_and_all_of_it_where_the_share_was_used_up() -> None:
    want = Want(0)
    assert want.look(1000, 10_000, SPEED, 1) == 1500
    assert want.look(0, 10_000, SPEED, 2) == 750, "half of what it was"
    assert want.look(8000, 10_000, SPEED, 3) == SPEED
    assert want.look(900, 1000, SPEED, 3.2) == SPEED, "too soon to say"
    assert want.look(0, 10_000, SPEED, 4) == 6000, "of the second before, half is remembered"


class Side:
    """One process with a bucket, and as much to send as `load` says."""

    def __init__(self, load: int) -> None:
        self.load = load
        self.bucket = TokenBucket(SPEED // 8, 0)
        self.want = Want(0)
        self.moved = 0
        self.sent = 0

    def turn(self, now: float, seconds: float) -> None:
        """Send what the load says, as far as the bucket lets it."""
        wanted = int(self.load * seconds)
        if self.bucket.tokens(now) >= 0 and wanted:
            self.bucket.take(wanted, now)
            self.moved += wanted
            self.sent += wanted


def run(sides: list[Side], until: float, begin: float = 0, seed: int = 1) -> None:
    """Let time go by; the sides look once a second, each in its own time."""
    chance = random.Random(seed)  # noqa: S311 - a test's
    dues = {side: begin + chance.random() for side in sides}
    now = begin
    while now < until:
        now += 0.01
        for side in sides:
            side.turn(now, 0.01)
            if now >= dues[side]:
                dues[side] += 1
                side.want.look(side.moved, side.bucket.rate, SPEED, now)
                side.moved = 0
                others = [(other.want.size, other.bucket.rate) for other in sides if other is not side]
                side.bucket.change(lease(SPEED, side.want.size, others, 4), now)
                assert sum(each.bucket.rate for each in sides) < 1.5 * SPEED


@pytest.mark.parametrize("loads", [(2, 2), (2, 2, 2, 2), (2, 0.05), (2, 0.2, 0), (3, 0.4, 0.3, 0.1), (0.5, 0.6)])
def test_over_some_seconds_what_passes_is_the_speed_and_no_more(loads: tuple[float, ...]) -> None:
    sides = [Side(int(load * SPEED)) for load in loads]
    run(sides, 5)
    for side in sides:
        side.sent = 0
    run(sides, 25, 5)
    total = sum(side.sent for side in sides) / 20
    assert 0.85 * min(SPEED, sum(side.load for side in sides)) <= total <= 1.02 * SPEED


def test_who_stops_leaves_his_share_to_the_others_in_seconds() -> None:
    one, other = sides = [Side(2 * SPEED), Side(2 * SPEED)]
    run(sides, 10)
    other.load = 0
    run(sides, 14, 10)
    one.sent = 0
    run(sides, 24, 14)
    assert one.sent > 9.2 * SPEED
