"""How long after a decision's last sample its event is with the dialer.

    python benchmarks/latency.py [--chunk-ms 20] [--calls 4] [--json OUT]

Plays the sample call in real time through a real server over loopback, in a
process of its own, one stream, and measures for each pressure update, alert and
handoff the time from sending the chunk that holds the last sample of its hop to
having the event. A decision is made on that very sample, so this is the delay
that a handoff has. Each call runs 70 s; `--calls` of them follow each other.
The policy used asks for a handoff as often as the index allows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import soundfile

from voiceguard.client import MonitorClient, session_config
from voiceguard.core.events import AudioFormat, Encoding, HandoffOutcome, Role
from voiceguard.resources import policies_dir, samples_dir
from voiceguard.v1 import monitor_pb2 as pb

RATE_HZ: Final = 8000
STEREO: Final = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER, Role.HUMAN_AGENT))


def eager_policies(folder: Path) -> None:
    """Write the default policy with a low, quick and uncooled handoff."""
    text = (policies_dir() / "default.toml").read_text("utf-8")
    for name, value in (("cooldown_s", 0), ("hold_s", 0), ("clear_hold_s", 0)):
        lines = [
            f"{name} = {value}" if line.startswith(f"{name} =") else line
            for line in text.splitlines()
        ]
        text = "\n".join(lines) + "\n"
    (folder / "default.toml").write_text(text, "utf-8")


async def start_server(policies: Path) -> tuple[asyncio.subprocess.Process, str]:
    """Start `voiceguard serve` and return it with its address."""
    command = [sys.executable, "-m", "voiceguard", "serve", "--listen", "127.0.0.1:0"]
    environment = {
        **os.environ,
        "VOICEGUARD_POLICIES_DIR": str(policies),
        "VOICEGUARD_METRICS_LISTEN": "",
    }
    server = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert server.stdout is not None  # noqa: S101 - it was asked for just above
    line = (await server.stdout.readline()).decode()
    address = next(word for word in line.split() if word.startswith("127.0.0.1:"))
    return server, address.rstrip(".,;")


async def play(
    client: MonitorClient, name: str, samples: memoryview, chunk: int
) -> dict[str, list[float]]:
    """Play one call; return delays in ms by kind of event."""
    config = session_config(name, STEREO, pressure_updates=True)
    sent_at: list[float] = []
    delays: dict[str, list[float]] = {"pressure": [], "alert": [], "handoff": []}

    def note(kind: str, offset_s: float) -> None:
        now = time.perf_counter()
        last = min(max(round(offset_s * RATE_HZ) - 1, 0) // chunk, len(sent_at) - 1)
        delays[kind].append((now - sent_at[last]) * 1000)

    async def listen() -> None:
        async for event in call:
            match event:
                case pb.PressureUpdate():
                    note("pressure", event.end_offset.ToTimedelta().total_seconds())
                case pb.AlertChanged():
                    note("alert", event.offset.ToTimedelta().total_seconds())
                case pb.HandoffRequested():
                    note("handoff", event.offset.ToTimedelta().total_seconds())
                    await call.acknowledge(event.handoff_id, HandoffOutcome.DECLINED)
                case _:
                    pass

    async with client.call(config) as call:
        listening = asyncio.create_task(listen())
        begun = time.perf_counter()
        size = chunk * STEREO.frame_bytes
        for count, start in enumerate(range(0, len(samples), size)):
            await asyncio.sleep(max(begun + count * chunk / RATE_HZ - time.perf_counter(), 0))
            sent_at.append(time.perf_counter())
            await call.send_audio(bytes(samples[start : start + size]))
        await call.finish()
        await listening
    return delays


def describe(delays_ms: list[float]) -> dict[str, float]:
    """Return count, median, 99th percentile and maximum."""
    ordered = sorted(delays_ms)
    return {
        "count": len(ordered),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "max_ms": round(ordered[-1], 1),
    }


async def measure(chunk_ms: int, calls: int) -> dict[str, dict[str, float]]:
    """Play the calls one after the other and return the figures by kind of event."""
    whole, _ = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    samples = memoryview(whole.tobytes())
    delays: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        eager_policies(Path(folder))
        server, address = await start_server(Path(folder))
        try:
            async with MonitorClient(address) as client:
                for index in range(calls):
                    print(f"call {index + 1} of {calls} ...", file=sys.stderr)
                    of_call = await play(
                        client, f"latency-{index}", samples, RATE_HZ * chunk_ms // 1000
                    )
                    for kind, values in of_call.items():
                        delays.setdefault(kind, []).extend(values)
        finally:
            server.terminate()
            await server.wait()
    delays["decisions"] = [value for values in delays.values() for value in values]
    return {kind: describe(values) for kind, values in delays.items() if values}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chunk-ms", type=int, default=20)
    parser.add_argument("--calls", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.chunk_ms, arguments.calls))
    for kind, row in figures.items():
        print(f"{kind:10}", *(f"{name} {value:g}" for name, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
