"""What old programs said again and again, whatever happened: counts, speeds, memory.

A pulse is beaten once a second by the service's sweep, and has no timer of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .journal import Journal

Beat = tuple[str, dict[str, int | float]]
"""An event of a voice, and its parts."""
Pulse = Callable[["Journal"], Iterator[Beat]]

INTERVAL: Final = 5
"""Seconds between two lines of lite; of the looks at time-outs, too, for that is when there are looks."""
CLIENTS_STEP: Final = 100
"""Connections between two lines of go."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class _EveryFew:
    """Beats that let most seconds pass."""

    def __init__(self) -> None:
        self._seconds = 0

    def due(self) -> bool:
        """Count a second; True every few."""
        self._seconds = (self._seconds + 1) % INTERVAL
        return not self._seconds


class Concurrent:
    """How many connections there are."""

    def __init__(self) -> None:
        self._few: Final = _EveryFew()

    def __call__(self, journal: Journal) -> Iterator[Beat]:
        """See `Pulse`."""
        if self._few.due():
            yield "concurrent", {"count": len(journal.relays)}


class Speed:
    """What came back from servers lately, in KB a second."""

    def __init__(self) -> None:
        self._few: Final = _EveryFew()
        self._down = 0

    def __call__(self, journal: Journal) -> Iterator[Beat]:
        """See `Pulse`."""
        if self._few.due():
            down = journal.totals()[2]
            yield "speed", {"speed": (down - self._down) / (INTERVAL * 1024)}
            self._down = down


class Clients:
    """Each hundred of connections that is reached for the first time."""

    def __init__(self) -> None:
        self._next = CLIENTS_STEP

    def __call__(self, journal: Journal) -> Iterator[Beat]:
        """See `Pulse`."""
        while len(journal.relays) >= self._next:
            yield "clients", {"count": self._next}
            self._next += CLIENTS_STEP


class Looks:
    """The looks at time-outs."""

    def __init__(self) -> None:
        self._few: Final = _EveryFew()

    def __call__(self, _journal: Journal) -> Iterator[Beat]:
        """See `Pulse`."""
        if self._few.due():
            yield "look", {}


class Memory:
    """How much memory the process has."""

    def __call__(self, _journal: Journal) -> Iterator[Beat]:
        """See `Pulse`."""
        yield "memory", {"rss": resident()}


PULSES: Final[dict[str, Callable[[], Pulse]]] = {
    "concurrent": Concurrent,
    "speed": Speed,
    "clients": Clients,
    "looks": Looks,
    "memory": Memory,
}
"""By the names in `Voice.pulses`."""


def resident() -> int:
    """Return the bytes of this process in memory; 0 where the system does not tell in /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
