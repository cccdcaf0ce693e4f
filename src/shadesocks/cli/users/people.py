"""All users, or some, with what is known of them: from the config, the store, and what runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...config.user import UserConfig
from ...proxy.users.counts import NOTHING, Counts
from ...service.store.roll import used
from ...service.store.store import DAY, HOURS_A_DAY, Stored
from ..exits import Failed
from ..running import shown
from .told import Person

if TYPE_CHECKING:
    from ...service.store.history import Span
    from ...service.store.roll import Roll
    from ...service.store.store import Store
    from .book import Book

NOBODY: Final = 1
"""Exit code: there is no such user."""
DAYS: Final = 30
"""Days that `show` shows."""


def everybody(book: Book, rows: dict[str, dict[str, Any]]) -> list[Person]:
    """Return all users by name, with what a running service says of them."""
    roll = book.roll()
    users = {**{name: user_of(row) for name, row in rows.items()}, **book.by_number, **roll.users, **book.in_file}
    return people(book, roll, [users[name] for name in sorted(users)], rows)


def somebody(book: Book, name: str, rows: dict[str, dict[str, Any]]) -> Person:
    """Return one user, with the last days; raises Failed where there is none."""
    roll = book.roll()
    user = user_named(book, roll, name, rows)
    [person] = people(book, roll, [user], rows)
    if book.store is not None:
        person.days = days_of(book.store, [name], int(time.time()) // DAY - DAYS + 1)
    return person


def user_of(row: dict[str, Any]) -> UserConfig:
    """Return a user whom only a running service knows: whoever has the password of a port that a manager added."""
    return UserConfig(str(row["name"]), note=str(row.get("note") or ""))


def user_named(book: Book, roll: Roll, name: str, rows: Mapping[str, dict[str, Any]] | None = None) -> UserConfig:
    """Return a user of the config, of the store, or of what runs; raises Failed where there is none."""
    for known in (book.in_file, roll.users, book.by_number):
        if name in known:
            return known[name]
    if rows and name in rows:
        return user_of(rows[name])
    if name in roll.faults:
        raise Failed(f"{shown(name)}: {roll.faults[name]}; `shadesocks user del` deletes it", NOBODY)
    if name in roll.stored:
        raise Failed(f"{shown(name)} is no user any more; what passed is kept: shadesocks user export", NOBODY)
    from difflib import get_close_matches

    near = get_close_matches(name, [*roll.users, *book.in_file, *book.by_number], 1, 0.6)
    hint = f"; did you mean {shown(near[0])}?" if near else "; `shadesocks user list` shows all"
    raise Failed(f"there is no user {shown(name)}{hint}", NOBODY)


def people(book: Book, roll: Roll, users: Iterable[UserConfig], rows: dict[str, dict[str, Any]]) -> list[Person]:
    """Return these users with what is known of them."""
    users = list(users)
    now = int(time.time())
    quotas = {
        user.name: user.limits.quota
        for user in users
        if user.limits.quota is not None and _known(rows.get(user.name), "used") is None
    }
    found = {} if book.store is None else used(book.store, quotas, now)
    places: dict[str, list[int]] = {}
    for server in book.servers(users):
        for user in server.users or ():
            places.setdefault(user.name, []).append(server.address.port)
    made = []
    for user in users:
        row = rows.get(user.name)
        known = _known(row, "used")
        made.append(
            Person(
                user,
                stands_of(book, user, stored=user.name in roll.users),
                roll.stored.get(user.name) or Stored(user.name, counts=_counts(row)),
                None if user.limits.quota is None else found.get(user.name) if known is None else int(known),
                row,
                ports=tuple(places.get(user.name) or _served_at(row)),
            )
        )
    return made


def _counts(row: dict[str, Any] | None) -> Counts:
    """Return what passed by what a running service says: all that is known where there is no store."""
    return NOTHING if row is None else Counts(*(int(row.get(name) or 0) for name in Counts._fields))


def _served_at(row: dict[str, Any] | None) -> list[int]:
    """Return the ports that a running service names: of those that a manager added the config knows nothing."""
    ports = _known(row, "ports")
    return [port for port in ports if isinstance(port, int)] if isinstance(ports, list) else []


def _known(row: dict[str, Any] | None, key: str) -> Any:
    return None if row is None else row.get(key)


def stands_of(book: Book, user: UserConfig, *, stored: bool) -> dict[str, Any]:
    """Return where a user stands; `stored` says whether the store defines him."""
    if user.name not in book.in_file:
        if stored:
            return {"store": book.named}
        return {"config": book.file, "line": None} if user.name in book.by_number else {"manager": True}
    file, colon, line = user.where.rpartition(":")
    if colon and line.isdecimal():
        return {"config": file, "line": int(line)}
    return {"config": user.where or book.file, "line": None}


def days_of(store: Store, names: Collection[str], first: int, end: int | None = None) -> list[Span]:
    """Return what passed from a day to before another, day by day, of some users, or of all where none is named."""
    from ...service.store.history import by_day

    end = int(time.time()) // DAY + 1 if end is None else end
    hours, days = [], []
    for name in names or (None,):
        rolled = store.days(first, end, name)
        while True:
            more = store.hours(first * HOURS_A_DAY, end * HOURS_A_DAY, name)
            # Hours that became days between two looks would be counted twice, or not at all.
            before, rolled = rolled, store.days(first, end, name)
            if rolled == before:
                break
        hours += more
        days += rolled
    return by_day(hours, days)
