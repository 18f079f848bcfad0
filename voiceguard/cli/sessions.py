"""`voiceguard sessions`: what reviewers do with stored sessions, each command loaded when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

from voiceguard.cli.lazy import Entry, LazyGroup

_ACTIONS: Final = "voiceguard.cli.session_actions"

COMMANDS: Final[Mapping[str, Entry]] = {
    "list": Entry("voiceguard.cli.session_list", "list_sessions", "Find sessions."),
    "show": Entry("voiceguard.cli.session_show", "show", "Look into one session."),
    "audio": Entry("voiceguard.cli.session_audio", "audio", "Save a session's audio."),
    "verdict": Entry(_ACTIONS, "verdict", "Say whether the system was right."),
    "hold": Entry(_ACTIONS, "hold", "Keep a session whatever the retention says."),
    "erase": Entry(_ACTIONS, "erase", "Destroy a session for good."),
    "export": Entry(
        "voiceguard.cli.session_export", "export", "Write sessions or events as a table."
    ),
}
"""In the order in which people need them."""


@click.group(cls=LazyGroup, entries=COMMANDS)
def sessions() -> None:
    """Find stored sessions, look into them, judge them, take them away.

    Everything goes through the server's ReviewService, with a reviewer's
    token; the server writes down who looked, heard and exported.

    \b
    Example:
      voiceguard sessions list --flagged --unreviewed --order pressure
    """  # noqa: D301 - click takes the backspace for "keep these lines"
