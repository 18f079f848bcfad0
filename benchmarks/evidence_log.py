"""How many durable appends a second the evidence log takes, and how long each waits.

    python benchmarks/evidence_log.py FOLDER [--writers 32] [--seconds 10] [--rate 2000]
        [--audit-leaves 1000000] [--json OUT]

Each writer appends one leaf at a time and waits until it is on the disk, as sessions do. One
thread takes all that wait, appends them as a group, and lets their writers go on: the group
commit of the recorder. It is measured twice: as fast as the writers can, and at a steady rate
over all of them. A checkpoint is signed each second. Then a log of many leaves is opened and
audited. FOLDER must be on the disk that is to be measured; it is left empty.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import queue
import resource
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Final, TypeVar

from voiceguard.evidence.audit import audit_log
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.log import EvidenceLog
from voiceguard.evidence.signing import Signer

Figures = dict[str, float | int | str]
Result = TypeVar("Result")

CHECKPOINT_EVERY_S: Final = 1.0
LEAVES_OF_A_SESSION: Final = 20
AUDIT_GROUP: Final = 1000


class GroupCommit:
    """Appends what many threads bring, as a group each time the disk is free."""

    def __init__(self, log: EvidenceLog) -> None:
        self._log = log
        self._waiting: queue.SimpleQueue[tuple[bytes, Future[int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.groups = 0

    def append(self, leaf: bytes) -> int:
        """Return the leaf's index once it is on the disk."""
        done: Future[int] = Future()
        self._waiting.put((leaf, done))
        return done.result()

    def close(self) -> None:
        """End, once all that wait are served."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        signed_at = time.monotonic()
        while (first := self._waiting.get()) is not None:
            group = [first]
            while not self._waiting.empty():
                item = self._waiting.get()
                if item is None:
                    self._waiting.put(None)
                    break
                group.append(item)
            index = self._log.append([leaf for leaf, _ in group])
            self.groups += 1
            for place, (_, done) in enumerate(group):
                done.set_result(index + place)
            if time.monotonic() - signed_at >= CHECKPOINT_EVERY_S:
                self._log.checkpoint()
                signed_at = time.monotonic()


def leaf_of_events(session: int, number: int) -> Leaf:
    """Return a leaf such as most are: a batch of a session's events."""
    facts = {"first": 4 * (number - 1), "count": 4}
    return Leaf(LeafKind.EVENTS, 1_790_000_000_000, f"{session:032x}", number, "5a" * 32, facts)


def measure_appends(
    folder: Path, signer: Signer, writers: int, seconds: float, rate: float | None
) -> Figures:
    """Let writers append for some seconds; `rate` is over all of them, None: as fast as can be."""
    waits_s: list[list[float]] = [[] for _ in range(writers)]
    with EvidenceLog.open(folder, signer) as log:
        commit = GroupCommit(log)
        begun = time.perf_counter()

        def write(writer: int) -> None:
            for count, due in enumerate(_due_times(begun, writer, writers, rate)):
                leaf = leaf_of_events(writer, count + 1).to_bytes()
                now = time.perf_counter()
                if now - begun >= seconds:
                    return
                if due > now:
                    time.sleep(due - now)
                # From when it was due: one that waits makes those behind it late as well.
                started = due if rate is not None else time.perf_counter()
                commit.append(leaf)
                waits_s[writer].append(time.perf_counter() - started)

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took_s = time.perf_counter() - begun
        commit.close()
        ordered = sorted(wait for waits in waits_s for wait in waits)
        if len(ordered) != log.size:
            raise RuntimeError(f"{len(ordered)} appends gave {log.size} leaves")
        return {
            "writers": writers,
            "appends": len(ordered),
            "appends_per_s": round(len(ordered) / took_s),
            "leaves_per_group": round(len(ordered) / commit.groups, 1),
            "p50_ms": round(1000 * statistics.median(ordered), 2),
            "p99_ms": round(1000 * ordered[int(0.99 * len(ordered))], 2),
            "max_ms": round(1000 * ordered[-1], 2),
        }


def _due_times(begun: float, writer: int, writers: int, rate: float | None) -> Iterator[float]:
    """Yield when each append of a writer is due; the writers take turns."""
    turn = writer
    while True:
        yield begun if rate is None else begun + turn / rate
        turn += writers


def measure_audit(folder: Path, signer: Signer, leaves: int) -> Figures:
    """Fill a log with sessions of 20 leaves, open it and audit it."""
    with EvidenceLog.open(folder, signer) as log:
        for first in range(0, leaves, AUDIT_GROUP):
            places = range(first, min(first + AUDIT_GROUP, leaves))
            log.append([_leaf_at(place).to_bytes() for place in places])
    opened_s, log = _timed(lambda: EvidenceLog.open(folder, signer))
    log.close()
    audited_s, report = _timed(lambda: audit_log(folder, signer.verifier_key))
    if not report.is_clean:
        raise RuntimeError(report.problems[0])
    return {
        "leaves": report.size,
        "sessions": report.sessions,
        "leaves_mb": round((folder / "leaves").stat().st_size / 1e6, 1),
        "open_ms": round(1000 * opened_s, 1),
        "audit_s": round(audited_s, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _leaf_at(place: int) -> Leaf:
    session, number = divmod(place, LEAVES_OF_A_SESSION)
    if number == 0:
        return Leaf(LeafKind.OPENED, 1_790_000_000_000, f"{session:032x}", 0, "5a" * 32)
    if number < LEAVES_OF_A_SESSION - 1:
        return leaf_of_events(session, number)
    facts: Mapping[str, str | int | bool] = {
        "ended": "completed",
        "events": 4 * (number - 1),
        "leaves": number + 1,
        "audio": False,
    }
    return Leaf(LeafKind.CLOSED, 1_790_000_000_000, f"{session:032x}", number, "5a" * 32, facts)


def _timed(call: Callable[[], Result]) -> tuple[float, Result]:
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def describe_machine(folder: Path) -> Figures:
    """Return what the figures depend on."""
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "voiceguard": importlib.metadata.version("voiceguard"),
        "python": platform.python_version(),
        "cryptography": importlib.metadata.version("cryptography"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "file_system": _file_system(folder),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _file_system(folder: Path) -> str:
    """Return the kind of file system that a folder is on."""
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _, place, found, *_ = line.split()
        if folder.resolve().is_relative_to(place) and len(place) >= len(best):
            best, kind = place, found
    return kind


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=2000, help="appends a second over all")
    parser.add_argument("--audit-leaves", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {"machine": describe_machine(arguments.folder)}
    work = Path(tempfile.mkdtemp(dir=arguments.folder))
    try:
        signer = Signer.load_or_create(work / "evidence.key", "voiceguard.example/benchmark")
        for name, rate in (("as fast as can be", None), ("at a steady rate", arguments.rate)):
            print(f"appending {name} ...", file=sys.stderr)
            figures[name] = measure_appends(
                work / name, signer, arguments.writers, arguments.seconds, rate
            )
        print(f"auditing {arguments.audit_leaves} leaves ...", file=sys.stderr)
        figures["audit"] = measure_audit(work / "audit", signer, arguments.audit_leaves)
    finally:
        shutil.rmtree(work)
    for title, row in figures.items():
        print(f"{title}:", ", ".join(f"{name} {value}" for name, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
