"""Progress of what takes long, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from voiceguard.training.clips import Recording, read_recordings
from voiceguard.training.corpora import Clip

CONSOLE: Final = Console(stderr=True)


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar; yield what moves it to a count, with a note."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} {task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=CONSOLE) as bar:
        task = bar.add_task(title, total=total, note="")

        def show(done: int, note: str) -> None:
            bar.update(task, completed=done, note=note)

        yield show


def read_with_progress(clips: Sequence[Clip], title: str) -> list[Recording]:
    """Read all clips behind a progress bar.

    Raises:
        AudioFileError: one of them cannot be read.
    """
    with progress(title, len(clips)) as report:
        return read_recordings(clips, lambda done, _: report(done, ""))
