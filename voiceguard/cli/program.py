"""The program `voiceguard`: its commands, loaded when they are asked for, and its exit."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import click

from voiceguard import __version__
from voiceguard.cli.exits import ExitCode, exit_code_of, report
from voiceguard.cli.lazy import Entry, LazyGroup
from voiceguard.core.errors import VoiceguardError

COMMANDS: Final[Mapping[str, Entry]] = {
    "demo": Entry("voiceguard.cli.demo", "demo", "Play the sample call through a real server."),
    "serve": Entry("voiceguard.cli.serve", "serve", "Serve live calls over gRPC."),
    "stream": Entry("voiceguard.cli.stream", "stream", "Play a recording to a server as a call."),
    "analyze": Entry("voiceguard.cli.analyze", "analyze", "Analyse recordings of calls."),
    "score": Entry("voiceguard.cli.score", "score", "Score many clips into one CSV file."),
    "model": Entry("voiceguard.cli.model", "model", "Say what the model is."),
    "sessions": Entry(
        "voiceguard.cli.sessions", "sessions", "Find, hear, judge and export stored sessions."
    ),
    "review": Entry("voiceguard.cli.review", "review", "Show the reviewers' page.", extra="review"),
    "reviewers": Entry("voiceguard.cli.reviewers", "reviewers", "Say who may review."),
    "evidence": Entry(
        "voiceguard.cli.evidence", "evidence", "Check the evidence log and what is made from it."
    ),
    "store": Entry("voiceguard.cli.store", "store", "Look after what is kept."),
    "train": Entry(
        "voiceguard.training.command", "train", "Train the stress model.", extra="training"
    ),
    "calibrate": Entry(
        "voiceguard.training.adapt.command",
        "calibrate",
        "Fit calibration and thresholds to your own recordings.",
        extra="training",
    ),
    "evaluate": Entry(
        "voiceguard.training.command", "evaluate", "Measure a model on a corpus.", extra="training"
    ),
}
"""In the order in which people need them."""


class ReaderGoneError(Exception):
    """Whoever read standard output has closed it, as `head` does."""


class ProgramGroup(LazyGroup):
    """The program's own commands."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; click would turn a reader that has gone into exit code 1.

        Raises:
            ReaderGoneError: nobody reads standard output any more.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGoneError from None


@click.group(
    cls=ProgramGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="voiceguard", message="%(prog)s %(version)s")
def program() -> None:
    """Listen to calls and say when a human should take over.

    Audio of a call goes in; a pressure index for each customer channel comes
    out, with alerts, requests for a human and a flag for quality assurance.

    \b
    Examples:
      voiceguard demo
      voiceguard analyze call.wav --roles customer,agent --png call.png
      voiceguard serve --listen 127.0.0.1:50051

    Exit codes: 0 done, 1 something failed, 2 wrong usage, 3 server failed,
    130 interrupted.
    """  # noqa: D301 - click takes the backspace for "keep these lines"


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return the exit code; no expected error escapes."""
    # Before gRPC is imported, which else reports each closed connection in the middle of ours.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        code = program.main(list(arguments), prog_name="voiceguard", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        _show(error)
        return int(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        report("interrupted")
        return ExitCode.INTERRUPTED
    except (BrokenPipeError, ReaderGoneError):
        return _end_of_pipe()
    except (VoiceguardError, OSError) as error:
        return _fail(error)
    return code if isinstance(code, int) else ExitCode.OK


def _fail(error: VoiceguardError | OSError) -> int:
    match error:
        case VoiceguardError():
            report(error)
            return exit_code_of(error)
        case OSError(filename=str() | bytes() as name, strerror=str() as problem):
            report(f"{os.fsdecode(name)}: {problem}")
        case _:
            report(error)
    return ExitCode.FAILED


def _show(error: click.ClickException) -> None:
    """Print a usage error with the place to look things up, any other as one line."""
    report(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        click.echo(f"Try '{error.ctx.command_path} --help'.", err=True)


def _end_of_pipe() -> int:
    """End without a word; what is still buffered goes nowhere, as nobody reads it."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE
