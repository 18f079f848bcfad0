"""`voiceguard score`: many clips into one CSV file."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click

from voiceguard.cli.exits import ExitCode, note, report
from voiceguard.cli.options import default_model_dir, model_option, roles_option
from voiceguard.cli.terminal import printable, progress
from voiceguard.core.errors import AudioFileError
from voiceguard.core.events import Role
from voiceguard.core.units import MAX_CHANNELS
from voiceguard.offline.analysis import Engine
from voiceguard.offline.files import write_atomically
from voiceguard.offline.recordings import find_recordings
from voiceguard.offline.scoring import ClipFailure, ClipScore, ClipToScore, score_clips

STANDARD_OUTPUT = Path("-")


class _Row(Protocol):
    def writerow(self, row: Sequence[object], /) -> object: ...


@click.command()
@click.argument(
    "paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--csv",
    "target",
    type=click.Path(path_type=Path, allow_dash=True),
    default=STANDARD_OUTPUT,
    show_default=True,
    help="File to write; - is standard output.",
)
@click.option(
    "--channel",
    type=click.IntRange(0, MAX_CHANNELS - 1),
    help="Channel to score, counted from 0, of recordings that have several.",
)
@roles_option
@model_option
def score(
    *,
    paths: tuple[Path, ...],
    target: Path,
    channel: int | None,
    roles: tuple[Role, ...] | None,
    model_dir: Path | None,
) -> int:
    """Score clips, each as a whole, and write one line of CSV for each.

    Folders are searched through. The columns are file, duration_s, speech_s,
    one for each output of the model, and pressure: the evidence of anger or
    distress over the whole clip, 0 to 1, without the smoothing and the
    speaker's baseline that a call has. A clip without speech has empty cells.
    Clips that cannot be read are reported and have no line.

    \b
    Examples:
      voiceguard score clips/ --csv scores.csv
      voiceguard score a.wav b.flac
      voiceguard score calls/ --roles customer,agent --csv -
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    channel = _channel(channel, roles)
    if target != STANDARD_OUTPUT and not target.parent.is_dir():
        message = f"{target.parent} is no folder; make it first"
        raise click.UsageError(message)
    engine = Engine.load(model_dir or default_model_dir())
    files, failed = _find(paths)
    clips = [ClipToScore(file, channel) for file in files]
    with progress("clips") as bar, _csv_writer(target) as rows:
        rows.writerow(["file", "duration_s", "speech_s", *engine.model.outputs, "pressure"])
        for done, result in enumerate(score_clips(clips, engine), start=1):
            match result:
                case ClipFailure():
                    failed += 1
                    report(result.problem)
                case ClipScore():
                    rows.writerow(_cells(result, engine.model.outputs))
            bar.show(done, len(clips), printable(result.path))
    if failed and len(clips) > 1:
        note(f"{failed} of {len(clips)} clips failed")
    return ExitCode.FAILED if failed else ExitCode.OK


def _channel(channel: int | None, roles: tuple[Role, ...] | None) -> int | None:
    if roles is None:
        return channel
    if channel is not None:
        raise click.UsageError("give --channel or --roles, not both")
    customers = [place for place, role in enumerate(roles) if role is Role.CUSTOMER]
    if len(customers) != 1:
        message = f"--roles names {len(customers)} customers; say which channel with --channel"
        raise click.UsageError(message)
    return customers[0]


def _find(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """Return the recordings, each once, and how many paths led to none."""
    found: dict[Path, None] = {}
    failed = 0
    for path in paths:
        try:
            found.update(dict.fromkeys(find_recordings(path)))
        except AudioFileError as error:
            failed += 1
            report(error)
    return list(found), failed


@contextmanager
def _csv_writer(target: Path) -> Iterator[_Row]:
    """Lend a writer; a file takes its name only when all is written."""
    if target == STANDARD_OUTPUT:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # Names of files are bytes, and must come out as they are.
            sys.stdout.reconfigure(errors="surrogateescape")
        yield csv.writer(sys.stdout, lineterminator="\n")
        return
    with write_atomically(target) as stream:
        text = io.TextIOWrapper(
            stream, encoding="utf-8", errors="surrogateescape", newline="", write_through=True
        )
        yield csv.writer(text, lineterminator="\n")
        text.flush()
        text.detach()


def _cells(score: ClipScore, outputs: Sequence[str]) -> list[str]:
    scores = [""] * len(outputs)
    if score.outputs is not None:
        scores = [f"{score.outputs[name]:.4f}" for name in outputs]
    pressure = "" if score.pressure is None else f"{score.pressure:.4f}"
    return [
        os.fspath(score.path),
        f"{score.duration_s:.3f}",
        f"{score.speech_s:.2f}",
        *scores,
        pressure,
    ]
