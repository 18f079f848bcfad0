"""Putting in order, at start, what an earlier process left: sessions without end, and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.audio import (
    FLAC_SUFFIX,
    OUTLINE_SUFFIX,
    PART_SUFFIX,
    AudioJob,
)
from voiceguard.store.database import Database
from voiceguard.store.drafts import End
from voiceguard.store.errors import SealBrokenError
from voiceguard.store.keys import Keyring
from voiceguard.store.ledger import SessionLedger, SessionState
from voiceguard.store.parts import part_path, read_part
from voiceguard.store.payloads import Opening, events_from_payload, opening_from_payload
from voiceguard.store.queries import SessionFinder
from voiceguard.store.recorder import Recorder, Reporter
from voiceguard.store.records import INTERRUPTED
from voiceguard.store.sealing import unseal_payload
from voiceguard.store.tally import Tally
from voiceguard.store.upkeep import wanted_audio


class Repair:
    """Ends what nobody else will end.

    To be used once all that an earlier process wrote is in the database.

    Args:
        folder: of audio.
        origin: of the evidence log.
        database: with the sessions.
        keyring: opens the sessions' keys.
        ledger: knows the sessions of this process, which are let alone.
        recorder: writes the records.
        put_audio: takes sessions whose audio is still to be kept, pinned.
        report: is told of sessions that cannot be repaired.
        clock_ms: wall time, ms since 1970, UTC.
    """

    def __init__(  # noqa: PLR0913 - the parts of a repair, put together in one place
        self,
        folder: Path,
        origin: str,
        *,
        database: Database,
        keyring: Keyring,
        ledger: SessionLedger,
        recorder: Recorder,
        put_audio: Callable[[AudioJob, SessionState], None],
        report: Reporter,
        clock_ms: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._origin = origin
        self._database = database
        self._finder = SessionFinder(database)
        self._keyring = keyring
        self._ledger = ledger
        self._recorder = recorder
        self._put_audio = put_audio
        self._report = report
        self._clock_ms = clock_ms

    def run(self) -> None:
        """Close sessions that were interrupted, finish audio, delete files of no session.

        Raises:
            DatabaseUnavailableError: the database is away; run it again later.
            OSError: the disk is broken; the same.
        """
        present = {path.name.partition(".")[0] for path in self._folder.iterdir()}
        ours = {uid for uid in present if uid in self._ledger}
        for session in self._finder.unfinished(self._origin):
            if session.uid not in self._ledger:
                ours.add(session.uid)
                self._attempt(self._close, session.uid)
        wanted = wanted_audio(self._database, self._origin)
        self._delete_strays(present - ours, wanted)
        for uid in (uid for uid, audio in wanted.items() if audio == "pending"):
            if uid not in self._ledger:
                self._attempt(self._finish_audio, uid)

    def _attempt(self, repair: Callable[[str], None], uid: str) -> None:
        """Repair one session; one whose key does not open must not keep the others."""
        try:
            repair(uid)
        except (SealBrokenError, ValueError, KeyError, TypeError) as error:
            self._report("session_not_repaired", error)

    def _close(self, uid: str) -> None:
        """Write the end of a session that has none."""
        state = self._ledger.pin(uid)
        try:
            opening, tally = self._read(uid, state.key)
        except BaseException:
            self._ledger.unpin(state)
            raise
        state.opening, state.tally = opening, tally
        frame_bytes = opening.audio_format.frame_bytes
        samples, has_audio = 0, False
        for start, content in read_part(part_path(self._folder, uid), state.key, uid):
            samples, has_audio = start + len(content) // frame_bytes, True
        end = End(state, INTERRUPTED, self._clock_ms(), samples, has_audio, is_pinned=True)
        self._recorder.put(end, urgent=True)

    def _read(self, uid: str, key: bytes) -> tuple[Opening, Tally]:
        """Return what a session was opened with, and what its events come to."""
        opening: Opening | None = None
        tally: Tally | None = None
        for record in self._finder.records(uid, kinds=(LeafKind.OPENED, LeafKind.EVENTS)):
            content = unseal_payload(key, uid, record.n, record.sealed).content
            if record.kind == LeafKind.OPENED:
                opening = opening_from_payload(content)
                tally = Tally(opening.audio_format.sample_rate_hz)
            elif tally is not None:
                for event, sequence, at_ms in events_from_payload(content):
                    tally.events = sequence
                    tally.receive(event, at_ms)
        if opening is None or tally is None:
            raise ValueError("the session has no beginning")
        tally.skip_batch()
        return opening, tally

    def _finish_audio(self, uid: str) -> None:
        row = self._finder.find_uid(uid)
        if row is None or row.audio != "pending":
            return  # this process has done it meanwhile
        key = self._keyring.unwrap(uid, row.wrapped_key, row.key_id)
        (first,) = self._finder.records(uid, kinds=(LeafKind.OPENED,))
        opening = opening_from_payload(unseal_payload(key, uid, first.n, first.sealed).content)
        rate_hz = opening.audio_format.sample_rate_hz
        received = None if row.ended == INTERRUPTED else round(row.audio_s * rate_hz)
        job = AudioJob(uid, key, opening.audio_format, received, round(row.gaps_s * rate_hz))
        self._put_audio(job, self._ledger.pin(uid))

    def _delete_strays(self, uids: set[str], wanted: dict[str, str]) -> None:
        for path in self._folder.iterdir():
            uid = path.name.partition(".")[0]
            if uid not in uids:
                continue
            match wanted.get(uid):
                case "pending":
                    keep = path.suffix == PART_SUFFIX
                case "kept":
                    keep = path.name.endswith((FLAC_SUFFIX, OUTLINE_SUFFIX))
                case _:
                    keep = False
            if not keep:
                path.unlink(missing_ok=True)
