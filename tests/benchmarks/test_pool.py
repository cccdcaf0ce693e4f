"""Warm connections through a slow link: each figure is there once, and one round trip is spared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmarks import pool
from benchmarks.figures import METRICS, Results, Row
from benchmarks.plan import QUICK, Plan
from benchmarks.pool import CASES, ROUND_TRIP, WORK, PoolWorks
from benchmarks.process import Cores, Server
from benchmarks.report import work_tables
from benchmarks.systems import OURS, Found, find
from tests.link import missing

METHOD = "2022-blake3-aes-256-gcm"


@dataclass
class Run:
    """As much of a run as is needed."""

    directory: Path
    systems: list[Found] = field(default_factory=lambda: find([OURS])[0])
    plan: Plan = field(default_factory=lambda: replace(QUICK, first_bytes=12))
    works: list[str] = field(default_factory=lambda: [WORK])
    cores: Cores = field(default_factory=lambda: Cores(None, None))
    results: Results = field(default_factory=Results)
    said: list[str] = field(default_factory=list)

    @property
    def say(self) -> Callable[[str], None]:
        return self.said.append

    def attempt(self, _server: Server, _what: str) -> AbstractContextManager[None]:
        raise AssertionError("there is one system")

    def given_up(self, _server: Server, _what: str) -> bool:
        raise AssertionError("there is one system")

    def charged(self, _server: Server, _action: Callable[[], float], _after: float) -> tuple[float, float]:
        raise AssertionError("no CPU is counted")


def test_warm_connections_spare_a_round_trip(tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    run = Run(tmp_path)
    works = PoolWorks(run)
    works.measure(0, METHOD)
    works.measure(1, METHOD)  # beyond the rounds of the plan
    assert not run.results.failures
    assert len(run.said) == 1
    for case, _ in CASES:
        cold, warm, left = (
            run.results.samples[Row(WORK, case, metric, METHOD)][OURS][0]
            for metric in ("cold_p50", "warm_p50", "left_p50")
        )
        assert cold > 2 * ROUND_TRIP > warm > ROUND_TRIP
        assert left == pytest.approx(warm / cold)
    assert {row.metric for row in run.results.samples} <= METRICS.keys()
    tables = work_tables(run.results, WORK, [OURS])
    assert [table.count(f"| {METHOD} |") for table in tables] == [len(CASES)] * 6


def no_link(*_args: object) -> AbstractContextManager[None]:
    raise OSError("no such link")


def test_what_cannot_be_measured_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "missing", lambda: None)
    monkeypatch.setattr(pool, "bad_link", no_link)
    run = Run(tmp_path)
    PoolWorks(run).measure(0, METHOD)
    assert run.results.failures == {f"{OURS}, {METHOD}, pool": "no such link"}
    monkeypatch.setattr(pool, "missing", lambda: "a link needs root")
    run = Run(tmp_path)
    PoolWorks(run).measure(0, METHOD)
    assert run.results.failures == {f"{OURS}, {METHOD}, pool": "a link needs root"}


def test_it_is_left_out_where_it_was_not_asked_for(tmp_path: Path) -> None:
    for run, method in (
        (Run(tmp_path, works=["bulk"]), METHOD),
        (Run(tmp_path, systems=[]), METHOD),
        (Run(tmp_path), "aes-128-gcm"),
    ):
        PoolWorks(run).measure(0, method)
        assert not run.said
        assert not run.results.samples
