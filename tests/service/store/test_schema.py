"""The tables: what the steps make is what is said to be there."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from shadesocks.service.store.schema import STEPS, TABLES


def test_the_steps_make_the_tables() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for step in STEPS:
            for statement in step:
                db.execute(statement)
        found = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert found == TABLES.keys()
        for table, columns in TABLES.items():
            assert tuple(row[1] for row in db.execute(f"PRAGMA table_info({table})")) == columns
