"""`voiceguard stream`: a recording played to a server as a call."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

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
    TlsOptions,
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
@click.option(
    "--server",
    "address",
    metavar="HOST:PORT",
    default="127.0.0.1:50051",
    show_default=True,
    help="Where the server is.",
)
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
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the bearer token, where the server asks for one.",
)
@click.option(
    "--ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file of the authority that signed the server's certificate. Turns TLS on.",
)
@click.option(
    "--cert",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file of this client's certificate, where the server asks for one.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="PEM file of that certificate's key.",
)
@click.option("--server-name", help="Name in the server's certificate, if it is not the host.")
@consent_option
def stream(  # noqa: PLR0913 - one for each option
    *,
    file: Path,
    address: str,
    roles: tuple[Role, ...] | None,
    speed: float,
    policy: str,
    session_id: str | None,
    answer: str,
    as_json: bool,
    token_file: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
    server_name: str | None,
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
    connection = _Connection(address, _tls(ca, cert, key, server_name), _token(token_file))
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

        title = f"{printable(file)} to {address}"
        with _display(as_json, title, all_roles, shape.duration_s) as display:
            failure = asyncio.run(
                connection.play(config, reader, speed, ANSWERS[answer], display, tell)
            )
    if not as_json:
        print_summary(printable(file), builder.build())
    if failure is not None:
        report(failure)
        return ExitCode.FAILED
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Connection:
    """How a server is reached."""

    address: str
    tls: TlsOptions | None
    token: str | None

    async def play(
        self,
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
                MonitorClient(self.address, tls=self.tls, token=self.token) as client,
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


def _tls(
    ca: Path | None, cert: Path | None, key: Path | None, server_name: str | None
) -> TlsOptions | None:
    if (ca, cert, key, server_name) == (None, None, None, None):
        return None
    try:
        return TlsOptions.from_files(ca, cert, key, server_name=server_name)
    except ClientUsageError as error:
        raise click.UsageError(str(error)) from None


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"--token-file {path} cannot be read: {getattr(error, 'strerror', error)}"
        raise click.UsageError(message) from None
    if not token:
        message = f"--token-file {path} is empty"
        raise click.UsageError(message)
    return token
