"""Quotas: the windows against plain models, the borders of months, clocks that go back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.limits import DAY_MOST, WINDOWS, LimitValueError, Quota
from shadesocks.proxy.users.quota import (
    HOUR,
    SLIDING_HOURS,
    Window,
    next_month,
    this_month,
    window_of,
)

NOWS = st.integers(946_684_800, 4_102_444_800)
"""2000 to 2100."""
PASSED = st.lists(st.tuples(st.integers(0, 100 * HOUR), st.integers(0, 10**12)), max_size=40)


def at(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]


def window(word: str, day: int = 1) -> Window:
    return window_of(Quota(10, word, day))


@pytest.mark.parametrize(
    ("now", "day", "begins", "ends"),
    [
        (at(2026, 11, 21, 23), 1, at(2026, 11, 1), at(2026, 12, 1)),
        (at(2026, 11, 21, 23), 22, at(2026, 10, 22), at(2026, 11, 22)),
        (at(2026, 1, 5), 28, at(2025, 12, 28), at(2026, 1, 28)),
        (at(2026, 12, 31, 23, 59, 59), 1, at(2026, 12, 1), at(2027, 1, 1)),
        (at(2028, 2, 29), 1, at(2028, 2, 1), at(2028, 3, 1)),
        (at(2028, 3, 1), 1, at(2028, 3, 1), at(2028, 4, 1)),
        (at(2027, 2, 28), 28, at(2027, 2, 28), at(2027, 3, 28)),
    ],
)
def test_months(now: int, day: int, begins: int, ends: int) -> None:
    assert this_month(now, day) == begins
    assert next_month(now, day) == ends


@given(NOWS, st.integers(1, DAY_MOST))
def test_every_moment_is_in_one_month(now: int, day: int) -> None:
    begins, ends = this_month(now, day), next_month(now, day)
    assert begins <= now < ends
    assert this_month(begins, day) == begins
    assert this_month(ends, day) == ends
    assert this_month(ends - 1, day) == begins
    assert datetime.fromtimestamp(begins, UTC).day == day


@pytest.mark.parametrize(
    ("size", "word", "day", "says"),
    [(-1, "lifetime", 1, "0 bytes"), (1, "year", 1, "lifetime, month, days"), (1, "month", 29, "from 1 to 28")],
)
def test_quotas_that_are_none(size: int, word: str, day: int, says: str) -> None:
    with pytest.raises(LimitValueError, match=says):
        Quota(size, word, day)


def test_a_lifetime_only_ends_by_a_reset() -> None:
    life = window("lifetime")
    life.add(7, 0)
    life.add(3, 10**9)
    assert life.used(2 * 10**9) == 10
    life.reset(0)
    assert life.used(0) == 0
    life.restore(5, [(1, 100)], 0)
    assert life.used(0) == 5


def test_a_month_is_over_at_its_end() -> None:
    month = window("month", 15)
    month.add(7, at(2026, 11, 20))
    assert month.used(at(2026, 12, 14, 23, 59, 59)) == 7
    assert month.used(at(2026, 12, 15)) == 0
    month.add(4, at(2026, 12, 15))
    month.reset(at(2026, 12, 16))
    assert month.used(at(2026, 12, 16)) == 0


def test_thirty_days_fall_out_hour_by_hour() -> None:
    days = window("days")
    days.add(7, 5 * HOUR + 1)
    days.add(1, 6 * HOUR)
    last = (5 + SLIDING_HOURS) * HOUR
    assert days.used(last - 1) == 8
    assert days.used(last) == 1
    assert days.used(last + HOUR) == 0


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    for word in WINDOWS:
        some = window(word)
        some.add(7, at(2026, 11, 20))
        some.add(2, at(2026, 11, 10))
        assert some.used(at(2026, 11, 10)) == 9, word


def test_a_month_ends_in_time_though_the_clock_was_years_ahead() -> None:
    month = window("month")
    month.add(5, at(2026, 11, 20))
    assert month.used(at(2030, 1, 1)) == 0
    month.add(1, at(2030, 1, 1))
    month.add(7, at(2026, 11, 20))
    assert month.used(at(2026, 11, 30)) == 8, "what was counted in 2030 is not given back"
    assert month.used(at(2026, 12, 1)) == 0
    month.restore(0, [(at(2026, 11, 30) // HOUR, 3), (at(2026, 12, 1) // HOUR, 4)], at(2026, 12, 2))
    assert (month.used(at(2026, 12, 2)), month.used(at(2027, 1, 1))) == (4, 0)


def test_what_a_clock_that_was_ahead_counted_falls_out_in_time_though_nothing_more_passes() -> None:
    days = window("days")
    days.add(7, at(2030, 1, 1))
    days.add(2, at(2030, 1, 2))
    now = at(2026, 11, 20)
    assert days.used(now) == 9
    assert days.used(now + SLIDING_HOURS * HOUR) == 0


@given(NOWS, PASSED)
def test_thirty_days_are_what_a_plain_sum_says(start: int, passed: list[tuple[int, int]]) -> None:
    days, now, seen = window("days"), start, []
    for pause, size in passed:
        now += pause
        days.add(size, now)
        seen.append((now // HOUR, size))
        assert days.used(now) == sum(size for hour, size in seen if hour > now // HOUR - SLIDING_HOURS)


@given(NOWS, PASSED, st.integers(1, DAY_MOST))
def test_a_month_is_what_a_plain_sum_says(start: int, passed: list[tuple[int, int]], day: int) -> None:
    month, now, seen = window("month", day), start, []
    for pause, size in passed:
        now += pause
        month.add(size, now)
        seen.append((now, size))
        assert month.used(now) == sum(size for when, size in seen if when >= this_month(now, day))


@given(NOWS, PASSED, st.sampled_from(sorted(WINDOWS)), st.integers(1, DAY_MOST))
def test_a_restart_forgets_nothing(start: int, passed: list[tuple[int, int]], word: str, day: int) -> None:
    """What the store's hours say afterwards is what was used before."""
    before, now, hours = window(word, day), start, dict[int, int]()
    for pause, size in passed:
        now += pause
        before.add(size, now)
        hours[now // HOUR] = hours.get(now // HOUR, 0) + size
    after = window(word, day)
    after.restore(sum(hours.values()), sorted(hours.items()), now)
    for later in (now, *(now + days * 24 * HOUR for days in (1, 15, 29, 30, 31))):
        assert after.used(later) == before.used(later)
