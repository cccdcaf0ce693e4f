"""Limits as values, and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.limits import MemberError, pack_limits, parse_limits
from shadesocks.core.limits import FREE, SOURCE_GRACE, SPEED_MIN, WINDOWS, Limits, Quota
from shadesocks.core.limits import LIMITS as NAMES

COUNTS = st.none() | st.integers(0, 10**12)
SPEEDS = st.none() | st.integers(SPEED_MIN, 10**12)
PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair)))
LIMITS = st.builds(
    Limits,
    enabled=st.booleans(),
    expires=COUNTS,
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


@pytest.mark.parametrize(
    "members", [{}, {"enabled": True}, {"source_grace": SOURCE_GRACE, "quota": None}, {"expires": "never"}]
)
def test_whoever_has_no_limits_is_free(members: dict[str, Any]) -> None:
    """Itself, not its like: a name with limits at one port may stand without any at another."""
    assert parse_limits(members) is FREE


def test_nobody_is_limited_by_saying_nothing() -> None:
    assert pack_limits(FREE) == {}
    assert parse_limits({}) == FREE


@given(LIMITS)
def test_a_store_gives_back_what_it_was_given(limits: Limits) -> None:
    assert parse_limits(json.loads(json.dumps(pack_limits(limits)))) == limits


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"enabled": 1}, "true or false"),
        ({"expires": "tomorrow"}, "expires is a day or an instant"),
        ({"connections": True}, "connections is a whole number"),
        ({"connections": -1}, "connections is 0 or more"),
        ({"up_speed": 100}, "up_speed is 1024 bytes a second or more"),
        ({"source_grace": "1m"}, "number of seconds"),
        ({"quota": {"window": "month"}}, "a quota has a size"),
        ({"quota": {"size": 1, "hours": 2}}, "a quota has a size"),
        ({"quota": {"size": "1X"}}, "number of bytes"),
        ({"quota": {"size": 1, "day": "2"}}, "whole number"),
        ({"quota": {"size": 1, "window": 5}}, "is a word"),
        ({"quota": {"size": 1, "window": "year"}}, "one of lifetime"),
        ({"quota": 10**38}, "a quota is 4611686018427387904 bytes at most"),
        ({"quota": "999999999T"}, "a quota is 4611686018427387904 bytes at most"),
        ({"quota": {"size": 10**400}}, "a quota is 4611686018427387904 bytes at most"),
        ({"down_speed": "99999999999999T"}, "down_speed is 4611686018427387904 at most"),
        ({"connections": 10**38}, "connections is 4611686018427387904 at most"),
        ({"source_grace": 10**400}, "seconds, 4611686018427387904 at most"),
        ({"source_grace": -(10**400)}, "seconds, 4611686018427387904 at most"),
        ({"source_grace": float("nan")}, "seconds, 4611686018427387904 at most"),
        ({"expires": 10**400}, "expires is seconds since 1970, and 4611686018427387904 at most"),
        ({"expires": -(10**400)}, "expires is seconds since 1970"),
        ({"ports": 80}, "list of ports"),
        ({"ports": [[80]]}, "list of ports"),
        ({"ports": "80-x"}, "list of ports"),
        ({"ports": [[80, 79]]}, "the lower end first"),
        ({"targets": 5}, "list of names"),
        ({"targets": ["10.0.0.0/99"]}, "10.0.0.0/99"),
        ({"targets": ["no host"]}, "neither a name nor an address"),
        ({"targets": ["0x7f000001"]}, "neither a name nor an address"),
        ({"targets": ["*.::1"]}, "neither a name nor an address"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], says: str) -> None:
    with pytest.raises(MemberError, match=says):
        parse_limits(members)


@pytest.mark.parametrize("target", ["10.0.0.0/" + "\u202e9" * 50_000, "\u200f" + "a b" * 30_000, "x\n1"])
def test_a_target_that_is_none_is_named_as_a_log_can_bear_it(target: str) -> None:
    with pytest.raises(MemberError, match="target") as caught:
        parse_limits({"targets": [target]})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("members", "limits"),
    [
        ({"quota": "50G"}, Limits(quota=Quota(50 << 30))),
        ({"quota": 1000}, Limits(quota=Quota(1000))),
        ({"quota": {"size": "1.5k", "window": "month", "day": 3}}, Limits(quota=Quota(1536, "month", 3))),
        ({"up_speed": "2M", "down_speed": "10 MiB"}, Limits(up_speed=2 << 20, down_speed=10 << 20)),
        ({"expires": "2027-01-31"}, Limits(expires=1801353600)),
        ({"expires": "2027-01-31T02:00+02:00"}, Limits(expires=1801353600)),
        ({"expires": "never", "enabled": False}, Limits(enabled=False)),
        ({"ports": "80, 443,8000-8999"}, Limits(ports=((80, 80), (443, 443), (8000, 8999)))),
        ({"ports": [80, "443", [1, 2]]}, Limits(ports=((80, 80), (443, 443), (1, 2)))),
        ({"targets": "example.org, *.example.net"}, Limits(targets=("example.org", "*.example.net"))),
        ({"connections": None, "note": "no limit"}, FREE),
    ],
)
def test_what_people_write(members: dict[str, Any], limits: Limits) -> None:
    assert parse_limits(members) == limits


@given(st.dictionaries(st.sampled_from(list(NAMES)), st.text() | st.integers() | st.lists(st.integers(), max_size=3)))
def test_anything_else_is_refused_with_its_key_and_a_sentence(members: dict[str, Any]) -> None:
    found = None
    try:
        parse_limits(members)
    except MemberError as error:
        found = error
    assert found is None or (found.key.partition(".")[0] in members and " " in str(found))
