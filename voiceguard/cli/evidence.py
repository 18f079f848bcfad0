"""`voiceguard evidence`: the commands about evidence, each loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from voiceguard.cli.lazy import Entry, LazyGroup

_LOG_MODULE: Final = "voiceguard.cli.evidence_log"

COMMANDS: Final[Mapping[str, Entry]] = {
    "export": Entry(
        "voiceguard.cli.evidence_export", "export", "Save a session's evidence bundle."
    ),
    "verify": Entry("voiceguard.cli.evidence_verify", "verify", "Check a bundle offline."),
    "key": Entry(_LOG_MODULE, "key", "Print the log's public key."),
    "checkpoint": Entry(_LOG_MODULE, "checkpoint", "Print the log's newest signed checkpoint."),
    "audit": Entry(_LOG_MODULE, "audit", "Check the whole log."),
    "timestamp": Entry(_LOG_MODULE, "timestamp", "Have the newest checkpoint timestamped."),
}
"""In the order in which people need them."""


@click.group(cls=LazyGroup, entries=COMMANDS)
def evidence() -> None:
    """Check the evidence log and what is made from it.

    \b
    Example:
      voiceguard evidence audit --checkpoint kept-elsewhere
    """  # noqa: D301 - click takes the backspace for "keep these lines"
