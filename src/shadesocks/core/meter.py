"""What one connection moved, and when: plain numbers, written by the relay, read by whoever counts."""

from __future__ import annotations


class Meter:
    """Payload bytes of one connection, both ways, and its times.

    Never locked: one thread writes, and a reader that comes between two writes sees whole ints.
    """

    __slots__ = ("down", "last_at", "started_at", "up")

    def __init__(self, started_at: float) -> None:
        self.up = 0
        """Payload bytes away from the initiator."""
        self.down = 0
        """Payload bytes back to the initiator."""
        self.started_at = started_at
        """Seconds of a monotonic clock."""
        self.last_at = started_at
        """Seconds of the same clock: the last sweep that saw bytes move."""
