"""`voiceguard stream`: a recording played to a server as a call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import click

from voiceguard.cli.connection import Connection, call_options
from voiceguard.cli.exits import ExitCode, ServerFailure, note, report
from voiceguard.cli.live import CallDisplay, LiveDisplay, PlainDisplay, SilentDisplay, can_redraw
from voiceguard.cli.options import consent_option, load_policy, roles_option
from voiceguard.cli.playing import Playing
from voiceguard.cli.summary import print_summary
from voiceguard.cli.terminal import print_event_line, printable
from voiceguard.client import (
    ClientUsageError,
    MonitorClient,
    MonitorError,
    response_of,
    session_config,
)
from voiceguard.client.events import CallEvent
from voiceguard.core.errors import AudioFileError
from voiceguard.core.events import AudioFormat, Consent, Encoding, HandoffOutcome, Role
from voiceguard.offline.analysis import roles_of
from voiceguard.offline.recordings import RecordingReader
from voiceguard.offline.timeline import TimelineBuilder
from voiceguard.v1 import monitor_pb2 as pb

ANSWERS: Final = {
    "accepted": HandoffOutcome.ACCEPTED,
    "declined": HandoffOutcome.DECLINED,
    "none": None,
}


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@roles_option
@click.option(
    "--speed",
    type=click.FloatRange(min=0.0),
    default=1.0,
    show_default=True,
    help="1 plays as it was spoken, 8 eight times as fast, 0 as fast as the server takes it.",
)
@click.option("--policy", default="", metavar="NAME", help="Policy of the server to decide by.")
@click.option("--session-id", help="Name of the session; no names or numbers.  [default: random]")
@click.option(
    "--answer",
    type=click.Choice(list(ANSWERS)),
    default="accepted",
    show_default=True,
    help="What to answer when the server requests a handoff.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each event.")
@call_options
@consent_option
def stream(  # noqa: PLR0913 - one for each option
    *,
    file: Path,
    roles: tuple[Role, ...] | None,
    speed: float,
    policy: str,
    session_id: str | None,
    answer: str,
    as_json: bool,
    connection: Connection,
    consent: Consent,
) -> int:
    """Play a recording to a server as the audio of a call, and show what it says.

    On a terminal the call is shown as it goes on; elsewhere line by line.

    \b
    Examples:
      voiceguard stream call.wav --roles customer,agent
      voiceguard stream call.wav --roles customer,agent --speed 0 --json
      voiceguard stream call.wav --server vg.example:50051 --ca ca.pem --token-file token
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    with RecordingReader(file) as reader:
        shape = reader.shape
        if shape.is_resampled:
            note(f"{shape.file_rate_hz} Hz is resampled to {shape.sample_rate_hz} Hz")
        all_roles = roles_of(file, shape, roles)
        config = session_config(
            session_id or f"stream-{secrets.token_hex(4)}",
            AudioFormat(Encoding.LINEAR16, shape.sample_rate_hz, all_roles),
            policy=policy,
            pressure_updates=True,
            speech_events=True,
            consent=consent,
        )
        builder = TimelineBuilder(printable(file), all_roles, load_policy("default"))

        def tell(event: CallEvent) -> None:
            response = response_of(event)
            builder.receive_response(response)
            if as_json:
                print_event_line(file, response)

        title = f"{printable(file)} to {connection.address}"
        with _display(as_json, title, all_roles, shape.duration_s) as display:
            failure = asyncio.run(
                _play(connection, config, reader, speed, ANSWERS[answer], display, tell)
            )
    if not as_json:
        print_summary(printable(file), builder.build())
    if failure is not None:
        report(failure)
        return ExitCode.FAILED
    return ExitCode.OK


async def _play(
    connection: Connection,
    config: pb.SessionConfig,
    reader: RecordingReader,
    speed: float,
    answer: HandoffOutcome | None,
    display: CallDisplay,
    tell: Callable[[CallEvent], None],
) -> AudioFileError | None:
    """Play a recording; return what is wrong with the file, if anything is.

    Raises:
        ServerFailure: the server refused the call, or lost it.
        click.UsageError: the options make no sense together.
    """
    try:
        async with (
            MonitorClient(connection.address, tls=connection.tls, token=connection.token) as client,
            client.call(config) as call,
        ):
            playing = Playing(
                call=call,
                reader=reader,
                speed=speed,
                answer=answer,
                display=display,
                tell=tell,
            )
            await playing.play()
    except AudioFileError as error:
        return error
    except ClientUsageError as error:
        raise click.UsageError(str(error)) from None
    except MonitorError as error:
        raise ServerFailure(str(error)) from None
    return None


def _display(
    as_json: bool,  # noqa: FBT001 - a flag of the command line
    title: str,
    roles: tuple[Role, ...],
    duration_s: float | None,
) -> AbstractContextManager[CallDisplay]:
    if as_json:
        return nullcontext(SilentDisplay())
    if can_redraw():
        return LiveDisplay(title, roles, duration_s, None)
    return nullcontext(PlainDisplay())
