"""The archivist: the thread for what takes its time. FLAC files, repair at start, retention.

Whatever cannot be done now (the disk is full, the database away) is tried again a little later;
what it works from stays until then.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.audio import AudioJob, delete_audio, flac_name, make_flac
from voiceguard.store.errors import (
    DatabaseUnavailableError,
    SessionErasedError,
    StoreError,
)
from voiceguard.store.ledger import SessionLedger, SessionState
from voiceguard.store.parts import part_path
from voiceguard.store.payloads import AudioFacts, audio_payload
from voiceguard.store.recorder import Reporter
from voiceguard.store.records import AudioKept
from voiceguard.store.submissions import Submitter

RETRY_S: Final = 5.0
RETENTION_S: Final = 3600.0
"""Time between two looks for sessions whose time is up."""

WRITTEN_WITHIN_S: Final = 60.0
"""How long to wait for a record to be written; after that it is tried again."""


@dataclass(frozen=True, slots=True)
class _Later:
    due_s: float
    work: Callable[[], None]


class Archivist:
    """Works through what the other threads put aside.

    Args:
        folder: of audio.
        submit: has records written.
        ledger: keeps the sessions that are worked on.
        repair: puts in order what an earlier process left; called once, until it succeeds,
            after `begin_upkeep`.
        expire: erases the sessions whose time is up; called every hour after that.
        report: is told what failed, and of defects.
    """

    def __init__(
        self,
        folder: Path,
        submit: Submitter,
        ledger: SessionLedger,
        *,
        repair: Callable[[], None],
        expire: Callable[[], None],
        report: Reporter,
    ) -> None:
        self._folder = folder
        self._submit = submit
        self._ledger = ledger
        self._expire = expire
        self._report = report
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._later: list[_Later] = []
        self._repair = repair
        self._is_repaired = False
        self._is_working = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="voiceguard-archivist", daemon=True)

    @property
    def waiting(self) -> int:
        """Pieces of work that are not done yet."""
        return self._queue.qsize() + len(self._later) + self._is_working + (not self._is_repaired)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def begin_upkeep(self) -> None:
        """Say that the database has all that an earlier process recorded."""
        self._queue.put(self._repair_once)

    def put(self, job: AudioJob, state: SessionState) -> None:
        """Take a session whose audio is to be kept.

        Args:
            job: what is to be done.
            state: of the session, pinned for this; let go when it is done.
        """
        self._queue.put(lambda: self._keep(job, state))

    def stop(self, timeout_s: float) -> None:
        """Finish what was put before, and end.

        Args:
            timeout_s: what is not done by then is done at the next start.
        """
        deadline = threading.Timer(timeout_s, self._stopping.set)
        deadline.daemon = True
        deadline.start()
        self._queue.put(None)
        if self._thread.ident is not None:
            self._thread.join()
        deadline.cancel()

    def _run(self) -> None:
        expire_at_s = time.monotonic()
        while not self._stopping.is_set():
            try:
                work = self._queue.get(timeout=self._nap_s())
            except queue.Empty:
                work = self._take_due()
            else:
                if work is None:
                    return
            if work is not None:
                self._do(work)
            elif self._is_repaired and time.monotonic() >= expire_at_s:
                expire_at_s = time.monotonic() + RETENTION_S
                self._do(self._expire)

    def _nap_s(self) -> float:
        due_s = min((item.due_s for item in self._later), default=time.monotonic() + RETRY_S)
        return max(due_s - time.monotonic(), 0.0) + 0.001

    def _take_due(self) -> Callable[[], None] | None:
        now_s = time.monotonic()
        for item in self._later:
            if item.due_s <= now_s:
                self._later.remove(item)
                return item.work
        return None

    def _repair_once(self) -> None:
        self._repair()
        self._is_repaired = True

    def _do(self, work: Callable[[], None]) -> None:
        self._is_working = True
        try:
            work()
        except (OSError, DatabaseUnavailableError, StoreError, TimeoutError) as error:
            self._report("archive_postponed", error)
            self._later.append(_Later(time.monotonic() + RETRY_S, work))
        except Exception as defect:  # noqa: BLE001 - one session must not end the others' archiving
            self._report("archive_defect", defect)
        finally:
            self._is_working = False

    def _keep(self, job: AudioJob, state: SessionState) -> None:
        try:
            keep_audio(self._folder, job, self._submit)
        except (SessionErasedError, OSError):
            if not state.erased:
                raise
            # Its files were deleted under our hands; those made since must go, too.
            delete_audio(self._folder, job.uid)
        self._ledger.unpin(state)


def keep_audio(folder: Path, job: AudioJob, submit: Submitter) -> None:
    """Make a session's FLAC file, have it recorded, and delete its part file.

    Raises:
        SessionErasedError: it was erased meanwhile; the files are the caller's to delete.
        StoreError, OSError, TimeoutError: it cannot be done now; it may be tried again.
        DatabaseUnavailableError: the same.
    """
    facts = make_flac(folder, job)
    columns = AudioKept(
        file=flac_name(job.uid) if facts else "",
        bytes_=facts.bytes_ if facts else 0,
        samples=facts.samples if facts else 0,
        complete=facts is not None and facts.complete,
    )
    payload = audio_payload(facts or _nothing(job))
    submit(job.uid, LeafKind.AUDIO, payload, columns).result(WRITTEN_WITHIN_S)
    part_path(folder, job.uid).unlink(missing_ok=True)


def _nothing(job: AudioJob) -> AudioFacts:
    """Return what audio.json says where there was no audio after all."""
    audio_format = job.audio_format
    return AudioFacts(
        bytes_=0,
        sha256="",
        chunks=(),
        samples=0,
        sample_rate_hz=audio_format.sample_rate_hz,
        channels=len(audio_format.channels),
        complete=False,
        missing_samples=0,
    )
