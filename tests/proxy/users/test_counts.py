"""Sums of bytes and their differences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.counts import NOTHING, Counts

COUNTS = st.builds(Counts, *[st.integers(0, 2**62)] * 4)


@given(COUNTS, COUNTS)
def test_a_difference_undoes_a_sum(one: Counts, other: Counts) -> None:
    assert one.plus(other).minus(other) == one
    assert one.plus(other) == other.plus(one)
    assert one.plus(NOTHING) == one == one.minus(NOTHING)
    assert one.payload == one.up + one.down
