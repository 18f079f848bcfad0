"""A call as a person watches it: a picture that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

import click
from google.protobuf.duration_pb2 import Duration
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from voiceguard.client.events import CallEvent
from voiceguard.core.events import AlertLevel, Role
from voiceguard.core.policy import Policy
from voiceguard.offline.timeline import LEVEL_COLOURS, ROLE_NAMES, clock
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import ALERT_LEVELS, HANDOFF_REASONS, SIGNAL_QUALITIES, seconds_from_proto

BAR_CELLS: Final = 50
LOG_LINES: Final = 9
PLAIN_EVERY_S: Final = 5.0
"""Audio between two lines about the index where nothing can be redrawn."""

FLOW_WORDS: Final[Mapping[pb.FlowNotice.Kind.ValueType, str]] = {
    pb.FlowNotice.KIND_LAGGING: "scoring is behind",
    pb.FlowNotice.KIND_SCORES_MISSED: "windows were left unscored",
    pb.FlowNotice.KIND_STALLED: "no audio arrives",
    pb.FlowNotice.KIND_DRAINING: "the server is about to leave",
}


class CallDisplay(Protocol):
    """Shows a call while it is played."""

    def receive_event(self, event: CallEvent) -> None:
        """Show what the server says."""
        ...

    def receive_sent(self, sent_s: float) -> None:
        """Show how much audio has been sent, in seconds."""
        ...

    def receive_note(self, text: str) -> None:
        """Show what this side does."""
        ...


@dataclass(slots=True)
class _Channel:
    """What is known of one customer."""

    index: float = 0.0
    level: AlertLevel = AlertLevel.GREEN
    scores: Mapping[str, float] = field(default_factory=dict)
    speaking: bool = False
    baseline_ready: bool = False
    deviation: float = 0.0
    quality: str = ""


class LiveDisplay:
    """The picture that moves.

    Args:
        title: what is played, and where to.
        roles: who speaks on each channel.
        duration_s: length of the recording; None: not known.
        policy: whose thresholds to mark; None: they are the server's own.
    """

    def __init__(
        self,
        title: str,
        roles: tuple[Role, ...],
        duration_s: float | None,
        policy: Policy | None,
    ) -> None:
        self._title = title
        self._duration_s = duration_s
        self._policy = policy
        self._roles = roles
        self._channels = {
            index: _Channel()
            for index, role in enumerate(roles)
            if role in {Role.CUSTOMER, Role.MIXED}
        }
        self._sent_s = 0.0
        self._log: deque[Text] = deque(maxlen=LOG_LINES)
        self._live = Live(get_renderable=self.render, refresh_per_second=12)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def receive_sent(self, sent_s: float) -> None:
        """Show how much audio has been sent, in seconds."""
        self._sent_s = sent_s

    def receive_note(self, text: str) -> None:
        """Show what this side does."""
        self._log.append(Text(f"         {text}", style="italic"))

    def receive_event(self, event: CallEvent) -> None:
        """Show what the server says."""
        match event:
            case pb.PressureUpdate():
                self._receive_pressure(event)
            case pb.SpeechEvent():
                speaking = event.kind == pb.SpeechEvent.KIND_STARTED
                self._channels[event.channel].speaking = speaking
            case _:
                line = describe(event)
                if line is not None:
                    self._log.append(line)

    def render(self) -> Panel:
        """Return the picture as it is now."""
        length = "" if self._duration_s is None else f" of {clock(self._duration_s)}"
        rows = [self._channel_rows(index, state) for index, state in self._channels.items()]
        log = Text("\n").join(self._log) if self._log else Text("nothing so far", style="dim")
        return Panel(
            Group(*rows, Text(""), log),
            title=Text(self._title, style="bold"),
            subtitle=f"{clock(self._sent_s)}{length}",
            padding=(1, 2),
        )

    def _receive_pressure(self, update: pb.PressureUpdate) -> None:
        state = self._channels[update.channel]
        state.index = update.pressure_index
        state.level = ALERT_LEVELS[update.level]
        state.scores = dict(update.scores)
        state.baseline_ready = update.baseline_ready
        state.deviation = update.baseline_deviation
        state.quality = SIGNAL_QUALITIES[update.quality].value.replace("_", " ")

    def _channel_rows(self, index: int, state: _Channel) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="bold", min_width=9)
        table.add_column()
        colour = LEVEL_COLOURS[state.level]
        figure = Text.assemble(
            self._bar(state),
            f" {state.index:5.1f} ",
            (f" {state.level.name} ", f"bold white on {colour}"),
        )
        table.add_row("pressure", figure)
        for name in sorted(state.scores, key=_prominence):
            value = state.scores[name]
            cells = round(value * 20)
            bar = Text.assemble(("━" * cells, "bold"), ("─" * (20 - cells), "dim"), f" {value:.2f}")
            table.add_row(name, bar)
        speech = Text.assemble(
            ("● speaking", "bold green") if state.speaking else ("○ silent", "dim"),
            f"   {ROLE_NAMES[self._roles[index]]}, channel {index}",
            f"   {state.quality}" if state.quality not in {"", "ok"} else "",
        )
        table.add_row("speech", speech)
        baseline = f"{state.deviation:+.1f} standard deviations from the calm beginning"
        table.add_row("baseline", baseline if state.baseline_ready else "still listening")
        return table

    def _bar(self, state: _Channel) -> Text:
        filled = round(state.index / 100 * BAR_CELLS)
        bar = Text("█" * filled, style=LEVEL_COLOURS[state.level])
        bar.append("░" * (BAR_CELLS - filled), style="dim")
        for level, alert in self._policy.alerts.items() if self._policy else ():
            cell = min(round(alert.raise_threshold / 100 * BAR_CELLS), BAR_CELLS - 1)
            if cell >= filled:
                bar = Text.assemble(bar[:cell], ("│", LEVEL_COLOURS[level]), bar[cell + 1 :])
        return bar


class PlainDisplay:
    """Lines on standard output, for pipes, logs and dumb terminals."""

    def __init__(self) -> None:
        self._next_s = 0.0

    def receive_sent(self, sent_s: float) -> None:
        """Show nothing: how far the call is shows in its events."""

    def receive_note(self, text: str) -> None:
        """Print what this side does."""
        click.echo(f"         {text}")

    def receive_event(self, event: CallEvent) -> None:
        """Print what the server says, the index from time to time."""
        if isinstance(event, pb.PressureUpdate):
            at_s = seconds_from_proto(event.end_offset)
            if at_s < self._next_s:
                return
            self._next_s = at_s + PLAIN_EVERY_S
        line = describe(event)
        if line is not None:
            click.echo(line.plain)


class SilentDisplay:
    """Shows nothing: the events themselves are written."""

    def receive_sent(self, sent_s: float) -> None:
        """Show nothing."""

    def receive_note(self, text: str) -> None:
        """Show nothing."""

    def receive_event(self, event: CallEvent) -> None:
        """Show nothing."""


def can_redraw() -> bool:
    """Return whether standard output is a terminal on which a picture can move."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


def describe(event: CallEvent) -> Text | None:  # noqa: PLR0911 - one for each kind of event
    """Return an event as a line, its time first; None for those that need no line."""
    match event:
        case pb.PressureUpdate():
            scores = ", ".join(
                f"{name} {value:.2f}" for name, value in sorted(event.scores.items())
            )
            level = ALERT_LEVELS[event.level]
            rest = f"  {scores}" if scores else "  not scored"
            return _line(event.end_offset, f"index {event.pressure_index:5.1f}  ", level, rest)
        case pb.AlertChanged():
            level = ALERT_LEVELS[event.level]
            rest = f", index {event.pressure_index:.0f}, threshold {event.threshold:g}"
            return _line(event.offset, "level is now ", level, rest)
        case pb.HandoffRequested():
            text = f"HANDOFF {event.handoff_id} ({HANDOFF_REASONS[event.reason].value}): "
            return _line(event.offset, text + event.explanation, None, "", "bold")
        case pb.SessionFlagged():
            text = f"FLAGGED for quality assurance: {event.reason}"
            return _line(event.offset, text, None, "", "bold")
        case pb.AudioGap():
            missing_s = seconds_from_proto(event.end_offset) - seconds_from_proto(
                event.start_offset
            )
            return _line(event.start_offset, f"{missing_s:.1f} s of audio are missing", None, "")
        case pb.FlowNotice():
            return Text(
                f"         server: {FLOW_WORDS.get(event.kind, 'a notice')}", style="yellow"
            )
        case _:
            return None


def _line(
    offset: Duration,
    text: str,
    level: AlertLevel | None,
    rest: str,
    style: str = "",
) -> Text:
    at = clock(seconds_from_proto(offset))
    line = Text.assemble((f"{at:>7}  ", "dim"), (text, style))
    if level is not None:
        line.append(level.name.lower(), style=f"bold {LEVEL_COLOURS[level]}")
    return line.append(rest)


def _prominence(name: str) -> tuple[int, str]:
    """Sort anger and distress first: they make the index."""
    first = ("anger", "distress")
    return (first.index(name) if name in first else len(first), name)
