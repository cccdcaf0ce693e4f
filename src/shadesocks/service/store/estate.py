"""What a process counted for users and did not write before it died: another one writes it, under the same name.

The seat at the board knows the sums, and those of the last batches; the store knows which batch was the last. Whoever
dies over this leaves it to the next, as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .flush import Flush

if TYPE_CHECKING:
    from ..users.seat import Seat
    from .flush import Tells


class Estate:
    """One seat of a process that died, until all of it is written."""

    def __init__(self, seat: Seat, clerk: Tells, wall: int) -> None:
        self._seat: Final = seat
        self._flush: Final = Flush(clerk, seat.writer, ledger=seat)
        self._flush.begin(wall)

    def tick(self, now: float) -> None:
        """Go on: once a second."""
        self._flush.tick(now)

    @property
    def is_over(self) -> bool:
        """True once all is written."""
        return self._flush.is_clean

    def leave(self) -> None:
        """Do no more; if it is not over, somebody else will once this process has ended."""
        self._seat.leave(is_clean=self.is_over)
