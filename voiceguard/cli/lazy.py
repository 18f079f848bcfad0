"""Groups of commands that are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and what the overview says of it without importing it."""

    module: str
    name: str
    summary: str
    extra: str | None = None
    """The extra of the package that it needs."""


class LazyGroup(click.Group):
    """Imports a command's module only when that command runs or is asked for help.

    Args:
        entries: the commands by name, in the order in which they are listed.
        options: of click's own group.
    """

    def __init__(self, *, entries: Mapping[str, Entry], **options: Any) -> None:  # noqa: ANN401 - click's
        super().__init__(**options)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        _ = ctx
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now; None when there is none of that name.

        Raises:
            click.UsageError: the command needs an extra that is not installed.
        """
        _ = ctx
        entry = self._entries.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview from the summaries, importing nothing."""
        _ = ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._entries.items()])


def _load(name: str, entry: Entry) -> click.Command:
    try:
        command = getattr(importlib.import_module(entry.module), entry.name)
    except ModuleNotFoundError as error:
        if entry.extra is None or (error.name or "").startswith("voiceguard"):
            raise
        message = (
            f"'{name}' needs {error.name}: install it with pip install 'voiceguard[{entry.extra}]'"
        )
        raise click.UsageError(message) from None
    if not isinstance(command, click.Command):
        message = f"{entry.module}.{entry.name} is not a command"
        raise TypeError(message)
    return command
