"""`voiceguard analyze`: recordings through the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from voiceguard.cli.exits import ExitCode, note, report
from voiceguard.cli.options import (
    consent_option,
    default_model_dir,
    model_option,
    policy_option,
    roles_option,
)
from voiceguard.cli.summary import print_summary
from voiceguard.cli.terminal import WorkProgress, print_event_line, printable, progress
from voiceguard.core.errors import AudioFileError, ClientError, ConsentError
from voiceguard.core.events import AudioFormat, Consent, Encoding, Role
from voiceguard.core.policy import Policy
from voiceguard.core.session import check_consent, scored_channels
from voiceguard.core.units import SAMPLE_RATE_HZ
from voiceguard.offline.analysis import Engine, RecordingAnalysis, roles_of
from voiceguard.offline.picture import require_matplotlib, write_png
from voiceguard.offline.recordings import RecordingReader
from voiceguard.offline.timeline import Timeline, TimelineBuilder
from voiceguard.offline.webpage import write_html

Writer = Callable[[Timeline, Path], None]


@click.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@roles_option
@policy_option
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON for each event.")
@click.option(
    "--png",
    type=click.Path(path_type=Path),
    help="Draw the timeline: a .png file, or a folder. Needs voiceguard[plots].",
)
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    help="Write the timeline as a page: a .html file, or a folder.",
)
@consent_option
@model_option
def analyze(  # noqa: PLR0913 - one for each option
    *,
    files: tuple[Path, ...],
    roles: tuple[Role, ...] | None,
    policy: Policy,
    as_json: bool,
    png: Path | None,
    html: Path | None,
    consent: Consent,
    model_dir: Path | None,
) -> int:
    """Analyse recordings of calls as a server would have done live.

    Reads wav, flac, ogg, opus and mp3 at any rate, 1 to 8 channels. A
    recording of one channel is taken for the customer's unless --roles says
    otherwise. What cannot be read is reported, and the others are analysed.

    \b
    Examples:
      voiceguard analyze call.wav --roles customer,agent
      voiceguard analyze calls/*.flac --roles customer,bot --html reports/
      voiceguard analyze call.wav --roles customer,agent --json > events.jsonl
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    _check(roles, policy, consent)
    outputs = [_output(png, ".png", files, write_png), _output(html, ".html", files, write_html)]
    if png is not None:
        require_matplotlib()
    work = _Work(
        roles=roles,
        policy=policy,
        consent=consent,
        engine=Engine.load(model_dir or default_model_dir()),
        as_json=as_json,
        outputs=[output for output in outputs if output is not None],
    )
    failed = 0
    with progress("files") as bar:
        for number, file in enumerate(files):
            failed += not _try(work, file, _Place(bar, number, len(files)))
    if failed and len(files) > 1:
        note(f"{failed} of {len(files)} files failed")
    return ExitCode.FAILED if failed else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Output:
    """Where pictures or pages go, and how one is written."""

    target: Path
    is_folder: bool
    suffix: str
    write: Writer
    used: set[Path] = field(default_factory=set)

    def path_for(self, file: Path) -> Path:
        """Return where the timeline of a recording goes; no two get the same place."""
        if not self.is_folder:
            return self.target
        number, path = 2, self.target / (file.stem + self.suffix)
        while path in self.used:
            path = self.target / f"{file.stem}-{number}{self.suffix}"
            number += 1
        self.used.add(path)
        return path


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done with every file."""

    roles: tuple[Role, ...] | None
    policy: Policy
    consent: Consent
    engine: Engine
    as_json: bool
    outputs: Sequence[_Output]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where among all files one is, for the progress bar."""

    bar: WorkProgress
    number: int
    total: int

    def show(self, file: Path, done_s: float, duration_s: float | None) -> None:
        """Show how far this file is."""
        share = min(done_s / duration_s, 1.0) if duration_s else 0.0
        self.bar.show(self.number + share, self.total, printable(file))


def _check(roles: tuple[Role, ...] | None, policy: Policy, consent: Consent) -> None:
    """Refuse, before anything is read, what no file could be analysed with."""
    try:
        check_consent(consent, policy)
        if roles is not None:
            scored_channels(AudioFormat(Encoding.LINEAR16, SAMPLE_RATE_HZ, roles), policy)
    except ConsentError as error:
        message = f"policy {policy.name}: {error.problem} (--consent-given)"
        raise click.UsageError(message) from None
    except ClientError as error:
        message = f"--roles: {error.problem}"
        raise click.UsageError(message) from None


def _output(
    target: Path | None, suffix: str, files: tuple[Path, ...], write: Writer
) -> _Output | None:
    if target is None:
        return None
    is_folder = target.is_dir() or target.suffix.lower() != suffix
    if not is_folder and len(files) > 1:
        message = f"{target} is one file, but there are {len(files)} recordings: name a folder"
        raise click.UsageError(message)
    if is_folder and target.exists() and not target.is_dir():
        message = f"{target} exists and is neither a folder nor a {suffix} file"
        raise click.UsageError(message)
    folder = target if is_folder else target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}"
        raise click.UsageError(message) from None
    return _Output(target, is_folder, suffix, write)


def _try(work: _Work, file: Path, place: _Place) -> bool:
    """Analyse one file; report what is wrong with it, and return whether all went well."""
    try:
        _analyze(work, file, place)
    except AudioFileError as error:
        report(error)
        return False
    return True


def _analyze(work: _Work, file: Path, place: _Place) -> None:
    with RecordingReader(file) as reader:
        shape = reader.shape
        if shape.is_resampled:
            note(
                f"{printable(file)}: {shape.file_rate_hz} Hz is resampled to "
                f"{shape.sample_rate_hz} Hz"
            )
        roles = roles_of(file, shape, work.roles)
        analysis = RecordingAnalysis(
            reader,
            roles=roles,
            policy=work.policy,
            engine=work.engine,
            session_id=printable(Path(file.name)),
            consent=work.consent,
            keep_waveform=bool(work.outputs),
        )
        builder = TimelineBuilder(printable(Path(file.name)), roles, work.policy)
        failure = None
        try:
            _tell(work, file, analysis, builder, place, shape.duration_s)
        except AudioFileError as error:
            failure = error
        if analysis.received_s > 0:
            _show(work, file, builder.build(analysis.waveform))
        if failure is not None:
            raise failure


def _tell(
    work: _Work,
    file: Path,
    analysis: RecordingAnalysis,
    builder: TimelineBuilder,
    place: _Place,
    duration_s: float | None,
) -> None:
    for response in analysis.responses():
        builder.receive_response(response)
        place.show(file, analysis.received_s, duration_s)
        if work.as_json:
            print_event_line(file, response)


def _show(work: _Work, file: Path, timeline: Timeline) -> None:
    if not work.as_json:
        print_summary(printable(file), timeline)
    for output in work.outputs:
        path = output.path_for(file)
        output.write(timeline, path)
        if not work.as_json:
            click.echo(f"  {printable(path)}")
