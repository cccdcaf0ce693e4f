"""The tables of a store in a database: as they are now, and which revision that is.

How they came to be stands in `migrations/versions`, step after step; a test compares both. All names begin alike, so
that the database may be shared with other programs.

    shadesocks_users      a name, what it means, all that ever passed, and where quotas count from
    shadesocks_hours      the same hour by hour
    shadesocks_days       hours of long ago, by the day
    shadesocks_writers    the last batch of each process that wrote, so that none is counted twice
    shadesocks_version    the revision of all that
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql

REVISIONS: Final = ("0001",)
"""All that there ever were, in their order; the last one is what stands here."""
VERSION_TABLE: Final = "shadesocks_version"

SUMS: Final = ("up", "down", "wire_up", "wire_down")
RESET_SUMS: Final = tuple(f"reset_{name}" for name in SUMS)

NUMBER: Final = BigInteger()
KEY: Final = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows of its own accord only where the type is called INTEGER."""
NAME: Final = (
    String(255)
    .with_variant(Text(), "postgresql", "sqlite")
    .with_variant(mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
)
"""Names that differ in a letter's case are two."""

METADATA: Final = MetaData()


def _sums(*names: str) -> list[Column[Any]]:
    return [Column(name, NUMBER, nullable=False, server_default="0") for name in names]


def _history(name: str, unit: str) -> Table:
    user = Column("user_id", KEY, ForeignKey("shadesocks_users.id", ondelete="CASCADE"), primary_key=True, index=True)
    return Table(
        name, METADATA, Column(unit, NUMBER, primary_key=True, autoincrement=False), user, *_sums(*SUMS)
    )  # fmt: skip


USERS: Final = Table(
    "shadesocks_users",
    METADATA,
    Column("id", KEY, Identity(), primary_key=True),
    Column("name", NAME, nullable=False, unique=True),
    Column("definition", Text()),
    *_sums(*SUMS, "reset_at", *RESET_SUMS),
)
HOURS: Final = _history("shadesocks_hours", "hour")
DAYS: Final = _history("shadesocks_days", "day")
WRITERS: Final = Table(
    "shadesocks_writers",
    METADATA,
    Column("writer", NAME, primary_key=True),
    Column("sequence", NUMBER, nullable=False),
    Column("wrote_at", NUMBER, nullable=False),
)
