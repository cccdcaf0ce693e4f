"""The parts that are timed: each has its rows, and the times are those of what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from benchmarks import parts
from benchmarks.figures import METRICS, Results
from benchmarks.systems import OURS


@dataclass
class Run:
    """As much of a run as is needed."""

    results: Results = field(default_factory=Results)
    said: list[str] = field(default_factory=list)

    @property
    def say(self) -> Callable[[str], None]:
        return self.said.append


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SETUPS", 3)
    monkeypatch.setattr(parts, "PIECES", 1)
    monkeypatch.setattr(parts, "TOUCHES", 5)
    monkeypatch.setattr(parts, "WAITING", (10, 20))


@pytest.mark.parametrize("name", parts.CIPHERS)
def test_each_cipher_is_set_up_and_run(name: str) -> None:
    if name in ("salsa20",):
        pytest.importorskip("Cryptodome")
    rows = dict(parts.measure_cipher(name))
    assert [row.metric for row in rows] == ["setup", "rate"]
    assert all(value > 0 for value in rows.values())


def test_a_deadline_costs_a_time() -> None:
    assert 0 < asyncio.run(parts.measure_deadlines(7)) < 1


def test_a_round_fills_the_tables() -> None:
    run = Run()
    parts.measure(run, 0)
    assert {row.metric for row in run.results.rows(parts.WORK)} == {"setup", "rate", "deadline"} <= METRICS.keys()
    assert len(run.results.rows(parts.WORK, metric="deadline")) == 2
    assert all(set(systems) == {OURS} for systems in run.results.samples.values())
    (said,) = run.said
    assert parts.WORK in said
