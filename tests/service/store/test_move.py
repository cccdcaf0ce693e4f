"""From one store into another: everything, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadesocks.proxy.users.counts import Counts
from shadesocks.service.store.choose import open_store
from shadesocks.service.store.move import move
from shadesocks.service.store.sql import SqlStore
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row, Store, StoreError

from .sums import since_reset

WALL = 1_795_305_600
"""2026-11-22 00:00 UTC."""
HOUR = WALL // 3600


def wall() -> float:
    return WALL


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Give a store with a bit of everything."""
    path = str(tmp_path / "users.db")
    store = SqliteStore(path, wall)
    store.open()
    for sequence, hour in enumerate((3, HOUR - 24 * 90, HOUR - 24 * 60, HOUR - 24, HOUR - 1, HOUR, HOUR + 30), 1):
        store.write(Batch("w", sequence, (Row("ann", hour, 1, 2, 3, 2**40), Row("ben", hour, sequence, 0, 0, 0))))
    store.roll((HOUR // 24 - 40) * 24)
    store.put("ann", '{"password": "hers"}')
    store.put("cleo", "{}")
    store.reset("ann", WALL)
    store.drop("ben")
    store.write(Batch("w", 9, (Row("ann", HOUR, 5, 5, 5, 5),)))
    store.close()
    return path


def all_of(store: Store) -> tuple[object, ...]:
    store.open()
    try:
        return store.users(), store.hours(0, 10**7), store.days(0, 10**6)
    finally:
        store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_all_of_it_is_there_afterwards(request: pytest.FixtureRequest, tmp_path: Path, source: str, kind: str) -> None:
    target = f"sqlite:///{tmp_path}/new.db"
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        target = server.url(server.new_schema())
    before = all_of(open_store(source, wall))
    said = move(source, target, wall)
    assert said.endswith("has all of it now: names 3, rows of hours 8, of days 6")
    assert said.startswith(("sqlite:///", "postgresql://shade@/postgres has"))
    assert all_of(open_store(target, wall)) == before == all_of(open_store(source, wall))
    again = open_store(target, wall)
    again.open()
    assert again.write(Batch("x", 1, (Row("ann", HOUR, 1, 0, 0, 0), Row("dora", HOUR, 1, 0, 0, 0))))
    users = {user.name: user for user in again.users()}
    assert since_reset(users["ann"]) == 11
    assert users["dora"].counts == Counts(1)
    again.close()
    with pytest.raises(StoreError, match="knows users already"):
        move(source, target, wall)


def test_from_a_database_to_another(tmp_path: Path, source: str) -> None:
    first, second = (f"sqlite:///{tmp_path}/{name}.db" for name in ("first", "second"))
    move(source, first, wall)
    move(first, second, wall)
    assert all_of(open_store(second, wall)) == all_of(open_store(source, wall))


def test_what_is_in_use_is_not_moved(tmp_path: Path, source: str) -> None:
    store = SqliteStore(source)
    store.open()
    with pytest.raises(StoreError, match="is in use; end the process"):
        move(source, f"sqlite:///{tmp_path}/new.db")
    store.close()
    move(source, f"sqlite:///{tmp_path}/new.db", wall)


def test_what_is_not_there_or_no_database_says_so(tmp_path: Path, source: str) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        move(str(tmp_path / "other.db"), f"sqlite:///{tmp_path}/new.db")
    with pytest.raises(StoreError, match=r"new\.db is no database"):
        move(source, str(tmp_path / "new.db"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["users.db", "users.db.lock"]


def test_all_of_it_or_nothing(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = f"sqlite:///{tmp_path}/new.db"

    def fail(_self: SqliteStore, _first: int, _end: int, _name: str | None = None) -> None:
        raise StoreError("a bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "days", fail)
        with pytest.raises(StoreError, match="a bad disk"):
            move(source, target, wall)
    assert all_of(SqlStore(target)) == ([], [], [])
    move(source, target, wall)


def test_what_is_written_meanwhile_is_found(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    days = SqliteStore.days

    def write_and_look(self: SqliteStore, first: int, end: int, name: str | None = None) -> object:
        self.put("late", "{}")
        return days(self, first, end, name)

    monkeypatch.setattr(SqliteStore, "days", write_and_look)
    with pytest.raises(StoreError, match="was written to meanwhile"):
        move(source, f"sqlite:///{tmp_path}/new.db", wall)
