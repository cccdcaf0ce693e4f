"""Two workers beside one, measured as the bench does, in small."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from benchmarks import workers
from benchmarks.bench import Bench
from benchmarks.figures import Results
from benchmarks.process import BenchError
from benchmarks.wire import METHODS, make_account


def works(results: Results) -> workers.WorkerWorks:
    bench = SimpleNamespace(results=results, say=lambda _text: None, works=[workers.WORK], systems=[])
    return workers.WorkerWorks(cast("Bench", bench))


def compare(results: Results, *values: Any) -> None:
    """Compare one worker with two that take so much, or fail."""

    def sample(value: float | Exception) -> float:
        if isinstance(value, Exception):
            raise value
        return value

    samples: Any = {count: (lambda value=value: sample(value)) for count, value in zip((1, 2), values, strict=True)}
    works(results)._compare(0, make_account(METHODS["aes-256-gcm"]), "down", "cpu_gb", samples, (2, 1))


def test_what_two_take_is_told_beside_what_one_takes() -> None:
    results = Results()
    compare(results, 2.0, 3.0)
    told = {(row.case, row.metric): systems["shadesocks"][0] for row, systems in results.samples.items()}
    assert told == {("down, 1 worker", "cpu_gb"): 2.0, ("down, 2 workers", "cpu_gb"): 3.0, ("down", "cpu_growth"): 1.5}


def test_what_fails_is_named_and_gives_no_figure() -> None:
    results = Results()
    compare(results, 2.0, BenchError("it ended"))
    assert results.samples == {}
    assert results.failures == {"shadesocks, aes-256-gcm, workers down": "it ended"}


def test_nothing_is_measured_where_ours_is_not_raced() -> None:
    results = Results()
    works(results).measure(0, "aes-256-gcm")
    assert not results.samples
    assert not results.failures
