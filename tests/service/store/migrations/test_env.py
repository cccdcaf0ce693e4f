"""Alembic's way in: what it does belongs to the transaction that it is handed."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from shadesocks.service.store import sql
from shadesocks.service.store.sql_schema import METADATA, VERSION_TABLE


def test_all_of_it_or_nothing(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/x.db")
    sa.event.listen(engine, "connect", lambda raw, _record: setattr(raw, "isolation_level", None))
    sa.event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
    config = Config()
    config.set_main_option("script_location", str(Path(sql.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")

    def upgrade(db: sa.Connection) -> None:
        config.attributes.update(connection=db, version_table=VERSION_TABLE, metadata=METADATA)
        command.upgrade(config, "head")

    with engine.connect() as db, db.begin() as transaction:
        upgrade(db)
        assert VERSION_TABLE in sa.inspect(db).get_table_names()
        transaction.rollback()
    with engine.begin() as db:
        assert sa.inspect(db).get_table_names() == []
        upgrade(db)
    with engine.begin() as db:
        assert db.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")) == "0001"  # noqa: S608 - our own words
    engine.dispose()
