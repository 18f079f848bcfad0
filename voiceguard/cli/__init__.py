"""The command line: `voiceguard serve | stream | analyze | score | demo | model | ...`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the process was started with, and end it with its exit code."""
    from voiceguard.cli.program import run  # noqa: PLC0415 - completion scripts import this package

    sys.exit(run(sys.argv[1:]))
