"""Deltas on their way into the store: one batch at a time, written once, kept until that is certain.

    add (each sweep) -> waiting -> tick -> batch under way -> written
                                                |
                                                +-> failed -> the same batch again, at a later tick

While a batch fails, what comes meanwhile waits in memory, summed up by user and hour; the service goes on. What is
under way when a process is killed, and what was not yet added, is lost: bytes of one second at most. Where a ledger
outlives the process, the next one writes what was added.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...proxy.users.counts import NOTHING, Counts
from ...proxy.users.quota import HOUR
from .store import Batch, Row, StoreError

if TYPE_CHECKING:
    from .store import Store

log = logging.getLogger(__name__)

ROWS_MOST: Final = 2_000
"""Rows of a batch: some 20 ms of the store's thread, so that a question of an operator does not wait for all users."""
REMIND: Final = 600.0
"""Seconds between two lines of the log while the store fails."""


class Tells(Protocol):
    """Who has calls made; `clerk.Clerk`."""

    def tell(self, call: Callable[[Store], Any], done: Callable[[Any, StoreError | None], None]) -> None:
        """Have a call made, and `done` called afterwards."""


class Ledger(Protocol):
    """Who remembers, beyond this process, what was written; `users.seat.Seat`."""

    @property
    def formed(self) -> int:
        """The number of the last batch."""

    @property
    def is_certain(self) -> bool:
        """True where that one is written."""

    def freeze(self) -> Callable[[int], list[tuple[str, Counts]]]:
        """Return what tells, given the number of the last batch that is written, what was counted by now and is not."""

    def record(self, sequence: int, deltas: Iterable[tuple[str, Counts]]) -> None:
        """A batch is about to go to the store; those before it are written."""

    def acknowledge(self, sequence: int) -> None:
        """That batch is written."""


class Flush:
    """What passed and is not written yet. `now` is seconds of a clock that does not go back, `wall` Unix seconds."""

    def __init__(self, clerk: Tells, writer: str, ledger: Ledger | None = None) -> None:
        """Write as `writer`: a name that nobody had before, or whose batches a ledger knows of (`begin`)."""
        self._clerk = clerk
        self._writer = writer
        self._ledger = ledger
        self._unsettled: Callable[[int], list[tuple[str, Counts]]] | None = None
        """Tells what those of the same name left, once it is certain which of their batches was the last."""
        self._begun_at = 0
        self._sequence = 0
        self._waiting: dict[tuple[str, int], Counts] = {}
        self._batch: Batch | None = None
        self._is_under_way = False
        self._failed_at: float | None = None
        self._told_at = 0.0
        self._now = 0.0
        self.trouble = ""
        """Why nothing can be written; empty while all is well."""

    def begin(self, wall: int) -> None:
        """Go on where somebody of the same name ended, and with what was left unwritten; before anything is added."""
        ledger = self._ledger
        if ledger is not None:
            self._begun_at, self._unsettled = wall, ledger.freeze()
            if ledger.is_certain:
                self._settle(ledger, 0)

    def _settle(self, ledger: Ledger, last: int) -> None:
        assert self._unsettled is not None, "called once"
        deltas, self._unsettled = self._unsettled(last), None
        self._sequence = ledger.formed
        self.add(deltas, self._begun_at)
        if deltas:
            size = sum(counts.payload for _, counts in deltas)
            log.info("a worker died with %d bytes of payload counted and not written; they are written now", size)

    def add(self, deltas: Iterable[tuple[str, Counts]], wall: int) -> None:
        """Take what passed since the last time, by user; it counts for the hour that it is now."""
        hour, waiting = wall // HOUR, self._waiting
        for user, counts in deltas:
            key = user, hour
            before = waiting.get(key)
            waiting[key] = counts if before is None else before.plus(counts)

    def tick(self, now: float) -> None:
        """Send what waits, or again what failed, unless something is under way."""
        self._now = now
        if self._is_under_way:
            return
        if self._unsettled is not None:
            self._is_under_way = True
            self._clerk.tell(lambda store: store.last(self._writer), self._learn)
            return
        if self._batch is None:
            if not self._waiting:
                return
            keys = list(self._waiting)[:ROWS_MOST]
            rows = tuple(Row(user, hour, *self._waiting.pop((user, hour))) for user, hour in keys)
            self._sequence += 1
            self._batch = Batch(self._writer, self._sequence, rows)
            if self._ledger is not None:
                self._ledger.record(self._sequence, ((row.user, row.counts) for row in rows))
        batch = self._batch
        self._is_under_way = True
        self._clerk.tell(lambda store: store.write(batch), self._done)

    def _learn(self, last: int, error: StoreError | None) -> None:
        self._is_under_way = False
        if error is not None:
            self._fail(error)
        elif self._ledger is not None:
            self._recover()
            self._settle(self._ledger, last)
            self.tick(self._now)

    def _done(self, _is_new: object, error: StoreError | None) -> None:
        self._is_under_way = False
        if error is not None:
            self._fail(error)
            return
        self._batch = None
        if self._ledger is not None:
            self._ledger.acknowledge(self._sequence)
        self._recover()
        if len(self._waiting) >= ROWS_MOST:
            self.tick(self._now)

    def _recover(self) -> None:
        if self._failed_at is not None:
            log.warning("users' traffic is written again; what passed meanwhile is not lost")
            self._failed_at = None
            self.trouble = ""

    def _fail(self, error: StoreError) -> None:
        text = str(error)
        if self._failed_at is None:
            self._failed_at = self._now
        if text != self.trouble or self._now - self._told_at >= REMIND:
            self._told_at = self._now
            log.error("users' traffic cannot be written, and is kept in memory until it can: %s", text)
        self.trouble = text

    @property
    def is_clean(self) -> bool:
        """True where everything is written."""
        return self._batch is None and not self._waiting and self._unsettled is None

    def payload_of(self, names: Collection[str]) -> dict[str, int]:
        """Return the payload that is not written yet, or not for certain, of those of these users who have any."""
        found: dict[str, int] = {}
        rows = [(row.user, row.counts) for row in (self._batch.rows if self._batch is not None else ())]
        for user, counts in (*rows, *((user, counts) for (user, _), counts in self._waiting.items())):
            if user in names:
                found[user] = found.get(user, 0) + counts.payload
        return found

    @property
    def unwritten(self) -> Counts:
        """What would be lost now."""
        total = NOTHING
        for row in self._batch.rows if self._batch is not None else ():
            total = total.plus(row.counts)
        for counts in self._waiting.values():
            total = total.plus(counts)
        return total
