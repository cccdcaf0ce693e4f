"""The tables as they are described are those that the steps make, on every database."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from shadesocks.service.store import sql
from shadesocks.service.store.sql import SqlStore
from shadesocks.service.store.sql_schema import METADATA, REVISIONS, VERSION_TABLE


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_steps_make_the_tables(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    url = f"sqlite:///{tmp_path}/users.db"
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        url = server.url(server.new_schema())
    store = SqlStore(url)
    store.open()
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": kind != "sqlite"}
    with store._engine.begin() as db:
        found = compare_metadata(MigrationContext.configure(db, opts=options), METADATA)
        names = set(sa.inspect(db).get_table_names())
    store.close()
    # An early alembic takes it for a change that SQLite numbers rows without being told.
    assert [change for change in found if kind != "sqlite" or change[0][:4:3] != ("modify_default", "id")] == []
    assert names == {*METADATA.tables, VERSION_TABLE}


def test_the_revisions_are_those_of_the_steps() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert [step.revision for step in script.walk_revisions()] == list(reversed(REVISIONS))
    assert script.get_current_head() == REVISIONS[-1]


def test_mysql_tells_names_apart_in_every_letter() -> None:
    made = str(CreateTable(METADATA.tables["shadesocks_users"]).compile(dialect=mysql.dialect()))
    assert "COLLATE utf8mb4_bin" in made
    assert "AUTO_INCREMENT" in made
