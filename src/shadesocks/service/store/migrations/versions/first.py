"""The first form of the tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NAME = (
    sa.String(255)
    .with_variant(sa.Text(), "postgresql", "sqlite")
    .with_variant(mysql.VARCHAR(255, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
)


def _numbers(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=False, server_default="0") for name in names]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "shadesocks_users",
        sa.Column("id", _KEY, sa.Identity(), primary_key=True),
        sa.Column("name", _NAME, nullable=False, unique=True),
        sa.Column("definition", sa.Text()),
        *_numbers("up", "down", "wire_up", "wire_down", "reset_at"),
        *_numbers("reset_up", "reset_down", "reset_wire_up", "reset_wire_down"),
    )
    for table, unit in (("shadesocks_hours", "hour"), ("shadesocks_days", "day")):
        op.create_table(
            table,
            sa.Column(unit, sa.BigInteger(), primary_key=True, autoincrement=False),
            sa.Column(
                "user_id",
                _KEY,
                sa.ForeignKey("shadesocks_users.id", ondelete="CASCADE"),
                primary_key=True,
                index=True,
            ),
            *_numbers("up", "down", "wire_up", "wire_down"),
        )
    op.create_table(
        "shadesocks_writers",
        sa.Column("writer", _NAME, primary_key=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("wrote_at", sa.BigInteger(), nullable=False),
    )
