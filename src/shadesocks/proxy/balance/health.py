"""What is known of one server for connections, or for datagrams: samples of the last minutes, and what they come to.

Samples come from probes (`prober.py`) and from what the connections of programs meet (`balancer.py`). Pure: `now` is
an argument, in seconds of any clock that only goes forward.
"""

from __future__ import annotations

from collections import deque
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
BURST: Final = 0.1
"""Of an interval, in which failures are one sample: a server that restarts fails all who dial it in that second. They
tell once what they have to tell, and the window holds a bounded number of samples."""
ROUNDS: Final = 3
ROUNDS_MOST: Final = 30.0
"""Rounds of probes for which something holds that is no chance, and the seconds that they are at most."""
STEADY_AFTER: Final = 2
"""Times as long a server did not fail that is steady."""
_SCALE: Final = 10_000
_FAILURE_WEIGHT: Final = 3
_WEIGHTS: Final = 5
"""shadowsocks-rust's: a score is 10,000 times (median + 3 failures + deviation) / 5."""
_WEIGHT_LEAST: Final = 2.0**-23
"""What a weight is divided by at least: shadowsocks-rust's epsilon of 32 bits."""


class Health:
    """One server, one transport. All times are seconds."""

    __slots__ = (
        "_badness",
        "_failures",
        "_found_by_probe",
        "_interval",
        "_longest",
        "_sampled_failure_at",
        "_samples",
        "failed_at",
        "last_word",
        "latency",
        "revision",
        "worked_at",
    )

    def __init__(self, interval: float, longest: float) -> None:
        """Begin to know nothing; `interval` is between two probes, `longest` is how long one may take."""
        self._interval = interval
        self._longest = longest
        self._samples: deque[tuple[float, float | None]] = deque()
        """When, and how long it took; None for a failure."""
        self._sampled_failure_at: float | None = None
        self._failures = 0
        self._found_by_probe = False
        """Of its failures one was no dial's: that a connection can be made says nothing against it."""
        self._badness: float | None = None
        """Of all samples; None: not computed since the last one came."""
        self.revision = 0
        """Grows with all that is learnt."""
        self.latency: float | None = None
        """Smoothed; None before the first sample, and after two failures in a row: it begins anew."""
        self.worked_at: float | None = None
        """When it last did what it was asked."""
        self.failed_at: float | None = None
        self.last_word = ""
        """The reason word of the last failure; empty where it worked since."""

    # -- what is told of it --------------------------------------------------------------------

    def measured(self, now: float, seconds: float) -> None:
        """A probe was answered after so long."""
        self._push(now, seconds)
        self.latency = seconds if self.latency is None else OLD_SHARE * self.latency + NEW_SHARE * seconds
        self.succeeded(now)

    def carried(self, now: float) -> None:
        """A probe was due and not sent, since what programs move shows that it works: what was known still holds."""
        if self.latency is not None:
            self._push(now, self.latency)
        self.succeeded(now)

    def succeeded(self, now: float) -> None:
        """Something came back from it: it is as good as one that never failed."""
        self.worked_at = now
        if self._failures:
            self._failures = 0
            self._found_by_probe = False
            self.last_word = ""
            self.revision += 1

    def failed(self, now: float, word: str) -> None:
        """A probe failed, or connections were made and came to nothing."""
        self.missed(now, word)
        self._found_by_probe = True

    def reached(self, now: float) -> None:
        """A connection to it was made: what dials did not find out, such as a plugin that leads nowhere, stays."""
        if not self._found_by_probe:
            self.succeeded(now)

    def missed(self, now: float, word: str) -> None:
        """A connection of a program could not be made, or a datagram not be sent."""
        if self._sampled_failure_at is None or now - self._sampled_failure_at >= BURST * self._interval:
            self._sampled_failure_at = now
            self._push(now, None)
        before = self.failures(now)
        self._found_by_probe = self._found_by_probe and before > 0
        self._failures = min(before + 1, FAILURES_MOST)
        self.failed_at = now
        self.last_word = word
        if self._failures > 1:
            self.latency = None
        self.revision += 1

    def _push(self, now: float, seconds: float | None) -> None:
        samples = self._samples
        samples.append((now, seconds))
        while now - samples[0][0] > SAMPLES * self._interval:
            samples.popleft()
        self._badness = None
        self.revision += 1

    # -- what it comes to ----------------------------------------------------------------------

    def failures(self, now: float) -> int:
        """Return how often it failed in a row, less what time has made good."""
        if not self._failures or self.failed_at is None:
            return 0
        left = 1.0 - (now - self.failed_at) / FORGET_AFTER
        return max(0, round(self._failures * left))

    @property
    def a_while(self) -> float:
        """For how long something must hold to be more than chance."""
        return min(ROUNDS * self._interval, ROUNDS_MOST)

    def is_down(self, now: float) -> bool:
        """True where its failures are more than bad luck: two in a row, or one that nothing made good for a while."""
        failures = self.failures(now)
        return failures > 1 or (failures == 1 and self.failed_at is not None and now - self.failed_at >= self.a_while)

    def is_steady(self, now: float) -> bool:
        """True where it did not fail of late."""
        return self.failed_at is None or now - self.failed_at >= STEADY_AFTER * self.a_while

    def score(self, weight: float) -> int | None:
        """Return shadowsocks-rust's score: less is better, 10,000 is dead; None where nothing is known."""
        if not self._samples:
            return None
        if self._badness is None:
            self._badness = self._find_badness()
        return int(_SCALE * self._badness / max(weight, _WEIGHT_LEAST))

    def _find_badness(self) -> float:
        good = [seconds for _, seconds in self._samples if seconds is not None]
        failure_rate = 1 - len(good) / len(self._samples)
        middle = deviation = self._longest
        if good:
            from statistics import median  # with decimals and fractions, 1 MiB: for whoever measures

            middle = median(good)
            deviation = median([abs(seconds - middle) for seconds in good])
        return ((middle + deviation) / self._longest + _FAILURE_WEIGHT * failure_rate) / _WEIGHTS

    @property
    def count(self) -> int:
        """How many samples are known."""
        return len(self._samples)
