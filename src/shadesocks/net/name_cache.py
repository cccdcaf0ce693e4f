"""What is known of names: their addresses, or that there are none, and until when.

Every operation is one look into an ordered dictionary, so no number of names makes the loop pause: there is no
sweep. An entry that is too old stays until it is pushed out, because old addresses are better than none when the name
servers fail (RFC 8767).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from .lookup import Found

Answer = tuple[Found, ...]
"""All addresses of a name, in the order in which to try them."""

STALE_MOST: Final = 86400.0
"""Seconds after its time that an answer may serve on when it cannot be had again (RFC 8767 §5: one to three days)."""
STALE_TTL: Final = 30.0
"""Seconds until it is asked for again then (RFC 8767 §5)."""


@dataclass(slots=True)
class Entry:
    """What is known of one name."""

    answer: Answer
    """Empty: there is no such name, or it has no address."""
    until: float
    """When it is too old."""
    stale_until: float
    """When it is too old even for a failure."""
    failing: bool = False
    """The last attempt to have it again failed."""


class NameCache:
    """The names used last. Times are seconds of a monotonic clock."""

    __slots__ = ("_entries", "_most", "_ttl_max", "_ttl_min")

    def __init__(self, most: int, ttl_min: float, ttl_max: float) -> None:
        """Make an empty cache of `most` names, 0 for none; times to live are kept between the bounds given."""
        self._most = most
        self._ttl_min = ttl_min
        self._ttl_max = ttl_max
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str) -> Entry | None:
        """Return what is known of a name, however old."""
        entry = self._entries.get(name)
        if entry is not None:
            self._entries.move_to_end(name)
        return entry

    def put(self, name: str, answer: Answer, ttl: float, now: float) -> None:
        """Remember an answer for its time to live; the name that was not used for longest goes."""
        if not self._most:
            return
        until = now + min(max(ttl, self._ttl_min), self._ttl_max)
        entries = self._entries
        entries[name] = Entry(answer, until, until + STALE_MOST)
        entries.move_to_end(name)
        if len(entries) > self._most:
            entries.popitem(last=False)

    def fail(self, name: str, now: float) -> Answer | None:
        """An answer could not be had again: return the old one and let it serve for a while, None without one."""
        entry = self._entries.get(name)
        if entry is None or not entry.answer or now >= entry.stale_until:
            return None
        entry.failing = True
        entry.until = now + STALE_TTL
        return entry.answer

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
