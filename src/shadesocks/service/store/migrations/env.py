"""Alembic's way in: it runs on the connection that it is handed, within the transaction of that."""

from __future__ import annotations

from alembic import context

handed = context.config.attributes
context.configure(
    connection=handed["connection"], version_table=handed["version_table"], target_metadata=handed["metadata"]
)
with context.begin_transaction():
    context.run_migrations()
