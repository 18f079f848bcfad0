"""Properties that hold for any session, and what each kind of input does."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.core.drive import (
    CALM_LEVEL,
    CUSTOMER,
    FRONT_END,
    POLICY,
    TENSE_LEVEL,
    WEIGHTS,
    call,
    chunks_of,
    give,
    level_scores,
    new_session,
    only,
    run,
    silence,
    voice,
)
from voiceguard.core.audio import MAX_GAP_S, MAX_REPLAY_S
from voiceguard.core.errors import ClientError, ConsentError, SessionFinishedError
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
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    Role,
    ScoreMissed,
    ScoreRequest,
    ScoreResult,
    SessionFinished,
    SessionFlagged,
    SignalQuality,
    SpeechEnded,
    SpeechStarted,
    WindowMissed,
)
from voiceguard.core.policy import Policy
from voiceguard.core.session import CallSession

CALL = call().tobytes()
EVENTS = run(CALL)
STEREO = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER, Role.CUSTOMER))
slow = settings(max_examples=25, deadline=None)


def summary(events: list[Event]) -> SessionFinished:
    """Return the last event, which must be the summary."""
    assert isinstance(events[-1], SessionFinished)
    return events[-1]


def test_a_tense_call_is_handed_off_and_flagged_once() -> None:
    assert len(only(EVENTS, HandoffRequested)) == 1
    assert len(only(EVENTS, SessionFlagged)) == 1
    assert summary(EVENTS).peak_level is AlertLevel.RED
    assert summary(EVENTS).high_sensitivity
    levels = [event.level.name for event in EVENTS if isinstance(event, AlertChanged)]
    assert levels == ["YELLOW", "ORANGE", "RED", "ORANGE", "YELLOW", "GREEN"]


def test_the_handoff_says_what_was_heard() -> None:
    (handoff,) = only(EVENTS, HandoffRequested)
    assert isinstance(handoff, HandoffRequested)
    assert "angry" in handoff.explanation
    assert "orange" in handoff.explanation
    assert "standard deviations above" in handoff.explanation


@slow
@given(st.integers(0, 2**32), st.integers(1, 50))
def test_any_chunking_and_any_score_timing_give_the_same_events(seed: int, every: int) -> None:
    chunks = chunks_of(CALL, CUSTOMER.frame_bytes, random.Random(seed))
    assert run(CALL, chunks, answer_every=every) == EVENTS


@slow
@given(st.integers(0, 2**32), st.sampled_from([16000, 44100, 48000]))
def test_chunking_does_not_matter_at_other_rates(seed: int, rate_hz: int) -> None:
    audio_format = AudioFormat(Encoding.LINEAR16, rate_hz, (Role.CUSTOMER,))
    short = call()[: 8 * 8000]
    positions = np.arange(8 * rate_hz) * 8000 / rate_hz
    content = np.interp(positions, np.arange(len(short)), short).astype(np.int16).tobytes()
    chunks = chunks_of(content, 2, random.Random(seed))
    cut = run(content, chunks, audio_format=audio_format)
    assert cut == run(content, audio_format=audio_format)
    assert only(cut, PressureUpdated)


@slow
@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 2**32))
def test_two_channels_give_what_each_gives_alone(left: int, right: int, seed: int) -> None:
    sides = [call(left), call(right, tense=False)]
    length = max(map(len, sides))
    padded = [np.concatenate((side, np.zeros(length - len(side), np.int16))) for side in sides]
    both = np.stack(padded, axis=1).tobytes()
    events = run(both, chunks_of(both, 4, random.Random(seed)), audio_format=STEREO)
    for channel, side in enumerate(padded):
        own = [e for e in events if getattr(e, "channel", None) == channel]
        alone = [e for e in run(side.tobytes()) if hasattr(e, "channel")]
        kinds = (SpeechStarted, SpeechEnded, PressureUpdated)
        assert [replace(e, channel=0) for e in own if isinstance(e, kinds)] == [
            e for e in alone if isinstance(e, kinds)
        ]


@slow
@given(st.lists(st.floats(0, 1), min_size=40, max_size=40), st.floats(0, 1))
def test_nothing_is_flagged_below_the_raise_threshold(anger: list[float], distress: float) -> None:
    def answer(request: ScoreRequest) -> ScoreResult:
        scores = {"anger": anger[request.sequence % 40], "distress": distress}
        return ScoreResult(0, request.sequence, scores)

    raise_at = POLICY.alerts[AlertLevel.ORANGE].raise_threshold
    crossed = False
    for event in run(CALL, answer=answer):
        match event:
            case PressureUpdated():
                crossed = crossed or event.pressure_index >= raise_at
            case SessionFlagged() | HandoffRequested():
                assert crossed
                assert event.pressure_index >= raise_at


@slow
@given(st.randoms(use_true_random=False))
def test_late_duplicate_and_missing_scores_never_harm(rng: random.Random) -> None:
    session = new_session()
    events: list[Event] = []
    waiting: list[ScoreRequest] = []
    for start in range(0, len(CALL), 16000):
        session.receive_audio(CALL[start : start + 16000])
        waiting += session.take_score_requests()
        rng.shuffle(waiting)
        for request in waiting[: rng.randrange(5)]:
            missed = ScoreMissed(request.channel, request.sequence)
            answer = missed if rng.random() < 0.2 else level_scores(request)
            for _ in range(rng.randrange(4)):
                session.receive_score(answer)
        session.receive_score(ScoreMissed(7, 10**9))
        events += session.take_events()
    session.finish()
    events += session.take_events()
    assert len(only(events, SessionFlagged)) <= 1
    ids = [event.handoff_id for event in events if isinstance(event, HandoffRequested)]
    assert len(ids) == len(set(ids))
    ends = [e.end_sample for e in events if isinstance(e, PressureUpdated | WindowMissed)]
    assert ends == sorted(ends)
    made = len(only(EVENTS, PressureUpdated))
    assert len(ends) == made


def test_events_wait_for_the_scores_before_them() -> None:
    session = new_session()
    session.receive_audio(CALL)
    requests = session.take_score_requests()
    held = session.take_events()
    assert [type(event) for event in held] == [SpeechStarted]
    give(session, list(reversed(requests)), level_scores)
    session.finish()
    assert held + session.take_events() == EVENTS


@pytest.mark.parametrize(
    "scores",
    [{}, {"anger": 0.5}, {"anger": float("nan"), "distress": 0.1}, {"anger": 2, "distress": 0}],
)
def test_unusable_scores_count_as_missed(scores: dict[str, float]) -> None:
    events = run(CALL, answer=lambda request: ScoreResult(0, request.sequence, scores))
    assert not only(events, PressureUpdated)
    assert summary(events).windows_missed == len(only(EVENTS, PressureUpdated))


def test_finishing_twice_says_nothing_twice() -> None:
    session = new_session()
    session.receive_audio(CALL[:32000])
    session.finish()
    assert session.take_events()
    session.finish()
    session.end_audio()
    assert session.take_events() == []


def test_input_after_the_end_is_refused() -> None:
    session = new_session()
    session.end_audio()
    with pytest.raises(SessionFinishedError):
        session.receive_audio(b"\0\0")
    with pytest.raises(SessionFinishedError):
        session.receive_control(ControlAction.HOLD)


def test_a_broken_sample_frame_is_refused_and_changes_nothing() -> None:
    session = new_session()
    session.receive_audio(CALL[:32000])
    with pytest.raises(ClientError, match=r"audio\.content") as refused:
        session.receive_audio(b"\0" * 321)
    assert refused.value.field == "audio.content"
    session.receive_audio(CALL[32000:])
    give(session, session.take_score_requests(), level_scores)
    session.finish()
    assert session.take_events() == EVENTS


@pytest.mark.parametrize("first", [-1, 2**62, MAX_GAP_S * 8000 + 16001])
def test_an_impossible_index_is_refused(first: int) -> None:
    session = new_session()
    session.receive_audio(CALL[:32000])
    with pytest.raises(ClientError, match=r"audio\.first_sample"):
        session.receive_audio(b"\0\0", first)
    assert session.received_samples == 16000


def test_replaying_too_far_back_is_refused() -> None:
    session = new_session()
    session.receive_audio(CALL)
    too_early = session.received_samples - MAX_REPLAY_S * 8000 - 1
    with pytest.raises(ClientError, match="10 s before"):
        session.receive_audio(b"\0\0", too_early)


@slow
@given(st.integers(0, 2**32))
def test_replayed_audio_is_not_counted_twice(seed: int) -> None:
    rng = random.Random(seed)
    session = new_session()
    events: list[Event] = []
    position = 0
    while position < len(CALL) // 2:
        first = max(0, position - rng.randrange(20000))
        last = position + rng.randrange(1, 20000)
        session.receive_audio(CALL[first * 2 : last * 2], first)
        position = max(position, min(last, len(CALL) // 2))
        give(session, session.take_score_requests(), level_scores)
        events += session.take_events()
    session.finish()
    assert events + session.take_events() == EVENTS


def test_a_gap_is_reported_and_ends_the_speech_before_it() -> None:
    session = new_session()
    tone = voice(3, CALM_LEVEL).tobytes()
    session.receive_audio(tone)
    session.receive_audio(tone, first_sample=5 * 8000)
    give(session, session.take_score_requests(), level_scores)
    session.finish()
    events = session.take_events()
    assert only(events, GapDetected) == [GapDetected(24000, 40000)]
    (ended, *_) = only(events, SpeechEnded)
    assert isinstance(ended, SpeechEnded)
    assert ended.at_sample <= 24000
    starts = [event.at_sample for event in events if isinstance(event, SpeechStarted)]
    assert starts[1] >= 40000
    assert summary(events).audio_samples == 64000
    assert summary(events).gap_samples == 16000


def test_lost_packets_do_not_end_the_speech() -> None:
    session = new_session()
    tone = voice(4, CALM_LEVEL).tobytes()
    for packet in range(200):
        if packet % 20 != 7:
            session.receive_audio(tone[packet * 320 : packet * 320 + 320], packet * 160)
    give(session, session.take_score_requests(), level_scores)
    session.finish()
    events = session.take_events()
    assert len(only(events, SpeechStarted)) == 1
    assert len(only(events, GapDetected)) == 10
    assert len(only(events, PressureUpdated)) >= 7


def test_nothing_is_scored_on_hold() -> None:
    session = new_session()
    session.receive_audio(voice(3, CALM_LEVEL).tobytes())
    before = len(session.take_score_requests())
    session.receive_control(ControlAction.HOLD)
    session.receive_audio(voice(5, TENSE_LEVEL).tobytes())
    assert session.take_score_requests() == []
    session.receive_control(ControlAction.RESUME)
    session.receive_audio(voice(3, CALM_LEVEL).tobytes())
    after = session.take_score_requests()
    assert before == len(after) == 6
    assert after[0].start_sample >= 8 * 8000
    assert session.received_samples == 11 * 8000


def test_resuming_what_was_not_on_hold_changes_nothing() -> None:
    session = new_session()
    session.receive_audio(CALL[:50000])
    session.receive_control(ControlAction.RESUME)
    session.receive_audio(CALL[50000:])
    give(session, session.take_score_requests(), level_scores)
    session.finish()
    assert session.take_events() == EVENTS


def test_other_channels_are_never_scored() -> None:
    roles = (Role.HUMAN_AGENT, Role.CUSTOMER, Role.AUTOMATED_AGENT)
    audio_format = AudioFormat(Encoding.LINEAR16, 8000, roles)
    customer, loud = voice(5, CALM_LEVEL), voice(5, TENSE_LEVEL, 3)
    session = new_session(audio_format)
    session.receive_audio(np.stack((loud, customer, loud), axis=1).tobytes())
    requests = session.take_score_requests()
    alone = new_session()
    alone.receive_audio(customer.tobytes())
    expected = alone.take_score_requests()
    assert {request.channel for request in requests} == {1}
    assert len(requests) == len(expected) > 0
    for got, wanted in zip(requests, expected, strict=True):
        assert np.array_equal(got.pcm, wanted.pcm)


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        ((Role.HUMAN_AGENT,), "no channel has the role customer"),
        ((Role.MIXED,), "mixed"),
        ((Role.CUSTOMER, Role.MIXED), "mixed"),
    ],
)
def test_formats_without_a_customer_of_their_own_are_refused(
    roles: tuple[Role, ...], problem: str
) -> None:
    with pytest.raises(ClientError, match=problem):
        new_session(AudioFormat(Encoding.LINEAR16, 8000, roles))


def test_a_policy_may_allow_a_mixed_channel() -> None:
    audio_format = AudioFormat(Encoding.LINEAR16, 8000, (Role.MIXED,))
    policy = replace(POLICY, allow_mixed_channel=True)
    assert only(run(CALL, audio_format=audio_format, policy=policy), HandoffRequested)


@pytest.mark.parametrize("require", [False, True])
def test_refused_consent_is_never_analysed(*, require: bool) -> None:
    policy = replace(POLICY, require_consent=require)
    with pytest.raises(ConsentError):
        open_with(Consent(ConsentState.REFUSED, notice_given=True), policy)


@pytest.mark.parametrize(
    "consent",
    [None, Consent(), Consent(ConsentState.GIVEN), Consent(ConsentState.NOT_REQUIRED, True)],
)
def test_a_policy_may_require_consent_and_notice(consent: Consent | None) -> None:
    with pytest.raises(ConsentError, match="notice"):
        open_with(consent, replace(POLICY, require_consent=True))
    open_with(consent, POLICY)


def open_with(consent: Consent | None, policy: Policy) -> CallSession:
    """Open a session with this consent."""
    return CallSession(policy, CUSTOMER, front_end=FRONT_END, weights=WEIGHTS, consent=consent)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(40000, np.int16),
        np.full(40000, 12000, np.int16),
        np.tile(np.repeat(np.array([32767, -32768], np.int16), 40), 500),
        np.random.default_rng(0).integers(-32768, 32767, 40000).astype(np.int16),
    ],
    ids=["zeros", "dc", "full-scale square", "noise"],
)
def test_degenerate_audio_ends_with_a_summary(samples: NDArray[np.int16]) -> None:
    for event in run(samples.tobytes()):
        if isinstance(event, PressureUpdated):
            assert 0 <= event.pressure_index <= 100
    assert summary(run(samples.tobytes())).audio_samples == 40000


def test_a_ringing_line_is_not_scored() -> None:
    time_s = np.arange(8 * 8000) / 8000
    ringback = np.sin(2 * np.pi * 440 * time_s) + np.sin(2 * np.pi * 480 * time_s)
    on = (time_s % 6) < 2
    session = new_session()
    session.receive_audio((ringback * on * 5000).astype(np.int16).tobytes())
    assert session.take_score_requests() == []
    session.finish()
    updates = [e for e in session.take_events() if isinstance(e, PressureUpdated)]
    assert updates
    assert {update.quality for update in updates} == {SignalQuality.MUSIC_OR_TONE}
    assert all(not update.scores and update.pressure_index == 0 for update in updates)


def test_outcomes_of_handoffs_are_recorded_once() -> None:
    session = new_session()
    session.receive_audio(CALL)
    give(session, session.take_score_requests(), level_scores)
    assert only(session.take_events(), HandoffRequested)
    session.receive_handoff_outcome("handoff-1", HandoffOutcome.ACCEPTED, "on my way")
    session.receive_handoff_outcome("handoff-1", HandoffOutcome.ACCEPTED, "on my way")
    session.receive_handoff_outcome("handoff-1", HandoffOutcome.TRANSFERRED)
    settled = session.take_events()
    assert settled == [
        HandoffSettled("handoff-1", HandoffOutcome.ACCEPTED, "on my way"),
        HandoffSettled("handoff-1", HandoffOutcome.TRANSFERRED, ""),
    ]
    for unknown in ("handoff-2", "handoff-0", "", "handoff-01", "alert-1", "handoff-²"):
        with pytest.raises(ClientError, match="handoff_ack"):
            session.receive_handoff_outcome(unknown, HandoffOutcome.ACCEPTED)


def test_a_silent_session_has_an_empty_summary() -> None:
    events = run(silence(2).tobytes())
    assert events == [summary(events)]
    assert summary(events).mean_pressure_index == 0
    assert summary(events).peak_level is AlertLevel.GREEN
    assert not summary(events).high_sensitivity
