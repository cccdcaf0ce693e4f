"""How many bytes a user may have, in which window of time, and what was used of it.

    lifetime   since the account began, or was reset
    month      since the day of the month on which it begins anew, 00:00 UTC
    days       in the last 30 days: what is older falls out, hour by hour

A window knows what was used. It has no clock: instants are Unix seconds in UTC. The last two are made again from a
store's hours (`restore`), so that a restart forgets nothing. A wall clock that goes back gives nobody bytes back: what
was counted in an hour or a month to come is counted as of now. What one that went ahead has forgotten, only a store
knows.
"""

from __future__ import annotations

from array import array
from calendar import monthrange
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ...core.limits import Quota

HOUR: Final = 3600
SLIDING_HOURS: Final = 30 * 24
"""Hours of the sliding window."""


class Window(Protocol):
    """What was used of a quota."""

    def add(self, size: int, now: int) -> None:
        """Count bytes."""

    def used(self, now: int) -> int:
        """Return the bytes that count now."""

    def reset(self, now: int) -> None:
        """Let nothing be used."""

    def restore(self, total: int, hours: Iterable[tuple[int, int]], now: int) -> None:
        """Begin again with what a store knows.

        Args:
            total: bytes since the last reset.
            hours: hour since 1970, and the bytes of it, since the last reset; the earliest first.
            now: which of those still count.
        """


class Lifetime:
    """All since the beginning."""

    __slots__ = ("_used",)

    def __init__(self, _quota: Quota) -> None:
        self._used = 0

    def add(self, size: int, _now: int) -> None:
        """See `Window`."""
        self._used += size

    def used(self, _now: int) -> int:
        """See `Window`."""
        return self._used

    def reset(self, _now: int) -> None:
        """See `Window`."""
        self._used = 0

    def restore(self, total: int, _hours: Iterable[tuple[int, int]], _now: int) -> None:
        """See `Window`."""
        self._used = total


class Month:
    """All since the month began."""

    __slots__ = ("_begun_at", "_day", "_next_at", "_used")

    def __init__(self, quota: Quota) -> None:
        self._day = quota.day
        self._used = 0
        self._begun_at = self._next_at = 0
        """The month that `_used` is of, from when until when."""

    def _turn(self, now: int) -> None:
        if not self._begun_at <= now < self._next_at:
            if now >= self._next_at:
                self._used = 0
            self._begun_at, self._next_at = this_month(now, self._day), next_month(now, self._day)

    def add(self, size: int, now: int) -> None:
        """See `Window`."""
        self._turn(now)
        self._used += size

    def used(self, now: int) -> int:
        """See `Window`."""
        self._turn(now)
        return self._used

    def reset(self, now: int) -> None:
        """See `Window`."""
        self._turn(now)
        self._used = 0

    def restore(self, _total: int, hours: Iterable[tuple[int, int]], now: int) -> None:
        """See `Window`."""
        self._turn(now)
        begins = self._begun_at // HOUR
        self._used = sum(size for hour, size in hours if hour >= begins)


class Sliding:
    """All of the last 30 days, by the hours in which something passed.

    They stand side by side, as numbers: of thousands of users they would be millions of objects.
    """

    __slots__ = ("_hours", "_sizes", "_used")

    def __init__(self, _quota: Quota) -> None:
        self._hours = array("q")
        """The earliest first."""
        self._sizes = array("q")
        """The bytes of each."""
        self._used = 0

    def _turn(self, now: int) -> None:
        hour, hours = now // HOUR, self._hours
        while hours and hours[0] <= hour - SLIDING_HOURS:
            hours.pop(0)
            self._used -= self._sizes.pop(0)
        if hours and hours[-1] > hour:  # the clock went back: what was to come is now
            size = 0
            while hours and hours[-1] > hour:
                hours.pop()
                size += self._sizes.pop()
            self._put(hour, size)

    def _put(self, hour: int, size: int) -> None:
        if self._hours and self._hours[-1] == hour:
            self._sizes[-1] += size
        elif size:
            self._hours.append(hour)
            self._sizes.append(size)

    def add(self, size: int, now: int) -> None:
        """See `Window`."""
        self._turn(now)
        self._put(now // HOUR, size)
        self._used += size

    def used(self, now: int) -> int:
        """See `Window`."""
        self._turn(now)
        return self._used

    def reset(self, _now: int) -> None:
        """See `Window`."""
        self._hours, self._sizes = array("q"), array("q")
        self._used = 0

    def restore(self, _total: int, hours: Iterable[tuple[int, int]], now: int) -> None:
        """See `Window`."""
        self.reset(now)
        for hour, size in hours:
            self._put(min(hour, now // HOUR), size)
            self._used += size
        self._turn(now)


_WINDOWS: Final[dict[str, type[Lifetime] | type[Month] | type[Sliding]]] = {
    "lifetime": Lifetime,
    "month": Month,
    "days": Sliding,
}
"""The kinds of windows, by their words."""


def window_of(quota: Quota) -> Window:
    """Return the window of a quota, with nothing used."""
    return _WINDOWS[quota.window](quota)


def this_month(now: int, day: int) -> int:
    """Return when the month began that `now` is in, where months begin on that day."""
    date = datetime.fromtimestamp(now, UTC)
    if date.day < day:
        year, month = (date.year, date.month - 1) if date.month > 1 else (date.year - 1, 12)
    else:
        year, month = date.year, date.month
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


def next_month(now: int, day: int) -> int:
    """Return when the month ends that `now` is in, where months begin on that day."""
    begins = datetime.fromtimestamp(this_month(now, day), UTC)
    return int(begins.timestamp()) + monthrange(begins.year, begins.month)[1] * 24 * HOUR
