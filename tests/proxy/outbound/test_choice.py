"""Several servers: who is tried, in which order, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.proxy.outbound.choice import (
    FAILURES_MOST,
    TRIES_MOST,
    AtRandom,
    Choice,
    ChosenDialer,
    Circuit,
    InOrder,
)
from tests.proxy.rig import Target
from tests.service.rig import run

TARGET = Address("target.example", 443)


class Notes:
    """A choice that notes what it is told."""

    def __init__(self, *order: int) -> None:
        self._order = order
        self.told: list[tuple[str, int]] = []
        self.asked: list[Sequence[int]] = []

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        self.asked.append(numbers)
        return self._order

    def succeeded(self, number: int) -> None:
        self.told.append(("succeeded", number))

    def failed(self, number: int) -> None:
        self.told.append(("failed", number))


def test_servers_are_tried_in_their_order_and_what_became_of_them_is_told() -> None:
    async def story() -> None:
        targets = {number: Target() for number in (1, 4, 6, 7)}
        targets[6].error, targets[1].error = DialError("refused"), DialError("dial_timeout")
        notes = Notes(6, 1, 7)
        dialer = ChosenDialer(targets, notes)
        assert (await dialer.dial(TARGET, b"first")).sock is targets[7].near
        assert notes.asked == [(1, 4, 6, 7)]
        assert notes.told == [("failed", 6), ("failed", 1), ("succeeded", 7)]
        assert targets[7].dialled == [(TARGET, b"first")]
        targets[7].error = DialError("no_name")
        with pytest.raises(DialError) as failed:
            await dialer.dial(TARGET, b"")
        assert failed.value.code == "no_name", "the last one's"
        assert not targets[4].dialled
        for each in targets.values():
            each.close()

    run(story())


def test_a_failure_of_our_own_says_nothing_of_a_server() -> None:
    async def story() -> None:
        full, other = Target(DialError("limit")), Target()
        notes = Notes(0, 1)
        with pytest.raises(DialError) as failed:
            await ChosenDialer({0: full, 1: other}, notes).dial(TARGET, b"")
        assert failed.value.code == "limit"
        assert not notes.told
        assert not other.dialled
        full.close()
        other.close()

    run(story())


def test_in_order_is_the_configuration_s() -> None:
    choice = InOrder()
    choice.failed(2)
    choice.succeeded(5)
    assert choice.order((2, 5)) == (2, 5)


def test_any_server_comes_first_as_often_as_any_other_and_none_twice() -> None:
    choice = AtRandom(Random(1).randrange)  # noqa: S311 - the same draws each time
    firsts: Counter[int] = Counter()
    for _ in range(4000):
        order = choice.order((0, 1, 2, 3))
        assert len(order) == len(set(order)) == TRIES_MOST
        firsts[order[0]] += 1
    assert all(900 < firsts[number] < 1100 for number in range(4)), firsts
    assert sorted(choice.order((7, 8))) == [7, 8]


def drawn(below: list[int], numbers: dict[int, int]) -> Callable[[int], int]:
    """A generator that notes what it is asked for, and draws what the test says."""

    def draw(limit: int) -> int:
        below.append(limit)
        return numbers.get(limit, 1)

    return draw


def test_a_server_that_failed_is_seldom_tried_in_its_turn() -> None:
    """Seed 004: 1 of 21 at first, 1 of 50 at the cap, and never left out."""
    asked: list[int] = []
    lucky: dict[int, int] = {}
    choice: Choice = Circuit(drawn(asked, lucky))
    servers = (0, 1, 2)
    assert choice.order(servers) == [0, 1, 2]
    assert asked == []
    choice.failed(0)
    assert choice.order(servers) == [1, 2, 0]
    assert asked == [21]
    choice.failed(0)
    choice.failed(1)
    assert choice.order(servers) == [2, 0, 1]
    assert asked == [21, 22, 21]
    lucky[22] = 0
    assert choice.order(servers) == [0, 2, 1]
    for _ in range(100):
        choice.failed(0)
    asked.clear()
    assert choice.order(servers) == [2, 0, 1]
    assert asked == [FAILURES_MOST + 20, 21]
    choice.succeeded(0)
    assert choice.order(servers) == [0, 2, 1]
    choice.failed(2)
    assert choice.order(servers) == [0, 1, 2], "all that are left failed"


def test_the_chance_of_a_failed_server_is_go_s() -> None:
    choice = Circuit(Random(2).randrange)  # noqa: S311 - the same draws each time
    choice.failed(0)
    tried = sum(choice.order((0, 1))[0] == 0 for _ in range(21_000))
    assert 850 < tried < 1150


def test_a_dead_server_costs_one_attempt_until_it_is_tried_again() -> None:
    async def story() -> None:
        dead, alive = Target(DialError("dial_timeout")), Target()
        luck = {21: 1}
        dialer = ChosenDialer({0: dead, 1: alive}, Circuit(drawn([], luck)))
        for _ in range(5):
            await dialer.dial(TARGET, b"")
        assert (len(dead.dialled), len(alive.dialled)) == (1, 5)
        dead.error = None
        luck[21] = 0
        for _ in range(2):
            await dialer.dial(TARGET, b"")
        assert (len(dead.dialled), len(alive.dialled)) == (3, 5), "it serves again"
        dead.close()
        alive.close()

    run(story())
