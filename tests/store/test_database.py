"""Opening: what is created, what is refused and left alone, and what is said."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text

from tests.store.support import ORIGIN
from voiceguard.core.errors import ConfigurationError
from voiceguard.store.database import Database
from voiceguard.store.errors import DatabaseError, DatabaseUnavailableError
from voiceguard.store.projection import Projection
from voiceguard.store.schema import METADATA


def tables_of(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
    engine.dispose()
    return set(names)


def definitions(connection):
    """Every table's columns and keys, and every index with its condition, as the database says."""
    found = {}
    inspector = inspect(connection)
    for name in METADATA.tables:
        found[name] = (
            [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)],
            inspector.get_pk_constraint(name),
            sorted(inspector.get_foreign_keys(name), key=str),
        )
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    found["indexes"] = {
        name: " ".join(sql.split())
        for name, sql in connection.execute(text(query))
        if "alembic" not in name
    }
    return found


def test_migrations_give_exactly_the_schema(empty_url, backend, request, tmp_path):
    database = Database.open(empty_url)
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        migrated = definitions(connection)
    database.close()
    if backend == "sqlite":
        other = f"sqlite:///{tmp_path}/other.db"
    else:
        other = request.getfixturevalue("postgres").empty_database()
        other = other.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(other)
    with engine.begin() as connection:
        METADATA.create_all(connection)
        assert definitions(connection) == migrated
    engine.dispose()


def test_opening_twice_changes_nothing(empty_url):
    first = Database.open(empty_url)
    Projection(first, ORIGIN).forget_audio([])
    second = Database.open(empty_url)
    assert Projection(second, ORIGIN).applied() == 0
    first.close()
    second.close()
    second.close()


def test_sqlite_file_is_private_and_durable(tmp_path):
    database = Database.open(f"sqlite:///{tmp_path}/sessions.db")
    with database.reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        }
    files = list(tmp_path.iterdir())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files}
    database.close()
    assert pragmas == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1,
    }  # fmt: skip
    assert modes == {0o600}
    assert len(files) == 3  # with -wal and -shm


def test_somebody_elses_database_is_left_alone(empty_url, backend, tmp_path):
    engine = create_engine(empty_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id INTEGER)"))
    engine.dispose()
    path = tmp_path / "sessions.db"
    if backend == "sqlite":
        path.chmod(0o600)
        before = path.read_bytes()
    with pytest.raises(DatabaseError, match=r"is a database of something else; .*invoices"):
        Database.open(empty_url)
    assert tables_of(empty_url.replace("postgresql:", "postgresql+psycopg:")) == {"invoices"}
    if backend == "sqlite":
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE alembic_version (version_num TEXT)",
         "INSERT INTO alembic_version VALUES ('0001')"],
        ["CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE logs (id INTEGER)",
         "CREATE TABLE store (magic TEXT)", "INSERT INTO store VALUES ('groceries')"],
        ["CREATE TABLE alembic_version (version_num TEXT)", "CREATE TABLE logs (id INTEGER)",
         "CREATE TABLE store (id INTEGER, address TEXT)"],
    ],
    ids=["alembic", "other-mark", "other-store"],
)  # fmt: skip
def test_database_that_looks_a_little_like_ours_is_refused(empty_url, statements):
    engine = create_engine(empty_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    before = engine.dialect.name
    engine.dispose()
    if before == "sqlite":
        subprocess.run(["chmod", "600", empty_url.removeprefix("sqlite:///")], check=True)
    with pytest.raises(DatabaseError, match="is a database of something else"):
        Database.open(empty_url)


def test_newer_schema_is_refused(url):
    database = Database.open(url)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(DatabaseError, match=r"newer release of voiceguard \(schema 9999\)"):
        Database.open(url)


def test_not_to_be_created(empty_url, backend):
    message = "does not exist" if backend == "sqlite" else "is empty"
    with pytest.raises(DatabaseError, match=message):
        Database.open(empty_url, create=False)
    Database.open(empty_url).close()
    Database.open(empty_url, create=False).close()


def test_migration_that_fails_leaves_nothing(empty_url, monkeypatch):
    from voiceguard.store import database as module

    def fail(connection, name):
        connection.execute(text("CREATE TABLE half (id INTEGER)"))
        raise RuntimeError("power failed")

    with monkeypatch.context() as patched:
        patched.setattr(module, "migrate", fail)
        with pytest.raises(RuntimeError):
            Database.open(empty_url)
    assert tables_of(empty_url.replace("postgresql:", "postgresql+psycopg:")) == set()
    Database.open(empty_url).close()


@pytest.mark.parametrize("content", [b"\x89PNG\r\n" + bytes(5000), b"hello, world\n" * 400])
def test_file_that_is_no_database(tmp_path, content):
    path = tmp_path / "sessions.db"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(DatabaseError, match=r"sessions\.db: file is not a database"):
        Database.open(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_file_that_others_may_read(tmp_path):
    path = tmp_path / "sessions.db"
    path.touch()
    path.chmod(0o644)
    with pytest.raises(DatabaseError, match="run chmod 600 on it"):
        Database.open(f"sqlite:///{path}")


def test_folder_that_is_not_right(tmp_path):
    with pytest.raises(DatabaseError, match="nowhere does not exist"):
        Database.open(f"sqlite:///{tmp_path}/nowhere/sessions.db")
    with pytest.raises(DatabaseError, match="is not a file"):
        Database.open(f"sqlite:///{tmp_path}")
    tmp_path.chmod(0o777)
    with pytest.raises(DatabaseError, match="everybody may replace files"):
        Database.open(f"sqlite:///{tmp_path}/sessions.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "is not a URL"),
        ("sessions.db", "is not a URL"),
        ("postgresql://me:hunter2@host:port/x", "is not a URL"),
        ("mysql://me:hunter2@host/x", "mysql is not supported"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "SQLite needs a file"),
    ],
)
def test_urls_that_name_no_database(url, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Database.open(url)
    assert "hunter2" not in str(caught.value)


def test_postgresql_that_is_not_there(tmp_path):
    with pytest.raises(DatabaseUnavailableError, match="PostgreSQL database calls at") as caught:
        Database.open(f"postgresql://me:hunter2@/calls?host={tmp_path}")
    assert "hunter2" not in repr(caught.value)
    with pytest.raises(DatabaseUnavailableError, match=r"at 127\.0\.0\.1"):
        Database.open("postgresql://me:hunter2@127.0.0.1:1/calls")


def test_postgresql_database_that_is_not_there(postgres):
    with pytest.raises(DatabaseUnavailableError, match='"nowhere" does not exist'):
        Database.open(postgres.url("nowhere"))


def test_wrong_password_is_told_without_it(postgres):
    postgres.execute("postgres", "CREATE USER keyed PASSWORD 'right'")
    url = postgres.url("postgres").replace("tester@", "keyed:hunter2@")
    with pytest.raises(DatabaseUnavailableError, match="password authentication failed") as caught:
        Database.open(url)
    assert "hunter2" not in repr(caught.value)


def test_driver_that_is_not_installed():
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from voiceguard.store.database import Database\n"
        "from voiceguard.core.errors import ConfigurationError\n"
        "try:\n    Database.open('postgresql://me:hunter2@host/x')\n"
        "except ConfigurationError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "pip install 'voiceguard[postgres]'" in said
    assert "hunter2" not in said


def test_database_of_another_writer_is_unavailable_not_broken(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/sessions.db"
    Database.open(url).close()
    monkeypatch.setattr("voiceguard.store.database._SQLITE_PRAGMAS", ("PRAGMA busy_timeout = 50",))
    monkeypatch.setattr("voiceguard.store.database._WAIT_S", 0)
    database = Database.open(url)
    other = sqlite3.connect(tmp_path / "sessions.db")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailableError, match="database is locked"):
        Projection(database, ORIGIN).forget_audio(["00"])
    other.close()
    Projection(database, ORIGIN).forget_audio(["00"])
    database.close()


def test_damaged_file_is_the_operators_to_mend(tmp_path):
    url = f"sqlite:///{tmp_path}/sessions.db"
    Database.open(url).close()
    path = tmp_path / "sessions.db"
    content = bytearray(path.read_bytes())
    content[4096 : 4096 * 8] = b"\xff" * (4096 * 7)
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match="malformed"):
        Projection(Database.open(url), ORIGIN).applied()
