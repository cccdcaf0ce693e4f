"""Limits as values, and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.limits import FREE, SPEED_MIN, Limits, pack_limits, parse_limits
from shadesocks.proxy.users.quota import WINDOWS, Quota

COUNTS = st.none() | st.integers(0, 10**12)
SPEEDS = st.none() | st.integers(SPEED_MIN, 10**12)
PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair)))
LIMITS = st.builds(
    Limits,
    enabled=st.booleans(),
    expires_at=COUNTS,
    quota=st.none()
    | st.builds(Quota, size=st.integers(0, 10**15), window=st.sampled_from(sorted(WINDOWS)), day=st.integers(1, 28)),
    up_speed=SPEEDS,
    down_speed=SPEEDS,
    connections=COUNTS,
    sessions=COUNTS,
    sources=COUNTS,
    source_grace=st.floats(0, 10**6),
    ports=st.none() | st.lists(PORTS, max_size=3).map(tuple),
    targets=st.none() | st.lists(st.sampled_from(["example.org", "10.0.0.0/8", "::1"]), max_size=3).map(tuple),
)


def test_nobody_is_limited_by_saying_nothing() -> None:
    assert pack_limits(FREE) == {}
    assert parse_limits({}) == FREE
    assert FREE.refuse(10**12) is None
    assert not FREE.is_metered


def test_who_is_refused_for_good() -> None:
    assert Limits(enabled=False).refuse(0) == "disabled"
    assert Limits(expires_at=100).refuse(99.9) is None
    assert Limits(expires_at=100).refuse(100) == "expired"


@pytest.mark.parametrize(
    ("limits", "metered"),
    [
        (Limits(quota=Quota(1)), True),
        (Limits(up_speed=SPEED_MIN), True),
        (Limits(down_speed=SPEED_MIN), True),
        (Limits(connections=1, sessions=1, sources=1, expires_at=1, ports=(), targets=()), False),
    ],
)
def test_only_who_must_be_is_looked_at_chunk_by_chunk(limits: Limits, metered: bool) -> None:
    assert limits.is_metered is metered


@given(LIMITS)
def test_a_store_gives_back_what_it_was_given(limits: Limits) -> None:
    assert parse_limits(json.loads(json.dumps(pack_limits(limits)))) == limits


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"speed": 1}, "'speed' is no limit"),
        ({"enabled": 1}, "true or false"),
        ({"expires_at": "tomorrow"}, "expires_at is a whole number"),
        ({"connections": True}, "connections is a whole number"),
        ({"connections": -1}, "connections is 0 or more"),
        ({"up_speed": 100}, "up_speed is 1024 bytes a second or more"),
        ({"source_grace": "1m"}, "number of seconds"),
        ({"quota": 5}, "a quota has a size"),
        ({"quota": {"window": "month"}}, "a quota has a size"),
        ({"quota": {"size": 1, "hours": 2}}, "a quota has a size"),
        ({"quota": {"size": "1G"}}, "whole numbers"),
        ({"quota": {"size": 1, "window": 5}}, "is a word"),
        ({"quota": {"size": 1, "window": "year"}}, "one of lifetime"),
        ({"ports": 80}, "list of pairs"),
        ({"ports": [[80]]}, "list of pairs"),
        ({"ports": [[80, 79]]}, "the lower end first"),
        ({"targets": "example.org"}, "list of names"),
        ({"targets": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ({"targets": ["no host"]}, "neither a name nor an address"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_limits(members)


@given(st.dictionaries(st.sampled_from([*pack_limits(Limits(enabled=False)), "quota", "ports", "targets"]), st.text()))
def test_any_text_is_refused_with_a_sentence(members: dict[str, Any]) -> None:
    if members:
        with pytest.raises(ValueError, match=r" is | has "):
            parse_limits(members)
