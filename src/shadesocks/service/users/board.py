"""What passed for each user in each of several processes: memory that all of them have, and only one writes at a time.

The master makes it before it forks (`Siblings.board`); a process takes a seat, and all else follows:

    seat = siblings.board.sit(siblings.slot)          in a worker; None: it serves as if it were alone
    accounts = Accounts(seat.meet)                    accounts tell and look there by themselves, at each sweep
    books = Books(accounts, store, now, wall, seat)   with a store: what a dead process left unwritten is written once
    books.sweep()                                     once a second, as without; or, where there is no store,
    accounts.sweep(now, wall); seat.tend()            both once a second
    seat.leave(is_clean=await books.close())          at the end; `seat.leave()` where there is no store

**A user** has a row, found by its name: no word goes between processes when users come, or a config is read again.
Rows are claimed when a user first has something to tell, under a lock, and stay as long as the master lives.

**A process** has a column, its seat: one cell in each row, which it alone writes, in aligned words of 8 bytes, and all
read. There are more seats than workers, since one that leaves and its follower are both there for a while. Who sits
holds a record lock on it, which the end of the process gives up, however it ends: so nobody has to be told of a death.

**What a cell keeps** of bytes is for ever: the sums since the master began, of all who ever sat there. What it says of
now (connections, sessions, wants) has the number of its process's life in it, so all of a dead one's is void at once.

**Two records of what was written** to the store are in each cell, each with the number of its batch (`Seat.record`):
the one from the last batch that had this user, and the one before. Which of them holds is the store's to say
(`Store.last`). So whoever takes a dead process's seat, or looks after it, knows to the byte what it counted and did
not write, and writes that under the same name, going on with its numbers; if it dies as well, the next one does.
See docs/adr/0023-board.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from mmap import mmap
from typing import Final, Protocol

from ...crypto.digests import blake2b
from ...crypto.record_lock import RecordLock
from .board_sources import SOURCE_WORDS
from .seat import CELL, SEAT, Seat

log = logging.getLogger(__name__)

ROWS: Final = 1 << 16
"""Users at most: further ones are served by each worker as if it were alone."""
NAME_SIZE: Final = 32
"""Bytes there are for a name on average."""

_WORD: Final = 8
_HEAD: Final = 8
"""Words at the start: how many rows, bytes of names and seats were ever used."""
_ROWS_USED, _NAMES_USED, _SEATS_USED = range(3)
_ROW: Final = 4
"""Words about a row itself: its name's hash, where the name is, the mark of the last reset."""
_HASH, _PLACE, _MARK = range(3)
_LENGTH_BITS: Final = 16
_ERRORS: Final = "surrogatepass"
"""JSON has names that are no Unicode."""

_CLAIMS: Final = 0
"""Numbers of locks: one for claims of rows, then one for each seat, then one for each row."""
_SEATS: Final = 1
_LISTS: Final = 1 << 16


class Locks(Protocol):
    """What keeps processes apart; `RecordLock`."""

    def at(self, number: int) -> AbstractContextManager[None]:
        """Return one that is held for a moment."""

    def take(self, number: int) -> bool:
        """Hold one for the life of a process, unless another process does."""

    def give(self, number: int) -> None:
        """Hold it no more."""

    def close(self) -> None:
        """Give all of them up."""


def make_board(workers: int) -> Board | None:
    """Return a board for so many workers; a smaller one, or None, where the system lends no such memory."""
    for rows in (ROWS, ROWS // 16):
        with suppress(OSError, OverflowError):
            return Board(workers, rows)
    log.warning("the system lends no memory to count users in for all workers together: each counts limits alone")
    return None


class Board:
    """Users and processes. Pages that nobody writes are not resident."""

    __slots__ = (
        "_cells",
        "_index",
        "_lists",
        "_locks",
        "_map",
        "_meta",
        "_mine",
        "_names",
        "_seats",
        "key",
        "rows",
        "seats",
        "words",
        "workers",
    )

    def __init__(self, workers: int, rows: int = ROWS, locks: Locks | None = None) -> None:
        """Make room for so many processes, each with one that leaves, and so many users."""
        self.workers: Final = workers
        self.rows: Final = rows
        self.seats: Final = 2 * workers + 2
        self.key: Final = os.urandom(8).hex()
        """A name that no other board has."""
        at = _HEAD
        self._seats = at
        at += self.seats * SEAT
        self._meta = at
        at += rows * _ROW
        self._index = at
        at += rows * 2
        self._names = at
        at += rows * NAME_SIZE // _WORD
        self._lists = at
        at += rows * SOURCE_WORDS
        self._cells = at = -(-at // CELL) * CELL  # a cell is two lines of a processor's cache
        at += self.seats * rows * CELL
        self._map = mmap(-1, at * _WORD)
        self.words: Final = memoryview(self._map).cast("Q")
        self._locks: Final = RecordLock() if locks is None else locks
        self._mine: Final[set[int]] = set()
        """The seats that this process holds; the master holds none."""

    # -- processes -----------------------------------------------------------------------------

    def sit(self, slot: int) -> Seat | None:
        """Return a seat for this process, for its life; None where all are taken."""
        own = [*range(slot, self.seats, self.workers)]
        for number in (*own, *(number for number in range(self.seats) if number not in own)):
            if self._take(number):
                if number >= self.words[_SEATS_USED]:
                    with self._locks.at(_CLAIMS):
                        self.words[_SEATS_USED] = max(self.words[_SEATS_USED], number + 1)
                return Seat(self, number)
        return None

    def adopt(self) -> Iterator[Seat]:
        """Yield the seats of processes that died, now held by this one."""
        for number in self.used_seats:
            if Seat.is_taken(self.words, self.seat_at(number)) and self._take(number):
                if Seat.is_taken(self.words, self.seat_at(number)):
                    yield Seat(self, number)
                else:  # it left between the two looks
                    self.free(number)

    def _take(self, number: int) -> bool:
        if number in self._mine or not self._locks.take(_SEATS + number):  # a process may take its own lock again
            return False
        self._mine.add(number)
        return True

    def free(self, number: int) -> None:
        """Let others sit there."""
        self._mine.discard(number)
        self._locks.give(_SEATS + number)

    def seat_at(self, number: int) -> int:
        """Return where the words about a seat are."""
        return self._seats + number * SEAT

    def cells_at(self, number: int) -> int:
        """Return where the cells of a seat are, in the order of the rows."""
        return self._cells + number * self.rows * CELL

    @property
    def used_seats(self) -> range:
        """The numbers of the seats that somebody ever had."""
        return range(self.words[_SEATS_USED])

    # -- users ---------------------------------------------------------------------------------

    def claim(self, name: str) -> int | None:
        """Return the row of a user; None where there is no room for one more."""
        raw = name.encode(errors=_ERRORS)
        mark = int.from_bytes(blake2b(raw, digest_size=_WORD).digest())
        row, _ = self._find(raw, mark)
        if row is None:  # or not yet whole: with the lock there is nothing by halves
            with self._locks.at(_CLAIMS):
                row, at = self._find(raw, mark)
                if row is None:
                    row = self._make(raw, mark, at)
        return row

    def _find(self, raw: bytes, mark: int) -> tuple[int | None, int]:
        """Return the row of a name, and where in the index it is; or where it would be."""
        words, places = self.words, self.rows * 2
        at = mark % places
        while entry := words[self._index + at]:
            if words[self._meta + (entry - 1) * _ROW + _HASH] == mark and self._name(entry - 1) == raw:
                return entry - 1, at
            at = (at + 1) % places
        return None, at

    def _make(self, raw: bytes, mark: int, at: int) -> int | None:
        words = self.words
        row, start = words[_ROWS_USED], words[_NAMES_USED]
        if row >= self.rows or start + len(raw) > self.rows * NAME_SIZE or len(raw) >> _LENGTH_BITS:
            return None
        words[_ROWS_USED] = row + 1  # first: whoever is killed in here leaves a row that nobody has
        words[_NAMES_USED] = start + len(raw)
        begin = self._names * _WORD + start
        self._map[begin : begin + len(raw)] = raw
        meta = self._meta + row * _ROW
        words[meta + _PLACE] = start << _LENGTH_BITS | len(raw)
        words[meta + _HASH] = mark
        words[self._index + at] = row + 1
        return row

    def _name(self, row: int) -> bytes:
        place = self.words[self._meta + row * _ROW + _PLACE]
        begin = self._names * _WORD + (place >> _LENGTH_BITS)
        return self._map[begin : begin + (place & (1 << _LENGTH_BITS) - 1)]

    def name(self, row: int) -> str:
        """Return whose row it is."""
        return self._name(row).decode(errors=_ERRORS)

    @property
    def used_rows(self) -> range:
        """The numbers of the rows that somebody has."""
        return range(self.words[_ROWS_USED])

    def mark_at(self, row: int) -> int:
        """Return where the mark of the last reset is."""
        return self._meta + row * _ROW + _MARK

    def list_at(self, row: int) -> int:
        """Return where a user's addresses are."""
        return self._lists + row * SOURCE_WORDS

    def lock(self, row: int) -> AbstractContextManager[None]:
        """Keep the others from a user's addresses and mark, for a moment."""
        return self._locks.at(_LISTS + row)

    def close(self) -> None:
        """Give the memory back. Seats that could not be left are held until the process ends."""
        self.words.release()
        self._map.close()
        if not self._mine:
            self._locks.close()
