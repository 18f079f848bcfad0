"""What happened in a call, gathered from its events: pure data for pictures and pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.events import AlertLevel, HandoffReason, Role, SignalQuality
from voiceguard.core.policy import RAISED_LEVELS, Policy
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import (
    ALERT_LEVELS,
    HANDOFF_REASONS,
    SIGNAL_QUALITIES,
    seconds_from_proto,
)

ROLE_NAMES: Final[Mapping[Role, str]] = {
    Role.CUSTOMER: "customer",
    Role.HUMAN_AGENT: "agent",
    Role.AUTOMATED_AGENT: "automated agent",
    Role.MIXED: "both sides mixed",
}

LEVEL_COLOURS: Final[Mapping[AlertLevel, str]] = {
    AlertLevel.GREEN: "#2f9e61",
    AlertLevel.YELLOW: "#d9a900",
    AlertLevel.ORANGE: "#ee7a12",
    AlertLevel.RED: "#cf2436",
}
"""One colour a level, wherever a level is shown."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the call, in seconds from its first sample."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class PressurePoint:
    """The index of one channel after one hop of speech."""

    start_s: float
    end_s: float
    index: float
    """0 to 100."""
    level: AlertLevel
    scores: Mapping[str, float]
    """Model outputs, 0 to 1; empty when the hop was not scored."""
    quality: SignalQuality


@dataclass(frozen=True, slots=True)
class AlertMark:
    """A change of level on one channel."""

    at_s: float
    channel: int
    level: AlertLevel
    previous_level: AlertLevel
    index: float
    threshold: float


@dataclass(frozen=True, slots=True)
class HandoffMark:
    """Where a human was asked for."""

    at_s: float
    handoff_id: str
    reason: HandoffReason
    index: float
    explanation: str


@dataclass(frozen=True, slots=True)
class FlagMark:
    """Where the call was marked for quality assurance."""

    at_s: float
    index: float
    reason: str


@dataclass(frozen=True, slots=True)
class Waveform:
    """Lowest and highest samples of short stretches."""

    extremes: NDArray[np.float32]
    """Shape (stretches, 2, channels), in [-1, 1)."""
    stretch_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a call came to."""

    duration_s: float
    speech_s: float
    """Of the customers."""
    peak_index: float
    mean_index: float
    peak_level: AlertLevel
    flagged: bool
    handoffs: int
    gaps_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A call from end to end."""

    title: str
    roles: tuple[Role, ...]
    policy: Policy
    waveform: Waveform | None
    points: Mapping[int, tuple[PressurePoint, ...]]
    """Of each scored channel, in order."""
    speech: Mapping[int, tuple[Span, ...]]
    """Of each scored channel, in order."""
    alerts: tuple[AlertMark, ...]
    handoffs: tuple[HandoffMark, ...]
    flags: tuple[FlagMark, ...]
    gaps: tuple[Span, ...]
    holds: tuple[Span, ...]
    summary: Summary

    @property
    def duration_s(self) -> float:
        """Length of the call."""
        return self.summary.duration_s

    @property
    def facts(self) -> tuple[str, ...]:
        """The call in a few words each, for a heading."""
        summary = self.summary
        return (
            f"{clock(summary.duration_s)} long",
            f"{summary.speech_s:.1f} s customer speech",
            f"peak {summary.peak_index:.0f}, mean {summary.mean_index:.0f}",
            f"highest level {summary.peak_level.name.lower()}",
            f"handoffs {summary.handoffs}",
            "flagged for QA" if summary.flagged else "not flagged",
            f"policy {self.policy.version}",
        )

    @property
    def thresholds(self) -> tuple[tuple[AlertLevel, float], ...]:
        """Where each level is raised, lowest first."""
        return tuple((level, self.policy.alerts[level].raise_threshold) for level in RAISED_LEVELS)

    @property
    def bands(self) -> tuple[tuple[AlertLevel, float, float], ...]:
        """Each level with the indices between which it lies, lowest first."""
        edges = [0.0, *(threshold for _, threshold in self.thresholds), 100.0]
        levels = (AlertLevel.GREEN, *RAISED_LEVELS)
        return tuple(zip(levels, edges[:-1], edges[1:], strict=True))

    def music(self, channel: int) -> tuple[Span, ...]:
        """Return where a channel carried music or tones instead of speech."""
        gated = (p for p in self.points[channel] if p.quality is SignalQuality.MUSIC_OR_TONE)
        return _joined(Span(point.start_s, point.end_s) for point in gated)

    def level_spans(self, channel: int) -> tuple[tuple[AlertLevel, Span], ...]:
        """Return the level of a channel over the whole call."""
        changes = [mark for mark in self.alerts if mark.channel == channel]
        starts = [0.0, *(mark.at_s for mark in changes)]
        levels = [AlertLevel.GREEN, *(mark.level for mark in changes)]
        ends = [*starts[1:], self.duration_s]
        return tuple(
            (level, Span(start, end))
            for level, start, end in zip(levels, starts, ends, strict=True)
        )


@dataclass(slots=True)
class TimelineBuilder:
    """Gathers the events of one call; repetitions (after a resume) count once."""

    title: str
    roles: tuple[Role, ...]
    policy: Policy
    _points: dict[int, list[PressurePoint]] = field(default_factory=dict)
    _speech: dict[int, list[Span]] = field(default_factory=dict)
    _speaking_since: dict[int, float] = field(default_factory=dict)
    _alerts: dict[str, AlertMark] = field(default_factory=dict)
    _handoffs: dict[str, HandoffMark] = field(default_factory=dict)
    _flags: list[FlagMark] = field(default_factory=list)
    _gaps: list[Span] = field(default_factory=list)
    _holds: list[Span] = field(default_factory=list)
    _summary: pb.SessionSummary | None = None
    _latest_s: float = 0.0

    def __post_init__(self) -> None:
        """Make room for every channel that may be scored."""
        for channel, role in enumerate(self.roles):
            if role in {Role.CUSTOMER, Role.MIXED}:
                self._points[channel] = []
                self._speech[channel] = []

    def receive_response(self, response: pb.MonitorResponse) -> None:
        """Take the next event of the call."""
        match response.WhichOneof("event"):
            case "pressure":
                self._receive_pressure(response.pressure)
            case "speech":
                self._receive_speech(response.speech)
            case "alert":
                self._receive_alert(response.alert)
            case "handoff":
                self._receive_handoff(response.handoff)
            case "flagged":
                self._receive_flag(response.flagged)
            case "gap":
                gap = response.gap
                self._gaps.append(
                    Span(seconds_from_proto(gap.start_offset), seconds_from_proto(gap.end_offset))
                )
            case "summary":
                self._summary = response.summary
            case _:
                pass

    def receive_hold(self, start_s: float, end_s: float) -> None:
        """Take a stretch in which the caller had scoring stopped."""
        self._holds.append(Span(start_s, end_s))

    def build(self, waveform: Waveform | None = None) -> Timeline:
        """Return what was gathered so far; speech that goes on ends with the call."""
        summary = self._totals(waveform)
        speech = {channel: list(spans) for channel, spans in self._speech.items()}
        for channel, since_s in self._speaking_since.items():
            speech[channel].append(Span(since_s, summary.duration_s))
        return Timeline(
            title=self.title,
            roles=self.roles,
            policy=self.policy,
            waveform=waveform,
            points={channel: tuple(points) for channel, points in self._points.items()},
            speech={channel: tuple(spans) for channel, spans in speech.items()},
            alerts=tuple(self._alerts.values()),
            handoffs=tuple(self._handoffs.values()),
            flags=tuple(self._flags[:1]),
            gaps=tuple(self._gaps),
            holds=tuple(self._holds),
            summary=summary,
        )

    def _receive_pressure(self, update: pb.PressureUpdate) -> None:
        end_s = seconds_from_proto(update.end_offset)
        self._latest_s = max(self._latest_s, end_s)
        point = PressurePoint(
            start_s=seconds_from_proto(update.start_offset),
            end_s=end_s,
            index=update.pressure_index,
            level=ALERT_LEVELS[update.level],
            scores=dict(update.scores),
            quality=SIGNAL_QUALITIES[update.quality],
        )
        self._points[update.channel].append(point)

    def _receive_speech(self, speech: pb.SpeechEvent) -> None:
        at_s = seconds_from_proto(speech.offset)
        self._latest_s = max(self._latest_s, at_s)
        if speech.kind == pb.SpeechEvent.KIND_STARTED:
            self._speaking_since[speech.channel] = at_s
        elif (since_s := self._speaking_since.pop(speech.channel, None)) is not None:
            self._speech[speech.channel].append(Span(since_s, at_s))

    def _receive_alert(self, alert: pb.AlertChanged) -> None:
        at_s = seconds_from_proto(alert.offset)
        mark = AlertMark(
            at_s=at_s,
            channel=alert.channel,
            level=ALERT_LEVELS[alert.level],
            previous_level=ALERT_LEVELS[alert.previous_level],
            index=alert.pressure_index,
            threshold=alert.threshold,
        )
        self._alerts.setdefault(f"{alert.alert_id} {alert.level} {at_s}", mark)

    def _receive_handoff(self, handoff: pb.HandoffRequested) -> None:
        mark = HandoffMark(
            at_s=seconds_from_proto(handoff.offset),
            handoff_id=handoff.handoff_id,
            reason=HANDOFF_REASONS[handoff.reason],
            index=handoff.pressure_index,
            explanation=handoff.explanation,
        )
        self._handoffs.setdefault(handoff.handoff_id, mark)

    def _receive_flag(self, flagged: pb.SessionFlagged) -> None:
        at_s = seconds_from_proto(flagged.offset)
        self._flags.append(FlagMark(at_s, flagged.pressure_index, flagged.reason))

    def _totals(self, waveform: Waveform | None) -> Summary:
        """Return the session's own summary, or what is known of one that broke off."""
        if self._summary is not None:
            return summary_from_proto(self._summary)
        heard_s = len(waveform.extremes) * waveform.stretch_s if waveform is not None else 0.0
        indices = [point.index for points in self._points.values() for point in points]
        levels = [mark.level for mark in self._alerts.values()]
        return Summary(
            duration_s=max(heard_s, self._latest_s),
            speech_s=sum(s.end_s - s.start_s for spans in self._speech.values() for s in spans),
            peak_index=max(indices, default=0.0),
            mean_index=sum(indices) / len(indices) if indices else 0.0,
            peak_level=max(levels, default=AlertLevel.GREEN),
            flagged=bool(self._flags),
            handoffs=len(self._handoffs),
            gaps_s=sum(gap.end_s - gap.start_s for gap in self._gaps),
        )


def summary_from_proto(summary: pb.SessionSummary) -> Summary:
    """Return a session's own summary."""
    return Summary(
        duration_s=seconds_from_proto(summary.audio_duration),
        speech_s=seconds_from_proto(summary.customer_speech),
        peak_index=summary.peak_pressure_index,
        mean_index=summary.mean_pressure_index,
        peak_level=ALERT_LEVELS[summary.peak_level],
        flagged=summary.high_sensitivity,
        handoffs=summary.handoffs,
        gaps_s=seconds_from_proto(summary.gaps),
    )


def clock(seconds: float) -> str:
    """Return a time as people read it: 1:07, 1:02:09."""
    whole = int(seconds + 0.5)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: list[Span] = []
    for span in spans:
        if joined and span.start_s - joined[-1].end_s < 1.0:
            joined[-1] = Span(joined[-1].start_s, span.end_s)
        else:
            joined.append(span)
    return tuple(joined)
