"""The store in one SQLite file, by the standard library. Imported only where a store is asked for.

Write-ahead log, `synchronous=NORMAL`: a transaction that was committed survives the end of this process in any way,
and a power cut costs the last ones at most, never the file. One writer at a time; whoever comes second waits, so the
command line may use the file beside a running service.

What cannot be read goes three ways, none of which deletes anything:

    damaged            set aside as FILE.corrupt-DATE, with its log; a new file begins with what could be saved of it
    not ours           of another program, of a version to come, a directory, no right to it: an error at `open`
    no room, bad disk  an error of that call alone: what was to be written is still the caller's

A file that was renamed, deleted or replaced while it was open is left at the next call: what was written is in it, and
what comes goes into the one that has the name by then. SQLite itself would write on into a file without a name.

A lock on FILE.lock is held for as long as the file is open, shared: whoever sets it aside is alone with it. The file
itself is opened by SQLite only: its locks belong to the process, and any close of the file would give them up.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import Any, Final

from ...proxy.users.counts import Counts
from .salvage import salvage
from .schema import APPLICATION_ID, STEPS
from .sqlite_file import HELP, SIZE_MIN, Identity, clear, identities, prepare, set_aside, wait_for, what_became
from .sqlite_used import payload_by_hour, payload_of, portions
from .store import (
    HOURS_A_DAY,
    WRITERS_KEPT,
    Batch,
    ByHour,
    Day,
    Reach,
    Row,
    Stored,
    StoreError,
)

BUSY: Final = 5.0
"""Seconds that a call waits for another process: our own transactions take milliseconds."""
CHECKED_MOST: Final = 64 << 20
"""Bytes of a file that is checked whole when it is opened (0.2 s). Damage in a larger one is found when it is met."""
LOG_MOST: Final = 4 << 20
"""Bytes that the log is cut to after a checkpoint: as many as SQLite lets gather before one, 1,000 pages of 4,096."""

_DAMAGED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_SUMS: Final = ("up", "down", "wire_up", "wire_down")
_MORE: Final = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)


class SqliteStore:
    """A `store.Store`. Made anywhere; from `open` to `close` it belongs to one thread."""

    def __init__(self, path: str | Path, wall: Callable[[], float] = time.time, *, busy: float = BUSY) -> None:
        self.path: Final = Path(path)
        self.notes: list[str] = []
        self._wall = wall
        self._busy = busy
        self._db: sqlite3.Connection | None = None
        self._files: tuple[Identity, ...] = ()
        """Which ones are open: the file, its log, the index of that."""
        self._lock_fd = -1
        self._made_lock = False

    # -- opening -------------------------------------------------------------------------------

    def open(self) -> None:
        """See `Store`."""
        if self._db is not None:
            return
        try:
            self._prepare()
            self._lock()
        except OSError as error:
            self.close()
            raise StoreError(f"{self.path}: {error.strerror or error}; {HELP}") from None
        try:
            try:
                self._begin()
            except sqlite3.DatabaseError as error:
                if not _is_damaged(error):
                    raise
                self._start_anew(error)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(f"{self.path}: {error}; {HELP}") from None
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        self.notes += filter(None, [prepare(self.path, self._wall(), self._busy)])

    def _lock(self) -> None:
        if self._lock_fd < 0:
            name, flags = f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._made_lock = not os.path.lexists(name)
            self._lock_fd = os.open(name, flags, 0o600)
        wait_for(self._lock_fd, LOCK_SH, self._busy)  # who sets a damaged file aside has done so in a moment

    def _begin(self) -> None:
        file = identities(self.path)[0]
        if 0 < self.path.stat().st_size < SIZE_MIN:
            raise _damage("it is too short to be a store")  # SQLite would take it for an empty file
        db = self._db = sqlite3.connect(self.path, timeout=self._busy, isolation_level=None)
        db.text_factory = _text
        db.execute("BEGIN")  # all three at one moment: another process may just make the tables
        owner, version = self._number("application_id"), self._number("user_version")
        tables = self._one("SELECT count(*) FROM sqlite_master")
        db.execute("COMMIT")
        if owner != APPLICATION_ID and tables:
            if self._made_lock:
                with suppress(OSError):
                    os.unlink(f"{self.path}.lock")
            raise StoreError(f"{self.path} is a database of another program, and left alone; {HELP}")
        if version > len(STEPS):
            raise StoreError(
                f"{self.path} was written by a later version of shadesocks, and left alone; use that, or another path"
            )
        self._until_free("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute(f"PRAGMA journal_size_limit = {LOG_MOST}")
        if self.path.stat().st_size <= CHECKED_MOST:
            verdict = self._one("PRAGMA quick_check(1)")
            if verdict != "ok":
                raise _damage(str(verdict).splitlines()[-1])
        self._migrate()
        self._files = (file, *identities(self.path)[1:])

    def _until_free(self, statement: str) -> None:
        """Run what SQLite refuses at once, without waiting, while another process does the same."""
        until = time.monotonic() + self._busy
        while True:
            try:
                self._one(statement)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def _migrate(self) -> None:
        while self._number("user_version") < len(STEPS):
            with self._transaction() as db:
                version = self._number("user_version")  # again: another process may have been here
                if version < len(STEPS):
                    for statement in STEPS[version]:
                        db.execute(statement)
                    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    db.execute(f"PRAGMA user_version = {version + 1}")

    def close(self) -> None:
        """See `Store`."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    # -- what is damaged -----------------------------------------------------------------------

    def _start_anew(self, error: sqlite3.Error) -> None:
        """Set the file aside, begin a new one, and save what can be read of the old."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        try:
            flock(self._lock_fd, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            self.close()  # the lock may be gone: on Linux it is given up before another one is asked for
            raise StoreError(
                f"{self.path} is damaged ({error}), and another process has it open; when that ends it is set aside"
            ) from None
        aside = set_aside(self.path, self._wall())
        self._prepare()
        self._begin()
        saved = salvage(aside, self._ready)
        flock(self._lock_fd, LOCK_SH)
        self.notes.append(
            f"{self.path} is damaged ({error}); it is kept as {aside.name}, and a new one was begun with what could be "
            f"read of it: {saved}"
        )

    # -- what is not there any more ------------------------------------------------------------

    def look(self) -> None:
        """See `Store`."""
        with self._guarded():
            pass

    def _found(self) -> tuple[Identity, ...]:
        try:
            return identities(self.path)
        except OSError:  # nobody can say it; as long as SQLite can work, let it
            return self._files

    def _follow(self, found: tuple[Identity, ...]) -> None:
        """Leave a file that has lost its name, or its log, with all in it that was written; open what is there now."""
        has_moved = found[0] != self._files[0]
        if has_moved or found[1] in (None, self._files[1]):  # else others have begun a log for the same file
            with suppress(sqlite3.Error):
                self._one("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()
        self.notes.append(f"{self.path} {what_became(self._files, found)}")
        if has_moved:
            with suppress(OSError):
                clear(self.path, self._files, self._wall(), self._busy)
        self.open()

    # -- what is done in it --------------------------------------------------------------------

    @property
    def _ready(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"{self.path} is not open")
        return self._db

    def _one(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        row = self._ready.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def _number(self, pragma: str) -> int:
        return int(self._one(f"PRAGMA {pragma}"))

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
        """Do all of it, or nothing; `DEFERRED` reads as of one moment, and lets others write."""
        db = self._ready
        db.execute(f"BEGIN {kind}")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk ends it of itself
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
            raise

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn errors of SQLite into ours; a file that proves damaged is replaced, and the call is to be made again."""
        try:
            if self._db is None:
                self.open()  # it went wrong when it was set aside
            elif (found := self._found()) != self._files:
                self._follow(found)
            yield
        except sqlite3.DatabaseError as error:
            if _is_damaged(error):
                try:
                    self._start_anew(error)
                except (sqlite3.Error, OSError) as worse:
                    self.close()
                    raise StoreError(f"{self.path}: {worse}") from None
            raise StoreError(f"{self.path}: {error}") from None

    def write(self, batch: Batch) -> bool:
        """See `Store`."""
        with self._guarded(), self._transaction() as db:
            last = self._one("SELECT sequence FROM writers WHERE writer = ?", (batch.writer,))
            if last is not None and last >= batch.sequence:
                return False
            names = [(name,) for name in dict.fromkeys(row.user for row in batch.rows)]
            db.executemany("INSERT INTO users (name) VALUES (?) ON CONFLICT DO NOTHING", names)
            db.executemany(
                f"INSERT INTO counters (user, up, down, wire_up, wire_down) "  # noqa: S608 - our own words
                f"SELECT id, ?, ?, ?, ? FROM users WHERE name = ? ON CONFLICT (user) DO UPDATE SET {_MORE}",
                [(*row.counts, row.user) for row in batch.rows],
            )
            db.executemany(
                f"INSERT INTO hours (hour, user, up, down, wire_up, wire_down) "  # noqa: S608 - our own words
                f"SELECT ?, id, ?, ?, ?, ? FROM users WHERE name = ? ON CONFLICT (hour, user) DO UPDATE SET {_MORE}",
                [(row.hour, *row.counts, row.user) for row in batch.rows],
            )
            db.execute(
                "INSERT INTO writers (writer, sequence, wrote_at) VALUES (?, ?, ?) ON CONFLICT (writer) "
                "DO UPDATE SET sequence = excluded.sequence, wrote_at = excluded.wrote_at",
                (batch.writer, batch.sequence, int(self._wall())),
            )
        return True

    def last(self, writer: str) -> int:
        """See `Store`. It writes: one that was killed between its last frame and the index may have left a transaction
        that nobody sees, and that a recovery of the log would find. What is written now takes its place in the log."""
        with self._guarded(), self._transaction() as db:
            db.execute(
                "INSERT INTO writers (writer, sequence, wrote_at) VALUES (?, 0, ?) "
                "ON CONFLICT (writer) DO UPDATE SET wrote_at = excluded.wrote_at",
                (writer, int(self._wall())),
            )
            return int(self._one("SELECT sequence FROM writers WHERE writer = ?", (writer,)))

    def users(self) -> list[Stored]:
        """See `Store`."""
        with self._guarded():
            found = self._ready.execute(
                "SELECT name, definition, up, down, wire_up, wire_down, reset_at, "
                "reset_up, reset_down, reset_wire_up, reset_wire_down "
                "FROM users LEFT JOIN counters ON user = id ORDER BY name"
            )
            return [
                Stored(row[0], row[1])
                if row[2] is None
                else Stored(row[0], row[1], Counts(*row[2:6]), row[6], Counts(*row[7:11]))
                for row in found
            ]

    def put(self, name: str, definition: str) -> None:
        """See `Store`."""
        with self._guarded(), self._transaction() as db:
            db.execute(
                "INSERT INTO users (name, definition) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
                (name, definition),
            )

    def drop(self, name: str, *, forget: bool = False) -> bool:
        """See `Store`."""
        statement = (
            "DELETE FROM users WHERE name = ?" if forget else "UPDATE users SET definition = NULL WHERE name = ?"
        )
        with self._guarded(), self._transaction() as db:
            return db.execute(statement, (name,)).rowcount == 1

    def reset(self, name: str, now: int) -> bool:
        """See `Store`."""
        with self._guarded(), self._transaction() as db:
            if self._one("SELECT id FROM users WHERE name = ?", (name,)) is None:
                return False
            db.execute(
                "INSERT INTO counters (user, up, down, wire_up, wire_down) "
                "SELECT id, 0, 0, 0, 0 FROM users WHERE name = ? ON CONFLICT (user) DO NOTHING",
                (name,),
            )
            db.execute(
                "UPDATE counters SET reset_at = ?, reset_up = up, reset_down = down, "
                "reset_wire_up = wire_up, reset_wire_down = wire_down "
                "WHERE user = (SELECT id FROM users WHERE name = ?)",
                (now, name),
            )
        return True

    def hours(self, first: int, end: int, name: str | None = None) -> list[Row]:
        """See `Store`."""
        return [Row(*row) for row in self._history("hour", first, end, name)]

    def days(self, first: int, end: int, name: str | None = None) -> list[Day]:
        """See `Store`."""
        return [Day(*row) for row in self._history("day", first, end, name)]

    def _history(self, unit: str, first: int, end: int, name: str | None) -> list[tuple[Any, ...]]:
        one, values = ("", ()) if name is None else ("AND name = ?", (name,))
        statement = (
            f"SELECT name, {unit}, up, down, wire_up, wire_down "  # noqa: S608 - our own words
            f"FROM {unit}s JOIN users ON id = user WHERE {unit} >= ? AND {unit} < ? {one} ORDER BY {unit}, name"
        )
        with self._guarded():
            return self._ready.execute(statement, (first, end, *values)).fetchall()

    def used(self, names: Collection[str], reach: Reach | None = None) -> dict[str, int]:
        """See `Store`."""
        used: dict[str, int] = {}
        for some in portions(names):
            with self._guarded(), self._transaction("DEFERRED") as db:
                used.update(payload_of(db, some, reach))
        return used

    def used_by_hour(self, names: Collection[str], reach: Reach) -> dict[str, ByHour]:
        """See `Store`."""
        used: dict[str, ByHour] = {}
        for some in portions(names):
            with self._guarded(), self._transaction("DEFERRED") as db:
                used.update(payload_by_hour(db, some, reach))
        return used

    def newest(self) -> int | None:
        """See `Store`."""
        with self._guarded():
            newest: int | None = self._one("SELECT max(hour) FROM hours")
        return newest

    def oldest(self) -> int | None:
        """See `Store`."""
        found = "SELECT min(hour) AS hour FROM hours UNION ALL SELECT min(day) * ? FROM days"
        with self._guarded():
            oldest: int | None = self._one(f"SELECT min(hour) FROM ({found})", (HOURS_A_DAY,))  # noqa: S608 - our own words
        return oldest

    def roll(self, before: int) -> int:
        """See `Store`. What processes wrote that are long gone is forgotten as well."""
        if before % HOURS_A_DAY:
            raise ValueError("hours are rolled up to the first hour of a day")
        with self._guarded(), self._transaction() as db:
            db.execute(
                f"INSERT INTO days (day, user, up, down, wire_up, wire_down) "  # noqa: S608 - our own words
                f"SELECT hour / {HOURS_A_DAY}, user, sum(up), sum(down), sum(wire_up), sum(wire_down) FROM hours "
                f"WHERE hour < ? GROUP BY 1, 2 ON CONFLICT (day, user) DO UPDATE SET {_MORE}",
                (before,),
            )
            gone = db.execute("DELETE FROM hours WHERE hour < ?", (before,)).rowcount
            db.execute("DELETE FROM writers WHERE wrote_at < ?", (int(self._wall()) - WRITERS_KEPT,))
        return gone


def _text(data: bytes) -> str:
    """Read text that somebody else may have written: one that is not UTF-8 is one user's fault, and in no message."""
    return data.decode(errors="backslashreplace")


def _damage(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_damaged(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED
