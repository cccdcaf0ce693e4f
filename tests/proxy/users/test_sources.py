"""The addresses of a user: places, the time they are borne with, and a bound for all of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.sources import KNOWN_MOST, QUIET_MIN, Sources, group_at

A, B, C, D = b"aaaa", b"bbbb", b"cccc", b"dddd"
GRACE = 60.0


def test_a_telephone_changes_its_network() -> None:
    sources = Sources()
    assert sources.knock(A, 1, GRACE, 0)
    assert sources.knock(B, 1, GRACE, 100) is True
    assert sources.excess(1, GRACE, 101) == []
    assert sources.knock(B, 1, GRACE, 155)
    assert sources.knock(B, 1, GRACE, 200), "the old address went quiet, and B has its place"
    assert len(sources) == 1


def test_a_second_person_is_refused_after_the_grace_time() -> None:
    sources = Sources()
    for now in range(0, 60, 10):
        assert sources.knock(A, 1, GRACE, now)
        assert sources.knock(B, 1, GRACE, now)
    assert sources.knock(A, 1, GRACE, 61)
    assert sources.excess(1, GRACE, 61) == [B]
    assert not sources.knock(B, 1, GRACE, 61)
    assert not sources.knock(B, 1, GRACE, 110)
    assert sources.knock(A, 1, GRACE, 110)
    assert not sources.knock(B, 1, GRACE, 165), "knocking is no way to a new time"
    assert sources.knock(B, 1, GRACE, 171), "A went quiet"


def test_who_was_quiet_for_long_enough_is_borne_with_again() -> None:
    sources = Sources()
    sources.knock(A, 1, GRACE, 0)
    sources.knock(B, 1, GRACE, 0)
    for group in (A, B):
        sources.knock(group, 1, GRACE, 50)
    assert not sources.knock(B, 1, GRACE, 61)
    sources.knock(A, 1, GRACE, 100)
    assert sources.knock(B, 1, GRACE, 122), "though A is still there"


@pytest.mark.parametrize("grace", [0, 0.5, 1])
def test_a_short_grace_time_is_none_for_ever(grace: float) -> None:
    """Sweeps come a little more than a second apart, and each hears of whoever talks."""
    sources = Sources()
    for sweep in range(5):
        now = sweep * 1.01
        answers = [sources.knock(group, 1, grace, now) for group in (A, B, C)]
        assert answers == [True, now <= grace, False]
    assert sources.excess(1, grace, now) == [B, C]


def test_no_more_than_twice_the_limit_at_once() -> None:
    sources = Sources()
    assert [sources.knock(group, 1, GRACE, 0) for group in (A, B, C, D)] == [True, True, False, False]
    assert [sources.knock(group, 0, GRACE, 0) for group in (A, B, C)] == [False] * 3


def test_a_lower_limit_holds_at_once() -> None:
    sources = Sources()
    for group in (A, B, C):
        assert sources.knock(group, 3, GRACE, 0)
    assert sources.excess(1, GRACE, 30) == [C]
    assert sources.excess(3, GRACE, 30) == []


def test_a_flood_of_addresses_is_not_remembered() -> None:
    sources = Sources()
    for number in range(10_000):
        sources.knock(number.to_bytes(4), 2, GRACE, 1.0)
    assert len(sources) == KNOWN_MOST + 4
    sources.excess(2, GRACE, 62)
    assert len(sources) == 0


def test_what_counts_as_one_address() -> None:
    assert group_at(("192.0.2.1", 5000)) == group_at(("::ffff:192.0.2.1", 7, 0, 0)) == bytes([192, 0, 2, 1])
    assert group_at(("2001:db8::1", 1, 0, 0)) == group_at(("2001:db8::2", 2, 0, 0)) != group_at(("2001:db8:0:1::1", 1))
    assert group_at(("fe80::1%eth0", 1, 0, 2)) == group_at(("fe80::2", 1, 0, 0))
    assert group_at(A) == A
    assert group_at("a Unix socket") == b""


@given(
    st.integers(0, 4),
    st.floats(0, 100),
    st.lists(st.tuples(st.floats(0, 50), st.sampled_from([A, B, C, D, b"eeee", b"ffff"])), max_size=60),
)
def test_never_more_than_twice_the_limit_are_served(most: int, grace: float, knocks: list[tuple[float, bytes]]) -> None:
    """A plain model: who was let in last and not refused since, and was heard of within the grace time."""
    sources, now = Sources(), 0.0
    served: dict[bytes, float] = {}
    for pause, group in knocks:
        now += pause
        served = {other: at for other, at in served.items() if now - at <= grace}
        for refused in sources.excess(most, grace, now):
            served.pop(refused, None)
        if sources.knock(group, most, grace, now):
            served[group] = now
        else:
            served.pop(group, None)
        assert len(served) <= 2 * most
    if knocks and most:
        assert sources.knock(A, most, grace, now + max(grace, QUIET_MIN) + 1), "nobody is locked out for ever"
