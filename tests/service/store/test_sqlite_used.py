"""What users have used by a file; what every store says of that is tested in `test_stores.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.sqlite_used import NAMES_AT_ONCE, payload_by_hour, payload_of, portions
from shadesocks.service.store.store import Batch, Row, last_hour


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Give a file in which ann has two days of an hour each, the first one rolled, and ben an hour."""
    path = tmp_path / "users.db"
    store = SqliteStore(path, lambda: 0.0)
    store.open()
    store.write(Batch("w", 1, (Row("ann", 5, 1, 2, 0, 0), Row("ann", 30, 10, 20, 0, 0), Row("ben", 30, 5, 0, 0, 0))))
    store.roll(24)
    store.close()
    with closing(sqlite3.connect(path)) as db:
        yield db


def test_more_names_than_one_statement_takes_come_in_portions() -> None:
    names = [f"u{number}" for number in range(2 * NAMES_AT_ONCE + 1)]
    assert [len(some) for some in portions(names)] == [NAMES_AT_ONCE, NAMES_AT_ONCE, 1]
    assert [name for some in portions(names) for name in some] == names
    assert [*portions([])] == []


def test_a_reach_counts_a_day_with_its_last_hour(db: sqlite3.Connection) -> None:
    assert payload_of(db, ["ann", "ben", "nobody"], None) == {"ann": 33, "ben": 5}
    assert payload_of(db, ["ann", "ben", "nobody"], (24, 31)) == {"ann": 30, "ben": 5}
    assert payload_of(db, ["ann", "ben"], (0, last_hour(0))) == {"ann": 0, "ben": 0}
    assert payload_of(db, ["ann", "ben"], (0, last_hour(0) + 1)) == {"ann": 3, "ben": 0}


def test_hours_of_many_users_are_told_apart(db: sqlite3.Connection) -> None:
    found = payload_by_hour(db, ["ann", "ben", "nobody"], (0, 99))
    assert {name: [*hours] for name, hours in found.items()} == {"ann": [(23, 3), (30, 30)], "ben": [(30, 5)]}


def test_no_more_than_since_the_last_reset(db: sqlite3.Connection) -> None:
    db.execute("UPDATE counters SET reset_up = 4 WHERE user = (SELECT id FROM users WHERE name = 'ann')")
    assert payload_of(db, ["ann"], (0, 99)) == {"ann": 29}
    assert [*payload_by_hour(db, ["ann"], (0, 99))["ann"]] == [(30, 29)]
