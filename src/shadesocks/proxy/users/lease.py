"""How fast one process may let a user go, where several serve the same ports: its share of the speed.

Each process says once a second how much it would take (`Want`), and reckons its share from what all say (`lease`).
Nobody hands shares out, so nobody has to be asked, and whoever dies leaves his to the others.

**A want** is 1.5 times what passed in a second, or the whole speed where at least 0.8 of the share passed: then nobody
knows how much more would come. 1.5 x 0.8 is above 1, so whoever has what it wants does not look hungry. What passed is
remembered by half for each second: a browser's pauses are shorter than a transfer.

**A share** is what comes out when the speed is dealt out evenly and nobody gets more than it wants (max-min fairness);
what is left over then is split evenly, for whoever begins to want more. Nobody has less than `speed / (2 * workers)`:
a newcomer has to begin somehow, and to look hungry. With `n` processes at work the shares add up to

    speed + (n - 1) * speed / (2 * workers)     at most, so never to 1.5 times the speed,

and what passes to less than that: a process whose share was raised to the least wants less than it. Shares are
reckoned once a second, each process in its own time, so after somebody came or began to want more the sum may be
higher for a second: by what the others go on with until they look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ROOM: Final = 1.5
"""How much of what passed a process wants."""
HUNGRY: Final = 0.8
"""The part of its share from which on it wants all. ROOM times this is above 1."""
LOOK_MIN: Final = 0.5
"""Seconds below which a look says nothing about a speed: its bytes count with those of the next."""
UNIT: Final = 1024
"""Bytes a second in which wants are told, rounded up."""


def lease(speed: int, own: int, others: Sequence[int], workers: int) -> int:
    """Return the bytes a second of one process, which wants `own`; `others` want as much, of `workers` at most."""
    if not others:
        return speed
    wants = sorted((own, *others))
    left, count = speed, len(wants)
    share = 0
    for want in wants:
        level = left // count
        if want > level:
            share = min(own, level)
            break
        left -= want
        count -= 1
    else:
        share = own + left // len(wants)
    return max(share, speed // (2 * max(workers, len(wants))), 1)


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
            wanted = speed if used >= HUNGRY * rate else min(speed, int(self._used * ROOM))
            self.size = -(-wanted // UNIT) * UNIT
        return self.size
