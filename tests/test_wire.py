"""Core and protobuf say the same."""

from __future__ import annotations

import typing

import pytest

from voiceguard import wire
from voiceguard.core.errors import ClientError
from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    AudioFormat,
    Consent,
    ConsentState,
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

WIDE = AudioFormat(Encoding.ALAW, 44100, (Role.HUMAN_AGENT, Role.CUSTOMER))

TABLES = [
    (wire.ENCODINGS, pb.AudioEncoding, Encoding, set()),
    (wire.ROLES, pb.ParticipantRole, Role, set()),
    (wire.CONSENT_STATES, pb.Consent.State, ConsentState, set()),
    (wire.CONTROL_ACTIONS, pb.Control.Action, None, set()),
    (wire.HANDOFF_OUTCOMES, pb.HandoffAck.Outcome, HandoffOutcome, {HandoffOutcome.EXPIRED}),
    (wire.ALERT_LEVELS, pb.AlertLevel, AlertLevel, set()),
    (wire.SIGNAL_QUALITIES, pb.SignalQuality, SignalQuality, set()),
    (wire.HANDOFF_REASONS, pb.HandoffRequested.Reason, HandoffReason, set()),
]


@pytest.mark.parametrize(("table", "proto_enum", "core_enum", "inner"), TABLES)
def test_a_table_names_every_member_of_both_enums(table, proto_enum, core_enum, inner):
    unset = {0} - set(table)
    assert set(table) == set(proto_enum.values()) - unset
    assert core_enum is None or set(table.values()) == set(core_enum) - inner
    for number, word in table.items():
        assert proto_enum.Name(number).endswith(word.name)


PRESSURE = PressureUpdated(
    channel=1,
    start_sample=44100,
    end_sample=66150,
    pressure_index=61.5,
    scores={"anger": 0.5, "distress": 0.25},
    baseline_deviation=2.5,
    baseline_ready=True,
    confidence=0.75,
    quality=SignalQuality.NOISY,
    level=AlertLevel.ORANGE,
)

EVENTS = {
    "pressure": PRESSURE,
    "speech": SpeechStarted(1, 44100),
    "speech ended": SpeechEnded(1, 88200),
    "alert": AlertChanged("alert-1", AlertLevel.RED, AlertLevel.ORANGE, 1, 44100, 81.0, 80.0),
    "handoff": HandoffRequested(
        "handoff-1", "alert-1", 1, 44100, 81.0, HandoffReason.DISTRESS, "why", 20.0
    ),
    "flagged": SessionFlagged(1, 44100, 81.0, "distress"),
    "gap": GapDetected(44100, 88200),
    "summary": SessionFinished(441000, 44100, 3.5, 81.0, 40.0, AlertLevel.RED, True, 2, 3),
    "missed": WindowMissed(1, 0, 10),
    "settled": HandoffSettled("handoff-1", HandoffOutcome.ACCEPTED, ""),
}


def test_there_is_an_example_of_every_event():
    assert {type(event) for event in EVENTS.values()} == set(typing.get_args(Event))


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_becomes_the_response_of_its_kind(name):
    response = wire.event_to_proto(EVENTS[name], WIDE, "call-1")
    if name in {"missed", "settled"}:
        assert response is None
    else:
        assert response.WhichOneof("event") == name.split()[0]
        assert pb.MonitorResponse.FromString(response.SerializeToString()) == response


def test_a_pressure_update():
    update = wire.event_to_proto(PRESSURE, WIDE, "call-1").pressure
    assert update.channel == 1
    assert wire.seconds_from_proto(update.start_offset) == 1.0
    assert wire.seconds_from_proto(update.end_offset) == 1.5
    assert update.pressure_index == 61.5
    assert dict(update.scores) == {"anger": 0.5, "distress": 0.25}
    assert (update.baseline_deviation, update.baseline_ready) == (2.5, True)
    assert update.confidence == 0.75
    assert update.quality == pb.SIGNAL_QUALITY_NOISY
    assert update.level == pb.ALERT_LEVEL_ORANGE


def test_a_handoff():
    handoff = wire.event_to_proto(EVENTS["handoff"], WIDE, "call-1").handoff
    assert (handoff.handoff_id, handoff.alert_id) == ("handoff-1", "alert-1")
    assert handoff.reason == pb.HandoffRequested.REASON_DISTRESS
    assert handoff.explanation == "why"
    assert wire.seconds_from_proto(handoff.ack_deadline) == 20.0


def test_a_summary():
    summary = wire.event_to_proto(EVENTS["summary"], WIDE, "call-1").summary
    assert summary.session_id == "call-1"
    assert wire.seconds_from_proto(summary.audio_duration) == 10.0
    assert wire.seconds_from_proto(summary.gaps) == 1.0
    assert wire.seconds_from_proto(summary.customer_speech) == 3.5
    assert (summary.high_sensitivity, summary.handoffs) == (True, 2)


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
@pytest.mark.parametrize("samples", [0, 1, 7999, 44101, 10**12])
def test_offsets_are_exact_to_the_nanosecond(samples, rate_hz):
    duration = wire.samples_to_proto(samples, rate_hz)
    nanos = duration.seconds * 10**9 + duration.nanos
    assert nanos == samples * 10**9 // rate_hz
    assert 0 <= duration.nanos < 10**9


@pytest.mark.parametrize("seconds", [0.0, 0.1, 20.0, 1e6 + 0.25, 0.9999999999])
def test_seconds_survive(seconds):
    duration = wire.seconds_to_proto(seconds)
    assert 0 <= duration.nanos < 10**9
    assert wire.seconds_from_proto(duration) == pytest.approx(seconds, abs=1e-9)


def test_what_a_client_sends_survives():
    assert wire.audio_format_from_proto(wire.audio_format_to_proto(WIDE)) == WIDE
    consent = Consent(ConsentState.GIVEN, notice_given=True, lawful_basis="contract")
    assert wire.consent_from_proto(wire.consent_to_proto(consent)) == consent
    ack = pb.HandoffAck(handoff_id="handoff-1", outcome=pb.HandoffAck.OUTCOME_DECLINED)
    answer = wire.handoff_ack_from_proto(ack)
    assert answer == wire.HandoffAnswer("handoff-1", HandoffOutcome.DECLINED, "")


@pytest.mark.parametrize(
    ("convert", "message", "field"),
    [
        (wire.audio_format_from_proto, pb.AudioFormat(), "config.audio.encoding"),
        (
            wire.audio_format_from_proto,
            pb.AudioFormat(encoding=1, sample_rate_hertz=8000, channels=[1, 0]),
            "config.audio.channels[1]",
        ),
        (wire.consent_from_proto, pb.Consent(state=7), "config.consent.state"),
        (wire.control_from_proto, pb.Control(), "control.action"),
        (wire.handoff_ack_from_proto, pb.HandoffAck(), "handoff_ack.outcome"),
        (
            wire.handoff_ack_from_proto,
            pb.HandoffAck(outcome=1, reason="x" * 257),
            "handoff_ack.reason",
        ),
    ],
)
def test_what_cannot_be_understood_names_its_field(convert, message, field):
    with pytest.raises(ClientError) as caught:
        convert(message)
    assert caught.value.field == field
