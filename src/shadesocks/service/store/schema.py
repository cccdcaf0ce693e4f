"""The tables of the SQLite store: how they came to be, version after version.

A step is never changed once it was released: a new version is a new step at the end. `PRAGMA user_version` says how
many of them a file has seen, `PRAGMA application_id` that it is ours. SQLite 3.24 (2018) knows all that stands here.

    users      a name, and what it means; also of users of whom only traffic is known
    counters   all that ever passed for a user, and where quotas count from
    hours      the same hour by hour
    days       hours of long ago, by the day
    writers    the last batch of each process that wrote, so that none is counted twice
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x53686164
"""`Shad`, in the header of the file (SQLite's file format §1.3.13)."""

_FIRST: Final = (
    """
    CREATE TABLE users (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        definition TEXT
    )
    """,
    """
    CREATE TABLE counters (
        user INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
        up INTEGER NOT NULL, down INTEGER NOT NULL, wire_up INTEGER NOT NULL, wire_down INTEGER NOT NULL,
        reset_at INTEGER NOT NULL DEFAULT 0,
        reset_up INTEGER NOT NULL DEFAULT 0, reset_down INTEGER NOT NULL DEFAULT 0,
        reset_wire_up INTEGER NOT NULL DEFAULT 0, reset_wire_down INTEGER NOT NULL DEFAULT 0
    )
    """,
    """
    CREATE TABLE hours (
        hour INTEGER NOT NULL,
        user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        up INTEGER NOT NULL, down INTEGER NOT NULL, wire_up INTEGER NOT NULL, wire_down INTEGER NOT NULL,
        PRIMARY KEY (hour, user)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE days (
        day INTEGER NOT NULL,
        user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        up INTEGER NOT NULL, down INTEGER NOT NULL, wire_up INTEGER NOT NULL, wire_down INTEGER NOT NULL,
        PRIMARY KEY (day, user)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE writers (
        writer TEXT PRIMARY KEY,
        sequence INTEGER NOT NULL,
        wrote_at INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
)

STEPS: Final[tuple[tuple[str, ...], ...]] = (_FIRST,)
"""Statements from one version to the next; a file of version n has seen the first n steps."""

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "users": ("id", "name", "definition"),
    "counters": (
        "user", "up", "down", "wire_up", "wire_down", "reset_at",
        "reset_up", "reset_down", "reset_wire_up", "reset_wire_down",
    ),
    "writers": ("writer", "sequence", "wrote_at"),
    "days": ("day", "user", "up", "down", "wire_up", "wire_down"),
    "hours": ("hour", "user", "up", "down", "wire_up", "wire_down"),
}  # fmt: skip
"""Tables and columns of the present version, in the order in which they are saved from a damaged file."""

_LETTERS: Final = bytes((*b"\t\n\r", *range(0x20, 0x7F), *range(0x80, 0x100)))
"""Bytes that texts are made of."""
_MAGIC: Final = b"SQLite format 3\0"
_OWNER_AT: Final = 68
"""Where the file of a database says whose it is: four bytes."""


def is_text(head: bytes) -> bool:
    """Say whether a file is somebody's text, as a config given by mistake: damage leaves no words and lines."""
    return len(head) > 1 and any(byte in head for byte in b' "\n') and not head.translate(None, _LETTERS)


def is_of_others(head: bytes) -> bool:
    """Say whether a file may be another program's database: then its rights are not ours to change."""
    owner = int.from_bytes(head[_OWNER_AT : _OWNER_AT + 4], "big")
    return head.startswith(_MAGIC) and owner != APPLICATION_ID
