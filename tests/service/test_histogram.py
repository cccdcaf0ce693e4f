"""Counts between bounds."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as some

from shadesocks.service.histogram import DIALS, DURATIONS, LAGS, PROBES, SEARCHES, Histogram, Histograms


def test_a_value_on_a_bound_is_below_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 99.0):
        histogram.add(value)
    assert [*histogram.buckets()] == [(1.0, 2), (2.0, 4), (inf, 5)]
    assert (histogram.count, histogram.sum) == (5, 104.0)


@given(
    some.lists(some.floats(min_value=0, max_value=1e6)), some.sampled_from((DIALS, DURATIONS, LAGS, PROBES, SEARCHES))
)
def test_every_value_is_counted_once(values: list[float], bounds: tuple[float, ...]) -> None:
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    for bound, count in histogram.buckets():
        assert count == sum(value <= bound for value in values)
    assert histogram.count == len(values)


def test_each_word_has_counts_of_its_own() -> None:
    histograms = Histograms((1.0, 2.0))
    assert not histograms.words
    for word, value in (("done", 0.5), ("refused", 3.0), ("done", 1.5)):
        histograms.add(word, value)
    assert {word: each.sum for word, each in histograms.words.items()} == {"done": 2.0, "refused": 3.0}
    assert [*histograms.words["done"].buckets()] == [(1.0, 1), (2.0, 2), (inf, 2)]
