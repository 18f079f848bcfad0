"""What recording costs: CPU for each second of a call, by thread.

Calls run at several times real time, so that a minute of them takes seconds; the cost of a
second of call does not depend on it, apart from group commit, which real time makes coarser.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
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
from voiceguard.store.archive import Archive
from voiceguard.store.payloads import Opening
from voiceguard.store.sessionrecord import SessionRecord
from voiceguard.store.settings import ArchiveSettings

FORMAT = AudioFormat(Encoding.MULAW, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT))
CHUNK_SAMPLES = 800


def opening(number: int) -> Opening:
    """Return what a call is opened with."""
    return Opening(
        tenant="bench",
        session_id=f"call-{number}",
        audio_format=FORMAT,
        policy_version="default",
        policy_sha256="0" * 64,
        model_version="model",
        model_sha256="1" * 64,
        keep_audio=AudioKeeping.FLAGGED,
        retention_days=30,
        opened_at_ms=time.time_ns() // 1_000_000,
        customer_number=f"+86138{number:08}",
    )


def pressure(at_sample: int) -> PressureUpdated:
    """Return an event as each call has two of each second."""
    return PressureUpdated(
        channel=0,
        start_sample=at_sample,
        end_sample=at_sample + 4000,
        pressure_index=41.25,
        scores={"anger": 0.41234, "distress": 0.21234, "arousal": 0.3},
        baseline_deviation=0.5123,
        baseline_ready=True,
        confidence=0.912,
        quality=SignalQuality.OK,
        level=AlertLevel.YELLOW,
    )


def run_calls(archive: Archive, calls: int, seconds: int, speed: float) -> float:
    """Let calls run side by side; return the CPU seconds of the stream's side."""
    rng = np.random.default_rng(1)
    faint = rng.normal(0, 3, 8 * CHUNK_SAMPLES * 2).astype(np.int8).view(np.uint8)
    noise = (faint ^ 0xFF).tobytes()
    chunks = [noise[start : start + CHUNK_SAMPLES * 2] for start in range(0, len(noise), 1600)]
    records = [archive.begin(opening(number)) for number in range(calls)]
    started_s, cpu_s = time.monotonic(), 0.0
    for tick in range(seconds * 10):
        time.sleep(max(started_s + tick / 10 / speed - time.monotonic(), 0.0))
        before_s = time.thread_time()
        for number, record in enumerate(records):
            _hear(record, tick, chunks[(tick + number) % len(chunks)])
        cpu_s += time.thread_time() - before_s
    now_ms = time.time_ns() // 1_000_000
    for number, record in enumerate(records):
        samples = seconds * 8000
        if number % 20 == 0:
            record.receive_events([SessionFlagged(0, samples, 80.0, "anger")], now_ms)
        finished = SessionFinished(
            samples, 0, 10.0, 80.0, 40.0, AlertLevel.RED, number % 20 == 0, 0, 0
        )
        record.receive_events([finished], now_ms)
        record.close("completed", now_ms)
    return cpu_s


def _hear(record: SessionRecord, tick: int, content: bytes) -> None:
    record.receive_audio(content, tick * CHUNK_SAMPLES)
    if tick % 5 == 4:
        events = [pressure(tick * CHUNK_SAMPLES)]
        record.receive_events(events, time.time_ns() // 1_000_000)


def thread_cpu_s() -> dict[str, float]:
    """Return CPU seconds of this process's threads by name (Linux, /proc)."""
    used = {}
    for thread in threading.enumerate():
        path = Path(f"/proc/self/task/{thread.native_id}/schedstat")
        used[thread.name] = int(path.read_text().split()[0]) / 1e9
    return used


def main() -> None:
    """Measure, and print microseconds for each second of a call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--speed", type=float, default=4.0, help="times real time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = Archive.open(ArchiveSettings(data_dir=Path(folder) / "data"))
        archive.start()
        time.sleep(0.5)
        before, process_s = thread_cpu_s(), time.process_time()
        stream_s = run_calls(archive, arguments.calls, arguments.seconds, arguments.speed)
        while (health := archive.health).waiting_records or health.waiting_audio:
            time.sleep(0.05)
        time.sleep(1)
        after, process_s = thread_cpu_s(), time.process_time() - process_s
        lost = health.lost_records
        archive.close()
    per_us = 1e6 / (arguments.calls * arguments.seconds)
    print(f"stream side        {stream_s * per_us:7.1f} us for each second of a call")
    for name, used_s in after.items():
        if name.startswith("voiceguard"):
            print(f"{name:18} {(used_s - before[name]) * per_us:7.1f}")
    print(f"whole process      {process_s * per_us:7.1f}   lost records: {lost}")


if __name__ == "__main__":
    main()
