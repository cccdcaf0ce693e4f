"""How long the next start waits."""

from __future__ import annotations

from shadesocks.core.backoff import FIRST, MOST, SETTLED, Backoff


def test_each_wait_is_twice_the_one_before_up_to_the_most() -> None:
    backoff = Backoff()
    waits = [backoff.after(0.0) for _ in range(12)]
    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert waits[-1] == MOST
    assert waits == sorted(waits)


def test_after_a_settled_life_it_begins_again() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(SETTLED - 1)
    assert backoff.after(SETTLED) == FIRST
    assert backoff.after(0.0) == 2 * FIRST
