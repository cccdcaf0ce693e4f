"""What a user may do: the limits that an operator gave. None is no limit, and `FREE` has none at all.

Limits are values. What was used of them is kept by the user's account; changing a limit is giving it other ones.
`config/limits.py` reads and writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from .address import PORT_MAX

SOURCE_GRACE: Final = 60.0
"""Seconds in which more source addresses than allowed are borne with: a telephone that leaves a house has two for a
while, and some carriers change them without being asked."""
SPEED_MIN: Final = 1024
"""Bytes a second that a speed is at least: a handshake must come through before its time is over."""
MOST: Final = 1 << 62
"""What a size, a speed or a count is at most: sums of two fit into the words that processes have in common, and into
those of every store."""
WINDOWS: Final = ("lifetime", "month", "days")
"""Since the beginning, since a day of the month, in the last 30 days."""
DAY_MOST: Final = 28
"""The last day that every month has, and so the last on which a month may begin."""


class LimitValueError(ValueError):
    """A limit is none; `key` is its name."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key: Final = key

    def __reduce__(self) -> tuple[Any, ...]:
        return LimitValueError, (self.key, *self.args)


@dataclass(frozen=True, slots=True)
class Quota:
    """Payload bytes, up and down together, that may pass in a window."""

    size: int
    window: str = "lifetime"
    """One of `WINDOWS`."""
    day: int = 1
    """On which day of the month it begins anew, for `month`."""

    def __post_init__(self) -> None:
        if self.size < 0:
            raise LimitValueError("quota", "a quota is 0 bytes or more")
        if self.size > MOST:
            raise LimitValueError("quota", f"a quota is {MOST} bytes at most; leave it out where there is none")
        if self.window not in WINDOWS:
            raise LimitValueError("quota.window", f"the window of a quota is one of {', '.join(WINDOWS)}")
        if not 1 <= self.day <= DAY_MOST:
            text = f"the month of a quota begins on a day from 1 to {DAY_MOST}: every month has these"
            raise LimitValueError("quota.day", text)

    def has_window_of(self, other: Quota | None) -> bool:
        """True where what was used of the other one counts on."""
        return other is not None and (self.window, self.day) == (other.window, other.day)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one user."""

    enabled: bool = True
    expires: int | None = None
    """Unix seconds: from then on the user is unknown."""
    quota: Quota | None = None
    up_speed: int | None = None
    """Payload bytes a second, of all connections and sessions together."""
    down_speed: int | None = None
    connections: int | None = None
    """At once, over TCP."""
    sessions: int | None = None
    """At once, over UDP."""
    sources: int | None = None
    """Addresses at once: of IPv6 a /64 is one."""
    source_grace: float = SOURCE_GRACE
    """Seconds in which an address too many is borne with."""
    ports: tuple[tuple[int, int], ...] | None = None
    """Target ports that are allowed, in ranges that hold both their ends."""
    targets: tuple[str, ...] | None = None
    """Targets that are allowed: names with all below them, addresses, networks."""

    def __post_init__(self) -> None:
        for name in ("up_speed", "down_speed"):
            speed = getattr(self, name)
            if speed is not None and speed < SPEED_MIN:
                text = f"{name} is {SPEED_MIN} bytes a second or more; to let nothing pass, disable the user"
                raise LimitValueError(name, text)
        for name in ("connections", "sessions", "sources", "source_grace"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise LimitValueError(name, f"{name} is 0 or more")
        for name in ("up_speed", "down_speed", "connections", "sessions", "sources", "source_grace"):
            number = getattr(self, name)
            if number is not None and number > MOST:
                raise LimitValueError(name, f"{name} is {MOST} at most; leave it out where there is no limit")
        for low, high in self.ports or ():
            if not 0 <= low <= high <= PORT_MAX:
                raise LimitValueError("ports", f"ports are ranges within 0 and {PORT_MAX}, the lower end first")

    def refuse(self, wall: float) -> str | None:
        """Return the word for why the user is not served now, as far as that needs no count; None if it is."""
        if not self.enabled:
            return "disabled"
        return "expired" if self.expires is not None and wall >= self.expires else None

    @property
    def is_metered(self) -> bool:
        """True where bytes are looked at as they pass; for all others the sums are looked at once a second."""
        return not (self.quota is None and self.up_speed is None and self.down_speed is None)


FREE: Final = Limits()
"""Of whoever has no limits."""
LIMITS: Final = tuple(field.name for field in fields(Limits))
"""Their names, in JSON as here."""
