"""`voiceguard sessions export`: sessions or their events as one table."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import click
import grpc

from voiceguard.cli.connection import Connection, ask_server, review_options
from voiceguard.cli.exits import note
from voiceguard.cli.export_columns import EVENT_TABLE, SESSION_TABLE, Row, StoredEvent
from voiceguard.cli.export_formats import FORMATS, TableWriter, check_format, table_writer
from voiceguard.cli.saving import check_target, whole_file
from voiceguard.cli.session_filters import filter_options
from voiceguard.cli.terminal import WorkProgress, printable, progress
from voiceguard.client import CallRefusedError, ReviewClient
from voiceguard.client.review import MAX_PAGE
from voiceguard.v1 import review_pb2 as rpb

STANDARD_OUTPUT: Final = Path("-")

LOOKAHEAD_SESSIONS: Final = 4
"""Sessions whose first events are asked for before they are needed."""

_Batches = AsyncGenerator[Callable[[], Sequence[Row]], None]
"""Makers of the rows of one page each: making them is work for a thread."""

_GONE: Final = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION})
"""What is said of a session that was erased since it was listed."""


@dataclass(slots=True)
class _Count:
    """What was written so far."""

    sessions: int = 0
    rows: int = 0
    gone: int = 0
    total: int = 0
    """Sessions that match."""


@click.command()
@filter_options
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File to write, whole or not at all; - is standard output, for csv and jsonl.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="What to write.  [default: what FILE ends with, else csv]",
)
@click.option(
    "--events",
    "with_events",
    is_flag=True,
    help="Write every event of the sessions, one a row, instead of the sessions.",
)
@review_options
def export(
    *,
    request: rpb.ListSessionsRequest,
    target: Path,
    format_name: str | None,
    with_events: bool,
    connection: Connection,
) -> None:
    """Write the sessions that match, or all their events, as a table with a row for each.

    docs/cli.md lists the columns; they are the same in every format. In CSV a
    text that a spreadsheet would take for a formula gets an apostrophe before
    it; JSON lines and Parquet have texts as they are.

    \b
    Examples:
      voiceguard sessions export -o november.csv --since 2026-11-01
      voiceguard sessions export -o flagged.parquet --flagged
      voiceguard sessions export -o events.jsonl --events --campaign autumn --since 7d
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    form = format_name or _format_of(target)
    if target == STANDARD_OUTPUT and form == "parquet":
        raise click.UsageError("a Parquet file cannot go to standard output: name a file with -o")
    check_format(form)
    if target != STANDARD_OUTPUT:
        check_target(target)
    request.page_size = MAX_PAGE
    request.with_total = True
    table = EVENT_TABLE if with_events else SESSION_TABLE
    find = _event_batches if with_events else _session_batches
    count = _Count()
    with (
        progress("sessions") as bar,
        _output(target) as stream,
        table_writer(form, table.columns, stream) as writer,
    ):
        ask_server(
            connection,
            lambda client: _write_all(find(client, request, count), writer, count, bar),
        )
    if count.gone:
        note(f"{count.gone:,} sessions are erased: their events are gone")
    if target != STANDARD_OUTPUT:
        rows = f", {count.rows:,} events" if with_events else ""
        click.echo(f"{printable(target)}: {count.sessions:,} sessions{rows}")


def _format_of(target: Path) -> str:
    suffix = target.suffix.removeprefix(".").lower()
    return suffix if suffix in FORMATS else "csv"


@contextmanager
def _output(target: Path) -> Iterator[BinaryIO]:
    if target == STANDARD_OUTPUT:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(target) as file:
        yield file


async def _write_all(
    batches: _Batches,
    writer: TableWriter,
    count: _Count,
    bar: WorkProgress,
) -> None:
    """Write batches as they come; the next one is fetched meanwhile."""

    def write(make_rows: Callable[[], Sequence[Row]]) -> int:
        rows = make_rows()
        writer.write(rows)
        return len(rows)

    async with aclosing(batches) as coming:
        async for make_rows in coming:
            count.rows += await _in_thread(partial(write, make_rows))
            bar.show(count.sessions, count.total or None, f"{count.rows:,} rows")


async def _in_thread(work: Callable[[], int]) -> int:
    """Do work in a thread; when interrupted, wait for it, as it writes to a file of ours."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _session_batches(
    client: ReviewClient, request: rpb.ListSessionsRequest, count: _Count
) -> _Batches:
    """Yield makers of the rows of each page of sessions."""
    async with aclosing(client.session_pages(request)) as pages:
        async for page in pages:
            count.total = page.total or count.total
            yield partial(_session_rows, page)
            count.sessions += len(page.sessions)


async def _event_batches(
    client: ReviewClient, request: rpb.ListSessionsRequest, count: _Count
) -> _Batches:
    """Yield makers of the rows of each page of events, session by session in their order."""
    ahead: deque[tuple[rpb.Session, asyncio.Task[rpb.ListEventsResponse]]] = deque()
    try:
        async with aclosing(client.session_pages(request)) as pages:
            async for page in pages:
                count.total = page.total or count.total
                for session in page.sessions:
                    if session.HasField("erased_at"):
                        count.gone += 1
                        continue
                    first = asyncio.create_task(client.list_events(_events_request(session)))
                    ahead.append((session, first))
                    if len(ahead) > LOOKAHEAD_SESSIONS:
                        async for rows in _events_of(client, *ahead.popleft(), count):
                            yield rows
        while ahead:
            async for rows in _events_of(client, *ahead.popleft(), count):
                yield rows
    finally:
        for _, first in ahead:
            first.cancel()
        await asyncio.gather(*(first for _, first in ahead), return_exceptions=True)


def _events_request(session: rpb.Session) -> rpb.ListEventsRequest:
    return rpb.ListEventsRequest(session_id=session.session_id, page_size=MAX_PAGE)


async def _events_of(
    client: ReviewClient,
    session: rpb.Session,
    first: asyncio.Task[rpb.ListEventsResponse],
    count: _Count,
) -> _Batches:
    """Yield makers of the rows of a session's pages of events, of which the first is on its way."""
    try:
        page = await first
        while True:
            yield partial(_event_rows, session, page)
            if not page.next_page_token:
                count.sessions += 1
                return
            request = _events_request(session)
            request.page_token = page.next_page_token
            page = await client.list_events(request)
    except CallRefusedError as error:
        if error.status not in _GONE:
            raise
        count.gone += 1


def _session_rows(page: rpb.ListSessionsResponse) -> list[Row]:
    return [SESSION_TABLE.row(session) for session in page.sessions]


def _event_rows(session: rpb.Session, page: rpb.ListEventsResponse) -> list[Row]:
    return [
        EVENT_TABLE.row(StoredEvent(session, recorded_at, event))
        for event, recorded_at in zip(page.events, page.recorded_at, strict=True)
    ]
