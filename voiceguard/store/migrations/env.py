# ruff: noqa: INP001 - Alembic runs this by its path
"""Alembic runs this: the migrations go over the connection that `voiceguard.store` hands in."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    # Ours begins every transaction itself, so on SQLite too a migration is all or nothing.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
