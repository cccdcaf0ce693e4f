"""Adding to many rows of a database at once: thousands of users, once a second.

What every database understands is a statement for each row: some 0.1 ms of our processor. PostgreSQL takes the sums of
all rows as arrays, in one statement, which is a tenth of that; the rows that it comes by are then locked first, by
number, as a statement for each row does it by its order. To put a statement together takes longer than to run it, so
those that come every second are made once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from .sql_schema import SUMS, USERS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table, Update

    from ...proxy.users.counts import Counts

AT_ONCE: Final = 1_000
"""Names and numbers in one statement: SQL Server takes 2,100 at most, others many more."""

Key = tuple[int, int]
"""An hour or a day, and the number of a user."""


def portions(things: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield them some at a time."""
    for at in range(0, len(things), AT_ONCE):
        yield things[at : at + AT_ONCE]


def _has_arrays(db: Connection) -> bool:
    return db.dialect.name == "postgresql"


def numbers_of(db: Connection, names: Sequence[str]) -> dict[str, int]:
    """Return the numbers of these users, whose names are sorted; who was not there is now."""
    found = dict(_look_up(db, names))
    new = [name for name in names if name not in found]
    if new:
        db.execute(sa.insert(USERS), [{"name": name} for name in new])
        found.update(_look_up(db, new))
    return found


def _look_up(db: Connection, names: Sequence[str]) -> Iterator[tuple[str, int]]:
    if _has_arrays(db):
        yield from _pairs(db, _locking(), {"names": json.dumps(names)})
    else:
        for some in portions(names):
            yield from _pairs(db, sa.select(USERS.c.name, USERS.c.id).where(USERS.c.name.in_(some)))


def _pairs(db: Connection, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> list[tuple[Any, Any]]:
    return [(row[0], row[1]) for row in db.execute(query, values or {})]


def add_to_users(db: Connection, sums: Mapping[int, Counts]) -> None:
    """Add to what ever passed for these users. From here on their rows are ours until the end."""
    rows = [(number, *counts) for number, counts in sorted(sums.items())]
    if not rows:
        return
    if _has_arrays(db):
        db.execute(_update_from_arrays(), _arrays(("id",), rows))
    else:
        _update(db, USERS, ("id",), rows)


def add_to_history(db: Connection, table: Table, unit: str, sums: Mapping[Key, Counts]) -> None:
    """Add to hours or days, some of which may not be there. Their users' rows are ours."""
    keys = (unit, "user_id")
    rows = [(*key, *counts) for key, counts in sums.items()]
    if not rows:
        return
    if _has_arrays(db):
        db.execute(_upsert_from_arrays(table, unit), _arrays(keys, rows))
        return
    there = _there(db, table, unit, sums)
    _update(db, table, keys, [row for row in rows if row[:2] in there])
    new = [dict(zip((*keys, *SUMS), row, strict=True)) for row in rows if row[:2] not in there]
    if new:
        db.execute(sa.insert(table), new)


# -- a row at a time: what every database understands ----------------------------------------------


def _there(db: Connection, table: Table, unit: str, keys: Mapping[Key, object]) -> set[Key]:
    """Return those of these keys that have rows, and perhaps others."""
    units, numbers = sorted({at for at, _ in keys}), sorted({number for _, number in keys})
    there: set[Key] = set()
    for some in portions(numbers):
        for several in portions(units):
            query = sa.select(table.c[unit], table.c.user_id)
            there.update(_pairs(db, query.where(table.c[unit].in_(several), table.c.user_id.in_(some))))
    return there


def _update(db: Connection, table: Table, keys: Sequence[str], rows: Sequence[tuple[int, ...]]) -> None:
    """Add to rows that are there, one after the other in this order."""
    if not rows:
        return
    more = {name: table.c[name] + sa.bindparam(f"more_{name}", type_=sa.BigInteger()) for name in SUMS}
    statement = sa.update(table).where(*(table.c[key] == sa.bindparam(f"at_{key}") for key in keys)).values(more)
    named = [*(f"at_{key}" for key in keys), *(f"more_{name}" for name in SUMS)]
    db.execute(statement, [dict(zip(named, row, strict=True)) for row in rows])


# -- all at once, as PostgreSQL does it ------------------------------------------------------------


def _arrays(keys: Sequence[str], rows: Sequence[tuple[int, ...]]) -> dict[str, str]:
    """Return columns of numbers in PostgreSQL's words: what drivers make of lists takes ten times as long."""
    columns = zip((*keys, *SUMS), zip(*rows, strict=True), strict=True)
    return {f"all_{name}": f"{{{','.join(map(str, column))}}}" for name, column in columns}


def _given(keys: Sequence[str]) -> sa.TableValuedAlias:
    """Return those columns as a table."""
    names = (*keys, *SUMS)
    arrays = [
        sa.cast(sa.bindparam(f"all_{name}", type_=sa.Text()), postgresql.ARRAY(sa.BigInteger())) for name in names
    ]
    columns = [sa.column(name, sa.BigInteger()) for name in names]
    return sa.func.unnest(*arrays).table_valued(*columns, name="given").render_derived()


@cache
def _locking() -> sa.Select[Any]:
    text = sa.bindparam("names", type_=sa.Text())
    names = sa.func.jsonb_array_elements_text(sa.cast(text, postgresql.JSONB())).column_valued("given")
    query = sa.select(USERS.c.name, USERS.c.id).where(USERS.c.name.in_(sa.select(names)))
    return query.order_by(USERS.c.id).with_for_update(key_share=True, of=USERS)


@cache
def _update_from_arrays() -> Update:
    given = _given(("id",))
    more = {name: USERS.c[name] + given.c[name] for name in SUMS}
    return sa.update(USERS).where(USERS.c.id == given.c.id).values(more)


@cache
def _upsert_from_arrays(table: Table, unit: str) -> postgresql.Insert:
    names = (unit, "user_id", *SUMS)
    given = _given(names[:2])
    insert = postgresql.insert(table).from_select(names, sa.select(*(given.c[name] for name in names)))
    more = {name: table.c[name] + insert.excluded[name] for name in SUMS}
    return insert.on_conflict_do_update(index_elements=names[:2], set_=more)
