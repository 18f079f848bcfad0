"""A session's events as the page draws them: columns of numbers, and a list of marks.

An hour of two customers has some 14,000 pressure updates; as columns they are a few
hundred kilobytes, and the browser draws them without unpacking an object for each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from voiceguard.review.messages import level_word, milliseconds, seconds, word
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

__all__ = ["TimelineColumns", "mark_of"]

Json = dict[str, Any]


@dataclass(slots=True)
class _Curve:
    """One channel's pressure updates, column by column."""

    start_s: list[float] = field(default_factory=list)
    end_s: list[float] = field(default_factory=list)
    index: list[float] = field(default_factory=list)
    level: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    quality: list[str] = field(default_factory=list)
    deviation: list[float | None] = field(default_factory=list)
    scores: dict[str, list[float | None]] = field(default_factory=dict)

    def add(self, update: pb.PressureUpdate) -> None:
        """Add one update."""
        before = len(self.end_s)
        self.start_s.append(seconds(update.start_offset))
        self.end_s.append(seconds(update.end_offset))
        self.index.append(round(update.pressure_index, 1))
        self.level.append(max(0, update.level - pb.ALERT_LEVEL_GREEN))
        self.confidence.append(round(update.confidence, 2))
        self.quality.append(word(pb.SignalQuality.Name, update.quality, "SIGNAL_QUALITY_"))
        ready = update.baseline_ready
        self.deviation.append(round(update.baseline_deviation, 2) if ready else None)
        for name in update.scores.keys() - self.scores.keys():
            self.scores[name] = [None] * before
        for name, column in self.scores.items():
            column.append(round(update.scores[name], 3) if name in update.scores else None)

    def to_json(self) -> Json:
        """Return the columns."""
        return {
            "start_s": self.start_s,
            "end_s": self.end_s,
            "index": self.index,
            "level": self.level,
            "confidence": self.confidence,
            "quality": self.quality,
            "deviation": self.deviation,
            "scores": {name: self.scores[name] for name in sorted(self.scores)},
        }


class TimelineColumns:
    """Takes a session's events page by page."""

    def __init__(self) -> None:
        self._curves: dict[int, _Curve] = {}
        self._marks: list[Json] = []

    def add(self, page: rpb.ListEventsResponse) -> None:
        """Add the next page."""
        times = [milliseconds(at) for at in page.recorded_at]
        for number, event in enumerate(page.events):
            if event.WhichOneof("event") == "pressure":
                self._curves.setdefault(event.pressure.channel, _Curve()).add(event.pressure)
                continue
            mark = mark_of(event)
            if mark is not None:
                mark["at_ms"] = times[number] if number < len(times) else None
                self._marks.append(mark)

    def to_json(self) -> Json:
        """Return curves by channel, and marks in the order of their offsets."""
        return {
            "curves": {
                str(channel): curve.to_json() for channel, curve in sorted(self._curves.items())
            },
            "marks": sorted(self._marks, key=lambda mark: mark["at_s"]),
        }


def mark_of(event: pb.MonitorResponse) -> Json | None:
    """Return an event that a reviewer wants to see by itself, None for any other."""
    match event.WhichOneof("event"):
        case "alert":
            alert = event.alert
            return {
                "kind": "alert",
                "id": alert.alert_id,
                "at_s": seconds(alert.offset),
                "channel": alert.channel,
                "level": level_word(alert.level),
                "previous_level": level_word(alert.previous_level),
                "index": round(alert.pressure_index, 1),
                "threshold": round(alert.threshold, 1),
            }
        case "handoff":
            handoff = event.handoff
            return {
                "kind": "handoff",
                "id": handoff.handoff_id,
                "at_s": seconds(handoff.offset),
                "index": round(handoff.pressure_index, 1),
                "reason": word(pb.HandoffRequested.Reason.Name, handoff.reason, "REASON_"),
                "explanation": handoff.explanation,
            }
        case "flagged":
            flag = event.flagged
            return {
                "kind": "flag",
                "id": "flag",
                "at_s": seconds(flag.offset),
                "index": round(flag.pressure_index, 1),
                "explanation": flag.reason,
            }
        case "gap":
            start_s = seconds(event.gap.start_offset)
            return {
                "kind": "gap",
                "id": f"gap-{start_s}",
                "at_s": start_s,
                "end_s": seconds(event.gap.end_offset),
            }
        case _:
            return None
