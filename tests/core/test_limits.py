"""Limits as values: what is none is refused with its name."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from shadesocks.core.limits import FREE, MOST, SPEED_MIN, Limits, LimitValueError, Quota


def test_nobody_is_limited_by_saying_nothing() -> None:
    assert Limits() == FREE
    assert FREE.refuse(10**12) is None
    assert not FREE.is_metered


def test_who_is_refused_for_good() -> None:
    assert Limits(enabled=False).refuse(0) == "disabled"
    assert Limits(expires=100).refuse(99.9) is None
    assert Limits(expires=100).refuse(100) == "expired"


@pytest.mark.parametrize(
    ("limits", "metered"),
    [
        (Limits(quota=Quota(1)), True),
        (Limits(up_speed=SPEED_MIN), True),
        (Limits(down_speed=SPEED_MIN), True),
        (Limits(connections=1, sessions=1, sources=1, expires=1, ports=(), targets=()), False),
    ],
)
def test_only_who_must_be_is_looked_at_chunk_by_chunk(limits: Limits, metered: bool) -> None:
    assert limits.is_metered is metered


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"up_speed": SPEED_MIN - 1}, "up_speed"),
        ({"down_speed": 0}, "down_speed"),
        ({"connections": -1}, "connections"),
        ({"sources": -1}, "sources"),
        ({"source_grace": -0.5}, "source_grace"),
        *(({name: MOST + 1}, name) for name in ("up_speed", "down_speed", "connections", "sessions", "sources")),
        ({"source_grace": 1e300}, "source_grace"),
        ({"source_grace": float("inf")}, "source_grace"),
        ({"ports": ((80, 79),)}, "ports"),
        ({"ports": ((80, 65536),)}, "ports"),
    ],
)
def test_what_is_no_limit_is_refused_with_its_name(fields: dict[str, Any], key: str) -> None:
    with pytest.raises(LimitValueError) as caught:
        Limits(**fields)
    assert caught.value.key == key
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own: workers tell their master
    assert (again.key, str(again)) == (key, str(caught.value))


def test_the_highest_of_all() -> None:
    limits = Limits(quota=Quota(MOST), up_speed=MOST, down_speed=MOST, connections=MOST, sessions=MOST, sources=MOST)
    assert limits.refuse(0) is None


@pytest.mark.parametrize("quota", [(-1,), (MOST + 1,), (1, "year"), (1, "month", 29), (1, "month", 0)])
def test_what_is_no_quota(quota: tuple[Any, ...]) -> None:
    with pytest.raises(LimitValueError, match="quota"):
        Quota(*quota)


@pytest.mark.parametrize(
    ("other", "counts_on"),
    [
        (Quota(9, "month", 3), True),
        (Quota(5, "month", 4), False),
        (Quota(5, "days", 3), False),
        (None, False),
    ],
)
def test_another_size_of_a_quota_goes_on_with_what_was_used(other: Quota | None, counts_on: bool) -> None:
    assert Quota(5, "month", 3).has_window_of(other) is counts_on
