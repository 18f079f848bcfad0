"""`DatabaseLink`: the database, which may come later than the archive, and go."""

from __future__ import annotations

from collections.abc import Sequence

from voiceguard.store.database import Database
from voiceguard.store.documents import DocumentTray
from voiceguard.store.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    UnknownSessionError,
)
from voiceguard.store.journal import Journal
from voiceguard.store.keys import Keyring
from voiceguard.store.ledger import SessionState
from voiceguard.store.projection import Projection
from voiceguard.store.queries import SessionFinder
from voiceguard.store.records import Record


class DatabaseLink:
    """Opens the database when it can be reached, and checks that it belongs to the log.

    Args:
        url: of the database.
        documents: which go into it before the sessions that name them.
    """

    def __init__(self, url: str, documents: DocumentTray) -> None:
        self.documents = documents
        self._url = url
        self._journal: Journal | None = None
        self._database: Database | None = None
        self._finder: SessionFinder | None = None
        self._projection: Projection | None = None

    @property
    def database(self) -> Database:
        """The database.

        Raises:
            DatabaseUnavailableError: it was not reached yet.
        """
        if self._database is None or self._projection is None:
            raise DatabaseUnavailableError("the database was not reached since the start")
        return self._database

    @property
    def finder(self) -> SessionFinder:
        """Finds sessions.

        Raises:
            DatabaseUnavailableError: the database was not reached yet.
        """
        if self._finder is None:
            raise DatabaseUnavailableError("the database was not reached since the start")
        return self._finder

    def try_open(self) -> None:
        """Open the database unless it is away.

        Raises:
            ConfigurationError, DatabaseError: it will not do; waiting does not help.
        """
        try:
            self._open()
        except DatabaseUnavailableError:
            return

    def bind(self, journal: Journal) -> None:
        """Say which log and spool the database is to follow.

        Raises:
            DatabaseError: it belongs to others.
        """
        self._journal = journal
        if self._database is not None:
            try:
                self._bind(self._database, journal)
            except DatabaseUnavailableError:
                return

    def connect(self) -> DatabaseLink:
        """Return itself, once the database is there.

        Raises:
            DatabaseUnavailableError: it is away.
            DatabaseError: it will not do, or belongs to others.
        """
        if self._journal is None:
            raise DatabaseUnavailableError("there is no log yet")
        self._bind(self._open(), self._journal)
        return self

    def applied(self) -> int:
        """Return the leaf index after the last record that the database has."""
        return self._bound().applied()

    def apply(self, records: Sequence[Record]) -> None:
        """Apply records, after the documents that they name."""
        self.documents.flush(self.finder.put_document)
        self._bound().apply(records)

    def forget_audio(self, uids: Sequence[str]) -> None:
        """Note that the audio files of erased sessions are deleted."""
        self._bound().forget_audio(uids)

    def load_state(self, uid: str, keyring: Keyring) -> SessionState:
        """Return what the writer must know of a session.

        Raises:
            UnknownSessionError: there is none of this id in this log.
            SealBrokenError: its key is wrapped with another master key.
            DatabaseUnavailableError: the database is away.
        """
        row = self.finder.find_uid(uid)
        if row is None or self._journal is None or row.origin != self._journal.log.origin:
            raise UnknownSessionError(f"no session {uid} is kept by this server")
        erased = row.erased_at_ms is not None
        key = b"" if erased else keyring.unwrap(uid, row.wrapped_key, row.key_id)
        return SessionState(
            uid=uid,
            key=key,
            next_number=row.leaves,
            running=row.closed_at_ms is None and not erased,
            held=row.legal_hold,
            erased=erased,
        )

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        if self._database is not None:
            self._database.close()

    def _open(self) -> Database:
        if self._database is None:
            self._database = Database.open(self._url)
        return self._database

    def _bound(self) -> Projection:
        if self._projection is None:
            raise DatabaseUnavailableError("the database was not reached since the start")
        return self._projection

    def _bind(self, database: Database, journal: Journal) -> None:
        if self._projection is not None:
            return
        projection = Projection(database, journal.log.origin)
        _check_cursor(projection.applied(), journal)
        self._finder = SessionFinder(database)
        self._projection = projection


def _check_cursor(applied: int, journal: Journal) -> None:
    """Refuse a database that has not got what the spool no longer has, or has more than the log."""
    bounds = journal.spool.bounds
    least = journal.log.size if bounds is None else bounds[0]
    if applied > journal.log.size:
        raise DatabaseError(
            f"the database has {applied} records of this evidence log, which has only "
            f"{journal.log.size}: data_dir is older than the database; restore both together"
        )
    if applied < least:
        raise DatabaseError(
            f"the database lacks the records {applied} to {least - 1} of this evidence log, and "
            "the spool no longer has them: the database is older than data_dir, or another one; "
            "restore both together"
        )
