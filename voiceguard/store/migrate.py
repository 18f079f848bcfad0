"""Bringing a database to this release's schema, once it is certain that it is ours."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, select

from voiceguard.store.errors import DatabaseError
from voiceguard.store.schema import LOGS, MAGIC, STORE

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_VERSION_TABLE: Final = "alembic_version"
"""Alembic's own, with the revision that the tables are at."""


def migrate(connection: Connection, name: str) -> None:
    """Create the tables, or change those of an older release, in the caller's transaction.

    Args:
        connection: in a transaction that has changed nothing yet.
        name: of the database, for errors.

    Raises:
        DatabaseError: it is not ours, or newer than this release. Nothing was changed.
    """
    check_ours(connection, name)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in known:
        message = (
            f"{name} was written by a newer release of voiceguard (schema {current}); "
            "run that release, or name another database"
        )
        raise DatabaseError(message)
    if current != scripts.get_current_head():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_ours(connection: Connection, name: str) -> None:
    """Refuse a database that holds anything but what voiceguard keeps in one.

    Raises:
        DatabaseError: it holds tables, and not the mark that voiceguard leaves.
    """
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return
    # A magic row alone could be chance: whoever names a table so also has one of logs.
    marked = {STORE.name, LOGS.name, _VERSION_TABLE} <= tables and _has_magic(connection)
    if not marked:
        some = ", ".join(sorted(tables)[:3])
        message = (
            f"{name} is a database of something else; it has tables such as {some}. "
            "Name an empty one or voiceguard's own; nothing was changed"
        )
        raise DatabaseError(message)


def _has_magic(connection: Connection) -> bool:
    columns = {column["name"] for column in inspect(connection).get_columns(STORE.name)}
    if columns != set(STORE.columns.keys()):
        return False
    return connection.scalars(select(STORE.c.magic)).all() == [MAGIC]
