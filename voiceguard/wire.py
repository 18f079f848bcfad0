"""Between the core's own words and the messages of `proto/voiceguard/v1/monitor.proto`.

The one place where an enum of the core meets its number on the wire. Everything
that comes from a client and cannot be understood raises `ClientError` with the
path of the field, counted from `MonitorRequest`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.duration_pb2 import Duration

from voiceguard.core.errors import ClientError
from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    AudioFormat,
    Consent,
    ConsentState,
    ControlAction,
    Encoding,
    Event,
    GapDetected,
    HandoffOutcome,
    HandoffReason,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    Role,
    SessionFinished,
    SessionFlagged,
    SignalQuality,
    SpeechEnded,
    SpeechStarted,
    WindowMissed,
)
from voiceguard.v1 import monitor_pb2 as pb

MAX_TEXT_CHARACTERS: Final = 256
"""Longest free text that a client may send in one field."""

_NANOS: Final = 1_000_000_000

ENCODINGS: Final[Mapping[pb.AudioEncoding.ValueType, Encoding]] = {
    pb.AUDIO_ENCODING_LINEAR16: Encoding.LINEAR16,
    pb.AUDIO_ENCODING_MULAW: Encoding.MULAW,
    pb.AUDIO_ENCODING_ALAW: Encoding.ALAW,
}

ROLES: Final[Mapping[pb.ParticipantRole.ValueType, Role]] = {
    pb.PARTICIPANT_ROLE_CUSTOMER: Role.CUSTOMER,
    pb.PARTICIPANT_ROLE_HUMAN_AGENT: Role.HUMAN_AGENT,
    pb.PARTICIPANT_ROLE_AUTOMATED_AGENT: Role.AUTOMATED_AGENT,
    pb.PARTICIPANT_ROLE_MIXED: Role.MIXED,
}

CONSENT_STATES: Final[Mapping[pb.Consent.State.ValueType, ConsentState]] = {
    pb.Consent.STATE_UNSPECIFIED: ConsentState.UNSPECIFIED,
    pb.Consent.STATE_GIVEN: ConsentState.GIVEN,
    pb.Consent.STATE_REFUSED: ConsentState.REFUSED,
    pb.Consent.STATE_NOT_REQUIRED: ConsentState.NOT_REQUIRED,
}

CONTROL_ACTIONS: Final[Mapping[pb.Control.Action.ValueType, ControlAction]] = {
    pb.Control.ACTION_HOLD: ControlAction.HOLD,
    pb.Control.ACTION_RESUME: ControlAction.RESUME,
}

HANDOFF_OUTCOMES: Final[Mapping[pb.HandoffAck.Outcome.ValueType, HandoffOutcome]] = {
    pb.HandoffAck.OUTCOME_ACCEPTED: HandoffOutcome.ACCEPTED,
    pb.HandoffAck.OUTCOME_TRANSFERRED: HandoffOutcome.TRANSFERRED,
    pb.HandoffAck.OUTCOME_DECLINED: HandoffOutcome.DECLINED,
    pb.HandoffAck.OUTCOME_FAILED: HandoffOutcome.FAILED,
}
"""What a client may answer. Only the server itself lets a handoff expire."""

ALERT_LEVELS: Final[Mapping[pb.AlertLevel.ValueType, AlertLevel]] = {
    pb.ALERT_LEVEL_GREEN: AlertLevel.GREEN,
    pb.ALERT_LEVEL_YELLOW: AlertLevel.YELLOW,
    pb.ALERT_LEVEL_ORANGE: AlertLevel.ORANGE,
    pb.ALERT_LEVEL_RED: AlertLevel.RED,
}

SIGNAL_QUALITIES: Final[Mapping[pb.SignalQuality.ValueType, SignalQuality]] = {
    pb.SIGNAL_QUALITY_OK: SignalQuality.OK,
    pb.SIGNAL_QUALITY_INSUFFICIENT_SPEECH: SignalQuality.INSUFFICIENT_SPEECH,
    pb.SIGNAL_QUALITY_NOISY: SignalQuality.NOISY,
    pb.SIGNAL_QUALITY_CLIPPED: SignalQuality.CLIPPED,
    pb.SIGNAL_QUALITY_MUSIC_OR_TONE: SignalQuality.MUSIC_OR_TONE,
}

HANDOFF_REASONS: Final[Mapping[pb.HandoffRequested.Reason.ValueType, HandoffReason]] = {
    pb.HandoffRequested.REASON_ANGER: HandoffReason.ANGER,
    pb.HandoffRequested.REASON_DISTRESS: HandoffReason.DISTRESS,
    pb.HandoffRequested.REASON_PRESSURE: HandoffReason.PRESSURE,
}

NumberT = TypeVar("NumberT")
WordT = TypeVar("WordT")


def _inverse(table: Mapping[NumberT, WordT]) -> dict[WordT, NumberT]:
    return {word: number for number, word in table.items()}


ENCODING_NUMBERS: Final = _inverse(ENCODINGS)
ROLE_NUMBERS: Final = _inverse(ROLES)
CONSENT_STATE_NUMBERS: Final = _inverse(CONSENT_STATES)
CONTROL_ACTION_NUMBERS: Final = _inverse(CONTROL_ACTIONS)
HANDOFF_OUTCOME_NUMBERS: Final = _inverse(HANDOFF_OUTCOMES)
ALERT_LEVEL_NUMBERS: Final = _inverse(ALERT_LEVELS)
SIGNAL_QUALITY_NUMBERS: Final = _inverse(SIGNAL_QUALITIES)
HANDOFF_REASON_NUMBERS: Final = _inverse(HANDOFF_REASONS)


# ---- from the client ----


def audio_format_from_proto(message: pb.AudioFormat, field: str = "config.audio") -> AudioFormat:
    """Return the audio format that a client asks for.

    Raises:
        ClientError: an encoding, rate, role or number of channels that is not accepted.
    """
    encoding = _word(ENCODINGS, message.encoding, f"{field}.encoding", "an encoding")
    channels = tuple(
        _word(ROLES, number, f"{field}.channels[{index}]", "a role")
        for index, number in enumerate(message.channels)
    )
    return AudioFormat(encoding, message.sample_rate_hertz, channels)


def consent_from_proto(message: pb.Consent, field: str = "config.consent") -> Consent:
    """Return the consent that came with a session.

    Raises:
        ClientError: a state that the interface does not name, or too long a text.
    """
    state = _word(CONSENT_STATES, message.state, f"{field}.state", "a state")
    check_text(message.lawful_basis, f"{field}.lawful_basis")
    return Consent(state, message.notice_given, message.lawful_basis)


def control_from_proto(message: pb.Control, field: str = "control") -> ControlAction:
    """Return what a client tells its session to do.

    Raises:
        ClientError: an action that the interface does not name.
    """
    return _word(CONTROL_ACTIONS, message.action, f"{field}.action", "an action")


@dataclass(frozen=True, slots=True)
class HandoffAnswer:
    """What a client says became of a handoff."""

    handoff_id: str
    outcome: HandoffOutcome
    reason: str
    """The dialer's own words; may be empty."""


def handoff_ack_from_proto(message: pb.HandoffAck, field: str = "handoff_ack") -> HandoffAnswer:
    """Return a client's answer to a handoff.

    Raises:
        ClientError: an outcome that the interface does not name, or too long a reason.
    """
    outcome = _word(HANDOFF_OUTCOMES, message.outcome, f"{field}.outcome", "an outcome")
    check_text(message.reason, f"{field}.reason")
    return HandoffAnswer(message.handoff_id, outcome, message.reason)


def check_text(text: str, field: str, limit: int = MAX_TEXT_CHARACTERS) -> None:
    """Refuse a text that is too long.

    Raises:
        ClientError: `text` has more than `limit` characters.
    """
    if len(text) > limit:
        raise ClientError(field, f"{len(text)} characters; at most {limit} are accepted")


def _word(table: Mapping[NumberT, WordT], number: NumberT, field: str, kind: str) -> WordT:
    word = table.get(number)
    if word is None:
        known = ", ".join(str(getattr(known, "name", known)) for known in table.values())
        raise ClientError(field, f"{number} is not {kind} that is accepted; give one of {known}")
    return word


# ---- to the client ----


def event_to_proto(  # noqa: PLR0911 - one for each kind of event
    event: Event, audio_format: AudioFormat, session_id: str
) -> pb.MonitorResponse | None:
    """Return an event as the client is told it.

    Args:
        event: from a session.
        audio_format: the session's, whose rate turns sample counts into time.
        session_id: the client's own, for the summary.

    Returns:
        None for events that stay inside: `WindowMissed` (shells count them into a
        `FlowNotice`) and `HandoffSettled` (the client said so itself).
    """
    rate_hz = audio_format.sample_rate_hz
    match event:
        case PressureUpdated():
            return pb.MonitorResponse(pressure=_pressure(event, rate_hz))
        case SpeechStarted(channel, at_sample):
            return pb.MonitorResponse(
                speech=_speech(pb.SpeechEvent.KIND_STARTED, channel, at_sample, rate_hz)
            )
        case SpeechEnded(channel, at_sample):
            return pb.MonitorResponse(
                speech=_speech(pb.SpeechEvent.KIND_ENDED, channel, at_sample, rate_hz)
            )
        case AlertChanged():
            return pb.MonitorResponse(alert=_alert(event, rate_hz))
        case HandoffRequested():
            return pb.MonitorResponse(handoff=_handoff(event, rate_hz))
        case SessionFlagged():
            return pb.MonitorResponse(
                flagged=pb.SessionFlagged(
                    offset=samples_to_proto(event.at_sample, rate_hz),
                    pressure_index=event.pressure_index,
                    reason=event.reason,
                )
            )
        case GapDetected():
            return pb.MonitorResponse(
                gap=pb.AudioGap(
                    start_offset=samples_to_proto(event.start_sample, rate_hz),
                    end_offset=samples_to_proto(event.end_sample, rate_hz),
                )
            )
        case SessionFinished():
            return pb.MonitorResponse(summary=_summary(event, rate_hz, session_id))
        case WindowMissed() | HandoffSettled():
            return None


def audio_format_to_proto(audio_format: AudioFormat) -> pb.AudioFormat:
    """Return an audio format as a client sends it."""
    return pb.AudioFormat(
        encoding=ENCODING_NUMBERS[audio_format.encoding],
        sample_rate_hertz=audio_format.sample_rate_hz,
        channels=[ROLE_NUMBERS[role] for role in audio_format.channels],
    )


def consent_to_proto(consent: Consent) -> pb.Consent:
    """Return a consent as a client sends it."""
    return pb.Consent(
        state=CONSENT_STATE_NUMBERS[consent.state],
        notice_given=consent.notice_given,
        lawful_basis=consent.lawful_basis,
    )


def samples_to_proto(samples: int, rate_hz: int) -> Duration:
    """Return a count of sample frames as a duration, exact to the nanosecond, rounded down."""
    seconds, rest = divmod(samples, rate_hz)
    return Duration(seconds=seconds, nanos=rest * _NANOS // rate_hz)


def seconds_to_proto(seconds: float) -> Duration:
    """Return seconds, 0 or more, as a duration."""
    whole, nanos = divmod(round(seconds * _NANOS), _NANOS)
    return Duration(seconds=whole, nanos=nanos)


def seconds_from_proto(duration: Duration) -> float:
    """Return a duration in seconds."""
    return duration.seconds + duration.nanos / _NANOS


def _speech(
    kind: pb.SpeechEvent.Kind.ValueType, channel: int, at_sample: int, rate_hz: int
) -> pb.SpeechEvent:
    return pb.SpeechEvent(kind=kind, channel=channel, offset=samples_to_proto(at_sample, rate_hz))


def _pressure(event: PressureUpdated, rate_hz: int) -> pb.PressureUpdate:
    return pb.PressureUpdate(
        channel=event.channel,
        start_offset=samples_to_proto(event.start_sample, rate_hz),
        end_offset=samples_to_proto(event.end_sample, rate_hz),
        pressure_index=event.pressure_index,
        scores=event.scores,
        baseline_deviation=event.baseline_deviation,
        baseline_ready=event.baseline_ready,
        confidence=event.confidence,
        quality=SIGNAL_QUALITY_NUMBERS[event.quality],
        level=ALERT_LEVEL_NUMBERS[event.level],
    )


def _alert(event: AlertChanged, rate_hz: int) -> pb.AlertChanged:
    return pb.AlertChanged(
        alert_id=event.alert_id,
        level=ALERT_LEVEL_NUMBERS[event.level],
        previous_level=ALERT_LEVEL_NUMBERS[event.previous_level],
        channel=event.channel,
        offset=samples_to_proto(event.at_sample, rate_hz),
        pressure_index=event.pressure_index,
        threshold=event.threshold,
    )


def _handoff(event: HandoffRequested, rate_hz: int) -> pb.HandoffRequested:
    return pb.HandoffRequested(
        handoff_id=event.handoff_id,
        alert_id=event.alert_id,
        offset=samples_to_proto(event.at_sample, rate_hz),
        pressure_index=event.pressure_index,
        reason=HANDOFF_REASON_NUMBERS[event.reason],
        explanation=event.explanation,
        ack_deadline=seconds_to_proto(event.ack_deadline_s),
    )


def _summary(event: SessionFinished, rate_hz: int, session_id: str) -> pb.SessionSummary:
    return pb.SessionSummary(
        session_id=session_id,
        audio_duration=samples_to_proto(event.audio_samples, rate_hz),
        customer_speech=seconds_to_proto(event.customer_speech_s),
        peak_pressure_index=event.peak_pressure_index,
        mean_pressure_index=event.mean_pressure_index,
        peak_level=ALERT_LEVEL_NUMBERS[event.peak_level],
        high_sensitivity=event.high_sensitivity,
        handoffs=event.handoffs,
        gaps=samples_to_proto(event.gap_samples, rate_hz),
    )
