"""Variants of one config beside each other, measured as the bench does, in small."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from benchmarks import accounts, workers
from benchmarks.bench import Bench
from benchmarks.beside import Beside, Variants
from benchmarks.figures import Results
from benchmarks.process import BenchError
from benchmarks.wire import METHODS, make_account

THREE = Variants("work", {"a": {}, "b": {}, "c": {}}, ("aes-256-gcm",), (16,), "cpu_counted")


def beside(results: Results, variants: Variants = workers.VARIANTS) -> Beside:
    bench = SimpleNamespace(results=results, say=lambda _text: None, works=[variants.work], systems=[])
    return Beside(cast("Bench", bench), variants)


def compare(results: Results, values: dict[str, Any], variants: Variants = workers.VARIANTS) -> None:
    """Compare variants that take so much, or fail."""

    def sample(value: float | Exception) -> float:
        if isinstance(value, Exception):
            raise value
        return value

    samples: Any = {label: (lambda value=value: sample(value)) for label, value in values.items()}
    account = make_account(METHODS["aes-256-gcm"])
    beside(results, variants)._compare(0, account, "down", "cpu_gb", samples, tuple(reversed(values)))


def told(results: Results) -> dict[tuple[str, str], float]:
    return {(row.case, row.metric): systems["shadesocks"][0] for row, systems in results.samples.items()}


def test_what_the_second_takes_is_told_beside_what_the_first_takes() -> None:
    results = Results()
    compare(results, {"1 worker": 2.0, "2 workers": 3.0})
    assert told(results) == {
        ("down, 1 worker", "cpu_gb"): 2.0,
        ("down, 2 workers", "cpu_gb"): 3.0,
        ("down", "cpu_growth"): 1.5,
    }


def test_each_of_several_is_compared_to_the_first() -> None:
    results = Results()
    compare(results, {"a": 2.0, "b": 3.0, "c": 1.0}, THREE)
    growth = {case: value for (case, metric), value in told(results).items() if metric == "cpu_counted"}
    assert growth == {"down, b": 1.5, "down, c": 0.5}


def test_what_fails_is_named_and_gives_no_figure() -> None:
    results = Results()
    compare(results, {"1 worker": 2.0, "2 workers": BenchError("it ended")})
    assert results.samples == {}
    assert results.failures == {"shadesocks, aes-256-gcm, workers down": "it ended"}


def test_nothing_is_measured_where_ours_is_not_raced() -> None:
    results = Results()
    beside(results).measure(0, "aes-256-gcm")
    assert not results.samples
    assert not results.failures


def test_the_first_variant_of_accounts_has_none() -> None:
    first, *others = accounts.VARIANTS.configs.values()
    assert "users" not in first
    assert all("users" in other for other in others)
