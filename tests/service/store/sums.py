"""Sums that tests compare: of rows, and of what a store knows of a user."""

from __future__ import annotations

from collections.abc import Iterable

from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.store import Day, Row, Stored


def count_all(rows: Iterable[Row | Day]) -> Counts:
    """Return the sums of all rows."""
    total = NOTHING
    for row in rows:
        total = total.plus(row.counts)
    return total


def since_reset(user: Stored) -> int:
    """Return the payload bytes since the last reset: what a quota of a lifetime counts."""
    return user.counts.minus(user.reset_counts).payload
