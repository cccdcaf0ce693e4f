"""Pulses: what is due each second, each five, and never twice."""

from __future__ import annotations

from typing import Any, cast

from shadesocks.service.journal import Journal
from shadesocks.service.pulses import CLIENTS_STEP, INTERVAL, Clients, Concurrent, Looks, Memory, Speed, resident


def journal_with(relays: int = 0, down: int = 0) -> Journal:
    journal = Journal(show_targets=False)
    journal.relays = cast("Any", _Many(relays))
    journal.down = down
    return journal


class _Many:
    """A number of relays, which are nothing but counted."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Any:
        return iter(())


def test_connections_are_told_every_five_seconds() -> None:
    pulse = Concurrent()
    beats = [list(pulse(journal_with(3))) for _ in range(2 * INTERVAL)]
    quiet: list[Any] = [[]] * (INTERVAL - 1)
    assert beats == 2 * [*quiet, [("concurrent", {"count": 3})]]


def test_the_speed_is_that_of_the_last_five_seconds() -> None:
    pulse = Speed()
    told: list[Any] = []
    for second in range(1, 2 * INTERVAL + 1):
        told += pulse(journal_with(down=min(second, INTERVAL) * 2048))
    assert told == [("speed", {"speed": 2.0}), ("speed", {"speed": 0.0})]


def test_each_hundred_of_clients_is_told_once() -> None:
    pulse = Clients()
    told = [
        [parts["count"] for _, parts in pulse(journal_with(count))]
        for count in (CLIENTS_STEP - 1, CLIENTS_STEP, CLIENTS_STEP, 5, 3 * CLIENTS_STEP + 7)
    ]
    assert told == [[], [100], [], [], [200, 300]]


def test_looks_are_told_when_there_are_looks() -> None:
    pulse = Looks()
    assert [beat for _ in range(INTERVAL) for beat in pulse(journal_with())] == [("look", {})]


def test_memory_is_what_the_system_says() -> None:
    ((event, parts),) = Memory()(journal_with())
    assert event == "memory"
    assert 0 < parts["rss"] < 1 << 40
    assert abs(parts["rss"] - resident()) < 64 << 20
