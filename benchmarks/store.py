"""How quickly sessions are found among 100,000.

    python -m benchmarks.store [--sessions 100000] [--seed 1] [--url URL] [--json OUT]

Fills a database with generated sessions (`store_sessions.py`), SQLite in a temporary folder or
the empty one of `--url`, and measures what reviewers wait for: a page of a list with filters
drawn at random, a session with its records, statistics, and paging through everything.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.store_sessions import (
    AGENTS,
    CAMPAIGNS,
    CUSTOMERS,
    END_MS,
    SPAN_DAYS,
    TENANTS,
    fill,
)
from voiceguard.store.database import Database
from voiceguard.store.queries import SessionFinder
from voiceguard.store.rows import Order, SessionFilter

ORIGIN: Final = "voiceguard.benchmark/log"
TENANT: Final = max(TENANTS, key=lambda name: TENANTS[name])
PAGE: Final = 50
"""Sessions in a page, unless a client asks for something else."""
_DAY_MS: Final = 86_400_000


def random_filter(rng: random.Random, sessions: int, end_ms: int = END_MS) -> SessionFilter:
    """Return a filter as a reviewer might set it: up to four of its fields."""
    start_ms = end_ms - rng.randrange(SPAN_DAYS * _DAY_MS)
    values: dict[str, object] = {
        "high_sensitivity_only": True,
        "min_level": rng.randint(2, 4),
        "started_after_ms": start_ms,
        "started_before_ms": start_ms + rng.choice((1, 7, 30)) * _DAY_MS,
        "campaign": f"campaign-{rng.randint(1, CAMPAIGNS)}",
        "agent_id": f"agent-{rng.randrange(AGENTS)}",
        "call_id": f"call-{rng.randrange(sessions)}",
        "customer": f"{rng.randrange(CUSTOMERS):064x}",
        "unreviewed_only": True,
        "verdict": rng.choice(("confirmed", "false_alarm", "unsure")),
        "legal_hold_only": True,
    }
    chosen = rng.sample(sorted(values), rng.choice((0, 1, 1, 1, 2, 2, 3, 4)))
    return SessionFilter(**{name: values[name] for name in chosen})  # type: ignore[arg-type]


def timed(action: Callable[[], object]) -> float:
    """Return how long an action took, in ms."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def measure_lists(finder: SessionFinder, sessions: int, seed: int, rounds: int) -> list[float]:
    """Return the times of first and second pages, a count with every fourth; print the worst."""
    rng = random.Random(seed)  # noqa: S311 - no secret is made of it
    times: list[tuple[float, str]] = []
    for number in range(rounds):
        wanted, order = random_filter(rng, sessions), rng.choice(list(Order))
        with_total = number % 4 == 0
        started = time.perf_counter()
        page = finder.page(TENANT, wanted, order, PAGE, with_total=with_total)
        times.append(((time.perf_counter() - started) * 1000, f"{order} {with_total} {wanted}"))
        if page.next is not None:
            cursor = page.next
            started = time.perf_counter()
            finder.page(TENANT, wanted, order, PAGE, after=cursor)
            times.append(((time.perf_counter() - started) * 1000, f"{order} page 2 {wanted}"))
    for took, what in sorted(times, reverse=True)[:3]:
        print(f"  slow list: {took:.1f} ms {what}", file=sys.stderr)
    return [took for took, _ in times]


def measure_sessions(finder: SessionFinder, seed: int, rounds: int) -> list[float]:
    """Return the times to have a flagged session, its records and who looked at it."""
    rng = random.Random(seed)  # noqa: S311 - no secret is made of it
    flagged = finder.page(TENANT, SessionFilter(high_sensitivity_only=True), Order.PEAK, 1000).rows

    def look(session_id: str) -> None:
        row = finder.find(TENANT, session_id)
        assert row is not None  # noqa: S101 - it was listed
        assert finder.records(row.uid)  # noqa: S101 - it has some
        finder.accesses(TENANT, row.uid)

    return [timed(lambda: look(rng.choice(flagged).session_id)) for _ in range(rounds)]


def walk(finder: SessionFinder, size: int) -> Iterator[int]:
    """Yield how many sessions each page has, until there are no more."""
    cursor = None
    while True:
        page = finder.page(TENANT, SessionFilter(), Order.STARTED, size, after=cursor)
        yield len(page.rows)
        if page.next is None:
            return
        cursor = page.next


def describe(times_ms: list[float]) -> dict[str, float]:
    """Return count, median, 99th percentile and maximum."""
    ordered = sorted(times_ms)
    return {
        "count": len(ordered),
        "p50_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "max_ms": round(ordered[-1], 1),
    }


def measure(
    database: Database, sessions: int, seed: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Return the figures of a database that is filled."""
    finder = SessionFinder(database)
    figures = {
        "list": describe(measure_lists(finder, sessions, seed, rounds)),
        "session": describe(measure_sessions(finder, seed, rounds)),
    }
    for days in (30, SPAN_DAYS):
        after_ms = END_MS - days * _DAY_MS
        times = [
            timed(lambda: finder.statistics(TENANT, after_ms=after_ms, utc_offset_minutes=480))  # noqa: B023 - called at once
            for _ in range(10)
        ]
        figures[f"statistics_{days}_days"] = describe(times)
    started = time.perf_counter()
    rows = sum(walk(finder, 1000))
    figures["all_pages"] = {"rows": rows, "seconds": round(time.perf_counter() - started, 1)}
    return figures


@contextmanager
def opened(url: str | None) -> Iterator[Database]:
    """Give the database to fill."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(url or f"sqlite:///{folder}/sessions.db")
        try:
            yield database
        finally:
            database.close()


def main() -> None:
    """Fill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=400, help="lists and sessions looked at")
    parser.add_argument("--url", help="an empty database; default: SQLite in a temporary folder")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    def show(done: int) -> None:
        end = "\n" if done == arguments.sessions else "\r"
        print(f"{done:,} of {arguments.sessions:,} sessions", end=end, file=sys.stderr, flush=True)

    with opened(arguments.url) as database:
        started = time.perf_counter()
        leaves = fill(database, ORIGIN, arguments.sessions, arguments.seed, show)
        filled = {"leaves": leaves, "seconds": round(time.perf_counter() - started, 1)}
        figures = {"fill": filled} | measure(
            database, arguments.sessions, arguments.seed, arguments.rounds
        )
    for kind, row in figures.items():
        print(f"{kind:20}", *(f"{name} {value:g}" for name, value in row.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
