"""`voiceguard demo`: the whole way, from a recording to a handoff, on this machine."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import click

from voiceguard.app import running_server
from voiceguard.cli.exits import ExitCode, ServerFailure, note, report
from voiceguard.cli.live import CallDisplay, LiveDisplay, PlainDisplay, can_redraw
from voiceguard.cli.options import load_policy, roles_option
from voiceguard.cli.playing import Playing
from voiceguard.cli.summary import print_summary
from voiceguard.cli.terminal import printable
from voiceguard.client import MonitorClient, MonitorError, response_of, session_config
from voiceguard.client.events import CallEvent
from voiceguard.core.errors import AudioFileError, ConfigurationError
from voiceguard.core.events import (
    AudioFormat,
    Consent,
    ConsentState,
    Encoding,
    HandoffOutcome,
    Role,
)
from voiceguard.offline.analysis import roles_of
from voiceguard.offline.picture import write_png
from voiceguard.offline.recordings import Envelope, RecordingReader
from voiceguard.offline.timeline import ROLE_NAMES, Timeline, TimelineBuilder, Waveform
from voiceguard.offline.webpage import write_html
from voiceguard.resources import samples_dir
from voiceguard.server.settings import ServerSettings

SAMPLE_CALL: Final = "sample-call.flac"
SAMPLE_ROLES: Final = (Role.CUSTOMER, Role.AUTOMATED_AGENT)
STEREO_ROLES: Final = (Role.CUSTOMER, Role.HUMAN_AGENT)
DEFAULT_SPEED: Final = 8.0
POLICY: Final = "default"


@click.command()
@click.option(
    "--call",
    "file",
    type=click.Path(path_type=Path),
    help="A recording of your own instead of the sample call.",
)
@roles_option
@click.option(
    "--speed",
    type=click.FloatRange(min=0.0),
    default=DEFAULT_SPEED,
    show_default=True,
    help="1 plays as it was spoken, 0 as fast as the server takes it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out"),
    show_default=True,
    help="Folder for the timeline.",
)
def demo(*, file: Path | None, roles: tuple[Role, ...] | None, speed: float, out: Path) -> int:
    """Play the sample call through a real server and show what it finds.

    Starts a server on a free port of this machine, streams the call to it over
    gRPC, acknowledges the handoff as a dialer would, and draws the timeline.
    The sample call is acted speech; ATTRIBUTION.md beside it says whose.

    \b
    Examples:
      voiceguard demo
      voiceguard demo --speed 1
      voiceguard demo --call my.wav --roles customer,agent
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    path = file or samples_dir() / SAMPLE_CALL
    out.mkdir(parents=True, exist_ok=True)
    with RecordingReader(path) as reader:
        show = _Show(path, reader, _roles(path, reader, roles, own=file is not None), speed)
        failure = asyncio.run(show.play())
    timeline = show.timeline()
    print_summary(printable(path), timeline)
    _draw(timeline, out / path.stem)
    if failure is not None:
        report(failure)
        return ExitCode.FAILED
    return ExitCode.OK


class _Show:
    """One call played through a server of its own."""

    def __init__(
        self, path: Path, reader: RecordingReader, roles: tuple[Role, ...], speed: float
    ) -> None:
        shape = reader.shape
        self._path = path
        self._reader = reader
        self._roles = roles
        self._speed = speed
        self._envelope = Envelope(shape.sample_rate_hz, shape.channels)
        self._builder = TimelineBuilder(printable(Path(path.name)), roles, load_policy(POLICY))

    async def play(self) -> AudioFileError | None:
        """Start the server and play the call; return what is wrong with the recording.

        Raises:
            ServerFailure: the server refused the call, or lost it.
            VoiceguardError: the server cannot start.
        """
        settings = ServerSettings(
            listen="127.0.0.1:0", metrics_listen="", log_level="error", keep_sessions=False
        )
        async with running_server(settings) as address:
            with self._display(address.target) as display:
                try:
                    await self._stream(address.target, display)
                except AudioFileError as error:
                    return error
                except MonitorError as error:
                    raise ServerFailure(str(error)) from None
        return None

    def timeline(self) -> Timeline:
        """Return what happened."""
        waveform = Waveform(self._envelope.extremes(), self._envelope.stretch_s)
        return self._builder.build(waveform)

    async def _stream(self, target: str, display: CallDisplay) -> None:
        rate_hz = self._reader.shape.sample_rate_hz
        config = session_config(
            "demo",
            AudioFormat(Encoding.LINEAR16, rate_hz, self._roles),
            policy=POLICY,
            pressure_updates=True,
            speech_events=True,
            consent=Consent(ConsentState.NOT_REQUIRED),
        )
        async with MonitorClient(target) as client, client.call(config) as call:
            playing = Playing(
                call=call,
                reader=self._reader,
                speed=self._speed,
                answer=HandoffOutcome.ACCEPTED,
                display=display,
                tell=self._tell,
                envelope=self._envelope,
            )
            await playing.play()

    def _tell(self, event: CallEvent) -> None:
        self._builder.receive_response(response_of(event))

    def _display(self, target: str) -> AbstractContextManager[CallDisplay]:
        pace = "as fast as it goes" if self._speed == 0 else f"at {self._speed:g} times the speed"
        title = f"{printable(Path(self._path.name))} to {target}, {pace}"
        if can_redraw():
            duration_s = self._reader.shape.duration_s
            return LiveDisplay(title, self._roles, duration_s, load_policy(POLICY))
        click.echo(title)
        return nullcontext(PlainDisplay())


def _roles(
    path: Path, reader: RecordingReader, roles: tuple[Role, ...] | None, *, own: bool
) -> tuple[Role, ...]:
    """Return who speaks on each channel; a demo may assume it of two, and says so."""
    if roles is None and not own:
        return SAMPLE_ROLES
    if roles is None and reader.shape.channels <= len(STEREO_ROLES):
        assumed = STEREO_ROLES[: reader.shape.channels]
        words = ", ".join(f"channel {i}: {ROLE_NAMES[role]}" for i, role in enumerate(assumed))
        note(f"assuming {words}; --roles says otherwise")
        return assumed
    return roles_of(path, reader.shape, roles)


def _draw(timeline: Timeline, stem: Path) -> None:
    """Write the timeline as a page and, where matplotlib is there, as a picture; say where."""
    page, picture = stem.with_name(f"{stem.name}.html"), stem.with_name(f"{stem.name}.png")
    try:
        write_png(timeline, picture)
        click.echo(f"Timeline: {printable(picture.resolve())}")
    except ConfigurationError as error:
        note(str(error))
    write_html(timeline, page)
    click.echo(f"As a page: {printable(page.resolve())}")
