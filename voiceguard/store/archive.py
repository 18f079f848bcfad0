"""`Archive`: everything that is kept, behind one door.

    stream -> SessionRecord -> Recorder (spool, evidence log) -> Projector -> database
                            -> AudioSink (part files) -> Archivist (FLAC files)

What the stream's thread calls never waits and never raises. What reviewers call may wait for
the disk or the database, and says what is wrong.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from voiceguard import __version__
from voiceguard.evidence.leaves import LeafKind
from voiceguard.evidence.log import EvidenceLog, choose_origin
from voiceguard.evidence.signing import Signer
from voiceguard.store.archivist import Archivist
from voiceguard.store.audio import AudioJob, delete_audio, open_flac, read_outline
from voiceguard.store.documents import DocumentTray
from voiceguard.store.drafts import Prepared
from voiceguard.store.errors import (
    SealBrokenError,
    SessionErasedError,
    StoreError,
)
from voiceguard.store.journal import Journal
from voiceguard.store.keys import Keyring
from voiceguard.store.ledger import SessionLedger, SessionState
from voiceguard.store.link import DatabaseLink
from voiceguard.store.outline import Outline
from voiceguard.store.parts import AudioSink
from voiceguard.store.payloads import Opening
from voiceguard.store.projector import Projector
from voiceguard.store.queries import SessionFinder
from voiceguard.store.recorder import Recorder, Reporter
from voiceguard.store.records import Closed, Columns, Erased, Record
from voiceguard.store.repair import Repair
from voiceguard.store.retention import erase, erase_expired, set_hold
from voiceguard.store.rows import SessionRow
from voiceguard.store.scribe import Scribe
from voiceguard.store.sealedfiles import SealedReader
from voiceguard.store.sealing import new_key, unseal_payload
from voiceguard.store.sessionrecord import SessionRecord
from voiceguard.store.settings import (
    ArchiveSettings,
    DataLock,
    create_keyring,
    open_keyring,
)
from voiceguard.store.submissions import Submissions
from voiceguard.store.tally import Tally

_UID_BYTES: Final = 16


class StoreState(enum.StrEnum):
    """How the store is doing."""

    OK = "ok"
    SPOOLING = "spooling"
    """The database is away; what is recorded waits on the disk. Nothing is lost."""
    FAILING = "failing"
    """Records cannot be written, or are being lost."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How the store is doing, in numbers."""

    state: StoreState
    problem: str
    """In a word or two, of ours, so fit for logs; empty: there is none."""
    spool_bytes: int
    """On the disk, not yet in the database."""
    waiting_records: int
    """In memory, not yet on the disk."""
    lost_records: int
    """Since the start."""
    lost_audio_pieces: int
    """Since the start; of some seconds each."""
    unapplied_records: int
    """On the disk, not yet in the database; -1: the database was not reached yet."""
    waiting_audio: int
    """Pieces of audio to be written, sessions whose audio is to be made a file, repair."""


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record of a session with what it sealed."""

    index: int
    """Of the leaf in the evidence log."""
    leaf: bytes
    salt: bytes
    """Empty where there is no payload."""
    payload: bytes
    number: int
    """Of the leaf within the session."""
    kind: LeafKind


class Archive:
    """What is kept of sessions. Open it with `Archive.open`, then `start` it.

    All methods but `open`, `start` and `close` may be called from any thread.

    Attributes:
        log: the evidence log.
        keys: name customers, sign tokens.
        made_master_key: file of the master key that was made because there was none, at the
            first start; None: there was one.
    """

    def __init__(
        self,
        settings: ArchiveSettings,
        lock: DataLock,
        keys: Keyring,
        journal: Journal,
        link: DatabaseLink,
        *,
        made_master_key: Path | None,
        report: Reporter,
    ) -> None:
        self.keys = keys
        self.log: EvidenceLog = journal.log
        self.made_master_key = made_master_key
        self._settings = settings
        self._lock = lock
        self._journal = journal
        self._link = link
        self._report = report
        self._folder = settings.data_dir / "audio"
        self._documents = link.documents
        self._ledger = SessionLedger(self._load_state)
        self._sink = AudioSink(self._folder, report)
        self._recorder = Recorder(
            journal,
            self._ledger,
            Scribe(keys, self._ledger),
            spool_limit_bytes=settings.spool_limit_bytes,
            on_committed=self._receive_committed,
            on_unrecorded=lambda uid: self._sink.finish(uid, None),
            report=report,
            clock_ms=wall_ms,
        )
        self._submissions = Submissions(self._ledger, self._recorder, wall_ms)
        self._projector = Projector(
            journal, link.connect, on_applied=self._receive_applied, report=report
        )
        self._archivist = Archivist(
            self._folder,
            self._submissions.submit,
            self._ledger,
            repair=self._repair,
            expire=self._expire,
            report=report,
        )
        self._recorded_before = journal.log.size

    # ---- its life ----

    @classmethod
    def open(cls, settings: ArchiveSettings, report: Reporter | None = None) -> Self:
        """Open an archive, or begin one where there is none; put its end in order after a crash.

        The database may be away; what is recorded then waits in the spool.

        Args:
            settings: where it lies.
            report: is told of errors that nobody waits for, in a word and the error itself,
                whose message must not go into logs where the error is not a VoiceguardError.

        Raises:
            ConfigurationError: in use, a missing or wrong key, a bad URL. Nothing was changed.
            DatabaseError: the database is not ours, is newer, or belongs to other data.
            EvidenceError, StoreError: log or spool are damaged.
            OSError: the disk is full or broken.
        """
        report = report or _say_nothing
        lock = DataLock(settings.data_dir)
        try:
            keys = open_keyring(settings)
            documents = DocumentTray(settings.data_dir / "documents", report)
            link = DatabaseLink(settings.url, documents)
            try:
                link.try_open()
                made = None
                if keys is None:
                    keys, made = create_keyring(settings)
                (settings.data_dir / "audio").mkdir(mode=0o700, exist_ok=True)
                origin = choose_origin(settings.data_dir / "log", settings.evidence_origin)
                signer = Signer.load_or_create(settings.evidence_key_path, origin)
                journal = Journal.open(settings.data_dir, signer)
                try:
                    link.bind(journal)
                except BaseException:
                    journal.close()
                    raise
                return cls(settings, lock, keys, journal, link, made_master_key=made, report=report)
            except BaseException:
                link.close()
                raise
        except BaseException:
            lock.release()
            raise

    def start(self) -> None:
        """Begin to work, in threads."""
        self._recorder.start()
        self._sink.start()
        self._projector.start()
        self._archivist.start()
        before = self._projector.when_applied(self._recorded_before - 1)
        before.add_done_callback(self._begin_upkeep)
        self._submissions.note(LeafKind.STARTED, {"version": __version__})

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is there, and end. Sessions are to be closed before.

        Args:
            timeout_s: how long the disk and the database are given. What the database has not
                taken then stays in the spool.
        """
        by_s = time.monotonic() + timeout_s
        # Ends of sessions lead to files, files to records: so the disk first, and once more.
        self._recorder.drain(timeout_s)
        self._sink.stop()
        self._archivist.stop(max(by_s - time.monotonic(), 0.1))
        self._recorder.stop(max(by_s - time.monotonic(), 0.1))
        self._projector.stop(max(by_s - time.monotonic(), 0.1))
        try:
            self._journal.close()
        except OSError as error:
            self._report("journal_not_closed", error)
        self._link.close()
        self._lock.release()

    # ---- for streams ----

    def begin(self, opening: Opening) -> SessionRecord:
        """Return what keeps a new session. Never waits, never raises.

        Args:
            opening: what the session is opened with. Its policy and model must have been put by
                `put_document` before, or a bundle will lack them.
        """
        state = SessionState(
            uid=new_key()[:_UID_BYTES].hex(),
            key=new_key(),
            running=True,
            opening=opening,
            tally=Tally(opening.audio_format.sample_rate_hz),
        )
        self._ledger.add(state)
        return SessionRecord(state, opening, self._recorder, self._sink)

    @property
    def health(self) -> StoreHealth:
        """How it is doing; costs some microseconds."""
        recorder, projector = self._recorder, self._projector
        if recorder.is_failing:
            state, problem = StoreState.FAILING, recorder.problem or "spool full"
        elif projector.problem:
            state = StoreState.SPOOLING if projector.is_away else StoreState.FAILING
            problem = projector.problem
        else:
            state, problem = StoreState.OK, ""
        return StoreHealth(
            state=state,
            problem=problem,
            spool_bytes=self._journal.spool.bytes_on_disk,
            waiting_records=recorder.waiting_records,
            lost_records=recorder.lost_records,
            lost_audio_pieces=self._sink.lost_pieces,
            unapplied_records=-1 if projector.applied < 0 else self.log.size - projector.applied,
            waiting_audio=self._sink.waiting + self._archivist.waiting,
        )

    # ---- for reviewers ----

    @property
    def finder(self) -> SessionFinder:
        """Finds sessions.

        Raises:
            DatabaseUnavailableError: the database was not reached since the start.
        """
        return self._link.finder

    def submit(
        self,
        uid: str,
        kind: LeafKind,
        payload: bytes | None,
        columns: Columns,
        facts: Mapping[str, str | int | bool] | None = None,
    ) -> Future[int]:
        """Have something written of a session; see `Submissions.submit`."""
        return self._submissions.submit(uid, kind, payload, columns, facts)

    def applied(self, index: int) -> Future[None]:
        """Return what is done once the database has the record of a leaf index."""
        return self._projector.when_applied(index)

    def erase(self, uid: str, actor: str, reason: str) -> Future[int]:
        """Have a session erased on request; see `voiceguard.store.retention.erase`."""
        return erase(self.submit, uid, cause="request", actor=actor, reason=reason, at_ms=wall_ms())

    def set_hold(self, uid: str, hold: bool, actor: str, reason: str) -> Future[int]:  # noqa: FBT001 - what is set
        """Have a legal hold placed or released; see `voiceguard.store.retention.set_hold`."""
        return set_hold(self.submit, uid, hold=hold, actor=actor, reason=reason, at_ms=wall_ms())

    def payloads(
        self,
        row: SessionRow,
        *,
        kinds: Collection[str] | None = None,
        first_event_at_least: int | None = None,
        limit: int | None = None,
    ) -> list[OpenedRecord]:
        """Return records of a session, opened, in their order.

        Args:
            row: of the session.
            kinds, first_event_at_least, limit: as `SessionFinder.records`.

        Raises:
            SessionErasedError: its key is destroyed.
            SealBrokenError: a record was changed, or the key is of another master key.
            DatabaseUnavailableError: the database is away.
        """
        key = self._session_key(row)
        stored = self.finder.records(
            row.uid, kinds=kinds, first_event_at_least=first_event_at_least, limit=limit
        )
        opened = []
        for record in stored:
            salt = content = b""
            if record.sealed:
                payload = unseal_payload(key, row.uid, record.n, record.sealed)
                salt, content = payload.salt, payload.content
            opened.append(
                OpenedRecord(
                    index=record.leaf_index,
                    leaf=record.leaf,
                    salt=salt,
                    payload=content,
                    number=record.n,
                    kind=LeafKind(record.kind),
                )
            )
        return opened

    def open_audio(self, row: SessionRow) -> SealedReader:
        """Open the FLAC file of a session; it can be read from any place. Close it afterwards.

        Raises:
            SessionErasedError: its key is destroyed.
            SealBrokenError: it was changed, here or when that part is read.
            StoreError: there is none.
        """
        key = self._session_key(row)
        self._check_audio(row)
        try:
            return open_flac(self._folder, row.uid, key)
        except OSError as error:
            raise StoreError(f"audio of session {row.uid}: {error.strerror}") from error

    def waveform(self, row: SessionRow) -> Outline:
        """Return the outline of a session's audio.

        Raises:
            As `open_audio`.
        """
        key = self._session_key(row)
        self._check_audio(row)
        try:
            return read_outline(self._folder, row.uid, key)
        except OSError as error:
            raise StoreError(f"outline of session {row.uid}: {error.strerror}") from error

    def put_document(self, kind: str, content: bytes) -> str:
        """Keep the file of a policy or the manifest of a model; return its SHA-256.

        Args:
            kind: `policy` or `model`.
            content: the bytes of the file.
        """
        return self._documents.put(kind, content)

    def document(self, sha256: str) -> bytes | None:
        """Return a policy or manifest by its digest; None: it is not kept.

        Raises:
            DatabaseUnavailableError: the database is away.
        """
        return self._documents.find(sha256) or self.finder.document(sha256)

    def expire_now(self) -> int:
        """Erase what retention says, now and not within the hour; return how many sessions.

        Raises:
            DatabaseUnavailableError, StoreError, TimeoutError: try again later.
        """
        return erase_expired(
            self._link.database,
            self.log.origin,
            self.submit,
            applied=self.applied,
            report=self._report,
            clock_ms=wall_ms,
        )

    # ---- between the threads ----

    def _receive_committed(self, batch: Sequence[Prepared], first: int) -> None:
        """Take note of what is durable; called by the recorder's thread."""
        _ = first
        for prepared in batch:
            if isinstance(prepared.columns, Closed) and prepared.state is not None:
                self._end_audio(prepared.state, prepared.columns)
        self._projector.wake()

    def _end_audio(self, state: SessionState, closed: Closed) -> None:
        if closed.audio != "pending" or state.erased or state.opening is None:
            self._sink.finish(state.uid, None)
            return
        job = AudioJob.of(state.uid, state.key, state.opening.audio_format, closed)
        self._ledger.pin_known(state)
        self._sink.finish(state.uid, lambda: self._archivist.put(job, state))

    def _receive_applied(self, records: Sequence[Record]) -> None:
        """Take note of what is in the database; called by the projector's thread."""
        erased = [record.leaf.session for record in records if isinstance(record.columns, Erased)]
        for uid in erased:
            delete_audio(self._folder, uid)
        if erased:
            self._link.forget_audio(erased)
        uids = {record.leaf.session for record in records}
        self._ledger.receive_applied(records[-1].leaf_index + 1, uids)

    def _load_state(self, uid: str) -> SessionState:
        return self._link.load_state(uid, self.keys)

    def _begin_upkeep(self, applied: Future[None]) -> None:
        if applied.exception() is None:
            self._archivist.begin_upkeep()

    def _repair(self) -> None:
        Repair(
            self._folder,
            self.log.origin,
            database=self._link.database,
            keyring=self.keys,
            ledger=self._ledger,
            recorder=self._recorder,
            put_audio=self._archivist.put,
            report=self._report,
            clock_ms=wall_ms,
        ).run()

    def _expire(self) -> None:
        self.expire_now()

    def _session_key(self, row: SessionRow) -> bytes:
        if not row.wrapped_key:
            raise SessionErasedError(f"session {row.uid} was erased; its key is destroyed")
        return self.keys.unwrap(row.uid, row.wrapped_key, row.key_id)

    @staticmethod
    def _check_audio(row: SessionRow) -> None:
        if row.audio != "kept":
            raise StoreError(f"no audio of session {row.uid} is kept")


def wall_ms() -> int:
    """Return the wall time, milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


def _say_nothing(what: str, error: BaseException) -> None:
    _ = what, error


__all__ = [
    "Archive",
    "ArchiveSettings",
    "OpenedRecord",
    "SealBrokenError",
    "StoreHealth",
    "StoreState",
]
