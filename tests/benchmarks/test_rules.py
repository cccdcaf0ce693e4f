"""The lists that are measured: each row is there once, and each is a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from benchmarks import rules
from benchmarks.figures import METRICS, Results
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


def test_rules_and_expressions_are_timed() -> None:
    rows = [*rules.measure_rules(10), *rules.measure_expressions(3)]
    assert [metric for _, metric, _ in rows] == ["reading", *["lookup"] * 4, "reading", "expressions"]
    assert len({(case, metric) for case, metric, _ in rows}) == len(rows)
    assert all(0 < value < 1 for *_, value in rows)
    assert {metric for _, metric, _ in rows} <= METRICS.keys()


def test_a_round_fills_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    monkeypatch.setattr(rules, "COUNTS", (2, 1000))
    monkeypatch.setattr(rules, "EXPRESSIONS", (2,))
    rules.measure(run, 0)
    reading, lookup, expressions = work_tables(run.results, rules.WORK, [OURS])
    assert [line.split("|")[2].strip() for line in reading.splitlines()[4:]] == [
        "2 expressions",
        "2 rules",
        "1,000 rules",
    ]
    assert lookup.count("a name below one of them") == 2
    assert expressions.count("a name that none matches") == 1
    assert len(run.said) == 1
