"""What is known of one server for connections, or for datagrams: samples of the last minutes, and what they come to.

Samples come from probes (`prober.py`) and from what the connections of programs meet (`balancer.py`). Pure: `now` is
an argument, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

SAMPLES: Final = 67
"""Of the window, in probe intervals: shadowsocks-rust's, which says that 67 rounds tell a median well enough."""
FAILURES_MOST: Final = 30
"""Failures in a row that are counted: shadowsocks-go's."""
OLD_SHARE: Final = 0.8
NEW_SHARE: Final = 0.2
"""What the old value, and a new sample, are of the smoothed latency: shadowsocks-lite's."""
FORGET_AFTER: Final = 600.0
"""Seconds in which the failures of a server fade to none, where no other follows: go never forgot, and a server that
was mended overnight got one connection in fifty."""
_SCALE: Final = 10_000
_FAILURE_WEIGHT: Final = 3
_WEIGHTS: Final = 5
"""shadowsocks-rust's: a score is 10,000 times (median + 3 failures + deviation) / 5."""
_WEIGHT_LEAST: Final = 2.0**-23
"""What a weight is divided by at least: shadowsocks-rust's epsilon of 32 bits."""


class Health:
    """One server, one transport. All times are seconds."""

    __slots__ = ("_failures", "_samples", "_window", "failed_at", "last_word", "latency", "worked_at")

    def __init__(self, window: float) -> None:
        """Begin to know nothing; samples count for `window`."""
        self._window = window
        self._samples: deque[tuple[float, float | None]] = deque()
        """When, and how long it took; None for a failure."""
        self._failures = 0
        self.latency: float | None = None
        """Smoothed; None before the first sample, and after a failure."""
        self.worked_at: float | None = None
        """When it last did what it was asked."""
        self.failed_at: float | None = None
        self.last_word = ""
        """The reason word of the last failure; empty where it worked since."""

    def measured(self, now: float, seconds: float) -> None:
        """A probe was answered after so long."""
        self._push(now, seconds)
        self.latency = seconds if self.latency is None else OLD_SHARE * self.latency + NEW_SHARE * seconds
        self.succeeded(now)

    def succeeded(self, now: float) -> None:
        """It did what a program asked: it is as good as one that never failed."""
        self._failures = 0
        self.worked_at = now
        self.last_word = ""

    def failed(self, now: float, word: str) -> None:
        """A probe or a connection of a program failed."""
        self._push(now, None)
        self._failures = min(self.failures(now) + 1, FAILURES_MOST)
        self.failed_at = now
        self.last_word = word
        self.latency = None

    def _push(self, now: float, seconds: float | None) -> None:
        self._forget(now)
        self._samples.append((now, seconds))

    def _forget(self, now: float) -> None:
        samples = self._samples
        while samples and now - samples[0][0] > self._window:
            samples.popleft()

    def failures(self, now: float) -> int:
        """Return how often it failed in a row, less what time has made good."""
        if not self._failures or self.failed_at is None:
            return 0
        left = 1.0 - (now - self.failed_at) / FORGET_AFTER
        return max(0, round(self._failures * left))

    def score(self, now: float, longest: float, weight: float) -> int:
        """Return shadowsocks-rust's score: less is better, 10,000 is dead; `longest` is how long a probe may take."""
        self._forget(now)
        if not self._samples:
            return int(_SCALE / max(weight, _WEIGHT_LEAST))
        good = [seconds for _, seconds in self._samples if seconds is not None]
        failure_rate = 1 - len(good) / len(self._samples)
        middle = min(median(good), longest) if good else longest
        deviation = median(abs(seconds - middle) for seconds in good) if good else longest
        bad = middle / longest + _FAILURE_WEIGHT * failure_rate + deviation / longest
        return int(_SCALE * bad / _WEIGHTS / max(weight, _WEIGHT_LEAST))

    @property
    def count(self) -> int:
        """How many samples are known."""
        return len(self._samples)
