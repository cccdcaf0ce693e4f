"""What users have used by a store in a SQLite file: since their last reset, in a reach of hours, hour by hour.

Each function asks for few users, and within one transaction, of the caller's: what it reads is of one moment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from .store import ByHour, Reach, days_in, last_hour

if TYPE_CHECKING:
    from sqlite3 import Connection

NAMES_AT_ONCE: Final = 500
"""Names in one statement: SQLite knew 999 values at most until 3.32."""

_AT: Final = (
    "WITH RECURSIVE at (hour) AS (SELECT min(hour) FROM hours WHERE hour >= :first AND hour < :end UNION ALL "
    "SELECT (SELECT min(hour) FROM hours WHERE hour > at.hour AND hour < :end) FROM at WHERE at.hour IS NOT NULL) "
)
"""The hours of a reach. Users are looked up in each of them: to read all rows for one takes forty times as long."""


def portions(names: Collection[str]) -> Iterator[list[str]]:
    """Yield so many names as one statement may have."""
    listed = list(names)
    for at in range(0, len(listed), NAMES_AT_ONCE):
        yield listed[at : at + NAMES_AT_ONCE]


def payload_of(db: Connection, names: list[str], reach: Reach | None) -> dict[str, int]:
    """Return what `Store.used` does, of some users."""
    totals = _since_reset(db, names)
    if reach is None:
        return dict(totals.values())
    passed = _passed(db, totals, reach)
    return {name: min(total, passed.get(number, 0)) for number, (name, total) in totals.items()}


def payload_by_hour(db: Connection, names: list[str], reach: Reach) -> dict[str, ByHour]:
    """Return the same hour by hour. An hour of all users is one row: rows take longer to fetch than to find."""
    totals = _since_reset(db, names)
    found = db.execute(
        f"{_AT}SELECT at.hour, group_concat(user), group_concat(up + down) FROM at "  # noqa: S608 - our own words
        f"CROSS JOIN hours ON hours.hour = at.hour AND user IN ({_listed(totals)}) GROUP BY at.hour",
        _marks(reach),
    ).fetchall()
    rolled = [(last_hour(day), str(number), str(size)) for number, day, size in _rolled(db, totals, reach)]
    by_hour = {number: ByHour() for number in totals}
    for hour, numbers, sizes in sorted([*found, *rolled]):
        for number, size in zip(numbers.split(","), sizes.split(","), strict=True):
            by_hour[int(number)].add(hour, int(size))
    return {name: by_hour[number].newest(total) for number, (name, total) in totals.items()}


def _marks(reach: Reach) -> dict[str, int]:
    """Return the values of `_AT`."""
    first, end = reach
    return {"first": first, "end": end}


def _since_reset(db: Connection, names: list[str]) -> dict[int, tuple[str, int]]:
    """Return by their numbers those whom we know, and their payload since the last reset."""
    found = db.execute(
        "SELECT id, name, coalesce(up + down - reset_up - reset_down, 0) "  # noqa: S608 - nothing but marks
        f"FROM users LEFT JOIN counters ON user = id WHERE name IN ({', '.join('?' * len(names))})",
        names,
    )
    return {row[0]: (row[1], row[2]) for row in found}


def _passed(db: Connection, numbers: Collection[int], reach: Reach) -> dict[int, int]:
    """Return the payload of a reach of hours, by the numbers of users."""
    found = db.execute(
        f"{_AT}SELECT user, sum(up) + sum(down) FROM at CROSS JOIN hours "  # noqa: S608 - our own words
        f"ON hours.hour = at.hour AND user IN ({_listed(numbers)}) GROUP BY user",
        _marks(reach),
    )
    passed: dict[int, int] = dict(found.fetchall())
    for number, _, size in _rolled(db, numbers, reach):
        passed[number] = passed.get(number, 0) + size
    return passed


def _rolled(db: Connection, numbers: Collection[int], reach: Reach) -> list[tuple[int, int, int]]:
    """Return users, days and payload of what was rolled, of a reach of hours: nothing, unless a clock was wrong."""
    return db.execute(
        "SELECT user, day, up + down FROM days "  # noqa: S608 - our own words
        f"WHERE day >= ? AND day < ? AND user IN ({_listed(numbers)})",
        days_in(reach),
    ).fetchall()


def _listed(numbers: Collection[int]) -> str:
    return ", ".join(map(str, numbers))
