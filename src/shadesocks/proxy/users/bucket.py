"""A token bucket: how many bytes a second, with how much at once.

It may go into debt: a chunk is known only after it was received, and is paid for afterwards. Whoever sends chunks
waits until the debt is gone (`wait`); whoever sends datagrams is not let through while there is too little (`allow`).
It has no clock: instants are seconds of any clock that does not go back, and a step back is no time.
"""

from __future__ import annotations

from typing import Final

SIZE_MIN: Final = 64 * 1024
"""Bytes that a bucket holds at least: a datagram of any size must fit, or it would never pass."""
SIZE_SECONDS: Final = 0.25
"""Seconds of the rate that a bucket holds beyond that: what a page of a browser fetches at once."""


class TokenBucket:
    """Bytes that may pass now. Full at the beginning."""

    __slots__ = ("_at", "_tokens", "rate", "size")

    def __init__(self, rate: int, now: float, size: int = 0) -> None:
        """Make a full one; `rate` is in bytes a second, and `size`, in bytes, follows from it where it is 0."""
        self.rate = rate
        self.size = size or max(SIZE_MIN, int(rate * SIZE_SECONDS))
        self._tokens = float(self.size)
        self._at = now

    def tokens(self, now: float) -> float:
        """Return how many bytes may pass; below 0 is the debt."""
        if now > self._at:
            self._tokens = min(float(self.size), self._tokens + (now - self._at) * self.rate)
            self._at = now
        return self._tokens

    def take(self, size: int, now: float) -> float:
        """Pay for bytes that have passed, with debt if need be; return what is left."""
        tokens = self._tokens
        if now > self._at:  # as in `tokens`: this is called for each chunk
            tokens += (now - self._at) * self.rate
            if tokens > self.size:
                tokens = self.size
            self._at = now
        tokens -= size
        self._tokens = tokens
        return tokens

    def allow(self, size: int, now: float) -> bool:
        """Pay for bytes and return True if there is as much; else nothing is paid."""
        left = self.take(size, now)
        if left < 0:
            self._tokens = left + size
            return False
        return True

    def wait(self, now: float) -> float:
        """Return the seconds until the debt is gone; 0 where there is none."""
        return max(0.0, -self.tokens(now) / self.rate)

    def change(self, rate: int, now: float, size: int = 0) -> None:
        """Go on at another rate. What there is stays, as far as there is room; so does a debt."""
        tokens = self.tokens(now)
        self.rate = rate
        self.size = size or max(SIZE_MIN, int(rate * SIZE_SECONDS))
        self._tokens = min(tokens, float(self.size))
