"""Processes that share a board and a store, all within one: each may be killed at any word that it stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from typing import Any

from shadesocks.core.limits import FREE, Limits
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.estate import Estate
from shadesocks.service.store.flush import Flush
from shadesocks.service.store.store import Row, StoreError
from shadesocks.service.users.board import Board
from shadesocks.service.users.seat import CELL, Seat
from tests.proxy.users.test_account import Carrier, begin
from tests.service.store.sums import count_all
from tests.service.store.test_flush import Desk, Memory


class Killed(BaseException):
    """A process is no more."""


class Words:
    """The memory as one process sees it, until it dies in the middle of something."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self.left: int | None = None
        """Words that it stores before it dies."""

    def __getitem__(self, place: Any) -> Any:
        return self._words[place]

    def __setitem__(self, place: int, word: int) -> None:
        if self.left is not None:
            if not self.left:
                raise Killed
            self.left -= 1
        self._words[place] = word


class Locks:
    """Locks as one process has them: of those that all know."""

    def __init__(self, held: dict[int, Locks]) -> None:
        self._held = held

    @contextmanager
    def at(self, number: int) -> Iterator[None]:
        assert number not in self._held, "it would wait for ever"
        yield

    def take(self, number: int) -> bool:
        return self._held.setdefault(number, self) is self

    def give(self, number: int) -> None:
        assert self._held.pop(number) is self

    def die(self) -> None:
        for number in [number for number, owner in self._held.items() if owner is self]:
            del self._held[number]

    def close(self) -> None:
        self.die()


def see(board: Board, held: dict[int, Locks]) -> Board:
    """Return a board as a process of its own sees it."""
    seen = copy(board)
    object.__setattr__(seen, "words", Words(board.words))
    object.__setattr__(seen, "_locks", Locks(held))
    object.__setattr__(seen, "_mine", set())
    return seen


class Ledger(Memory):
    """A store that can say what was written last."""

    def last(self, writer: str) -> int:
        if self.failing and self.failing.pop(0):
            raise StoreError("no answer")
        return self.sequences.get(writer, 0)

    def sum(self, user: str) -> Counts:
        return count_all([row for row in self.rows if row.user == user])


class Town:
    """A board, a store, and the processes that came and went."""

    def __init__(self, workers: int = 3, rows: int = 16) -> None:
        self.board = Board(workers, rows)
        self.held: dict[int, Locks] = {}
        self.store = Ledger()
        self.now = 0.0

    def start(self, slot: int, limits: dict[str, Limits] | None = None, *, stores: bool = True) -> Process:
        return Process(self, slot, limits or {}, stores=stores)

    def sum(self, user: str) -> Counts:
        """Return what the board has of a user."""
        row = self.board.claim(user)
        assert row is not None
        total = NOTHING
        for number in range(self.board.seats):
            at = self.board.cells_at(number) + row * CELL
            total = total.plus(Counts(*self.board.words[at : at + 4].tolist()))
        return total

    def close(self) -> None:
        self.board.close()


class Process:
    """A worker: accounts, a flush, and what it inherits. Killed, it does nothing more."""

    def __init__(self, town: Town, slot: int, limits: dict[str, Limits], *, stores: bool = True) -> None:
        self.town = town
        self.slot = slot
        self.board = see(town.board, town.held)
        seat = self.board.sit(slot)
        assert seat is not None
        self.seat: Seat = seat
        self.stores = stores
        self.accounts = Accounts(seat.meet)
        self.desk = Desk(town.store)
        self.flush = Flush(self.desk, seat.writer, ledger=seat)
        self.estates: list[Estate] = []
        self.carriers: dict[str, Carrier] = {}
        self.is_dead = False
        for name, limit in limits.items():
            self.accounts.open(name, limit, town.now, int(town.now))
        if stores:
            self.flush.begin(0)

    @contextmanager
    def mortal(self) -> Iterator[None]:
        """Die where it is killed."""
        try:
            yield
        except Killed:
            self.kill()

    def kill_after(self, words: int) -> None:
        self.board.words.left = words  # type: ignore[attr-defined]

    def kill(self) -> None:
        self.is_dead = True
        self.board._locks.die()  # type: ignore[attr-defined]

    def move(self, user: str, up: int, down: int) -> None:
        if user not in self.carriers or self.carriers[user].word:
            account = self.accounts.open(user, getattr(self.accounts.find(user), "limits", FREE), 0, 0)
            self.carriers[user] = begin(account)
        self.carriers[user].move(up, down)

    def sweep(self, look: Callable[[], AbstractContextManager[None]] | None = None) -> None:
        """What `Books.sweep` does."""
        with (look or self.mortal)():
            self.flush.add(self.accounts.sweep(self.town.now, int(self.town.now)), int(self.town.now))
            if not self.stores:
                return self.seat.tend()
            self.flush.tick(self.town.now)
            self.seat.tend(self._inherit)
            for estate in list(self.estates):
                estate.tick(self.town.now)
                if estate.is_over:
                    estate.leave()
                    self.estates.remove(estate)

    def _inherit(self, seat: Seat) -> None:
        self.estates.append(Estate(seat, self.desk, int(self.town.now)))

    def work(self) -> None:
        """Let the store do what it was asked."""
        with self.mortal():
            self.desk.work()

    def leave(self) -> None:
        """End as one should."""
        for _ in range(3):
            self.sweep()
            self.work()
        with self.mortal():
            for estate in self.estates:
                estate.leave()
            self.seat.leave(is_clean=self.flush.is_clean)
        self.kill()


__all__ = ["Killed", "Process", "Row", "Town"]
