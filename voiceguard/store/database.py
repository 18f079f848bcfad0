"""The database of sessions: opened, checked, migrated, and its failures named.

SQLite needs nothing installed and is written by one server. PostgreSQL may be shared by several,
each with an evidence log of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from voiceguard.core.errors import ConfigurationError
from voiceguard.store.errors import DatabaseError, DatabaseUnavailableError
from voiceguard.store.migrate import check_ours, migrate
from voiceguard.store.schema import STORE

CONNECTIONS: Final = 16
"""At once. More readers wait their turn."""

_WAIT_S: Final = 10
"""How long to wait for a connection, or for another writer."""

_SCRUB_WAIT_MS: Final = 100
"""How long scrubbing waits for readers. The projection waits with it."""

_SQLITE_PRAGMAS: Final = (
    "PRAGMA synchronous = FULL",  # what is committed survives loss of power
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",  # what is erased is overwritten, not only unlinked
    f"PRAGMA busy_timeout = {_WAIT_S * 1000}",
    "PRAGMA cache_size = -16384",  # KiB
)

_SQLITE_PERMANENT: Final = frozenset({1, 11, 26})
"""SQLITE_ERROR, SQLITE_CORRUPT, SQLITE_NOTADB (sqlite.org/rescode.html): waiting helps with
none of them, as it does with a full disk or a lock."""

_POSTGRESQL_OPTIONS: Final = {
    "connect_timeout": 5,
    # A server that vanished is noticed within half a minute, and not after two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""libpq's connection parameters (PostgreSQL manual, 34.1.2)."""

_POSTGRESQL_READ_ONLY: Final = "25006"
"""SQLSTATE of a write on a standby, which may be made the main server any moment."""


class Database:
    """A database of sessions, open.

    Safe to use from several threads.

    Attributes:
        name: what errors and people call it; holds no password.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._password = engine.url.password or ""
        self.name = name

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Open a database, bring it to this release's schema, and return it.

        Args:
            url: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`, as SQLAlchemy writes them.
            create: make the tables (and SQLite's file) where there are none yet.

        Raises:
            ConfigurationError: the URL is none of these, or the driver is not installed.
            DatabaseError: it is not ours, is newer than this release, is damaged, is open to
                other users of the machine, or does not exist. Nothing was changed.
            DatabaseUnavailableError: it cannot be reached now.
        """
        parsed = _read_url(url)
        if _is_sqlite(parsed):
            path = Path(parsed.database or "")
            _prepare_file(path, create=create)
            database = cls(_sqlite_engine(parsed), str(path))
        else:
            database = cls(_postgresql_engine(parsed), _postgresql_name(parsed))
        try:
            database._prepare(create=create)
        except BaseException:
            database.close()
            raise
        return database

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, for tools; `reading` and `writing` name failures better."""
        return self._engine

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of ours alone."""
        return _is_sqlite(self._engine.url)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database all along.

        Raises:
            DatabaseError, DatabaseUnavailableError: as for `open`.
        """
        options: dict[str, Any] = (
            {}
            if self.is_sqlite
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )
        with self._failures_named(), self._engine.connect() as connection:
            connection.execution_options(**options)
            with connection.begin():
                yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection to write with, and commit at the end; one writer at a time.

        Raises:
            DatabaseError, DatabaseUnavailableError: as for `open`; nothing was written.
        """
        with self._beginning_to_write() as connection:
            connection.execute(select(STORE.c.magic).with_for_update())
            yield connection

    def scrub(self) -> bool:
        """Overwrite what was erased where the database still has copies; return if all is done.

        SQLite keeps old pages in its write-ahead log until that is emptied, which a reader
        holds up; then the next call may do it. PostgreSQL frees old rows by itself (autovacuum).

        Raises:
            DatabaseError, DatabaseUnavailableError: as for `open`.
        """
        if not self.is_sqlite:
            return True
        with self._failures_named(), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101 - it is checked out
            driver.execute(f"PRAGMA busy_timeout = {_SCRUB_WAIT_MS}").close()
            try:
                busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                driver.execute(f"PRAGMA busy_timeout = {_WAIT_S * 1000}").close()
        return not busy

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self._engine.dispose()

    @contextmanager
    def _beginning_to_write(self) -> Iterator[Connection]:
        with self._failures_named(), self._engine.connect() as connection:
            connection.execution_options(voiceguard_writes=True)
            with connection.begin():
                yield connection

    def _prepare(self, *, create: bool) -> None:
        with self.reading() as connection:
            check_ours(connection, self.name)
            if not create and not self._engine.dialect.has_table(connection, STORE.name):
                message = f"{self.name} is empty; name the database that the server writes"
                raise DatabaseError(message)
        if self.is_sqlite:
            self._turn_wal_on()
        with self._beginning_to_write() as connection:
            migrate(connection, self.name)
        self.scrub()  # what a server that was killed erased and did not scrub

    def _turn_wal_on(self) -> None:
        """Write ahead, so that readers never wait for the writer; SQLite remembers it."""
        with self._failures_named(), self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None  # noqa: S101 - it is checked out
            (mode,) = driver.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            message = (
                f"{self.name}: its file system has no write-ahead log (journal mode {mode}); "
                "put it on a local disk"
            )
            raise DatabaseError(message)

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            problem = self._problem(error)
            if _may_pass(error):
                raise DatabaseUnavailableError(f"{self.name}: {problem}") from None
            raise DatabaseError(f"{self.name}: {problem}") from None

    def _problem(self, error: SQLAlchemyError) -> str:
        """Return what the driver says, without what was written or who wrote it.

        Further lines may quote rows, and SQLAlchemy's text has the statement.
        """
        if isinstance(error, PoolTimeoutError):
            return f"all {CONNECTIONS} connections were busy for {_WAIT_S} s"
        if not isinstance(error, DBAPIError) or error.orig is None:
            return type(error).__name__
        if not _may_pass(error) and not self.is_sqlite:
            state = getattr(error.orig, "sqlstate", None)
            return f"{type(error.orig).__name__} (SQLSTATE {state})"
        line = (str(error.orig).splitlines() or [type(error.orig).__name__])[0]
        return line.replace(self._password, "***") if self._password else line


def _may_pass(error: SQLAlchemyError) -> bool:
    """Return whether the same may work later."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return isinstance(error, OperationalError) and code & 0xFF not in _SQLITE_PERMANENT
    return (
        error.connection_invalidated
        or isinstance(error, OperationalError | InterfaceError)
        or getattr(error.orig, "sqlstate", None) == _POSTGRESQL_READ_ONLY
    )


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _read_url(text: str) -> URL:
    """Return a URL of one of the two databases, with the driver that we test."""
    known = "give sqlite:///PATH or postgresql://USER@HOST/NAME"
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        # Not chained: the parser's message quotes the URL, which may hold a password.
        raise ConfigurationError(f"database_url is not a URL; {known}") from None
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise ConfigurationError(f"database_url: {backend} is not supported; {known}")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise ConfigurationError("database_url: SQLite needs a file; give sqlite:///PATH")
    return url.set(drivername="sqlite+pysqlite")


def _prepare_file(path: Path, *, create: bool) -> None:
    """Check SQLite's file and folder, and make the file so that only we may read it."""
    try:
        folder = path.parent.stat()
        if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
            message = f"{path.parent}: everybody may replace files in it; run chmod o-w on it"
            raise DatabaseError(message)
        if create and not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        mode = path.stat().st_mode
    except FileNotFoundError:
        missing = path if path.parent.is_dir() else path.parent
        raise DatabaseError(f"{missing} does not exist") from None
    except OSError as error:
        raise DatabaseUnavailableError(f"{path}: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise DatabaseError(f"{path} is not a file")
    if mode & (stat.S_IRWXO | stat.S_IRWXG):
        raise DatabaseError(f"{path}: others may read or change it; run chmod 600 on it")


def _sqlite_engine(url: URL) -> Engine:
    # The driver's own transactions begin late and leave out changes of the schema
    # (docs.python.org/3/library/sqlite3.html#transaction-control), so we begin them ourselves.
    engine = create_engine(
        url,
        connect_args={"isolation_level": None},
        hide_parameters=True,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=_WAIT_S,
    )

    @event.listens_for(engine, "connect")
    def connected(driver: Any, _: object) -> None:  # noqa: ANN401 - sqlite3.Connection or alike
        for pragma in _SQLITE_PRAGMAS:
            driver.execute(pragma).close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        # A reader that turns writer may fail half-way, so a writer says so at once.
        writes = connection.get_execution_options().get("voiceguard_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    given = set(url.query)
    options = {name: value for name, value in _POSTGRESQL_OPTIONS.items() if name not in given}
    try:
        return create_engine(
            url,
            connect_args=options,
            hide_parameters=True,
            pool_pre_ping=True,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=_WAIT_S,
        )
    except (ImportError, NoSuchModuleError) as error:
        message = (
            "database_url: PostgreSQL needs its driver; run pip install 'voiceguard[postgres]'"
        )
        raise ConfigurationError(message) from error


def _postgresql_name(url: URL) -> str:
    host = url.host or url.query.get("host") or "this machine"
    return f"PostgreSQL database {url.database or url.username} at {host}"
