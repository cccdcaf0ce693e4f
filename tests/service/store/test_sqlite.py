"""The SQLite store: what it does with files that are damaged, foreign, full or shared.

What it promises as every store does is tested in `test_stores.py`.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store import schema, sqlite
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row, StoreError

WALL = 1_795_305_600.0
"""2026-11-22 00:00 UTC."""


def rows(*names: str, hour: int = 10) -> tuple[Row, ...]:
    return tuple(Row(name, hour, 1, 2, 3, 4) for name in names)


def opened(path: Path, busy: float = 5.0) -> SqliteStore:
    store = SqliteStore(path, lambda: WALL, busy=busy)
    store.open()
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "users.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = opened(path)
    yield store
    store.close()


def written(path: Path, count: int = 1, users: int = 3) -> None:
    """A store with something in it, closed."""
    store = opened(path)
    for sequence in range(1, count + 1):
        store.write(Batch("w", sequence, rows(*(f"u{number}" for number in range(users)), hour=sequence)))
    store.put("u0", '{"key": "secret"}')
    store.close()


# -- what it keeps ---------------------------------------------------------------------------------


def test_only_its_owner_may_read_it(path: Path, store: SqliteStore) -> None:
    store.write(Batch("w", 1, rows("ann")))
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["users.db", "users.db-shm", "users.db-wal", "users.db.lock"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    store.close()
    path.chmod(0o644)
    store.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_names_are_only_names(store: SqliteStore) -> None:
    for number, name in enumerate(["'; DROP TABLE users; --", "ä\n\x00b", "", "a" * 10_000]):
        store.write(Batch("w", number + 1, rows(name)))
        assert store.hours(0, 99, name) == [*rows(name)]


# -- versions --------------------------------------------------------------------------------------


def test_text_that_is_none_is_one_users_fault(path: Path, store: SqliteStore) -> None:
    store.put("anna", "{}")
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO users (name, definition) VALUES (cast(x'62ff' AS text), cast(x'7bff' AS text))")
    assert [(each.name, each.definition) for each in store.users()] == [("anna", "{}"), ("b\\xff", "{\\xff")]


def test_steps_are_taken_in_order_and_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path)
    monkeypatch.setattr(
        sqlite, "STEPS", (*schema.STEPS, ("CREATE TABLE two (x)",), ("CREATE TABLE three AS SELECT * FROM two",))
    )
    for _ in range(2):
        opened(path).close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("SELECT count(*) FROM three").fetchone() == (0,)


def test_a_step_that_fails_leaves_the_version_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "STEPS", (*schema.STEPS, ("CREATE TABLE two (x)", "CREATE TABLE two (x)")))
        with pytest.raises(StoreError, match="already exists"):
            opened(path)
    store = opened(path)
    assert len(store.users()) == 3
    store.close()


def test_a_later_version_is_left_alone(path: Path) -> None:
    written(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="later version"):
        opened(path)
    assert path.read_bytes() == before


# -- files that are none of ours, or no more -------------------------------------------------------


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE bookmarks (url)")
        db.execute("INSERT INTO bookmarks VALUES ('https://example.org')")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        opened(path)
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {"users.db"}, "nor is anything put beside it"


def test_a_directory_or_a_link_is_no_file(path: Path, tmp_path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="is no file"):
        opened(path)
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is no file"):
        opened(link)
    with pytest.raises(StoreError, match="File exists"):
        opened(Path("/dev/null/users.db"))


NOBODY = 65_534


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_who_may_not_read_it_is_told() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "users.db"
        written(path)
        before = path.read_bytes()
        Path(folder).chmod(0o755)
        os.seteuid(NOBODY)
        try:
            with pytest.raises(StoreError, match=r"Permission denied.*let this user read"):
                opened(path)
        finally:
            os.seteuid(0)
        assert path.read_bytes() == before
        assert aside_of(path) == []


def aside_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob("users.db.corrupt-*"))


@pytest.mark.parametrize("text", ['{"servers": []}', "first line\nsecond line\n" * 500, "ä ö"])
def test_a_text_is_left_alone(path: Path, text: str) -> None:
    """A config that was named by mistake is no damage."""
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(StoreError, match="is a text, no store, and left alone"):
        opened(path)
    assert path.read_text(encoding="utf-8") == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert aside_of(path) == []


def test_the_rights_of_another_programs_database_are_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
    path.chmod(0o644)
    with pytest.raises(StoreError, match="of another program"):
        opened(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("size", [1, 100, 4096, 100_000])
def test_random_bytes_are_set_aside(path: Path, size: int) -> None:
    noise = random.Random(size).randbytes(size)  # noqa: S311 - a test wants the same again
    path.parent.mkdir()
    path.write_bytes(noise)
    store = opened(path)
    (note,) = store.notes
    assert "users.db is damaged" in note
    assert "users.db.corrupt-20261122-000000" in note
    assert store.write(Batch("w", 1, rows("ann")))
    store.close()
    (aside,) = aside_of(path)
    assert aside.read_bytes() == noise
    path.write_bytes(noise)
    opened(path).close()
    assert [file.name for file in aside_of(path)] == [aside.name, f"{aside.name}-2"]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_set_aside_and_what_can_be_read_is_saved(path: Path, share: float) -> None:
    written(path, 300, 5)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    store = opened(path)
    assert "damaged" in store.notes[0]
    assert aside_of(path)[0].read_bytes() == whole[: int(len(whole) * share)]
    users = store.users()
    assert {user.counts for user in users} <= {NOTHING, Counts(300, 600, 900, 1200)}
    if share > 0.5:
        assert [user.definition for user in users][:1] == ['{"key": "secret"}']
    assert store.write(Batch("w", 301, rows("u0")))
    store.close()
    again = opened(path)
    assert not again.notes
    again.close()


def test_a_damaged_page_is_found_at_the_start(path: Path) -> None:
    written(path, 300, 5)
    whole = bytearray(path.read_bytes())
    for page in range(5, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 64] = bytes(64)
    path.write_bytes(whole)
    store = opened(path)
    assert "damaged" in store.notes[0]
    store.close()
    assert aside_of(path)[0].read_bytes() == whole


def test_damage_under_way_costs_one_call(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was not seen at the start, since the file was too large to be checked: a write meets it."""
    monkeypatch.setattr(sqlite, "CHECKED_MOST", 0)
    written(path, 300, 5)
    whole = bytearray(path.read_bytes())
    for page in range(2, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(whole)
    store = opened(path)
    assert not store.notes
    batch = Batch("w", 301, rows("u0"))
    with pytest.raises(StoreError):
        store.write(batch)
    assert "damaged" in store.notes[0]
    assert store.write(batch)
    assert store.users()
    store.close()
    assert len(aside_of(path)) >= 1


def test_its_log_goes_with_a_damaged_file(path: Path, tmp_path: Path) -> None:
    """A copy of a live store, whose log was not taken in yet, with its first page destroyed."""
    store = opened(path)
    store.write(Batch("w", 1, rows("ann")))
    copy = tmp_path / "copy" / "users.db"
    copy.parent.mkdir()
    for part in ("", "-wal"):
        shutil.copy(f"{path}{part}", f"{copy}{part}")
    store.close()
    copy.write_bytes(b"x" * 5000)
    wal = Path(f"{copy}-wal").read_bytes()
    other = opened(copy)
    other.close()
    if other.notes:
        aside = aside_of(copy)
        assert [file.name.rpartition("000000")[2] for file in aside if not file.name.endswith("-shm")] == ["", "-wal"]
        assert aside[-1].read_bytes() == wal or aside[1].read_bytes() == wal


def test_nobody_sets_aside_what_another_has_open(path: Path) -> None:
    store = opened(path)
    store.write(Batch("w", 1, rows("ann")))
    other = SqliteStore(path, busy=0.05)
    other.open()
    error = sqlite3.DatabaseError("malformed")
    with pytest.raises(StoreError, match="another process has it open"):
        other._start_anew(error)
    other.close()
    assert store.users()
    store.close()
    assert not aside_of(path)


# -- several at once, and no room ------------------------------------------------------------------


def test_a_lock_that_is_held_too_long_is_an_error_of_that_call(path: Path) -> None:
    store = opened(path, 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.write(Batch("w", 1, rows("ann")))
        db.execute("ROLLBACK")
    assert store.write(Batch("w", 1, rows("ann")))
    store.close()


NO_ROOM = """
import resource, signal, sys
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row, StoreError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(sys.argv[1])
store.open()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
failed = 0
for sequence in range(1, 400):
    batch = Batch("w", sequence, tuple(Row(f"user {number}", sequence, 1, 0, 0, 0) for number in range(50)))
    while True:
        try:
            assert store.write(batch)
            break
        except StoreError:
            failed += 1
            assert failed < 10
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
assert failed
store.close()
"""


def test_a_full_disk_costs_nothing_but_time(path: Path) -> None:
    """Files may not grow beyond 300,000 bytes: calls fail, and succeed once there is room."""
    child = subprocess.run([sys.executable, "-c", NO_ROOM, str(path)], stderr=subprocess.PIPE, timeout=100, check=False)
    assert child.returncode == 0, child.stderr.decode()
    store = opened(path)
    assert not store.notes
    users = store.users()
    assert len(users) == 50
    assert {user.counts.up for user in users} == {399}
    store.close()
