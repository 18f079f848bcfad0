"""`voiceguard sessions audio`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from voiceguard.cli.connection import Connection, ask_server, review_options
from voiceguard.cli.saving import check_target, force_option, save, size_words, whole_file
from voiceguard.cli.terminal import printable, printable_text, progress
from voiceguard.client import ReviewClient

_CLOCK: Final = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,4}):)?(\d{1,6}(?:\.\d{1,9})?)")

_UNKNOWN_SIZE: Final = 0xFFFFFFFF
"""What a WAV file says of its size while it is not known."""


def parse_offset(text: str) -> float:
    """Return seconds on the audio clock of a text such as ``83.5``, ``1:23.5`` or ``1:02:09``.

    Raises:
        ValueError: it is none.
    """
    match = _CLOCK.fullmatch(text)
    if match is None:
        message = f"'{text}' is no place in a call: give seconds, or minutes as in 1:23.5"
        raise ValueError(message)
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _offset(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    _ = ctx, param
    try:
        return None if value is None else parse_offset(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    metavar="FILE.wav",
    type=click.Path(path_type=Path),
    help="File to write, whole or not at all.",
)
@click.option(
    "--from",
    "start_s",
    metavar="TIME",
    callback=_offset,
    help="Where to begin: seconds, or 1:23.5.  [default: at the start]",
)
@click.option(
    "--to", "end_s", metavar="TIME", callback=_offset, help="Where to end.  [default: at the end]"
)
@force_option
@review_options
def audio(
    *,
    session_id: str,
    target: Path,
    start_s: float | None,
    end_s: float | None,
    force: bool,
    connection: Connection,
) -> None:
    """Save a session's audio, or a part of it, as a WAV file.

    All channels are in it. The server writes down who heard what.

    \b
    Examples:
      voiceguard sessions audio call-4711 -o call.wav
      voiceguard sessions audio call-4711 -o alert.wav --from 1:20 --to 1:50
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    if start_s is not None and end_s is not None and end_s <= start_s:
        raise click.UsageError("--to must lie after --from")
    check_target(target, force=force)
    with progress("") as bar, whole_file(target) as stream:

        async def fetch(client: ReviewClient) -> int:
            pieces = client.get_audio(session_id, start_s=start_s, end_s=end_s)
            return await save(
                pieces,
                stream,
                lambda first, done: bar.show(done, wav_bytes(first), printable_text(session_id)),
            )

        size_bytes = ask_server(connection, fetch)
    click.echo(f"{printable(target)}: {size_words(size_bytes)}")


def wav_bytes(start: bytes) -> int | None:
    """Return the size of a WAV file as its RIFF header says it; None where it does not.

    Source: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0:
    ``RIFF``, then the number of bytes that follow, 32 bits little-endian.
    """
    if len(start) < 8 or not start.startswith(b"RIFF"):
        return None
    following = int.from_bytes(start[4:8], "little")
    return None if following == _UNKNOWN_SIZE else following + 8
