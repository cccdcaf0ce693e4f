"""How soon after its end something is begun again: soon, and later each time it ends soon again."""

from __future__ import annotations

from typing import Final

FIRST: Final = 0.1
"""Seconds."""
MOST: Final = 30.0
"""Seconds: what cannot live costs one start in half a minute."""
SETTLED: Final = 60.0
"""Seconds of a life after which the next wait is the first again."""


class Backoff:
    """The waits of one place."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST

    def after(self, lived: float) -> float:
        """Return the seconds to wait after a life of so many seconds."""
        if lived >= SETTLED:
            self._next = FIRST
        wait, self._next = self._next, min(self._next * 2, MOST)
        return wait
