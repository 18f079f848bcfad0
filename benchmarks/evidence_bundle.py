"""How long a one-hour call's evidence bundle takes to be made and to be verified.

    python benchmarks/evidence_bundle.py [--log-leaves 1000000] [--minutes 60] [--json OUT]

Synthesises a call of two channels at 8 kHz (noise in the loudness of speech, as FLAC), 15,000
events in 2,000 leaves spread over a log of that many, on disk, and real signatures. Files for
people are stood in for by bytes of their size. Building is everything from the leaves to the zip
on disk: reading the audio twice, the record of the export, proofs, checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import soundfile

from voiceguard.evidence.bundle import (
    REPORT_NAMES,
    BundleLeaf,
    BundleSource,
    draft_bundle,
    write_bundle,
)
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.signing import Signer
from voiceguard.evidence.verify import (
    CHUNK_BYTES,
    VerifierKey,
    canonical_json,
    commitment_of,
    verify_bundle,
)
from voiceguard.resources import models_dir, policies_dir

RATE_HZ: Final = 8000
UID: Final = "0123456789abcdef0123456789abcdef"
EVENTS: Final = 15_000
EVENT_LEAVES: Final = 2_000
REPORT_BYTES: Final = 500_000
ORIGIN: Final = "voiceguard.example/benchmark"

T = TypeVar("T")


def write_call(path: Path, minutes: int) -> int:
    """Write a call of two channels as FLAC; return its sample frames."""
    generator = np.random.default_rng(4)
    with soundfile.SoundFile(path, "w", RATE_HZ, 2, "PCM_16", format="FLAC") as file:
        for _ in range(minutes):
            time_s = np.arange(60 * RATE_HZ) / RATE_HZ
            for_each = [np.maximum(np.sin(time_s * rate), 0) for rate in (1.7, 2.3)]
            loudness = 600 * np.stack(for_each, axis=1) + 3
            noise = generator.standard_normal((len(time_s), 2)) * loudness
            file.write(noise.astype(np.int16))
    return minutes * 60 * RATE_HZ


def audio_payload(path: Path, samples: int) -> bytes:
    """Return audio.json of a FLAC file."""
    content = path.read_bytes()
    chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
    return canonical_json(
        {
            "file": "audio.flac",
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "chunk_bytes": CHUNK_BYTES,
            "chunks": [hashlib.sha256(chunk).hexdigest() for chunk in chunks],
            "samples": samples,
            "sample_rate_hz": RATE_HZ,
            "channels": 2,
            "complete": True,
            "missing_samples": 0,
        }
    )


@dataclass
class Recording:
    """Appends a session's leaves to a log, others before each."""

    log: EvidenceLog
    others: int
    leaves: list[BundleLeaf]

    def record(self, kind: LeafKind, payload: bytes, **facts: str | int | bool) -> BundleLeaf:
        """Append one leaf and keep it with what it commits to."""
        salt, at_ms = secrets.token_bytes(32), 1_700_000_000_000
        number = len(self.leaves)
        leaf = Leaf(kind, at_ms, UID, number, commitment_of(salt, payload), facts).to_bytes()
        first = self.log.append([b'{"filler":%d}' % i for i in range(self.others)] + [leaf])
        item = BundleLeaf(first + self.others, leaf, salt, payload)
        self.leaves.append(item)
        return item


def event_lines(first: int, count: int) -> bytes:
    """Return lines of events.jsonl as long as those of pressure updates."""
    values = {"at_ms": 1_700_000_000_000, "event": "pressure_updated", "channel": 0,
              "start_sample": 123456, "end_sample": 127456, "pressure_index": 41.23456,
              "level": "green", "scores": {"anger": 0.12345, "distress": 0.23456}}  # fmt: skip
    lines = [json.dumps({"seq": n} | values) + "\n" for n in range(first, first + count)]
    return "".join(lines).encode()


def record_call(log: EvidenceLog, audio: bytes, source: tuple[bytes, bytes], others: int
                ) -> Recording:  # fmt: skip
    """Record a whole session into a log."""
    recording = Recording(log, others, [])
    policy, model = (hashlib.sha256(content).hexdigest() for content in source)
    session = canonical_json({"evidence_id": UID, "session_id": "benchmark"})
    recording.record(LeafKind.OPENED, session, policy_sha256=policy, model_sha256=model)
    edges = [EVENTS * part // EVENT_LEAVES for part in range(EVENT_LEAVES + 1)]
    for first, end in pairwise(edges):
        lines = event_lines(first, end - first)
        recording.record(LeafKind.EVENTS, lines, first=first, count=end - first)
    closed = canonical_json({"events": EVENTS})
    leaves = len(recording.leaves) + 1
    recording.record(
        LeafKind.CLOSED, closed, ended="completed", events=EVENTS, leaves=leaves, audio=True
    )
    recording.record(LeafKind.AUDIO, audio)
    return recording


def timed(work: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """Return a result with the wall and processor time that it took, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    took = time.perf_counter() - wall, time.process_time() - cpu
    return result, {"wall_s": round(took[0], 3), "cpu_s": round(took[1], 3)}


def build(recording: Recording, flac: Path, documents: tuple[bytes, bytes], target: Path) -> None:
    """Make the bundle, from the leaves to the zip on disk."""
    reports = {name: bytes(REPORT_BYTES) for name in REPORT_NAMES}
    with flac.open("rb") as audio, target.open("wb") as file:
        source = BundleSource(tuple(recording.leaves), audio, *documents)
        draft = draft_bundle(
            source, reports, origin=ORIGIN, exported_at_ms=1_700_000_000_000, exported_by="li"
        )
        exported = recording.record(LeafKind.EXPORTED, draft.manifest)
        write_bundle(file, draft, exported, recording.log)
        file.flush()
        os.fsync(file.fileno())


def measure(log_leaves: int, minutes: int) -> dict[str, object]:
    """Make everything and return the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        flac, target = folder / "audio.flac", folder / "bundle.zip"
        samples = write_call(flac, minutes)
        documents = (
            (policies_dir() / "default.toml").read_bytes(),
            (models_dir() / "stress" / "model.toml").read_bytes(),
        )
        signer = Signer.load_or_create(folder / "evidence.key", ORIGIN)
        log = EvidenceLog.open(folder / "log", signer)
        try:
            others = max(log_leaves // EVENT_LEAVES - 1, 0)
            payload = audio_payload(flac, samples)
            recording = record_call(log, payload, documents, others)
            print(f"log of {log.size} leaves is made", file=sys.stderr)
            _, built = timed(lambda: build(recording, flac, documents, target))
        finally:
            log.close()
        memory_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        key = VerifierKey.parse(signer.verifier_key)
        with target.open("rb") as file:
            verdict, verified = timed(lambda: verify_bundle(file, key))
        if not verdict.ok:
            sys.exit("\n".join(verdict.problems))
        return {
            "log_leaves": verdict.facts.tree_size,
            "audio_mib": round(flac.stat().st_size / 2**20, 1),
            "bundle_mib": round(target.stat().st_size / 2**20, 1),
            "events": verdict.facts.events,
            "leaves": verdict.facts.leaves,
            "build": built,
            "verify": verified,
            "peak_memory_mib": round(memory_mib),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log-leaves", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = measure(arguments.log_leaves, arguments.minutes)
    for name, value in figures.items():
        print(f"{name:16}", value)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
