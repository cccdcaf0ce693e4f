"""Shares of a speed: what they add up to, who gets what, and how soon."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.bucket import TokenBucket
from shadesocks.proxy.users.lease import UNIT, Want, lease

SPEED = 1_000_000


def shares(*wants: int, workers: int = 4, speed: int = SPEED) -> list[int]:
    """Return what each reckons for itself."""
    return [lease(speed, want, [*wants[:place], *wants[place + 1 :]], workers) for place, want in enumerate(wants)]


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


def test_a_want_is_more_than_what_passed_and_all_of_it_where_the_share_was_used_up() -> None:
    want = Want(0)
    assert want.look(100 * UNIT, 1000 * UNIT, SPEED, 1) == 150 * UNIT
    assert want.look(0, 1000 * UNIT, SPEED, 2) == 75 * UNIT, "half of what it was"
    assert want.look(800 * UNIT, 1000 * UNIT, SPEED, 3) == 977 * UNIT, "the speed, in whole units"
    assert want.look(90 * UNIT, 100 * UNIT, SPEED, 3.2) == 977 * UNIT, "too soon to say"
    assert want.look(0, 1000 * UNIT, SPEED, 4) == 600 * UNIT, "of the second before, 400 KiB are remembered"


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
                others = [other.want.size for other in sides if other is not side]
                side.bucket.change(lease(SPEED, side.want.size, others, 4), now)


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
