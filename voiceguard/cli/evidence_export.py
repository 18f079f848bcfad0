"""`voiceguard evidence export`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from voiceguard.cli.connection import Connection, ask_server, review_options
from voiceguard.cli.saving import check_target, force_option, save, size_words, whole_file
from voiceguard.cli.terminal import printable, printable_text, progress
from voiceguard.client import ReviewClient

_OUTSIDE_FILE_NAMES: Final = re.compile(r"[^A-Za-z0-9._@~-]|^\.")


def bundle_name(session_id: str) -> str:
    """Return the file that a session's bundle goes to unless another is named."""
    return _OUTSIDE_FILE_NAMES.sub("-", session_id) + ".zip"


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE.zip",
    type=click.Path(path_type=Path),
    help="File to write, whole or not at all.  [default: SESSION.zip]",
)
@force_option
@review_options
def export(*, session_id: str, target: Path | None, force: bool, connection: Connection) -> None:
    """Save a session's evidence bundle, which verifies offline.

    Audio, events, proofs, the signed checkpoint, policy, model manifest, the
    access log and a report for people are in it. The export itself is written
    down in the evidence log.

    \b
    Examples:
      voiceguard evidence export call-4711
      voiceguard evidence export call-4711 -o case-118.zip
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    file = target or Path(bundle_name(session_id))
    check_target(file, force=force)
    with progress("") as bar, whole_file(file) as stream:

        async def fetch(client: ReviewClient) -> int:
            return await save(
                client.export_evidence(session_id),
                stream,
                lambda _, done: bar.show(
                    done, None, f"{printable_text(session_id)} {size_words(done)}"
                ),
            )

        size_bytes = ask_server(connection, fetch)
    click.echo(f"{printable(file)}: {size_words(size_bytes)}")
