"""What passed through the ports of all workers together, and what a manager told of it: in memory that they share.

    each worker   tell(what passed here, by port)  ->  a row of its own
    a manager     sums of the rows;  what it told, what it heard, to whom it tells
    the master    sums of the rows, for a manager of others

Made by the master before it forks. A row has one writer at a time and never falls: a worker goes on from what its row
says. So whoever is killed takes along what passed in its last second, and nothing that was ever told; and the worker
that has a manager after another one knows all that it knew. Pages that nobody looks at are not resident.
"""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final

PORTS: Final = 1 << 16
EVERY: Final = 1.0
"""Seconds between two looks of a worker at what passed: 1 us a port each."""
NOTE_MOST: Final = 16_384
"""Bytes of who is told: 64 paths of Unix sockets, with room to spare."""
_WORD: Final = 8
_HEAD: Final = 2 * _WORD


class Tally:
    """The rows of all workers, and a manager's notes."""

    def __init__(self, workers: int) -> None:
        """Make room for so many, each with one that leaves, and for those who are slow to end."""
        self.rows: Final = 2 * workers + 2
        notes = (self.rows + 2) * PORTS * _WORD
        self._used = notes + _HEAD + 2 * NOTE_MOST
        self._notes: Final = notes
        self._map: Final = mmap.mmap(-1, self._used + PORTS)
        self._view: Final = memoryview(self._map)
        self.words: Final = self._view[:notes].cast("Q")
        self.told: Final = Row(self, self.rows)
        """By port what a manager told, or what had passed when it was added."""
        self.heard: Final = Row(self, self.rows + 1)
        """By port what others told a manager."""

    def free_row(self, taken: Container[int]) -> int:
        """Return one that no process has; the last one where all are taken."""
        return next((row for row in range(self.rows) if row not in taken), self.rows - 1)

    def use(self, port: int) -> None:
        """Something is said of a port from now on."""
        self._map[self._used + port] = 1

    def ports(self) -> Iterator[int]:
        """Yield the ports of which something was ever said."""
        at = self._map.find(b"\1", self._used)
        while at >= 0:
            yield at - self._used
            at = self._map.find(b"\1", at + 1)

    def sums(self) -> dict[int, int]:
        """Return what passed through all, by port."""
        return {port: self.sum_of(port) for port in self.ports()}

    def sum_of(self, port: int) -> int:
        """Return what passed through one port of all."""
        words = self.words
        return sum([words[at] for at in range(port, self.rows * PORTS, PORTS)])

    # -- whom a manager tells ----------------------------------------------------------------------

    def remember(self, senders: Iterable[Any]) -> None:
        """Note to whom a manager tells what passes; a note that is half written is none."""
        data = pickle.dumps([*senders])
        if len(data) > NOTE_MOST - _WORD:
            return
        half = 1 - self._map[self._notes]
        at = self._notes + _HEAD + half * NOTE_MOST
        self._map[at : at + _WORD + len(data)] = len(data).to_bytes(_WORD) + data
        self._map[self._notes] = half

    def senders(self) -> list[Any]:
        """Return those who were noted last."""
        at = self._notes + _HEAD + self._map[self._notes] * NOTE_MOST
        size = int.from_bytes(self._map[at : at + _WORD])
        found: list[Any] = pickle.loads(self._map[at + _WORD : at + _WORD + size]) if size else []  # noqa: S301 - ours
        return found

    def close(self) -> None:
        """Give the memory back."""
        self.words.release()
        self._view.release()
        self._map.close()


class Row:
    """A number for each port."""

    __slots__ = ("_at", "_tally")

    def __init__(self, tally: Tally, number: int) -> None:
        self._tally: Final = tally
        self._at: Final = number * PORTS

    def __getitem__(self, port: int) -> int:
        """Return the number of a port; 0 where none was said."""
        return self._tally.words[self._at + port]

    def __setitem__(self, port: int, size: int) -> None:
        """Say the number of a port."""
        self._tally.words[self._at + port] = size


class Share:
    """What one worker says."""

    def __init__(self, tally: Tally, row: int) -> None:
        """Go on from what the row says."""
        self.tally: Final = tally
        self._row: Final = Row(tally, row)
        self._before: Final[dict[int, int]] = {}
        """By port what the row said before this worker."""

    def tell(self, passed: Mapping[int, int]) -> None:
        """Say what passed here since this worker began, by port."""
        row, before = self._row, self._before
        for port, size in passed.items():
            first = before.get(port)
            if first is None:
                if not size:
                    continue
                self.tally.use(port)
                first = before[port] = row[port]
            row[port] = first + size

    def sums(self, passed: Mapping[int, int]) -> dict[int, int]:
        """Say what passed here, and return what passed through all."""
        self.tell(passed)
        return self.tally.sums()

    def sum_of(self, port: int, passed: int) -> int:
        """Say what passed here through one port, and return what passed there through all."""
        self.tell({port: passed})
        return self.tally.sum_of(port)
