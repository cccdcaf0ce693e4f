"""What passed for users in the course of time: when hours become days, and how both read as one table.

All pure: rows in, rows out, one after the other.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final

from ...proxy.users.counts import NOTHING, Counts
from ...proxy.users.quota import HOUR
from .store import DAY, DAYS_AS_HOURS_MIN, HOURS_A_DAY, Day, Row

COLUMNS: Final = ("user", "from", "seconds", "up", "down", "wire_up", "wire_down")
"""Of the table, in CSV and in JSON. `from` is UTC in ISO 8601; a row is of the `seconds` from then on."""


@dataclass(frozen=True, slots=True)
class Span:
    """What passed for one user in one stretch of time."""

    user: str
    begins_at: int
    """Unix seconds."""
    seconds: int
    counts: Counts


def roll_before(now: int, days: int) -> int:
    """Return the hour before which hours become days, where hours of so many days are to be kept."""
    return (now // DAY - max(days, DAYS_AS_HOURS_MIN)) * HOURS_A_DAY


def by_hour(hours: Iterable[Row]) -> list[Span]:
    """Return a table of hours."""
    return [Span(row.user, row.hour * HOUR, HOUR, row.counts) for row in hours]


def by_day(hours: Iterable[Row], days: Iterable[Day]) -> list[Span]:
    """Return a table of days: those that hours were rolled to, and the sums of hours that were not."""
    sums: dict[tuple[int, str], Counts] = {}
    for day, user, counts in (
        *((row.day, row.user, row.counts) for row in days),
        *((row.hour // HOURS_A_DAY, row.user, row.counts) for row in hours),
    ):
        sums[day, user] = sums.get((day, user), NOTHING).plus(counts)
    return [Span(user, day * DAY, DAY, counts) for (day, user), counts in sorted(sums.items())]


def to_csv(spans: Iterable[Span]) -> Iterator[str]:
    """Yield the rows of a table as CSV (RFC 4180), each with its end; the first one has the names of the columns.

    A name that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for span in spans:
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        user = f"'{span.user}" if span.user.startswith(("=", "+", "-", "@", "\t", "\r")) else span.user
        writer.writerow((user, _instant(span.begins_at), span.seconds, *span.counts))
    yield text.getvalue()


def to_json(spans: Iterable[Span]) -> Iterator[str]:
    """Yield the lines of a table as JSON: an array of objects, one a line."""
    begun = "["
    for span in spans:
        yield f"{begun}\n"
        begun = f"{json.dumps(_members(span), ensure_ascii=False)},"
    yield "[]\n" if begun == "[" else f"{begun.removesuffix(',')}\n]\n"


def _members(span: Span) -> dict[str, Any]:
    values = (span.user, _instant(span.begins_at), span.seconds, *span.counts)
    return dict(zip(COLUMNS, values, strict=True))


def _instant(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ")
