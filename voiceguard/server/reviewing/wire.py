"""From what is kept of sessions to the messages of `proto/voiceguard/v1/review.proto`, and back.

Pure: nothing here reads a store. What a request may say is checked here, so that everything that
is asked of the store is in range.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from voiceguard.core.errors import ClientError
from voiceguard.core.events import (
    AlertLevel,
    AudioFormat,
    Consent,
    ConsentState,
    Encoding,
    HandoffOutcome,
    HandoffReason,
    Role,
)
from voiceguard.store.outline import Outline
from voiceguard.store.rows import HandoffRow, SessionRow, SettlementRow, VerdictRow
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import (
    ALERT_LEVEL_NUMBERS,
    HANDOFF_OUTCOME_NUMBERS,
    HANDOFF_REASON_NUMBERS,
    audio_format_to_proto,
    consent_to_proto,
    samples_to_proto,
    seconds_to_proto,
)

MAX_COMMENT_CHARACTERS: Final = 4096

MAX_OUTLINE: Final = 127
"""Full scale in an outline, to either side."""

LAST_MS: Final = 253_402_300_799_999
"""End of the year 9999, which google/protobuf/timestamp.proto ends with. Sessions may be kept
longer."""

_MS: Final = 1000
_NANOS_PER_MS: Final = 1_000_000

VERDICT_KINDS: Final[Mapping[rpb.Verdict.Kind.ValueType, str]] = {
    rpb.Verdict.KIND_CONFIRMED: "confirmed",
    rpb.Verdict.KIND_FALSE_ALARM: "false_alarm",
    rpb.Verdict.KIND_UNSURE: "unsure",
}
VERDICT_KIND_NUMBERS: Final = {word: number for number, word in VERDICT_KINDS.items()}


# ---- out ----


def timestamp(at_ms: int) -> Timestamp:
    """Return a wall time in ms since 1970, UTC, as a message; the year 9999 is the last."""
    seconds, rest_ms = divmod(min(at_ms, LAST_MS), _MS)
    return Timestamp(seconds=seconds, nanos=rest_ms * _NANOS_PER_MS)


class SessionDetails:
    """What session.json says of a session and no column does.

    Args:
        payload: session.json, as it was sealed.

    Raises:
        ValueError, KeyError: it is something else.
    """

    def __init__(self, payload: bytes) -> None:
        # Nobody but the recorder can have sealed it: that it is in canonical form is for verifiers.
        values = json.loads(payload.decode())
        self._call: Mapping[str, Any] = values["call"]
        consent, audio = values["consent"], values["audio"]
        self.consent = Consent(
            ConsentState(consent["state"]), consent["notice_given"], consent["lawful_basis"]
        )
        self.audio_format = AudioFormat(
            Encoding(audio["encoding"]),
            audio["sample_rate_hz"],
            tuple(Role(role) for role in audio["channels"]),
        )

    @property
    def call(self) -> pb.CallMetadata:
        """About the telephone call, the customer's number replaced by its pseudonym."""
        call = self._call
        started_at_ms = call["started_at_ms"]
        return pb.CallMetadata(
            call_id=call["call_id"],
            campaign=call["campaign"],
            agent_id=call["agent_id"],
            customer_number=call["customer"],
            started_at=None if started_at_ms is None else timestamp(started_at_ms),
            customer_time_zone=call["customer_time_zone"],
            labels=call["labels"],
        )


def session_to_proto(
    row: SessionRow, details: SessionDetails | None, comments: Mapping[int, str]
) -> rpb.Session:
    """Return a session as reviewers see it.

    Args:
        row: of the database.
        details: what was sealed of it; None: it was erased.
        comments: of its verdicts, by the number of the record.
    """
    session = rpb.Session(
        session_id=row.session_id,
        evidence_id=row.uid,
        started_at=timestamp(row.opened_at_ms),
        policy_version=row.policy_version,
        model_version=row.model_version,
        ended=row.ended,
        legal_hold=row.legal_hold,
        audio_kept=row.audio == "kept",
    )
    if row.closed_at_ms is not None:
        session.ended_at.CopyFrom(timestamp(row.closed_at_ms))
    if row.retain_until_ms is not None:
        session.retain_until.CopyFrom(timestamp(row.retain_until_ms))
    if row.erased_at_ms is not None:
        session.erased_at.CopyFrom(timestamp(row.erased_at_ms))
    if details is None:
        return session
    session.call.CopyFrom(details.call)
    session.audio.CopyFrom(audio_format_to_proto(details.audio_format))
    session.consent.CopyFrom(consent_to_proto(details.consent))
    session.handoffs.extend(_handoff(item) for item in row.handoffs)
    session.settlements.extend(_settlement(item) for item in row.settlements)
    session.verdicts.extend(
        verdict_to_proto(item, comments.get(item.n, "")) for item in row.verdicts
    )
    if row.flagged_at_ms is not None:
        session.flagged.CopyFrom(_flag(row))
        session.flagged_at.CopyFrom(timestamp(row.flagged_at_ms))
    if row.closed_at_ms is not None:
        session.summary.CopyFrom(_summary(row))
    return session


def verdict_to_proto(verdict: VerdictRow, comment: str) -> rpb.Verdict:
    """Return a verdict as reviewers see it."""
    return rpb.Verdict(
        verdict_id=verdict.verdict_id,
        handoff_id=verdict.handoff_id,
        kind=VERDICT_KIND_NUMBERS[verdict.kind],
        comment=comment,
        reviewer=verdict.reviewer,
        recorded_at=timestamp(verdict.recorded_at_ms),
    )


def outline_to_proto(outline: Outline, rate_hz: int) -> rpb.GetWaveformResponse:
    """Return the outline of a session's audio.

    Args:
        outline: of shape (spans, channels), -128 to 127 for full scale.
        rate_hz: sample frames a second.
    """
    lowest = np.maximum(outline.lowest, -MAX_OUTLINE)
    highest = np.maximum(outline.highest, -MAX_OUTLINE)
    return rpb.GetWaveformResponse(
        channels=[
            rpb.Outline(lowest=low.tolist(), highest=high.tolist())
            for low, high in zip(lowest.T, highest.T, strict=True)
        ],
        duration=samples_to_proto(outline.samples, rate_hz),
    )


def _flag(row: SessionRow) -> pb.SessionFlagged:
    return pb.SessionFlagged(
        offset=seconds_to_proto(row.flag_offset_s or 0.0),
        pressure_index=row.flag_pressure_index or 0.0,
        reason=row.flag_reason,
    )


def _summary(row: SessionRow) -> pb.SessionSummary:
    return pb.SessionSummary(
        session_id=row.session_id,
        audio_duration=seconds_to_proto(row.audio_s),
        customer_speech=seconds_to_proto(row.customer_speech_s),
        peak_pressure_index=row.peak_pressure_index,
        mean_pressure_index=row.mean_pressure_index,
        peak_level=ALERT_LEVEL_NUMBERS[AlertLevel(row.peak_level)],
        high_sensitivity=row.high_sensitivity,
        handoffs=row.handoff_count,
        gaps=seconds_to_proto(row.gaps_s),
    )


def _handoff(handoff: HandoffRow) -> pb.HandoffRequested:
    return pb.HandoffRequested(
        handoff_id=handoff.handoff_id,
        alert_id=handoff.alert_id,
        offset=seconds_to_proto(handoff.offset_s),
        pressure_index=handoff.pressure_index,
        reason=HANDOFF_REASON_NUMBERS[HandoffReason(handoff.reason)],
        explanation=handoff.explanation,
        ack_deadline=seconds_to_proto(handoff.ack_deadline_s),
    )


def _settlement(settlement: SettlementRow) -> rpb.HandoffSettlement:
    outcome = HandoffOutcome(settlement.outcome)
    return rpb.HandoffSettlement(
        handoff_id=settlement.handoff_id,
        outcome=HANDOFF_OUTCOME_NUMBERS.get(outcome, pb.HandoffAck.OUTCOME_UNSPECIFIED),
        expired=outcome is HandoffOutcome.EXPIRED,
        reason=settlement.reason,
        settled_at=timestamp(settlement.settled_at_ms),
    )


# ---- in ----


def milliseconds_from_proto(at: Timestamp, field: str) -> int:
    """Return a time as ms since 1970, UTC, rounded up.

    Times are kept in whole ms, so what was before `at` is before that, too, and what was not is
    not.

    Raises:
        ClientError: it lies outside the years 1 to 9999.
    """
    if not (-62_135_596_800 <= at.seconds <= LAST_MS // _MS and 0 <= at.nanos < 1_000_000_000):
        raise ClientError(field, "lies outside the years 1 to 9999")
    return at.seconds * _MS - (-at.nanos // _NANOS_PER_MS)


def check_filter(text: str, field: str, limit: int = 256) -> str:
    """Return a text to be compared with what is kept.

    Raises:
        ClientError: it is longer than anything that is kept, or has a NUL, which no database
            compares.
    """
    if len(text) > limit:
        raise ClientError(field, f"{len(text)} characters; at most {limit} are kept")
    if "\0" in text:
        raise ClientError(field, "has a NUL character")
    return text


def check_comment(text: str, field: str) -> str:
    """Return a reviewer's own words.

    Raises:
        ClientError: they are too long, or have control characters other than the end of a line
            and a tabulator.
    """
    if len(text) > MAX_COMMENT_CHARACTERS:
        problem = f"{len(text)} characters; at most {MAX_COMMENT_CHARACTERS} are accepted"
        raise ClientError(field, problem)
    if any((ord(char) < 32 and char not in "\n\t") or 127 <= ord(char) < 160 for char in text):
        raise ClientError(field, "has control characters")
    return text


def check_reason(text: str) -> str:
    """Return why something is held or erased.

    Raises:
        ClientError: as `check_comment`, or there is no reason.
    """
    if not text.strip():
        raise ClientError("reason", "is missing; say why, in a few words")
    return check_comment(text, "reason")


def page_size_from_proto(size: int) -> int:
    """Return how many a page has.

    Raises:
        ClientError: it is out of range.
    """
    if not 0 <= size <= 1000:
        raise ClientError("page_size", f"{size}; give 1 to 1000, or 0 for 50")
    return size or 50


def verdict_kind_from_proto(number: rpb.Verdict.Kind.ValueType, field: str) -> str:
    """Return the kind of a verdict.

    Raises:
        ClientError: it is unspecified, or none that the interface names.
    """
    kind = VERDICT_KINDS.get(number)
    if kind is None:
        names = ", ".join(VERDICT_KINDS.values())
        raise ClientError(field, f"{number} is no verdict; give one of {names}")
    return kind
