"""How the process ends: exit codes, and one line for each expected error."""

from __future__ import annotations

import enum

import click

from voiceguard.core.errors import (
    ClientError,
    ConfigurationError,
    PolicyError,
    VoiceguardError,
)


class ExitCode(enum.IntEnum):
    """What scripts may rely on; docs/cli.md lists the same."""

    OK = 0
    FAILED = 1
    """Something could not be done; with several files, the others were."""
    USAGE = 2
    """Wrong options, settings or policy: nothing was begun."""
    SERVER = 3
    """The server was not reached, refused the call or ended it."""
    INTERRUPTED = 130
    """Ctrl-C; 128 + SIGINT, as shells count."""
    BROKEN_PIPE = 141
    """Whoever read the output has gone; 128 + SIGPIPE."""


class ServerFailure(click.ClickException):
    """The server was not reached, or ended the call in error."""

    exit_code = ExitCode.SERVER


def exit_code_of(error: VoiceguardError) -> ExitCode:
    """Return what an error that reached the command line ends the process with."""
    match error:
        case ClientError() | ConfigurationError() | PolicyError():
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILED


def report(problem: object) -> None:
    """Print an error as one line on standard error."""
    text = " ".join(str(problem).encode("utf-8", "replace").decode("utf-8").split())
    click.echo(click.style("error: ", fg="red", bold=True) + text, err=True)


def note(text: str) -> None:
    """Print something worth knowing, in one line on standard error."""
    click.echo(click.style("note: ", bold=True) + text, err=True)
