"""What commands show on a terminal: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from voiceguard.v1 import monitor_pb2 as pb

SHOWN_AFTER_S: Final = 2.0
"""Work that is done sooner needs no progress bar."""

UNSEEN_WIDTH: Final = 240
"""Columns of a table that goes to a file or a program, where nothing needs to be cut."""


class WorkProgress:
    """A progress bar that shows itself once work takes longer than `SHOWN_AFTER_S`."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._started_s = time.monotonic()
        self._bar: Progress | None = None
        self._active = sys.stderr.isatty()

    def show(self, done: float, total: float | None, text: str) -> None:
        """Show how much is done.

        Args:
            done: of the whole, in any unit.
            total: of the same; None: not known.
            text: what is going on now.
        """
        if not self._active or time.monotonic() - self._started_s < SHOWN_AFTER_S:
            return
        if self._bar is None:
            self._bar = _bar(self._unit)
            self._bar.start()
            self._bar.add_task(text, total=total)
        self._bar.update(self._bar.task_ids[0], completed=done, total=total, description=text)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._active = False


def _bar(unit: str) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn(unit),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )


@contextmanager
def progress(unit: str) -> Iterator[WorkProgress]:
    """Lend a progress bar, and take it away at the end, whatever happens."""
    bar = WorkProgress(unit)
    try:
        yield bar
    finally:
        bar.close()


def printable(path: Path) -> str:
    """Return a path that any terminal can print, whatever bytes are in its name."""
    return printable_text(os.fsencode(path).decode("utf-8", "replace"))


def printable_text(text: str) -> str:
    """Return a text of somebody else's that does nothing to a terminal but to be shown."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def results_console() -> Console:
    """Return where results go: as wide as the terminal is, and as they are where there is none."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNSEEN_WIDTH
    return console


def print_message(message: Message) -> None:
    """Print a message as one line of protobuf's JSON."""
    click.echo(json.dumps(MessageToDict(message), ensure_ascii=False))


def print_event_line(file: Path | None, response: pb.MonitorResponse) -> None:
    """Print an event as one line of JSON, with the file it is from if there is one."""
    event = MessageToDict(response)
    line = {"event": event} if file is None else {"file": os.fspath(file), "event": event}
    click.echo(json.dumps(line))
