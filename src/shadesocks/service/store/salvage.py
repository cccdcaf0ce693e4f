"""What can still be read of a damaged store, copied into a new one: users first, then what passed for them.

Row by row until the first that cannot be read or makes no sense; what comes behind it in its table is lost. A user of
whom only the definition makes none is saved without it, with all that passed for him. The damaged file is opened for
reading only, and stays as it is. SQLite reads nothing of a file that is shorter than its first page says, so such a one
is read from a copy that is as long, with zeros at its end.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any, Final

from ...core.limits import MOST
from .schema import APPLICATION_ID, STEPS, TABLES

_HEAD_SIZE: Final = 100
"""Bytes of the header: at 16 the size of a page, at 28 how many there are (SQLite's file format §1.3)."""
_LONGER_MOST: Final = 1 << 30
"""Bytes that a copy is made longer by: they are holes and take no room, but a damaged header may ask for anything."""


def salvage(damaged: Path, into: sqlite3.Connection) -> str:
    """Copy what can be read, all at once, and say in words how much it was."""
    with _readable(damaged) as path:
        rows = {table: list(_read(path, table)) for table in TABLES}
    at = TABLES["users"].index("definition")
    broken = [place for place, row in enumerate(rows["users"]) if not _is_definition(row[at])]
    for place in broken:
        rows["users"][place] = tuple(None if here == at else value for here, value in enumerate(rows["users"][place]))
    known = {row[0] for row in rows["users"]}
    for table in ("counters", "days", "hours"):
        at = TABLES[table].index("user")
        rows[table] = [row for row in rows[table] if row[at] in known]
    into.execute("BEGIN IMMEDIATE")
    try:
        for table, found in rows.items():
            marks = ", ".join("?" * len(TABLES[table]))
            columns = ", ".join(TABLES[table])
            statement = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - our own words
            into.executemany(statement, found)
        into.execute("COMMIT")
    except BaseException:
        if into.in_transaction:
            into.execute("ROLLBACK")
        raise
    history, less = len(rows["hours"]) + len(rows["days"]), ""
    if broken:
        less = f" ({len(broken)} of them without a definition, for theirs makes no sense)"
    return f"{len(rows['users'])} users{less}, the sums of {len(rows['counters'])}, and {history} hours and days"


@contextmanager
def _readable(damaged: Path) -> Iterator[Path]:
    """Give the file itself, or a copy of it that is as long as it should be."""
    with damaged.open("rb") as file:
        head, size = file.read(_HEAD_SIZE), os.fstat(file.fileno()).st_size
    page = int.from_bytes(head[16:18])
    wanted = (65_536 if page == 1 else page) * int.from_bytes(head[28:32])
    if not size < wanted <= size + _LONGER_MOST:
        yield damaged
        return
    with TemporaryDirectory(dir=damaged.parent, prefix=".salvage-") as folder:
        path = Path(folder) / "copy"
        try:
            copyfile(damaged, path)
            with suppress(FileNotFoundError):
                copyfile(f"{damaged}-wal", f"{path}-wal")
            os.truncate(path, wanted)
        except OSError:  # no room: then as it is
            path = damaged
        yield path


def _read(path: Path, table: str) -> Iterator[tuple[Any, ...]]:
    columns = TABLES[table]
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            if db.execute("PRAGMA application_id").fetchone() != (APPLICATION_ID,):
                return
            if db.execute("PRAGMA user_version").fetchone() != (len(STEPS),):
                return
            db.text_factory = _text
            for row in db.execute(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608 - our own words
                if not all(_is_sound(column, value) for column, value in zip(columns, row, strict=True)):
                    return
                yield row
    except sqlite3.Error:
        return


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _is_sound(column: str, value: object) -> bool:
    if column in ("name", "writer"):
        return isinstance(value, str) and value.isprintable()
    return column == "definition" or (isinstance(value, int) and 0 <= value <= MOST)


def _is_definition(value: object) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False
