"""Calls as these tests have them: what they are opened with, their audio and their events."""

from __future__ import annotations

import time

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
from voiceguard.store.archive import Archive
from voiceguard.store.payloads import Opening

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


def flagged_call(archive: Archive, session_id: str = "call", chunks: int = 8, **changes: object):
    """Have a flagged call take place; return its evidence id."""
    record = archive.begin(opening(session_id, **changes))
    audio = call_audio(record.evidence_id, chunks)
    size = CHUNK_SAMPLES * 2
    now_ms = time.time_ns() // 1_000_000
    for chunk in range(chunks):
        start = chunk * CHUNK_SAMPLES
        record.receive_audio(audio[chunk * size : (chunk + 1) * size], start)
        record.receive_events([pressure(start, 60.0)], now_ms)
    record.receive_events([flagged(0)], now_ms)
    record.receive_events([finished(chunks * CHUNK_SAMPLES, high=True)], now_ms)
    record.close("completed", now_ms)
    return record.evidence_id
