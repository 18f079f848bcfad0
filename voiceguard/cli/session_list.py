"""`voiceguard sessions list`."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import click
from rich import box
from rich.table import Table
from rich.text import Text

from voiceguard.cli.connection import Connection, ask_server, review_options
from voiceguard.cli.exits import note
from voiceguard.cli.session_filters import filter_options
from voiceguard.cli.session_words import (
    handoff_words,
    length_words,
    level_text,
    local_time,
    peak_words,
    session_marks,
    session_state,
)
from voiceguard.cli.terminal import print_message, printable_text, results_console
from voiceguard.client import ReviewClient
from voiceguard.client.review import MAX_PAGE
from voiceguard.v1 import review_pb2 as rpb

DEFAULT_LIMIT = 50


@click.command("list")
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Most sessions to list.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each session.")
@review_options
def list_sessions(
    *, request: rpb.ListSessionsRequest, limit: int, as_json: bool, connection: Connection
) -> None:
    """Find sessions, newest or worst first.

    \b
    Examples:
      voiceguard sessions list --flagged --unreviewed --order pressure
      voiceguard sessions list --campaign autumn --since 7d
      voiceguard sessions list --since 2026-11-01 --limit 100000 --json
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    request.page_size = min(limit, MAX_PAGE)
    if as_json:
        ask_server(connection, lambda client: _print_lines(client, request, limit))
        return
    request.with_total = True
    found = ask_server(connection, lambda client: _find(client, request, limit))
    if found.sessions:
        results_console().print(session_table(found.sessions))
    if not found.sessions:
        note("no session matches")
    elif found.total > len(found.sessions):
        note(f"{len(found.sessions):,} of {found.total:,} sessions; --limit shows more")


@dataclass(frozen=True, slots=True)
class _Found:
    sessions: list[rpb.Session]
    total: int
    """How many match."""


async def _find(client: ReviewClient, request: rpb.ListSessionsRequest, limit: int) -> _Found:
    found: list[rpb.Session] = []
    total = 0
    async with aclosing(client.session_pages(request, limit=limit)) as pages:
        async for page in pages:
            found.extend(page.sessions)
            total = page.total or total
    return _Found(found, total)


async def _print_lines(client: ReviewClient, request: rpb.ListSessionsRequest, limit: int) -> None:
    async with aclosing(client.sessions(request, limit=limit)) as found:
        async for session in found:
            print_message(session)


def session_table(sessions: list[rpb.Session]) -> Table:
    """Return sessions as a table for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("started", no_wrap=True)
    table.add_column("session", style="bold", overflow="fold")
    table.add_column("campaign", overflow="fold")
    table.add_column("agent", overflow="fold")
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("peak", justify="right", no_wrap=True)
    table.add_column("level", no_wrap=True)
    table.add_column("handoff", no_wrap=True)
    table.add_column("review", no_wrap=True)
    table.add_column("")
    for session in sessions:
        table.add_row(
            local_time(session.started_at),
            _cell(session.session_id),
            _cell(session.call.campaign),
            _cell(session.call.agent_id),
            length_words(session),
            peak_words(session),
            level_text(session.summary.peak_level),
            handoff_words(session),
            session_state(session),
            session_marks(session),
        )
    return table


def _cell(text: str) -> Text:
    """Return a text as it is: what is in brackets is no markup."""
    return Text(printable_text(text))
