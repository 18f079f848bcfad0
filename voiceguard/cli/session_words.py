"""How sessions are put into words and lines, for the commands of reviewers. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from voiceguard.core.events import AlertLevel
from voiceguard.offline.timeline import LEVEL_COLOURS, clock
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import ALERT_LEVELS, seconds_from_proto

BLOCKS: Final = "▁▂▃▄▅▆▇█"
"""Heights of a sparkline, lowest first (Unicode block elements)."""

NO_SPEECH: Final = "·"
"""A place of a sparkline where nothing was scored."""

_LEVEL_WORDS: Final = {number: level.name.lower() for number, level in ALERT_LEVELS.items()}
_OUTCOME_WORDS: Final = {
    number: name.removeprefix("OUTCOME_").lower() for name, number in pb.HandoffAck.Outcome.items()
}
_REASON_WORDS: Final = {
    number: name.removeprefix("REASON_").lower()
    for name, number in pb.HandoffRequested.Reason.items()
}
_VERDICT_WORDS: Final = {
    number: name.removeprefix("KIND_").lower().replace("_", "-")
    for name, number in rpb.Verdict.Kind.items()
}


@dataclass(frozen=True, slots=True)
class PressurePoint:
    """The index after one hop of speech.

    Attributes:
        at_s: end of the hop on the audio clock.
        index: 0 to 100.
        level: of the channel after it.
    """

    at_s: float
    index: float
    level: AlertLevel


def sparkline(points: Iterable[PressurePoint], duration_s: float, width: int) -> Text:
    """Return a curve of the index in one line of text: the highest point of each span of time.

    Args:
        points: of one channel, in any order.
        duration_s: of the session; what lies beyond it goes into the last place.
        width: in characters.
    """
    highest: list[PressurePoint | None] = [None] * width
    for point in points:
        share = min(point.at_s / duration_s, 1.0) if duration_s > 0 else 0.0
        place = min(max(int(share * width), 0), width - 1)
        held = highest[place]
        if held is None or point.index > held.index:
            highest[place] = point
    line = Text()
    for top in highest:
        if top is None:
            line.append(NO_SPEECH, style="dim")
            continue
        height = min(int(top.index / 100 * len(BLOCKS)), len(BLOCKS) - 1)
        line.append(BLOCKS[max(height, 0)], style=LEVEL_COLOURS[top.level])
    return line


def level_word(number: pb.AlertLevel.ValueType) -> str:
    """Return `green`, `yellow`, `orange` or `red`; empty where there is no level."""
    return _LEVEL_WORDS.get(number, "")


def level_text(number: pb.AlertLevel.ValueType) -> Text:
    """Return the same in its colour."""
    level = ALERT_LEVELS.get(number)
    if level is None:
        return Text()
    return Text(level.name.lower(), style=f"bold {LEVEL_COLOURS[level]}")


def outcome_word(settlement: rpb.HandoffSettlement) -> str:
    """Return `accepted`, `transferred`, `declined`, `failed` or `expired`."""
    return "expired" if settlement.expired else _OUTCOME_WORDS.get(settlement.outcome, "")


def outcomes(session: rpb.Session) -> dict[str, rpb.HandoffSettlement]:
    """Return what became of each handoff in the end, by its id."""
    return {settlement.handoff_id: settlement for settlement in session.settlements}


def reason_word(number: pb.HandoffRequested.Reason.ValueType) -> str:
    """Return `anger`, `distress` or `pressure`."""
    return _REASON_WORDS.get(number, "")


def verdict_word(number: rpb.Verdict.Kind.ValueType) -> str:
    """Return `confirmed`, `false-alarm` or `unsure`."""
    return _VERDICT_WORDS.get(number, "")


def local_time(moment: Timestamp) -> str:
    """Return a time as this machine's people read it: 2026-11-24 09:30."""
    return moment.ToDatetime(tzinfo=dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def session_state(session: rpb.Session) -> str:
    """Return how a session stands, in few words: live, erased, to review, confirmed ..."""
    if session.HasField("erased_at"):
        return "erased"
    if session.verdicts:
        return verdict_word(session.verdicts[-1].kind)
    if not session.HasField("ended_at"):
        return "live"
    return "to review" if session.HasField("flagged") else ""


def session_marks(session: rpb.Session) -> str:
    """Return what else is to be seen at a glance: flagged, audio, hold."""
    marks = (
        ("flagged", session.HasField("flagged")),
        ("audio", session.audio_kept),
        ("hold", session.legal_hold),
    )
    return " ".join(word for word, is_set in marks if is_set)


def handoff_words(session: rpb.Session) -> str:
    """Return how many handoffs there were and what became of the last, in one cell."""
    if not session.handoffs:
        return ""
    last = outcomes(session).get(session.handoffs[-1].handoff_id)
    word = "open" if last is None else outcome_word(last)
    return word if len(session.handoffs) == 1 else f"{len(session.handoffs)}, {word}"


def length_words(session: rpb.Session) -> str:
    """Return how long a session was on the audio clock; empty while it is live."""
    if not session.HasField("summary"):
        return ""
    return clock(seconds_from_proto(session.summary.audio_duration))


def peak_words(session: rpb.Session) -> str:
    """Return the highest index of a session; empty while it is live."""
    if not session.HasField("summary"):
        return ""
    return f"{session.summary.peak_pressure_index:.0f}"


def pressure_points(
    events: Sequence[pb.MonitorResponse],
) -> dict[int, list[PressurePoint]]:
    """Return the points of the pressure curve by channel."""
    points: dict[int, list[PressurePoint]] = {}
    for event in events:
        if event.WhichOneof("event") != "pressure":
            continue
        update = event.pressure
        level = ALERT_LEVELS.get(update.level, AlertLevel.GREEN)
        point = PressurePoint(seconds_from_proto(update.end_offset), update.pressure_index, level)
        points.setdefault(update.channel, []).append(point)
    return points
