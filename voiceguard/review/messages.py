"""Messages of ReviewService as the JSON that the page reads.

Times are milliseconds since 1970, UTC (`..._ms`); offsets and lengths are seconds on the
audio clock (`..._s`); names of enums are their last word in lower case; what is unset is
null.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

__all__ = [
    "LEVELS",
    "VERDICTS",
    "access_to_json",
    "milliseconds",
    "seconds",
    "session_to_json",
    "statistics_to_json",
    "verdict_to_json",
    "waveform_to_json",
]

Json = dict[str, Any]

LEVELS: Final = {
    "green": pb.ALERT_LEVEL_GREEN,
    "yellow": pb.ALERT_LEVEL_YELLOW,
    "orange": pb.ALERT_LEVEL_ORANGE,
    "red": pb.ALERT_LEVEL_RED,
}
"""What the page calls the levels."""

VERDICTS: Final = {
    "confirmed": rpb.Verdict.KIND_CONFIRMED,
    "false_alarm": rpb.Verdict.KIND_FALSE_ALARM,
    "unsure": rpb.Verdict.KIND_UNSURE,
}
"""What the page calls the verdicts."""


def milliseconds(at: Timestamp) -> int:
    """Return a time as the page has it."""
    return at.ToMilliseconds()


def seconds(length: Duration) -> float:
    """Return a length or an offset as the page has it, to the millisecond."""
    return round(length.seconds + length.nanos / 1e9, 3)


def word(name_of: Callable[[Any], str], value: int, prefix: str) -> str:
    """Return an enum's value as a word, empty when unspecified or newer than this program."""
    try:
        name = name_of(value)
    except ValueError:
        return ""
    text = name.removeprefix(prefix).lower()
    return "" if text == "unspecified" else text


def level_word(value: int) -> str:
    """Return a level as a word."""
    return word(pb.AlertLevel.Name, value, "ALERT_LEVEL_")


def session_to_json(session: rpb.Session) -> Json:
    """Return all that is known of a session but its events."""
    summary = session.summary if session.HasField("summary") else None
    return {
        "id": session.session_id,
        "evidence_id": session.evidence_id,
        "call": _call(session.call),
        "started_at_ms": _time(session, "started_at"),
        "ended_at_ms": _time(session, "ended_at"),
        "ended": session.ended,
        "summary": None if summary is None else _summary(summary),
        "flagged": _flag(session),
        "handoffs": _handoffs(session),
        "verdicts": [verdict_to_json(verdict) for verdict in session.verdicts],
        "policy": session.policy_version,
        "model": session.model_version,
        "audio_kept": session.audio_kept,
        "audio": {
            "rate_hz": session.audio.sample_rate_hertz,
            "roles": [
                word(pb.ParticipantRole.Name, role, "PARTICIPANT_ROLE_")
                for role in session.audio.channels
            ],
        },
        "legal_hold": session.legal_hold,
        "retain_until_ms": _time(session, "retain_until"),
        "erased_at_ms": _time(session, "erased_at"),
        "consent": {
            "state": word(pb.Consent.State.Name, session.consent.state, "STATE_"),
            "notice_given": session.consent.notice_given,
            "lawful_basis": session.consent.lawful_basis,
        },
    }


def verdict_to_json(verdict: rpb.Verdict) -> Json:
    """Return what a reviewer found."""
    return {
        "id": verdict.verdict_id,
        "handoff_id": verdict.handoff_id,
        "kind": word(rpb.Verdict.Kind.Name, verdict.kind, "KIND_"),
        "comment": verdict.comment,
        "reviewer": verdict.reviewer,
        "at_ms": _time(verdict, "recorded_at"),
    }


def waveform_to_json(waveform: rpb.GetWaveformResponse) -> Json:
    """Return the outline of the audio; of each span the larger excursion, 0 to 127."""
    return {
        "duration_s": seconds(waveform.duration),
        "channels": [
            [
                max(abs(low), abs(high))
                for low, high in zip(outline.lowest, outline.highest, strict=False)
            ]
            for outline in waveform.channels
        ],
    }


def statistics_to_json(statistics: rpb.GetStatisticsResponse) -> Json:
    """Return the counts of a time."""
    return {
        "total": _row(statistics.total),
        "days": [_row(row) for row in statistics.days],
        "campaigns": [_row(row) for row in statistics.campaigns],
    }


def access_to_json(entry: rpb.AccessEntry) -> Json:
    """Return who did what with a session."""
    return {
        "actor": entry.actor,
        "action": entry.action,
        "at_ms": _time(entry, "at"),
        "detail": entry.detail,
    }


def _time(message: Any, name: str) -> int | None:  # noqa: ANN401 - any message that has it
    return milliseconds(getattr(message, name)) if message.HasField(name) else None


def _call(call: pb.CallMetadata) -> Json:
    return {
        "call_id": call.call_id,
        "campaign": call.campaign,
        "agent_id": call.agent_id,
        "customer": call.customer_number,
        "started_at_ms": _time(call, "started_at"),
        "time_zone": call.customer_time_zone,
        "labels": dict(call.labels),
    }


def _summary(summary: pb.SessionSummary) -> Json:
    return {
        "audio_s": seconds(summary.audio_duration),
        "customer_speech_s": seconds(summary.customer_speech),
        "peak_index": round(summary.peak_pressure_index, 1),
        "mean_index": round(summary.mean_pressure_index, 1),
        "peak_level": level_word(summary.peak_level),
        "high_sensitivity": summary.high_sensitivity,
        "handoffs": summary.handoffs,
        "gaps_s": seconds(summary.gaps),
    }


def _flag(session: rpb.Session) -> Json | None:
    if not session.HasField("flagged"):
        return None
    return {
        "at_s": seconds(session.flagged.offset),
        "index": round(session.flagged.pressure_index, 1),
        "reason": session.flagged.reason,
        "at_ms": _time(session, "flagged_at"),
    }


def _handoffs(session: rpb.Session) -> list[Json]:
    """Return the handoffs, each with the last that was known of it."""
    last = {settlement.handoff_id: settlement for settlement in session.settlements}
    return [
        {
            "id": handoff.handoff_id,
            "alert_id": handoff.alert_id,
            "at_s": seconds(handoff.offset),
            "index": round(handoff.pressure_index, 1),
            "reason": word(pb.HandoffRequested.Reason.Name, handoff.reason, "REASON_"),
            "explanation": handoff.explanation,
            **_outcome(last.get(handoff.handoff_id), is_over=session.HasField("ended_at")),
        }
        for handoff in session.handoffs
    ]


def _outcome(settlement: rpb.HandoffSettlement | None, *, is_over: bool) -> Json:
    if settlement is None:  # the deadline of an answer does not outlive the call
        outcome = "expired" if is_over else "waiting"
        return {"outcome": outcome, "outcome_reason": "", "settled_at_ms": None}
    outcome = word(pb.HandoffAck.Outcome.Name, settlement.outcome, "OUTCOME_")
    return {
        "outcome": "expired" if settlement.expired else outcome,
        "outcome_reason": settlement.reason,
        "settled_at_ms": _time(settlement, "settled_at"),
    }


def _row(row: rpb.StatisticsRow) -> Json:
    has_median = row.HasField("median_time_to_verdict")
    return {
        "name": row.name,
        "sessions": row.sessions,
        "flagged": row.flagged,
        "flagged_reviewed": row.flagged_reviewed,
        "handoffs": row.handoffs,
        "confirmed": row.confirmed,
        "false_alarms": row.false_alarms,
        "unsure": row.unsure,
        "median_to_verdict_s": seconds(row.median_time_to_verdict) if has_median else None,
    }
