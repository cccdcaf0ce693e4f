"""The first step: what it made is there for good, so what it makes never changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from shadesocks.service.store.migrations.versions import first

MADE = {
    "shadesocks_days": ["day", "user_id", "up", "down", "wire_up", "wire_down"],
    "shadesocks_hours": ["hour", "user_id", "up", "down", "wire_up", "wire_down"],
    "shadesocks_users": [
        *("id", "name", "definition", "up", "down", "wire_up", "wire_down", "reset_at"),
        *("reset_up", "reset_down", "reset_wire_up", "reset_wire_down"),
    ],
    "shadesocks_writers": ["writer", "sequence", "wrote_at"],
}


def test_what_it_makes() -> None:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as db, Operations.context(MigrationContext.configure(db)):
        first.upgrade()
        look = sa.inspect(db)
        assert {name: [column["name"] for column in look.get_columns(name)] for name in look.get_table_names()} == MADE
        assert [index["column_names"] for index in look.get_indexes("shadesocks_hours")] == [["user_id"]]
        assert look.get_foreign_keys("shadesocks_days")[0]["options"] == {"ondelete": "CASCADE"}
    engine.dispose()
    assert (first.revision, first.down_revision) == ("0001", None)
