"""The window over packet ids, against a set that remembers every id there was."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.crypto.window import WINDOW_SIZE, Window

LAST: Final = 2**64 - 1


class Model:
    """What the window stands for."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def fresh(self, packet_id: int) -> bool:
        return packet_id not in self.seen and max(self.seen, default=-1) - packet_id <= WINDOW_SIZE


def meets(window: Window, model: Model, packet_id: int) -> None:
    """Both judge an id alike, and remember it if it is good."""
    fresh = model.fresh(packet_id)
    assert window.fresh(packet_id) is fresh, packet_id
    if fresh:
        window.accept(packet_id)
        model.seen.add(packet_id)
        assert not window.fresh(packet_id)


STEPS: Final = st.one_of(
    st.integers(-3, 3),
    st.integers(-WINDOW_SIZE - 3, -WINDOW_SIZE + 3),
    st.integers(WINDOW_SIZE - 3, WINDOW_SIZE + 3),
    st.integers(-2 * WINDOW_SIZE, 2 * WINDOW_SIZE),
    st.integers(-LAST, LAST),
)
"""From the highest id so far to the next one."""


@given(st.one_of(st.just(0), st.integers(0, LAST)), st.lists(STEPS, max_size=200))
def test_agrees_with_a_set(first: int, steps: list[int]) -> None:
    window, model = Window(), Model()
    meets(window, model, first)
    for step in steps:
        meets(window, model, min(max(max(model.seen) + step, 0), LAST))


@given(st.lists(st.integers(0, 2 * WINDOW_SIZE), max_size=60), st.integers(0, LAST - 3 * WINDOW_SIZE))
def test_agrees_with_a_set_about_every_id_around(ids: list[int], base: int) -> None:
    """All that can be asked, not only what comes next."""
    window, model = Window(), Model()
    for packet_id in ids:
        meets(window, model, base + packet_id)
    highest = max(model.seen, default=-1)
    around = range(max(0, highest - WINDOW_SIZE - 3), highest + 3)
    seen = model.seen
    assert [window.fresh(packet_id) for packet_id in around] == [
        packet_id not in seen and highest - packet_id <= WINDOW_SIZE for packet_id in around
    ]


def test_the_size_is_the_one_of_other_programs() -> None:
    assert WINDOW_SIZE == 8128


def test_in_order() -> None:
    window = Window()
    for packet_id in range(3 * WINDOW_SIZE):
        assert window.fresh(packet_id)
        window.accept(packet_id)
        assert not window.fresh(packet_id)
    assert not any(map(window.fresh, range(3 * WINDOW_SIZE)))
    assert window.fresh(3 * WINDOW_SIZE)


def test_in_reverse() -> None:
    """As far back as the window goes, and not one further."""
    window = Window()
    for packet_id in range(2 * WINDOW_SIZE, WINDOW_SIZE - 1, -1):
        assert window.fresh(packet_id)
        window.accept(packet_id)
    assert not any(map(window.fresh, range(2 * WINDOW_SIZE + 1)))


@pytest.mark.parametrize(
    "gap", [1, 2, WINDOW_SIZE - 1, WINDOW_SIZE, WINDOW_SIZE + 1, WINDOW_SIZE + 2, 10 * WINDOW_SIZE]
)
def test_what_was_seen_before_a_gap_stays_seen(gap: int) -> None:
    window = Window()
    for packet_id in range(100):
        window.accept(packet_id)
    window.accept(99 + gap)
    assert not any(map(window.fresh, range(100)))
    between = range(100, 99 + gap)
    assert [window.fresh(packet_id) for packet_id in between] == [
        99 + gap - packet_id <= WINDOW_SIZE for packet_id in between
    ]


def test_the_highest_ids_there_are() -> None:
    window = Window()
    assert window.fresh(LAST)
    window.accept(LAST)
    assert not window.fresh(LAST)
    assert not window.fresh(0)
    assert window.fresh(LAST - WINDOW_SIZE)
    assert not window.fresh(LAST - WINDOW_SIZE - 1)


def test_asking_changes_nothing() -> None:
    window = Window()
    window.accept(10)
    for packet_id in (LAST, 10, 9, 11, 10**6, 0):
        assert window.fresh(packet_id) is window.fresh(packet_id) is (packet_id != 10)


def one_lost_then_in_order() -> list[int]:
    return [0, *range(2, 40 * WINDOW_SIZE)]


def every_second() -> list[int]:
    return list(range(0, 40 * WINDOW_SIZE, 2))


def jumps_of_a_window() -> list[int]:
    return list(range(0, 100 * WINDOW_SIZE, WINDOW_SIZE))


def jumps_across_all_ids() -> list[int]:
    return [0, 2, 2**32, 2**62, 2**63, LAST - WINDOW_SIZE, LAST - 1, LAST]


@pytest.mark.parametrize("ids", [one_lost_then_in_order, every_second, jumps_of_a_window, jumps_across_all_ids])
def test_it_never_grows(ids: Callable[[], list[int]]) -> None:
    """The worst is an integer of one bit an id of the window, and no shift is by more."""
    window, packet_ids = Window(), ids()
    tracemalloc.start()
    try:
        for packet_id in packet_ids:
            window.accept(packet_id)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * WINDOW_SIZE // 8
    assert peak < 8 * WINDOW_SIZE // 8
