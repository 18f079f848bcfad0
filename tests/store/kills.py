"""The process that test_kills kills: an archive under load, told by a seed what to do.

Run as a module it is a zygote: it imports everything, then forks a process for each line
`SEED` on standard input, says its id, and says when it is dead. So a kill costs no imports.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import sys
import time
from pathlib import Path

import numpy as np

from voiceguard.core.events import (
    AlertLevel,
    AudioFormat,
    Encoding,
    PressureUpdated,
    Role,
    SessionFinished,
    SessionFlagged,
    SignalQuality,
)
from voiceguard.core.policy import AudioKeeping
from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.archive import Archive, ArchiveSettings
from voiceguard.store.errors import StoreError
from voiceguard.store.payloads import Opening, verdict_payload
from voiceguard.store.records import VerdictGiven

FORMAT = AudioFormat(Encoding.MULAW, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT))
CHUNK_SAMPLES = 4000
MOST_CHUNKS = 40


def call_audio(uid: str, chunks: int) -> bytes:
    """Return the audio of a session, which its evidence id decides."""
    rng = np.random.default_rng(int(uid[:12], 16))
    return rng.integers(0, 256, chunks * CHUNK_SAMPLES * 2, dtype=np.uint8).tobytes()


def opening(session_id: str, **changes: object) -> Opening:
    """Return what a session of these tests is opened with."""
    values: dict[str, object] = {
        "tenant": "acme",
        "session_id": session_id,
        "audio_format": FORMAT,
        "policy_version": "default@sha256:0",
        "policy_sha256": "0" * 64,
        "model_version": "m-1",
        "model_sha256": "1" * 64,
        "keep_audio": AudioKeeping.FLAGGED,
        "retention_days": 30.0,
        "opened_at_ms": time.time_ns() // 1_000_000,
        "call_id": f"CALL-{session_id}",
        "campaign": "autumn",
        "customer_number": "+86 138 0013 8000",
    }
    return Opening(**{**values, **changes})  # type: ignore[arg-type]


def pressure(at_sample: int, index: float) -> PressureUpdated:
    """Return an event as a session has two of each second."""
    return PressureUpdated(
        channel=0,
        start_sample=at_sample,
        end_sample=at_sample + 4000,
        pressure_index=index,
        scores={"anger": index / 100, "distress": 0.1},
        baseline_deviation=0.5,
        baseline_ready=True,
        confidence=0.9,
        quality=SignalQuality.OK,
        level=AlertLevel.YELLOW,
    )


def flagged(at_sample: int) -> SessionFlagged:
    """Return the mark of a high-sensitivity session."""
    return SessionFlagged(0, at_sample, 80.0, "anger at 80")


def finished(samples: int, *, high: bool) -> SessionFinished:
    """Return a session's totals."""
    return SessionFinished(samples, 0, 1.0, 80.0, 40.0, AlertLevel.RED, high, 0, 0)


class _Load:
    """Several sessions at once, and reviewers at work on those that ended."""

    def __init__(self, archive: Archive, seed: int) -> None:
        self._archive = archive
        self._rng = random.Random(seed)
        self._open: dict[object, list[int]] = {}
        self._ended: list[str] = []
        self._seed = seed
        self._count = 0

    def step(self) -> None:
        draw = self._rng.random()
        if len(self._open) < 4 or draw < 0.1:
            self._count += 1
            record = self._archive.begin(opening(f"s{self._seed}-{self._count}"))
            self._open[record] = [0, 0]
        elif draw < 0.75:
            self._talk()
        elif draw < 0.85:
            self._end()
        elif self._ended:
            self._review()

    def _talk(self) -> None:
        record = self._rng.choice(list(self._open))
        chunks, is_flagged = self._open[record]
        if chunks < MOST_CHUNKS:
            audio = call_audio(record.evidence_id, MOST_CHUNKS)
            size = CHUNK_SAMPLES * 2
            content = audio[chunks * size : (chunks + 1) * size]
            record.receive_audio(content, chunks * CHUNK_SAMPLES)
            self._open[record][0] += 1
        events = [pressure(chunks * CHUNK_SAMPLES, self._rng.uniform(0, 100))]
        if not is_flagged and self._rng.random() < 0.3:
            events.append(flagged(chunks * CHUNK_SAMPLES))
            self._open[record][1] = 1
        record.receive_events(events, time.time_ns() // 1_000_000)

    def _end(self) -> None:
        record = self._rng.choice(list(self._open))
        chunks, is_flagged = self._open.pop(record)
        now_ms = time.time_ns() // 1_000_000
        record.receive_events([finished(chunks * CHUNK_SAMPLES, high=bool(is_flagged))], now_ms)
        record.close("completed", now_ms)
        self._ended.append(record.evidence_id)

    def _review(self) -> None:
        uid = self._rng.choice(self._ended)
        archive = self._archive
        what = self._rng.choice(("verdict", "verdict", "hold", "release", "erase"))
        try:
            match what:
                case "verdict":
                    columns = VerdictGiven(f"v{self._rng.random()}", "", "confirmed", "ann", 1)
                    payload = verdict_payload(columns, "as it was heard")
                    future = archive.submit(uid, LeafKind.VERDICT, payload, columns)
                case "hold" | "release":
                    future = archive.set_hold(uid, what == "hold", "ann", "case 7")
                case _:
                    future = archive.erase(uid, "ann", "asked for")
        except StoreError:
            return
        future.add_done_callback(
            lambda done: None if done.exception() else say("S", uid, what, str(done.result()))
        )


def say(*words: str) -> None:
    """Write a line in one go, so that a kill cannot cut it."""
    os.write(1, (" ".join(words) + "\n").encode())


def run(data_dir: Path, seed: int) -> None:
    """Work until killed; say what became durable, once it has."""
    archive = Archive.open(
        ArchiveSettings(data_dir=data_dir), lambda what, error: say("R", what, repr(error))
    )
    commit, checkpoint = archive._journal.commit, archive.log.checkpoint

    def saying_commit(records) -> None:
        commit(records)
        for record in records:
            digest = hashlib.sha256(record.leaf.to_bytes()).hexdigest()
            say("C", str(record.leaf_index), digest)

    def saying_checkpoint() -> bytes:
        note = checkpoint()
        say("K", base64.b64encode(note).decode())
        return note

    archive._journal.commit = saying_commit
    archive.log.checkpoint = saying_checkpoint
    archive.start()
    load = _Load(archive, seed)
    while True:
        for _ in range(20):
            load.step()
        time.sleep(0.005)


def main() -> None:
    data_dir = Path(sys.argv[1])
    say("READY")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(data_dir, int(line))
            except BaseException as error:  # noqa: BLE001 - said, and seen by the test
                say("R", "died", repr(error))
            finally:
                os._exit(1)
        say("PID", str(child))
        os.waitpid(child, 0)
        say("DEAD")


if __name__ == "__main__":
    main()
