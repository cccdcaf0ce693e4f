"""How many bytes passed for a user: four sums, which only grow, and differences of them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Counts(NamedTuple):
    """Bytes of one user: the payload that was relayed, and what it was on the wire between us and the user."""

    up: int = 0
    down: int = 0
    wire_up: int = 0
    wire_down: int = 0

    @property
    def payload(self) -> int:
        """Both ways: what a quota counts."""
        return self.up + self.down

    def plus(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])

    def minus(self, other: Counts) -> Counts:
        """Return the differences."""
        return Counts(self[0] - other[0], self[1] - other[1], self[2] - other[2], self[3] - other[3])


NOTHING: Final = Counts()
