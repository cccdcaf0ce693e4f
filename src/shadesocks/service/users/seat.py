"""One process at the board: its column, what it says there of each user, and what of it was written to the store.

    meet -> Row: tell, count ...      for the accounts of this process
    record -> acknowledge             around each batch that goes to the store
    freeze                            after a death: what was counted and not written, once

The words of a cell:

    0 - 3    up, down, wire up, wire down: sums of all who ever sat here
    4        life (16 bits), connections (24), sessions (24)
    5        of the speeds: wants up and down, shares up and down, 16 bits each (`_squeeze`)
    6        when the oldest session was used, in milliseconds; 0: there is none
    7        numbers of the two batches that the records below are from, 32 bits each
    8 - 15   the four sums as they are in the store once that batch is written, twice

**Why two.** Before a batch goes to the store, the older record of each of its users is overwritten with the sums that
the batch brings; the other one is from an earlier batch, which is written for certain, for one batch is under way at
a time. If the process dies then, the store knows which was its last. A kill loses no word that was stored, and each
step is one word: a record's number is taken away before its sums change, and put there afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from ...proxy.users.counts import NOTHING, Counts
from .board_sources import SHARED_MOST, SharedSources

if TYPE_CHECKING:
    from ...proxy.users.elsewhere import Knocks
    from .board import Board

log = logging.getLogger(__name__)

CELL: Final = 16
SEAT: Final = 8
"""Words about a seat."""

_LIFE, _TAKEN, _FORMED, _WRITTEN, _STORED = range(5)
_NOW, _WANTS, _OLDEST, _NUMBERS, _RECORDS = 4, 5, 6, 7, 8
_LIFE_BITS: Final = 16
_COUNT_BITS: Final = 24
_HALF: Final = 32
_NEVER: Final = (1 << _HALF) - 1
"""The number of a record that holds nothing."""
_COUNT_MOST: Final = (1 << _COUNT_BITS) - 1
_COUNTS: Final = (1 << 2 * _COUNT_BITS) - 1
_UNIT_BITS: Final = 10
_DIGITS: Final = 11
_SPEED_MOST: Final = ((1 << _DIGITS) - 1) << 31 + _UNIT_BITS


class Seat:
    """A column, held by this process."""

    __slots__ = ("_base", "_board", "_is_told", "_life", "_rows", "number")

    def __init__(self, board: Board, number: int) -> None:
        """Begin a life there: what was said of now is void."""
        self.number: Final = number
        self._board: Final = board
        self._base: Final = board.seat_at(number)
        self._rows: dict[str, Row | None] = {}
        self._is_told = False
        self._begin()

    def _begin(self) -> None:
        words, base = self._board.words, self._base
        self._life = words[base + _LIFE] % ((1 << _LIFE_BITS) - 1) + 1
        words[base + _LIFE] = self._life
        words[base + _TAKEN] = 1

    @staticmethod
    def is_taken(words: memoryview, base: int) -> bool:
        """Say whether somebody sat down there and did not leave as one should."""
        return bool(words[base + _TAKEN])

    @property
    def writer(self) -> str:
        """The name under which all who sit here write, one after the other."""
        return f"{self._board.key}-{self.number}"

    def meet(self, name: str) -> Row | None:
        """Return a user's place here; None where the board is full. It is the one of `Accounts`."""
        try:
            return self._rows[name]
        except KeyError:
            place = self._board.claim(name)
            if place is None and not self._is_told:
                self._is_told = True
                log.error("more than %d users: for further ones each worker counts limits alone", self._board.rows)
            row = self._rows[name] = None if place is None else Row(self._board, self.number, self._life, place)
            return row

    def tend(self, look_after: Callable[[Seat], None] | None = None) -> None:
        """Look for processes that died: hand their seats over, to be left some time; or let them be free at once."""
        for seat in self._board.adopt():
            if look_after is None:
                seat.leave()
            else:
                look_after(seat)

    def leave(self, *, is_clean: bool = True) -> None:
        """Sit there no more; all that was told is written, or nothing is to be.

        Where it is not (not `is_clean`), or the store may still be at it, the seat is held until the process ends:
        then another one looks after it.
        """
        words = self._board.words
        words[self._base + _LIFE] = self._life % ((1 << _LIFE_BITS) - 1) + 1
        if is_clean:
            words[self._base + _TAKEN] = 0
            self._board.free(self.number)

    # -- what is written -----------------------------------------------------------------------

    @property
    def formed(self) -> int:
        """The number of the last batch."""
        return self._board.words[self._base + _FORMED]

    @property
    def is_certain(self) -> bool:
        """True where no batch is under way."""
        words = self._board.words
        return words[self._base + _FORMED] == words[self._base + _WRITTEN]

    def record(self, sequence: int, deltas: Iterable[tuple[str, Counts]]) -> None:
        """A batch is about to go to the store; those before it are written."""
        sums: dict[str, Counts] = {}
        for name, counts in deltas:
            sums[name] = sums.get(name, NOTHING).plus(counts)
        words = self._board.words
        words[self._base + _FORMED] = sequence
        for name, counts in sums.items():
            row = self.meet(name)
            if row is not None:
                _record(words, row.at, sequence, counts)

    def acknowledge(self, sequence: int) -> None:
        """That batch is written."""
        self._board.words[self._base + _WRITTEN] = sequence

    def freeze(self) -> Callable[[int], list[tuple[str, Counts]]]:
        """See `flush.Ledger`: what those who sat here before left. To be called before anything is told.

        What is returned may be called when the store says which batch of this writer was the last, and before the
        next one. It changes nothing of what it would tell again: a process that dies with it in hand leaves it to the
        next. What passed before there was a store is nothing that is left to be written.
        """
        board, words = self._board, self._board.words
        first = board.cells_at(self.number)
        places = [(row, first + row * CELL) for row in board.used_rows]
        return partial(self._unwritten, [(row, at, Counts(*words[at : at + 4].tolist())) for row, at in places])

    def _unwritten(self, sums: list[tuple[int, int, Counts]], last: int) -> list[tuple[str, Counts]]:
        board, words = self._board, self._board.words
        if not words[self._base + _STORED]:
            for _, at, counts in sums:
                _put(words, at + _RECORDS, counts)
                _put(words, at + _RECORDS + 4, counts)
            words[self._base + _STORED] = 1
        last = max(last, words[self._base + _WRITTEN])  # a store forgets whoever was silent for a week
        found = []
        for row, at, counts in sums:
            _forget_after(words, at, last)
            delta = counts.minus(_written(words, at, last))
            if delta != NOTHING:
                found.append((board.name(row), delta))
        self.acknowledge(words[self._base + _FORMED])
        return found

    def written_elsewhere(self, name: str) -> int:
        """Return the payload that a store has of the others for certain: what to go on from when it was read."""
        row = self.meet(name)
        if row is None:
            return 0
        board, words = self._board, self._board.words
        total = 0
        for number in board.used_seats:
            if number != self.number:
                at = board.cells_at(number) + row.number * CELL
                total += _written(words, at, words[board.seat_at(number) + _WRITTEN]).payload
        return total

    def stands(self) -> tuple[int, ...] | None:
        """Return how many batches the others wrote; None while one is under way, and nobody can say."""
        board, words = self._board, self._board.words
        stands = []
        for number in board.used_seats:
            base = board.seat_at(number)
            if number != self.number:
                if words[base + _FORMED] != words[base + _WRITTEN]:
                    return None
                stands.append(words[base + _FORMED])
        return tuple(stands)


class Row:
    """One user, as one process tells of it and looks at it: `proxy.users.elsewhere.Others`."""

    __slots__ = ("_board", "_life", "_words", "at", "number", "workers")

    def __init__(self, board: Board, seat: int, life: int, number: int) -> None:
        self.number: Final = number
        self.at: Final = board.cells_at(seat) + number * CELL
        """Where this process's cell is."""
        self.workers = board.workers
        self._board = board
        self._words = board.words
        self._life = life

    # -- telling -------------------------------------------------------------------------------

    def tell(self, delta: Counts, oldest_at: int) -> None:
        """See `Others`."""
        words, at = self._words, self.at
        if delta != NOTHING:
            for place, size in enumerate(delta, at):
                words[place] += size
        words[at + _OLDEST] = oldest_at

    def count(self, connections: int, sessions: int) -> None:
        """See `Others`."""
        connections, sessions = min(connections, _COUNT_MOST), min(sessions, _COUNT_MOST)
        self._words[self.at + _NOW] = (self._life << _COUNT_BITS | connections) << _COUNT_BITS | sessions

    def ask(self, wants: tuple[int, int], shares: tuple[int, int]) -> None:
        """See `Others`."""
        word = 0
        for size in (*wants, *shares):
            word = word << 16 | _squeeze(size)
        self._words[self.at + _WANTS] = word

    # -- looking -------------------------------------------------------------------------------

    def payload(self) -> int:
        """See `Others`."""
        return self._all() - self._words[self.at] - self._words[self.at + 1]

    def _cells(self) -> range:
        """Return where the cells of all are, seat by seat."""
        board = self._board
        first, step = board.cells_at(0) + self.number * CELL, board.rows * CELL
        return range(first, first + len(board.used_seats) * step, step)

    def _all(self) -> int:
        words, total = self._words, 0
        for at in self._cells():
            total += words[at] + words[at + 1]
        return total

    def _live(self) -> list[tuple[int, int]]:
        """Return where the cells are of the others that have something of the user now, and what they have."""
        words, own, found = self._words, self.at, []
        for number, at in enumerate(self._cells()):
            now = words[at + _NOW]
            counts = now & _COUNTS
            if counts and at != own and now >> 2 * _COUNT_BITS == words[self._board.seat_at(number) + _LIFE]:
                found.append((at, counts))
        return found

    def connections(self) -> int:
        """See `Others`."""
        return sum(counts >> _COUNT_BITS for _, counts in self._live())

    def sessions(self) -> tuple[int, int]:
        """See `Others`."""
        live = [
            (counts & _COUNT_MOST, self._words[at + _OLDEST]) for at, counts in self._live() if counts & _COUNT_MOST
        ]
        return sum(count for count, _ in live), min((oldest for _, oldest in live), default=0)

    def asked(self) -> list[tuple[tuple[int, int], tuple[int, int]]]:
        """See `Others`."""
        words = [self._words[at + _WANTS] for at, _ in self._live()]
        return [((_spread(w >> 48), _spread(w >> 32)), (_spread(w >> 16), _spread(w))) for w in words]

    # -- resets --------------------------------------------------------------------------------

    def since_mark(self) -> int:
        """See `Others`."""
        at, total = self._board.mark_at(self.number), self._all()
        if not self._words[at] and not total:
            self._words[at] = 1  # all of them would say so
        elif not self._words[at]:
            with self._board.lock(self.number):
                self._words[at] = self._words[at] or total + 1
        return max(0, total - (self._words[at] - 1))

    def mark(self) -> None:
        """See `Others`. Two resets between which nothing passed are one."""
        with self._board.lock(self.number):
            self._words[self._board.mark_at(self.number)] = self._all() + 1

    def marked(self) -> int:
        """See `Others`."""
        return self._words[self._board.mark_at(self.number)]

    def sources(self, most: int) -> Knocks | None:
        """See `Others`."""
        board = self._board
        if most > SHARED_MOST:
            return None
        return SharedSources(board.words, board.list_at(self.number), partial(board.lock, self.number))


def _squeeze(size: int) -> int:
    """Return a size as 11 bits of KiB, moved by 5: up to 0.1 % more than it is, or a KiB; 4 PiB at most."""
    size = -(-min(size, _SPEED_MOST) >> _UNIT_BITS)
    move = max(0, size.bit_length() - _DIGITS)
    size = -(-size >> move)
    if size >> _DIGITS:
        size, move = size >> 1, move + 1
    return move << _DIGITS | size


def _spread(word: int) -> int:
    return (word & (1 << _DIGITS) - 1) << ((word & 0xFFFF) >> _DIGITS) << _UNIT_BITS


def _record(words: memoryview, at: int, sequence: int, delta: Counts) -> None:
    """Put the sums that a batch brings in the place of the older record."""
    first, second = words[at + _NUMBERS] >> _HALF, words[at + _NUMBERS] & _NEVER
    is_first = first == _NEVER or (second != _NEVER and first <= second)
    old, new = (_RECORDS + 4, _RECORDS) if is_first else (_RECORDS, _RECORDS + 4)
    sums = Counts(*words[at + old : at + old + 4].tolist()).plus(delta)
    words[at + _NUMBERS] = _NEVER << _HALF | second if is_first else first << _HALF | _NEVER
    _put(words, at + new, sums)
    words[at + _NUMBERS] = sequence << _HALF | second if is_first else first << _HALF | sequence


def _put(words: memoryview, at: int, counts: Counts) -> None:
    for place, size in enumerate(counts, at):
        words[place] = size


def _written(words: memoryview, at: int, last: int) -> Counts:
    """Return the newest record that is from a batch up to that one.

    There is one, but for whoever looks at another process while that goes on to the next but one: it gets the older.
    """
    first, second = words[at + _NUMBERS] >> _HALF, words[at + _NUMBERS] & _NEVER
    is_first = first > second if max(first, second) <= last else first < second
    at += _RECORDS if is_first else _RECORDS + 4
    return Counts(*words[at : at + 4].tolist())


def _forget_after(words: memoryview, at: int, last: int) -> None:
    """Let a record of a batch that was never written be none, whatever batches follow."""
    first, second = words[at + _NUMBERS] >> _HALF, words[at + _NUMBERS] & _NEVER
    if last < first < _NEVER:
        words[at + _NUMBERS] = _NEVER << _HALF | second
    elif last < second < _NEVER:
        words[at + _NUMBERS] = first << _HALF | _NEVER
