"""The many users that are measured: each row is there once, and nobody waits long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from benchmarks import users
from benchmarks.figures import GOALS, METRICS, Results, judge
from benchmarks.report import work_tables
from benchmarks.systems import OURS


@dataclass
class Run:
    """As much of a run as is needed."""

    results: Results = field(default_factory=Results)
    said: list[str] = field(default_factory=list)

    @property
    def say(self) -> Callable[[str], None]:
        return self.said.append


def test_a_port_of_users_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "TRIES", 100)
    rows = [*users.measure_users(20)]
    assert [metric for _, metric, _ in rows] == ["user_memory", *["handshake"] * 3, "pause"]
    assert len({(case, metric) for case, metric, _ in rows}) == len(rows)
    assert {metric for _, metric, _ in rows} <= METRICS.keys()
    assert all(value > 0 for *_, value in rows)


def test_a_round_fills_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    monkeypatch.setattr(users, "COUNTS", (2, 30))
    monkeypatch.setattr(users, "TRIES", 100)
    users.measure(run, 0)
    tables = work_tables(run.results, users.WORK, [OURS])
    assert sum(table.count("known at the address") for table in tables) == 2
    assert len(run.said) == 1
    (goal,) = (goal for goal in GOALS if goal.work == users.WORK)
    assert len(judge(goal, run.results)) == 2
