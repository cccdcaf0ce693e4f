"""What a process counted for users and did not write before it died: another one writes it, under the same name.

The seat at the board knows the sums, and those of the last batches; the store knows which batch was the last. Whoever
dies over this leaves it to the next, as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .flush import Flush
from .store import StoreError

if TYPE_CHECKING:
    from ..users.seat import Seat
    from .clerk import Clerk

log = logging.getLogger(__name__)


def take_over(seat: Seat, flush: Flush, last: int, wall: int) -> None:
    """Let a flush go on where somebody who sat there ended; `last` is the last batch that the store has."""
    unwritten = seat.unwritten(last)
    if unwritten:
        size = sum(counts.payload for _, counts in unwritten)
        log.info("a worker died with %d bytes of payload counted and not written; they are written now", size)
    flush.resume(seat.formed, unwritten, wall)


class Estate:
    """One seat of a process that died, until all of it is written."""

    def __init__(self, seat: Seat, clerk: Clerk, wall: Callable[[], int]) -> None:
        self._seat: Final = seat
        self._clerk: Final = clerk
        self._wall: Final = wall
        self._flush: Final = Flush(clerk, seat.writer, ledger=seat)
        self._is_asked = False
        self._is_known = False

    def tick(self, now: float) -> None:
        """Go on: once a second."""
        if self._is_known:
            self._flush.tick(now)
        elif not self._is_asked:
            self._is_asked = True
            self._clerk.tell(lambda store: store.last(self._seat.writer), self._learn)

    def _learn(self, last: int, error: StoreError | None) -> None:
        self._is_asked = False
        if error is None:
            self._is_known = True
            take_over(self._seat, self._flush, last, self._wall())

    @property
    def is_over(self) -> bool:
        """True once all is written."""
        return self._is_known and self._flush.is_clean

    def leave(self) -> None:
        """Do no more; if it is not over, somebody else will once this process has ended."""
        self._seat.leave(is_clean=self.is_over)
