"""How long the evidence of an hour's call takes: from the real service, verified as others do.

    python -m benchmarks.evidence_call [--minutes 60] [--folder FOLDER] [--json OUT]

Records a call of two channels of speech through an archive (`review_data.keep_call`: 7,200
pressure updates, 1,800 alerts, 60 handoffs, 1,800 records of events in an hour), starts
`voiceguard serve` on it, and measures what people wait for: `ExportEvidence` over gRPC until the
file is on the disk, `voiceguard evidence export` and `voiceguard evidence verify` as processes,
and all that the page of that session shows. FOLDER must be on the disk that is to be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.evidence_log import describe_machine
from benchmarks.review_data import keep_call
from benchmarks.served import Served, serving
from voiceguard.client import ReviewClient

Row = Mapping[str, float | int | str]

SESSION = "call-of-an-hour"
TENANT = "acme"


async def export(client: ReviewClient, target: Path) -> Row:
    """Fetch the bundle into a file, onto the disk."""
    started_s, size = time.perf_counter(), 0
    with target.open("wb") as file:
        async for piece in client.export_evidence(SESSION):
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return {"wall_s": round(time.perf_counter() - started_s, 2), "mib": round(size / 2**20, 1)}


async def look(client: ReviewClient) -> Row:
    """Ask for all that the page of the session shows, one after the other."""
    started_s = time.perf_counter()
    await client.get_session(SESSION)
    events = [event async for event in client.events(SESSION)]
    await client.get_waveform(SESSION)
    return {"wall_ms": round((time.perf_counter() - started_s) * 1000, 1), "events": len(events)}


async def ask(served: Served, target: Path) -> dict[str, Row]:
    """Return the figures of ReviewService over gRPC."""
    async with ReviewClient(served.address, token=served.token, timeout_s=60) as client:
        figures = {"export": await export(client, target), "page": await look(client)}
        return figures | {"page_again": await look(client)}


def run(*command: str) -> Row:
    """Run a command, which must succeed."""
    used, started_s = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
    took_s, after = time.perf_counter() - started_s, os.times()
    cpu_s = after.children_user + after.children_system - used.children_user - used.children_system
    return {"wall_s": round(took_s, 2), "cpu_s": round(cpu_s, 2)}


def measure(folder: Path, minutes: float) -> dict[str, Row]:
    """Return the figures, of a call that is recorded now."""
    data_dir, bundle = folder / "data", folder / "bundle.zip"
    print("recording ...", file=sys.stderr)
    recorded = keep_call(data_dir, SESSION, minutes, TENANT)
    figures: dict[str, Row] = {
        "machine": describe_machine(folder),
        "record": {name: round(value, 2) for name, value in recorded.items()},
    }
    with serving(data_dir, TENANT) as served:
        figures |= asyncio.run(ask(served, bundle))
        command = served.command("evidence", "export", SESSION, "-o", str(folder / "again.zip"))
        figures["export_command"] = run(*command)
    key = str(data_dir / "log" / "key.pub")
    verify = (sys.executable, "-m", "voiceguard", "evidence", "verify", str(bundle), "--key", key)
    figures["verify_command"] = run(*verify)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--folder", type=Path, help="where the data is made; default: /tmp")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(Path(folder), arguments.minutes)
    for kind, row in figures.items():
        print(f"{kind:16}", ", ".join(f"{name} {value}" for name, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
