"""The seam of stores, and the values that pass it. A plain server has none, and loads nothing of this folder but that.

A store is called by one thread, its own (`clerk.py`): whatever it does may wait for a disk. Bytes come as batches of
deltas, each with its writer and a sequence number, so that a batch whose outcome nobody knows can be sent again and is
not counted twice. All else about a user is what it says in `definition`, a text that only others understand.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ...core.errors import ShadesocksError
from ...proxy.users.counts import NOTHING, Counts
from ...proxy.users.quota import HOUR

HOURS_A_DAY: Final = 24
DAY: Final = HOURS_A_DAY * HOUR
"""Seconds."""
DAYS_AS_HOURS_MIN: Final = 32
"""Days whose hours are kept, at least: quotas look back for a month, or for 30 days."""
WRITERS_KEPT: Final = 7 * DAY
"""Seconds for which the last batch of a process is remembered: none is sent again that late."""


Reach = tuple[int, int]
"""Hours or days: the first, and the one behind the last."""


class StoreError(ShadesocksError):
    """The store cannot do that now, or not at all; the message says what to do. What was asked for is not done."""

    code = "store"


class Row(NamedTuple):
    """Bytes of one user in one hour."""

    user: str
    hour: int
    """Since 1970, UTC."""
    up: int
    down: int
    wire_up: int
    wire_down: int

    @property
    def counts(self) -> Counts:
        """Its four sums."""
        return Counts(*self[2:])


class Day(NamedTuple):
    """Bytes of one user in one day."""

    user: str
    day: int
    """Since 1970, UTC."""
    up: int
    down: int
    wire_up: int
    wire_down: int

    @property
    def counts(self) -> Counts:
        """Its four sums."""
        return Counts(*self[2:])


@dataclass(frozen=True, slots=True)
class Batch:
    """Deltas that are written all at once or not at all."""

    writer: str
    """Who counted them: a name that no two processes, nor two lives of one, have in common."""
    sequence: int
    """One more with each batch of a writer."""
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """What a store knows of one user."""

    name: str
    definition: str | None = None
    """JSON: credentials, limits, note. None: of such a user only traffic is known; the definition is elsewhere, or was
    deleted."""
    counts: Counts = NOTHING
    """All that ever passed."""
    reset_at: int = 0
    """Unix seconds of the last reset of the quota; 0: there was none."""
    reset_counts: Counts = NOTHING
    """All that had passed by then."""


class Store(Protocol):
    """Users and their bytes, on something that survives. Every call may raise StoreError."""

    notes: list[str]
    """Sentences for the operator; whoever logs them empties the list."""

    def open(self) -> None:
        """Make ready: create, check, set aside what is damaged, bring to the present form."""

    def close(self) -> None:
        """Let go of it. It can be opened again."""

    def look(self) -> None:
        """See whether what is open is still what is meant; every other call does so, too."""

    def write(self, batch: Batch) -> bool:
        """Add a batch to what is there, whole; False where that was done before."""

    def last(self, writer: str) -> int:
        """Return the number of the last batch of a writer that is gone; 0: there is none, or it was long ago.

        If it left one under way, its outcome is certain by then.
        """

    def users(self) -> list[Stored]:
        """Return all users, by name."""

    def put(self, name: str, definition: str) -> None:
        """Keep a user's definition: a new one, or in the place of the one before. What passed is untouched."""

    def drop(self, name: str, *, forget: bool = False) -> bool:
        """Delete a user's definition; with `forget` all that passed, too. False where there was no such user."""

    def reset(self, name: str, now: int) -> bool:
        """Let quotas count from now on. False where there is no such user."""

    def hours(self, first: int, end: int, name: str | None = None) -> list[Row]:
        """Return the hours from `first` to before `end`, by hour and user; of all users, or of one."""

    def days(self, first: int, end: int, name: str | None = None) -> list[Day]:
        """Return the days from `first` to before `end`, by day and user, of those that hours were rolled to."""

    def used(self, names: Collection[str], reach: Reach | None = None) -> dict[str, int]:
        """Return the payload bytes of these users since their last reset, by name; with a reach, those of its hours.

        What was rolled to days counts, a day with its last hour. Whoever is not known is left out.
        """

    def used_by_hour(self, names: Collection[str], reach: Reach) -> dict[str, ByHour]:
        """Return the same hour by hour."""

    def newest(self) -> int | None:
        """Return the last hour that there is; None where there is none."""

    def oldest(self) -> int | None:
        """Return the first hour of what passed, of days their first; None where there is nothing."""

    def roll(self, before: int) -> int:
        """Make days of all hours before this one, the first hour of a day; return how many hours are gone."""


class ByHour:
    """Hours, and payload bytes of each, the earliest first. Side by side: those of all users are millions of numbers,
    and as so many objects they would hold up the loop whenever Python looks for garbage."""

    __slots__ = ("_hours", "_sizes")

    def __init__(self, hours: Iterable[tuple[int, int]] = ()) -> None:
        self._hours = array("q")
        self._sizes = array("q")
        for hour, size in hours:
            self.add(hour, size)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._hours, self._sizes, strict=True)

    def add(self, hour: int, size: int) -> None:
        """Put an hour behind the others."""
        self._hours.append(hour)
        self._sizes.append(size)

    @property
    def total(self) -> int:
        """The bytes of all hours."""
        return sum(self._sizes)

    def newest(self, most: int) -> ByHour:
        """Return the newest hours that make up so many bytes.

        What passed since a reset is what passed last, whatever the clock said that the reset was made by.
        """
        gone, found = self.total - most, ByHour()
        if gone <= 0:
            return self
        for hour, size in self:
            if size > gone:
                found.add(hour, size - gone)
            gone = max(0, gone - size)
        return found


def days_in(reach: Reach) -> Reach:
    """Return the days whose last hours are in a reach of hours."""
    return reach[0] // HOURS_A_DAY, reach[1] // HOURS_A_DAY


def last_hour(day: int) -> int:
    """Return the last hour of a day."""
    return day * HOURS_A_DAY + HOURS_A_DAY - 1
