"""A store's file that is renamed, deleted or replaced while it is open: what was written stays where it is, what comes
goes into the one that has the name, and no file gets the log of another."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.sqlite_file import identities, prepare
from shadesocks.service.store.store import Batch, Row, StoreError

WALL = 1_795_305_600.0
MORE = """
import sys
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row
store = SqliteStore(sys.argv[1])
store.open()
print(sorted(user.name for user in store.users()))
for name in sys.argv[2:]:
    store.put(name, "{}")
store.close()
"""
"""What a command does beside the service."""


def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path, lambda: WALL, busy=0.5)
    store.open()
    return store


def count(store: SqliteStore, sequence: int, *names: str) -> None:
    store.write(Batch("w", sequence, tuple(Row(name, 10, 1, 2, 3, 4) for name in names)))


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [row[0] for row in db.execute("SELECT name FROM users ORDER BY name")]


def command(path: Path, *added: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", MORE, str(path), *added], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with ExitStack() as stack:
        store = opened(path)
        stack.callback(store.close)
        store.put("ann", "{}")
        count(store, 1, "ann")
        yield store


def beside(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


def test_a_renamed_file_keeps_what_it_had_and_gets_no_more(path: Path, store: SqliteStore) -> None:
    old = path.with_name("old.db")
    path.rename(old)
    count(store, 2, "bob")
    (note,) = store.notes
    assert note.startswith(f"{path} was deleted or renamed while it was open")
    assert names(old) == ["ann"]
    assert [(user.name, user.definition) for user in store.users()] == [("bob", None)]
    assert store.last("w") == 2
    store.close()
    assert names(path) == ["bob"]
    assert beside(path) == {"users.db", "old.db", "users.db.lock"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("parts", [[""], ["", "-wal", "-shm"], ["", "-shm"], ["", "-wal", "-shm", ".lock"]])
def test_a_deleted_one_is_begun_anew(path: Path, store: SqliteStore, parts: list[str]) -> None:
    for part in parts:
        os.unlink(f"{path}{part}")
    store.look()
    assert len(store.notes) == 1
    store.put("bob", "{}")
    store.close()
    assert names(path) == ["bob"]
    assert beside(path) == {"users.db", "users.db.lock"}
    assert len(store.notes) == 1, "said once"


def test_one_that_was_replaced_is_used(path: Path, store: SqliteStore) -> None:
    other = path.with_name("copy.db")
    restored = opened(other)
    restored.put("eve", "{}")
    restored.close()
    other.rename(path)
    assert [user.name for user in store.users()] == ["eve"]
    assert "was replaced" in store.notes[0]
    count(store, 2, "bob")
    store.close()
    assert names(path) == ["bob", "eve"]


def test_commands_between_do_no_harm(path: Path, store: SqliteStore) -> None:
    """A new file gets no log of the old one, which is in use, and both are sound."""
    old = path.with_name("old.db")
    path.rename(old)
    assert command(path, "bob") == "[]"
    assert command(path, "carl") == "['bob']"
    assert [user.name for user in store.users()] == ["bob", "carl"]
    count(store, 2, "dora")
    assert command(path) == "['bob', 'carl', 'dora']"
    store.close()
    assert names(path) == ["bob", "carl", "dora"]
    assert names(old) == ["ann"], "the log that was put aside belongs to it"
    assert beside(path) == {"users.db", "old.db", "users.db.lock"}


def test_several_processes_all_turn_to_the_new_one(path: Path, store: SqliteStore) -> None:
    other, old = opened(path), path.with_name("old.db")
    try:
        count(other, 2, "zoe")
        path.rename(old)
        count(store, 3, "bob")
        count(other, 4, "carl")
        count(store, 5, "dora")
        assert [user.name for user in other.users()] == ["bob", "carl", "dora"]
    finally:
        other.close()
    store.close()
    assert names(path) == ["bob", "carl", "dora"]
    assert names(old) == ["ann", "zoe"]
    assert beside(path) == {"users.db", "old.db", "users.db.lock"}


def test_one_that_comes_back_is_not_written_with_two_logs(path: Path, store: SqliteStore) -> None:
    """Who noticed nothing has the file that has the name, but a log that has none."""
    other, old = opened(path), path.with_name("old.db")
    try:
        path.rename(old)
        count(store, 2, "bob")
        old.rename(path)
        count(store, 3, "carl")
        count(other, 4, "dora")
        assert [user.name for user in store.users()] == ["ann", "carl", "dora"]
    finally:
        other.close()
    store.close()
    assert names(path) == ["ann", "carl", "dora"]


def test_a_log_that_was_deleted_is_written_to_the_file_before(path: Path, store: SqliteStore) -> None:
    os.unlink(f"{path}-wal")
    count(store, 2, "bob")
    assert "lost its log" in store.notes[0]
    store.close()
    assert names(path) == ["ann", "bob"]


def test_nothing_is_done_while_nobody_touches_it(path: Path, store: SqliteStore) -> None:
    files = identities(path)
    command(path, "bob")
    count(store, 2, "carl")
    store.look()
    assert identities(path) == files
    assert store.notes == []


def test_one_that_cannot_be_made_anew_is_an_error_until_it_can(path: Path, store: SqliteStore) -> None:
    folder, away = path.parent / "in", path.parent / "away"
    folder.mkdir()
    inner = opened(folder / "users.db")
    try:
        count(inner, 1, "ann")
        folder.rename(away)
        folder.write_text("in the way")
        for _ in range(2):
            with pytest.raises(StoreError, match=r"users\.db"):
                count(inner, 2, "bob")
        folder.unlink()
        assert inner.write(Batch("w", 2, (Row("bob", 10, 1, 2, 3, 4),)))
        assert [user.name for user in inner.users()] == ["bob"]
    finally:
        inner.close()
    assert names(away / "users.db") == ["ann"]


def test_a_folder_that_cannot_be_looked_at_is_no_reason(
    path: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", refuse)
        count(store, 2, "bob")
    assert [user.name for user in store.users()] == ["ann", "bob"]
    assert store.notes == []


def test_the_log_of_a_file_that_is_gone_is_kept(path: Path, store: SqliteStore, tmp_path: Path) -> None:
    """After a crash it may be all there is."""
    crashed = tmp_path / "crashed" / "users.db"
    crashed.parent.mkdir()
    for part in ("", "-wal", "-shm"):
        shutil.copy(f"{path}{part}", f"{crashed}{part}")
    crashed.rename(tmp_path / "crashed" / "renamed.db")
    late = opened(crashed)
    assert late.users() == []
    late.close()
    (kept,) = crashed.parent.glob("users.db.gone-20261122-000000-wal")
    assert late.notes == [f"there was the log of another users.db, which is gone; it is kept as {kept.name}"]
    assert kept.read_bytes() == Path(f"{path}-wal").read_bytes()
    kept.rename(tmp_path / "crashed" / "renamed.db-wal")
    assert names(tmp_path / "crashed" / "renamed.db") == ["ann"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_what_is_no_file_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "users.db")
    with pytest.raises(StoreError, match="is no file"):
        prepare(tmp_path / "users.db", WALL, 0.1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("part", ["", "-wal", "-shm", ".lock"])
def test_what_another_user_put_where_everybody_may_make_files_is_no_store(tmp_path: Path, part: str) -> None:
    """It would be his to read, with all keys in it."""
    tmp_path.chmod(0o1777)
    path, planted = tmp_path / "users.db", tmp_path / f"users.db{part}"
    planted.touch(0o666)
    os.chown(planted, 65534, 65534)
    with pytest.raises(StoreError, match="another user's"):
        opened(path)
    assert [*tmp_path.iterdir()] == [planted]
