"""How fast one process may let a user go, where several serve the same ports: its share of the speed.

Each process says once a second how much it would take (`Want`), and reckons its share from what all say (`lease`).
Nobody hands shares out, so nobody has to be asked, and whoever dies leaves his to the others.

**A want** is 1.5 times what passed in a second, or the whole speed where at least 0.8 of the share passed: then nobody
knows how much more would come. 1.5 x 0.8 is above 1, so whoever has what it wants does not look hungry. What passed is
remembered by half for each second: a browser's pauses are shorter than a transfer.

**A share** is what comes out when the speed is dealt out evenly and nobody gets more than it wants (max-min fairness);
what is left over then is split evenly, for whoever begins to want more. And nobody has less than
`speed / (2 * workers)`: a newcomer has to begin somehow, and to look hungry.

But nobody takes more than what the others do not have: processes look at different moments, and whoever is to give
something up does so up to a second later. Of those who have no more than the least only what they want counts there,
or idle connections elsewhere would cost a busy one its speed. So with `n` processes at work the shares add up, at any
moment, to

    speed + (n - 1) * speed / (2 * workers)     at most: less than 1.5 times the speed,

for the last one that took more than the least left the sum, without the least of others, at the speed or below.

In a steady state it is the speed: who has more than it wants is not hungry, and lets it go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ROOM: Final = 1.5
"""How much of what passed a process wants."""
HUNGRY: Final = 0.8
"""The part of its share from which on it wants all. ROOM times this is above 1."""
SLACK: Final = 2048
"""Bytes a second by which, beside a hundredth, a share may look larger than it is."""
LOOK_MIN: Final = 0.5
"""Seconds below which a look says nothing about a speed: its bytes count with those of the next."""


def lease(speed: int, own: int | None, others: Sequence[tuple[int, int]], workers: int) -> int:
    """Return the bytes a second of one process.

    Args:
        speed: of all.
        own: what it wants; None: nobody knows yet.
        others: what each of the others wants, and what it has.
        workers: how many there should be.
    """
    if not others:
        return speed
    least = max(1, speed // (2 * max(workers, len(others) + 1)))
    if own is None:
        return least
    little = least + least // 100 + SLACK
    room = speed - sum(had if had > little else min(had, want) for want, had in others)
    return max(least, min(room, _fair(speed, own, [want for want, _ in others])))


def _fair(speed: int, own: int, others: Sequence[int]) -> int:
    """Return the part of one of several, where nobody gets more than it wants while others want more."""
    wants = sorted((own, *others))
    left, count = speed, len(wants)
    for want in wants:
        level = left // count
        if want > level:
            return min(own, level)
        left -= want
        count -= 1
    return own + left // len(wants)


class Want:
    """How much one direction of a user would take in this process."""

    __slots__ = ("_at", "_passed", "_used", "size")

    def __init__(self, now: float) -> None:
        self._at = now
        self._passed = 0
        self._used = 0.0
        self.size = 0
        """Bytes a second."""

    def look(self, passed: int, rate: int, speed: int, now: float) -> int:
        """Take what passed since the last look, at that rate; return what it wants of the speed."""
        self._passed += passed
        seconds = now - self._at
        if seconds >= LOOK_MIN:
            used, self._at, self._passed = self._passed / seconds, now, 0
            self._used = max(used, self._used / 2)
            self.size = speed if used >= HUNGRY * rate else min(speed, int(self._used * ROOM))
        return self.size
