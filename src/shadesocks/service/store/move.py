"""All that one store knows, copied into another one, which is a database and empty; the first one stays as it is.

All at once or not at all. Nobody may write to the first one meanwhile: what passed after its copy would be lost. A
file tells who has it open; of a database its operator has to know.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from ...config.urls import is_url
from .choose import open_store, shown
from .store import DAY, HOURS_A_DAY, StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from .store import Day, Row, Store, Stored

DAYS_AT_ONCE: Final = 30
"""Days whose rows are in memory at once; hours come a day at a time. A user has one row in each."""
_FIRST_DAY: Final = 18_262
"""2020-01-01: before it there are but a few rows, of machines that began without a clock; they come all at once."""
_AHEAD: Final = 10
"""Days that clocks may have been ahead when something was written."""


def move(source: str, target: str, wall: Callable[[], float] = time.time) -> str:
    """Copy everything, and say how much it was.

    Raises:
        StoreError: a store cannot be used, the first is in use, or the second is not empty. Nothing was copied.
    """
    if not is_url(target):
        raise StoreError(f"{target} is no database; name one as in postgresql://user@host/database")
    _see_that_nobody_has(source)
    old, new = open_store(source, wall), open_store(target, wall)
    old.open()
    try:
        new.open()
        from .sql import SqlStore

        assert isinstance(new, SqlStore), "it is a URL"
        counts = new.do(lambda db: _copy(db, old, int(wall()), new.title))
        if new.users() != old.users():
            text = f"{shown(source)} was written to meanwhile; end what does so, empty {new.title}, and try again"
            raise StoreError(text)
    finally:
        old.close()
        new.close()
    users, hours, days = counts
    return f"{new.title} has all of it now: names {users}, rows of hours {hours}, of days {days}"


def _see_that_nobody_has(source: str) -> None:
    """Raise StoreError where a process has a file open: see `sqlite.py` for its lock."""
    if is_url(source):
        return
    if not os.path.exists(source):
        raise StoreError(f"there is no store at {source}")
    try:
        lock = os.open(f"{source}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{source}.lock: {error.strerror or error}") from None
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        text = f"{source} is in use; end the process that has it open, so that nothing passes meanwhile"
        raise StoreError(text) from None
    finally:
        os.close(lock)


def _copy(db: Connection, old: Store, now: int, title: str) -> tuple[int, int, int]:
    """Copy users, hours and days within a transaction; return how many."""
    import sqlalchemy as sa

    from .sql_schema import DAYS, HOURS, USERS
    from .sql_sums import add_to_history, portions

    if db.execute(sa.select(USERS.c.id).limit(1)).first() is not None:
        raise StoreError(f"{title} knows users already; name an empty database, or an empty schema of one")
    if db.dialect.name == "postgresql":  # the first one may be far away, and slow to answer
        db.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
    users = old.users()
    for some in portions(users):
        db.execute(sa.insert(USERS), [_members(user) for user in some])
    numbers = {row[0]: row[1] for row in db.execute(sa.select(USERS.c.name, USERS.c.id))}
    end, counts = now // DAY + _AHEAD, {HOURS: 0, DAYS: 0}
    parts: Iterator[tuple[Table, str, Sequence[Row | Day]]] = chain(
        ((HOURS, "hour", old.hours(a * HOURS_A_DAY, b * HOURS_A_DAY)) for a, b in _spans(end, 1)),
        ((DAYS, "day", old.days(a, b)) for a, b in _spans(end, DAYS_AT_ONCE)),
    )
    for table, unit, rows in parts:
        add_to_history(db, table, unit, {(row[1], numbers[row.user]): row.counts for row in rows})
        counts[table] += len(rows)
    return len(users), counts[HOURS], counts[DAYS]


def _spans(end: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the days up to that one: from which, and before which."""
    yield 0, _FIRST_DAY
    for first in range(_FIRST_DAY, end, step):
        yield first, min(first + step, end)


def _members(user: Stored) -> dict[str, Any]:
    from .sql_schema import RESET_SUMS, SUMS

    names = (*SUMS, *RESET_SUMS)
    sums = (*user.counts, *user.reset_counts)
    known = {"name": user.name, "definition": user.definition, "reset_at": user.reset_at}
    return {**known, **dict(zip(names, sums, strict=True))}
