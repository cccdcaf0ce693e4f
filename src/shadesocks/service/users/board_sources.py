"""The addresses of one user, as all processes see them: what `Sources` promises, for all of them together.

Each is a word for the address, when it came, and when something was last heard of it. Whoever is known is looked up
without a lock; only who is new waits for the lock of this user. Instants are those of the system's monotonic clock,
which processes have in common, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from ...proxy.users.sources import QUIET_MIN

SOURCES: Final = 32
"""Addresses of one user."""
SHARED_MOST: Final = SOURCES // 2
"""The highest limit for which they suffice: as many again are borne with. With higher ones each counts alone."""
SOURCE_WORDS: Final = 3 * SOURCES

_KEY_BITS: Final = 63


class SharedSources:
    """A user's list, looked at by one process."""

    __slots__ = ("_at", "_here", "_lock", "_words")

    def __init__(self, words: memoryview, at: int, lock: Callable[[], AbstractContextManager[None]]) -> None:
        """`words` holds the list from `at` on; `lock` returns what keeps other processes from it."""
        self._words = words
        self._at = at
        self._lock = lock
        self._here: dict[int, bytes] = {}
        """The addresses that came to this process, by their words."""

    def knock(self, group: bytes, most: int, grace: float, now: float) -> bool:
        """See `Sources`."""
        key, instant = _key(group), int(now * 1000)
        known = self._known(grace, instant)
        if key not in known:
            with self._lock():
                known = self._known(grace, instant)
                if key not in known and not self._insert(key, {place for place, _ in known.values()}, instant):
                    return False
            known = self._known(grace, instant)
        self._here[key] = group
        if key not in known:  # it was quiet for long, and somebody has just taken its place
            return False
        place = known[key][0]
        self._words[place + 2] = max(self._words[place + 2], instant)
        return key not in _refused(known, most, grace, instant)

    def _known(self, grace: float, instant: int) -> dict[int, tuple[int, int]]:
        """Return place and time of coming of those that something was heard of, in the order in which they came."""
        at, since = self._at, instant - int(max(grace, QUIET_MIN) * 1000)
        cells = self._words[at : at + SOURCE_WORDS].tolist()
        found = [
            (cells[place + 1], at + place, cells[place])
            for place in range(0, SOURCE_WORDS, 3)
            if cells[place] and cells[place + 2] >= since
        ]
        return {key: (place, came_at) for came_at, place, key in sorted(found)}

    def _insert(self, key: int, taken: set[int], instant: int) -> bool:
        words = self._words
        for place in range(self._at, self._at + SOURCE_WORDS, 3):
            if place not in taken:
                words[place] = 0  # nobody's, for those who look without the lock
                words[place + 1] = words[place + 2] = instant
                words[place] = key
                return True
        return False

    def excess(self, most: int, grace: float, now: float) -> list[bytes]:
        """See `Sources`; those that came to this process."""
        instant = int(now * 1000)
        known = self._known(grace, instant)
        self._here = {key: group for key, group in self._here.items() if key in known}
        return [self._here[key] for key in _refused(known, most, grace, instant) if key in self._here]


def _refused(known: dict[int, tuple[int, int]], most: int, grace: float, instant: int) -> list[int]:
    if len(known) <= most:
        return []
    since = instant - int(grace * 1000)
    return [
        key
        for place, (key, (_, came_at)) in enumerate(known.items())
        if place >= most and (place >= 2 * most or came_at < since)
    ]


def _key(group: bytes) -> int:
    """Return the word for an address, never 0. All processes have this hash in common: they were forked from one."""
    return hash(group) & (1 << _KEY_BITS) - 1 | 1 << _KEY_BITS
