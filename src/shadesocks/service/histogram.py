"""How often a quantity was how large: counts between fixed bounds, and the sum."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

DURATIONS: Final = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
"""Seconds that connections live: of a page, of a call, of a night."""
DIALS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds until there is a connection: on this machine, in this town, around the world, after a packet was lost."""
SEARCHES: Final = (0.0002, 0.0005, 0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds until a key was found: at the first step (0.13 ms), among ten thousand (80 ms), among many who search."""
PROBES: Final = (0.0, 9.0, 17.0, 34.0, 50.0, 220.0, 221.0, 512.0, 1500.0, 16384.0)
"""Bytes that a stranger sent: nothing, the sizes that a known censor's probes have (7 to 50, and 221), more."""
LAGS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
"""Seconds that a loop comes late: nobody notices the first, everybody the last."""


class Histogram:
    """Counts of one quantity. To add costs 0.15 us."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds: Final = bounds
        self._counts: Final = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Yield each bound, and how many were not above it; infinity comes last."""
        yield from zip((*self._bounds, float("inf")), accumulate(self._counts), strict=True)


class Histograms:
    """Counts of one quantity, by a word: a few words of ours, each with a histogram of its own once it was said.

    To add costs 0.4 us.
    """

    __slots__ = ("_bounds", "words")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds: Final = bounds
        self.words: Final[dict[str, Histogram]] = {}

    def add(self, word: str, value: float) -> None:
        """Count one."""
        histogram = self.words.get(word)
        if histogram is None:
            histogram = self.words[word] = Histogram(self._bounds)
        histogram.add(value)
