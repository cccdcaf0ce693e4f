"""The addresses of a user over several processes: what one process alone would say, whoever is asked."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.sources import Sources
from shadesocks.service.users.board_sources import SHARED_MOST, SOURCE_WORDS, SOURCES, SharedSources

GROUPS = [bytes([10, 0, 0, number]) for number in range(20)]


def several(count: int = 3) -> list[SharedSources]:
    words = memoryview(bytearray(8 * (SOURCE_WORDS + 4))).cast("Q")
    return [SharedSources(words, 2, nullcontext) for _ in range(count)]


@given(
    st.integers(0, 4),
    st.sampled_from([0, 1, 5, 60]),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 19), st.integers(1, 20), st.booleans()), min_size=1, max_size=60
    ),
)
def test_all_together_say_what_one_would(most: int, grace: float, steps: list[tuple[int, int, int, bool]]) -> None:
    shared, alone = several(), Sources()
    here: list[set[bytes]] = [set(), set(), set()]
    now = 1.0
    for process, number, wait, asks in steps:
        now += wait
        if asks:
            excess = set(alone.excess(most, grace, now))
            found = [set(each.excess(most, grace, now)) for each in shared]
            assert set().union(*found) == excess
            assert all(one <= came for one, came in zip(found, here, strict=True))
        else:
            group = GROUPS[number]
            here[process].add(group)
            assert shared[process].knock(group, most, grace, now) == alone.knock(group, most, grace, now)


@pytest.mark.parametrize("grace", [0, 0.5, 1])
def test_a_short_grace_time_is_none_for_ever(grace: float) -> None:
    one, other = several(2)
    for sweep in range(5):
        now = 1 + sweep * 1.01
        assert one.knock(GROUPS[0], 1, grace, now)
        assert other.knock(GROUPS[1], 1, grace, now) is (now - 1 <= grace)


def test_a_full_list_refuses_and_remembers_nobody_more() -> None:
    one, other = several(2)
    for number in range(SOURCES):
        assert one.knock(bytes([number]), SHARED_MOST, 60, 1 + number / 100)
    assert not other.knock(b"more", SHARED_MOST, 60, 2)
    assert not other.excess(SHARED_MOST, 60, 2)
    assert other.knock(b"more", SHARED_MOST, 60, 120), "the others were not heard of"


def test_nothing_around_the_list_is_touched() -> None:
    words = memoryview(bytearray(8 * (SOURCE_WORDS + 4))).cast("Q")
    sources = SharedSources(words, 2, nullcontext)
    for number in range(SOURCES):
        sources.knock(bytes([number]), SHARED_MOST, 60, 1)
    assert words[:2].tolist() == words[-2:].tolist() == [0, 0]
    assert all(words[2:-2].tolist())
