"""What is saved of a damaged store: sound rows of our own form, and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shadesocks.service.store.salvage import salvage
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row


def made(path: Path) -> Path:
    store = SqliteStore(path)
    store.open()
    store.write(Batch("w", 1, (Row("ann", 1, 1, 2, 3, 4), Row("bob", 2, 1, 2, 3, 4))))
    store.put("ann", "{}")
    store.close()
    return path


def saved(tmp_path: Path, damaged: Path) -> tuple[str, list[tuple[str, str | None]]]:
    fresh = tmp_path / "fresh.db"
    store = SqliteStore(fresh)
    store.open()
    store.close()
    with closing(sqlite3.connect(fresh, isolation_level=None)) as into:
        text = salvage(damaged, into)
        return text, into.execute("SELECT name, definition FROM users ORDER BY name").fetchall()


def test_a_sound_file_is_saved_whole_and_left_as_it_is(tmp_path: Path) -> None:
    path = made(tmp_path / "old.db")
    before = path.read_bytes()
    text, users = saved(tmp_path, path)
    assert text == "2 users, the sums of 2, and 2 hours and days"
    assert users == [("ann", "{}"), ("bob", None)]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET name = 'b' || char(7) WHERE name = 'bob'",
        "UPDATE users SET name = CAST(X'ff' AS TEXT) WHERE name = 'bob'",
    ],
)
def test_what_makes_no_sense_is_left_out(tmp_path: Path, statement: str) -> None:
    path = made(tmp_path / "old.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)
    text, users = saved(tmp_path, path)
    assert users == [("ann", "{}")]
    assert text == "1 users, the sums of 1, and 1 hours and days", "what belongs to nobody is left out, too"


@pytest.mark.parametrize("definition", ["'no json'", "'[1]'", "CAST(X'ff' AS TEXT)", "X'7b7d'", "7", "''"])
def test_a_definition_that_makes_no_sense_costs_nothing_else(tmp_path: Path, definition: str) -> None:
    path = made(tmp_path / "old.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"UPDATE users SET definition = {definition} WHERE name = 'ann'")  # noqa: S608 - our own words
        db.execute("UPDATE users SET definition = '{}' WHERE name = 'bob'")
    text, users = saved(tmp_path, path)
    assert users == [("ann", None), ("bob", "{}")]
    assert text == (
        "2 users (1 of them without a definition, for theirs makes no sense), the sums of 2, and 2 hours and days"
    )


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 2", "PRAGMA application_id = 1", "DROP TABLE users"])
def test_another_form_is_not_guessed_at(tmp_path: Path, statement: str) -> None:
    path = made(tmp_path / "old.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute(statement)
    assert saved(tmp_path, path)[1] == []


def test_counts_below_nothing_are_no_counts(tmp_path: Path) -> None:
    path = made(tmp_path / "old.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE counters SET up = -1")
        db.execute("UPDATE hours SET up = 'many'")
    assert saved(tmp_path, path)[0] == "2 users, the sums of 0, and 0 hours and days"


def test_noise_gives_nothing(tmp_path: Path) -> None:
    path = tmp_path / "noise.db"
    path.write_bytes(b"noise" * 5000)
    assert saved(tmp_path, path) == ("0 users, the sums of 0, and 0 hours and days", [])
