"""How long reviewers wait, with 100,000 sessions of theirs kept by a real server.

    python -m benchmarks.review [--sessions 100000] [--seed 1] [--folder FOLDER] [--json OUT]

Fills the folder of a server (`review_data.py`), starts `voiceguard serve` on it, and asks as
reviewers do: pages of 50 sessions with filters and orders drawn at random, the page of a session
(the session, all its events, and the outline of its audio, one after the other; that somebody
looked is in the evidence log before the answer), statistics, `voiceguard sessions export` as a
process, and lists and sessions once more through the HTTP interface of `voiceguard review`.
FOLDER must be on the disk that is to be measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, ParamSpec

import httpx
from google.protobuf.timestamp_pb2 import Timestamp

from benchmarks.evidence_log import describe_machine
from benchmarks.review_data import fill_data_dir, keep_call, phone_number
from benchmarks.served import PASSWORD, REVIEWER, Served, review_page, serving
from benchmarks.store import PAGE, TENANT, describe, random_filter
from benchmarks.store_sessions import SPAN_DAYS, TENANTS
from voiceguard.client import ReviewClient
from voiceguard.core.events import AlertLevel
from voiceguard.review.guard import CSRF_HEADER
from voiceguard.store.archive import wall_ms
from voiceguard.store.rows import Order, SessionFilter
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import ALERT_LEVEL_NUMBERS

Row = Mapping[str, float | int | str]
Figures = dict[str, Row]
P = ParamSpec("P")

FORMATS: Final = ("csv", "jsonl", "parquet")
EVENT_ROWS: Final = 100_000
CALLS: Final = 5
CALL_MINUTES: Final = 5
"""Calls with audio, among the sessions that are looked at."""
_EVENTS_OF_A_FLAGGED: Final = 80
"""About as many has a generated session that is flagged."""
_FLAGGED_SHARE: Final = 0.05
_DAY_MS: Final = 86_400_000
_ORDERS: Final = {
    Order.STARTED: "started_at desc",
    Order.PEAK: "peak_pressure_index desc",
}
_VERDICTS: Final = {
    "confirmed": rpb.Verdict.KIND_CONFIRMED,
    "false_alarm": rpb.Verdict.KIND_FALSE_ALARM,
    "unsure": rpb.Verdict.KIND_UNSURE,
}

_LEVELS: Final = {number: level.name.lower() for level, number in ALERT_LEVEL_NUMBERS.items()}


def request_of(wanted: SessionFilter, order: Order, *, with_total: bool) -> rpb.ListSessionsRequest:
    """Return the request for a page with a filter of `benchmarks.store`."""
    request = rpb.ListSessionsRequest(
        high_sensitivity_only=wanted.high_sensitivity_only,
        campaign=wanted.campaign,
        agent_id=wanted.agent_id,
        call_id=wanted.call_id,
        customer_number=phone_number(int(wanted.customer, 16)) if wanted.customer else "",
        unreviewed_only=wanted.unreviewed_only,
        legal_hold_only=wanted.legal_hold_only,
        order_by=_ORDERS[order],
        page_size=PAGE,
        with_total=with_total,
    )
    if wanted.min_level:
        request.min_level = ALERT_LEVEL_NUMBERS[AlertLevel(wanted.min_level)]
    if wanted.verdict:
        request.verdict = _VERDICTS[wanted.verdict]
    if wanted.started_after_ms is not None:
        request.started_after.FromMilliseconds(wanted.started_after_ms)
    if wanted.started_before_ms is not None:
        request.started_before.FromMilliseconds(wanted.started_before_ms)
    return request


def random_request(
    rng: random.Random, sessions: int, *, with_total: bool
) -> rpb.ListSessionsRequest:
    """Return the request for a first page, as a reviewer might ask for it."""
    wanted, order = random_filter(rng, sessions, wall_ms()), rng.choice(list(Order))
    return request_of(wanted, order, with_total=with_total)


async def timed(work: Awaitable[object]) -> float:
    """Return how long something took, in ms."""
    started_s = time.perf_counter()
    await work
    return (time.perf_counter() - started_s) * 1000


async def measure_lists(client: ReviewClient, sessions: int, seed: int, rounds: int) -> list[float]:
    """Return the times of first and second pages, a count with every fourth; print the worst."""
    rng = random.Random(seed)  # noqa: S311 - no secret is made of it
    times: list[tuple[float, str]] = []
    for number in range(rounds):
        request = random_request(rng, sessions, with_total=number % 4 == 0)
        for _ in range(2):
            started_s = time.perf_counter()
            page = await client.list_sessions(request)
            times.append(((time.perf_counter() - started_s) * 1000, str(request)))
            if not page.next_page_token:
                break
            request.page_token, request.with_total = page.next_page_token, False
    for took_ms, what in sorted(times, reverse=True)[:3]:
        print(f"  slow list: {took_ms:.1f} ms {' '.join(what.split())}", file=sys.stderr)
    return [took_ms for took_ms, _ in times]


async def look(client: ReviewClient, session_id: str) -> None:
    """Ask for all that the page of a session shows."""
    session = await client.get_session(session_id)
    async for _ in client.events(session_id):
        pass
    if session.audio_kept:
        await client.get_waveform(session_id)


async def ids_to_look_at(client: ReviewClient, count: int, seed: int) -> list[str]:
    """Return the ids of flagged sessions that nobody looked at yet."""
    request = rpb.ListSessionsRequest(high_sensitivity_only=True, page_size=1000)
    found = [session.session_id async for session in client.sessions(request)]
    rng = random.Random(seed)  # noqa: S311 - no secret is made of it
    return rng.sample(found, min(count, len(found)))


async def measure_statistics(client: ReviewClient, days: int) -> list[float]:
    """Return the times of the dashboard's figures over some days."""
    request = rpb.GetStatisticsRequest(utc_offset_minutes=480)
    request.started_after.FromMilliseconds(wall_ms() - days * _DAY_MS)
    return [await timed(client.get_statistics(request)) for _ in range(10)]


async def measure_service(
    served: Served, calls: list[str], sessions: int, seed: int, rounds: int
) -> Figures:
    """Return the figures of ReviewService over gRPC."""
    async with ReviewClient(served.address, token=served.token) as client:
        await client.list_sessions(rpb.ListSessionsRequest())
        chosen = await ids_to_look_at(client, rounds, seed)
        figures: Figures = {
            "list": describe(await measure_lists(client, sessions, seed, rounds)),
            "session": describe([await timed(look(client, name)) for name in chosen]),
            "session_with_audio": describe([await timed(look(client, name)) for name in calls]),
        }
        for days in (30, SPAN_DAYS):
            times = await measure_statistics(client, days)
            figures[f"statistics_{days}_days"] = describe(times)
        return figures


def export(served: Served, target: Path, *options: str) -> Row:
    """Run `voiceguard sessions export`; return how long it took and what it says it wrote."""
    command = served.command("sessions", "export", "-o", str(target), *options)
    started_s = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    took_s = time.perf_counter() - started_s
    said = done.stdout.strip().rpartition(": ")[2]
    return {
        "said": said,
        "seconds": round(took_s, 1),
        "mib": round(target.stat().st_size / 2**20, 1),
    }


def measure_exports(served: Served, folder: Path, sessions: int) -> Figures:
    """Return the figures of the tables: all sessions, and about 100,000 events, in each format."""
    flagged = sessions * _FLAGGED_SHARE * _EVENTS_OF_A_FLAGGED
    days = min(math.ceil(SPAN_DAYS * EVENT_ROWS / flagged), SPAN_DAYS)
    figures: Figures = {}
    for form in FORMATS:
        print(f"exporting {form} ...", file=sys.stderr)
        figures[f"export_{form}"] = export(served, folder / f"sessions.{form}")
        figures[f"export_events_{form}"] = export(
            served, folder / f"events.{form}", "--events", "--flagged", "--since", f"{days}d"
        )
    return figures


class Page:
    """The page's interface, as the browser of a reviewer asks it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.ask("/api/sign-in", {"name": REVIEWER, "password": PASSWORD})

    def ask(self, path: str, fields: dict[str, object] | None = None) -> dict[str, object]:
        """Return an answer: by POST where there are fields, else by GET."""
        if fields is None:
            response = self._client.get(path)
        else:
            response = self._client.post(path, json=fields)
        answer: dict[str, object] = response.raise_for_status().json()
        return answer

    def look(self, session_id: str) -> None:
        """Ask for all that the page of a session shows."""
        session = self.ask(f"/api/sessions/{session_id}")
        self.ask(f"/api/sessions/{session_id}/events")
        if session["audio_kept"]:
            self.ask(f"/api/sessions/{session_id}/waveform")


def fields_of(request: rpb.ListSessionsRequest) -> dict[str, object]:
    """Return what the page sends for a request."""

    def time_ms(name: str) -> int | None:
        at: Timestamp = getattr(request, name)
        return at.ToMilliseconds() if request.HasField(name) else None  # type: ignore[arg-type]

    return {
        "flagged_only": request.high_sensitivity_only,
        "level": _LEVELS[request.min_level] if request.min_level else "",
        "after_ms": time_ms("started_after"),
        "before_ms": time_ms("started_before"),
        "campaign": request.campaign,
        "agent": request.agent_id,
        "call": request.call_id,
        "number": request.customer_number,
        "unreviewed_only": request.unreviewed_only,
        "verdict": next((name for name, kind in _VERDICTS.items() if kind == request.verdict), ""),
        "held_only": request.legal_hold_only,
        "order": "worst" if request.order_by == _ORDERS[Order.PEAK] else "newest",
        "page_size": request.page_size,
        "with_total": request.with_total,
    }


def measure_page(url: str, chosen: list[str], sessions: int, seed: int, rounds: int) -> Figures:
    """Return the figures of the page's interface: lists and sessions."""
    rng = random.Random(seed)  # noqa: S311 - no secret is made of it
    headers = {"Origin": url, CSRF_HEADER: "1"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        page = Page(client)
        requests = [
            fields_of(random_request(rng, sessions, with_total=number % 4 == 0))
            for number in range(rounds)
        ]
        lists = [blocking(page.ask, "/api/sessions", fields) for fields in requests]
        looks = [blocking(page.look, name) for name in chosen]
        return {"page_list": describe(lists), "page_session": describe(looks)}


def blocking(action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> float:
    """Return how long an action took, in ms."""
    started_s = time.perf_counter()
    action(*args, **kwargs)
    return (time.perf_counter() - started_s) * 1000


async def unseen(served: Served, rounds: int, seed: int) -> list[str]:
    """Return the ids of other sessions than were looked at before."""
    async with ReviewClient(served.address, token=served.token) as client:
        return await ids_to_look_at(client, rounds, seed + 1)


def measure(data_dir: Path, sessions: int, seed: int, rounds: int) -> Figures:
    """Return the figures of a folder that is filled."""
    calls = [f"call-with-audio-{number}" for number in range(CALLS)]
    for name in calls:
        keep_call(data_dir, name, CALL_MINUTES, TENANT)
    with serving(data_dir, TENANT) as served, tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure_service(served, calls, sessions, seed, rounds))
        figures |= measure_exports(served, Path(folder), sessions)
        chosen = [*asyncio.run(unseen(served, rounds, seed)), *calls]
        with review_page(served.address) as url:
            figures |= measure_page(url, chosen, sessions, seed, rounds)
    return figures


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100_000, help="of the reviewer's tenant")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=400, help="lists and sessions looked at")
    parser.add_argument("--folder", type=Path, help="where the data is made; default: /tmp")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    # All tenants have some: as many that the reviewer's have what was asked for, and a few more.
    all_sessions = math.ceil(arguments.sessions / TENANTS[TENANT] * 1.02)

    def show(leaves: int) -> None:
        print(f"{leaves:,} leaves", end="\r", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        data_dir = Path(folder) / "data"
        figures: Figures = {"machine": describe_machine(Path(folder))}
        started_s = time.perf_counter()
        leaves = fill_data_dir(data_dir, all_sessions, arguments.seed, show)
        filled_s = round(time.perf_counter() - started_s, 1)
        figures["fill"] = {"sessions": all_sessions, "leaves": leaves, "seconds": filled_s}
        figures |= measure(data_dir, all_sessions, arguments.seed, arguments.rounds)
    for kind, row in figures.items():
        print(f"{kind:20}", ", ".join(f"{name} {value}" for name, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
