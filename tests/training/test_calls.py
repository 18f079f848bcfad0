"""Simulated calls: what they are made of, and that a replay is the engine's own judgement."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.training.speech import MODEL_DIR, recordings
from voiceguard.core.events import (
    AlertLevel,
    Event,
    HandoffRequested,
    PressureUpdated,
    SessionFlagged,
)
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.model import StressModel
from voiceguard.training.augment import Sounds
from voiceguard.training.calls import (
    CallMaker,
    CallSounds,
    ScoredCall,
    default_policy,
    voices_of,
)
from voiceguard.training.calls.rates import Outcome, outcome_of, rates_of
from voiceguard.training.calls.replay import decide, smoothed_index, trace_of, with_threshold
from voiceguard.training.calls.scoring import hear
from voiceguard.training.calls.script import CALM_SHARES, PRESSURED, CallScript
from voiceguard.training.examples import TrainingDataError

MODEL = StressModel.load(MODEL_DIR)
WEIGHTS = EvidenceWeights.from_mapping(MODEL.manifest.pressure)
POLICY = default_policy()
EAGER = with_threshold(POLICY, 15.0)
TONE = np.sin(np.arange(24000, dtype=np.float32) * 0.3)
MAKER = CallMaker(voices_of(recordings()), CallSounds([0.3 * TONE], [TONE], [TONE]), Sounds(), 3)


def scripts(count: int = 12) -> list[CallScript]:
    return [MAKER.make(number)[0] for number in range(count)]


def pressured_number() -> int:
    return next(number for number, script in enumerate(scripts()) if script.emotion)


def played(number: int) -> tuple[ScoredCall, list[Event]]:
    script, audio = MAKER.make(number)
    return hear(script, audio, MODEL, EAGER, WEIGHTS)


def test_a_call_follows_from_seed_and_number_alone() -> None:
    first, audio = MAKER.make(1)
    MAKER.make(0)
    again, same = MAKER.make(1)
    np.testing.assert_array_equal(audio, same)
    assert [one.start_sample for one in first.spoken] == [one.start_sample for one in again.spoken]
    other = replace(MAKER, seed=4).make(1)[1]
    assert len(other) != len(audio)


def test_pressure_begins_at_onset_and_not_before() -> None:
    assert {script.emotion for script in scripts()} == {None, *PRESSURED}
    for speaker in {script.speaker for script in scripts()}:
        own = [script.emotion is not None for script in scripts() if script.speaker == speaker]
        assert own == [False, True] * 3
    for script in scripts():
        emotions = [(one.start_sample, one.recording.clip.emotion) for one in script.spoken]
        pressed = [start for start, emotion in emotions if emotion in PRESSURED]
        assert (min(pressed) if pressed else None) == script.onset_sample
        assert {emotion for _, emotion in emotions} <= {*CALM_SHARES, script.emotion}
        if script.onset_sample is not None:
            late = [emotion for start, emotion in emotions if start > script.onset_sample + 80000]
            assert set(late) == {script.emotion}
            assert script.onset_sample > 60 * 8000


def test_one_speaker_calls_and_the_two_sides_take_turns() -> None:
    for script in scripts():
        assert len({one.recording.clip.speaker for one in script.spoken}) == 1
        customer = [
            (one.start_sample, one.start_sample + len(one.recording.samples))
            for one in script.spoken
        ]
        agent = [(one.start_sample, one.start_sample + len(one.samples)) for one in script.prompts]
        spans = sorted(customer + agent)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_the_agent_is_on_the_second_channel_alone() -> None:
    for number, script in enumerate(scripts()):
        audio = MAKER.make(number)[1]
        assert audio.shape == (script.length_samples, 2)
        prompt = script.prompts[0]
        middle = slice(prompt.start_sample + 8000, prompt.start_sample + 16000)
        assert np.abs(audio[middle, 1]).max() > 5000
        spoken = script.spoken[0]
        end = spoken.start_sample + len(spoken.recording.samples)
        assert np.abs(audio[spoken.start_sample : end, 1]).max() < 20


def test_speakers_without_every_emotion_make_no_calls() -> None:
    calm = [one for one in recordings() if one.clip.emotion != "fear"]
    with pytest.raises(TrainingDataError, match="no held-out speaker"):
        voices_of(calm)


@pytest.mark.parametrize("number", [0, pressured_number()])
def test_a_replay_is_what_the_engine_said(number: int) -> None:
    call, events = played(number)
    updates = [one for one in events if isinstance(one, PressureUpdated) and one.scores]
    trace = trace_of(call, WEIGHTS)
    assert trace.indices.tolist() == [one.pressure_index for one in updates]
    deviations = [one.baseline_deviation for one in trace.readings]
    assert deviations == [one.baseline_deviation for one in updates]
    decisions = decide(call, trace.indices, EAGER)
    assert list(decisions.levels) == [one.level for one in updates]
    asked = [one for one in events if isinstance(one, HandoffRequested)]
    assert asked, "an eager policy asks for somebody in these calls"
    assert [call.end_samples[hop] for hop in decisions.handoffs] == [one.at_sample for one in asked]
    assert [trace.reasons[hop] for hop in decisions.handoffs] == [one.reason for one in asked]
    (flag,) = [one for one in events if isinstance(one, SessionFlagged)]
    assert decisions.flag is not None
    assert call.end_samples[decisions.flag] == flag.at_sample


def test_hops_are_pressured_from_onset_until_another_clip_begins() -> None:
    number = pressured_number()
    script, call = MAKER.make(number)[0], played(number)[0]
    assert not call.pressured[: call.onset_hop].any()
    assert call.pressured[call.onset_hop]
    for end, pressured in zip(call.end_samples, call.pressured, strict=True):
        (*_, spoken) = (clip for clip in script.spoken if clip.start_sample < end)
        assert pressured == (spoken.recording.clip.emotion in PRESSURED)
    calm = next(played(number)[0] for number, one in enumerate(scripts()) if not one.emotion)
    assert not calm.pressured.any()


def test_evidence_of_one_kind_alone_makes_the_same_index() -> None:
    call, _ = played(pressured_number())
    alone = replace(WEIGHTS, distress=replace(WEIGHTS.distress, bias=-60.0))
    trace = trace_of(call, alone)
    evidence = np.array([reading.anger.evidence for reading in trace.readings])
    np.testing.assert_allclose(
        smoothed_index(evidence, call.confidences, alone), trace.indices, atol=1e-9
    )


def flat_call(hops: int, onset_hop: int | None) -> ScoredCall:
    """Return a call of which only the times matter: a hop of speech each second."""
    onset = None if onset_hop is None else onset_hop * 8000
    ends = np.arange(1, hops + 1) * 8000
    blank = np.zeros(hops)
    emotion = None if onset is None else "anger"
    return ScoredCall(
        speaker="c/1",
        emotion=emotion,
        onset_sample=onset,
        length_samples=hops * 8000,
        end_samples=ends,
        scores=np.zeros((hops, 4)),
        levels_db=blank,
        confidences=blank + 1.0,
        pressured=np.arange(hops) >= (hops if onset_hop is None else onset_hop),
    )


def test_an_outcome_counts_speech_from_onset_and_what_came_before_as_false() -> None:
    call = flat_call(200, 150)
    assert call.onset_hop == 150
    indices = np.full(200, 10.0)
    indices[40:50] = 90.0
    indices[155:] = 90.0
    found = outcome_of(call, indices, POLICY)
    hold_hops = math.ceil(POLICY.alerts[AlertLevel.ORANGE].hold_s / 0.5)
    assert found.false_handoffs == found.false_flags == 1
    assert found.speech_to_handoff_s == (5 + hold_hops) * 0.5
    assert found.time_to_handoff_s == 5 + hold_hops
    assert (found.calm_s, found.calm_speech_s) == (150.0, 75.0)


def test_rates_are_ratios_of_calls_and_hours() -> None:
    outcomes = [
        Outcome("c/1", "anger", 1800.0, 900.0, 1, 1, 4.0, 6.0),
        Outcome("c/1", "anger", 1800.0, 900.0, 0, 0, 8.0, 12.0),
        Outcome("c/2", "fear", 1800.0, 900.0, 0, 0, None, None),
        Outcome("c/2", None, 1800.0, 900.0, 2, 1, None, None),
    ]
    rates = rates_of(outcomes)
    assert (rates.detected_within_5_s, rates.detected_within_10_s) == (1 / 3, 2 / 3)
    assert (rates.median_speech_to_handoff_s, rates.median_time_to_handoff_s) == (6.0, 9.0)
    assert (rates.false_handoffs_per_hour, rates.false_handoffs_per_speech_hour) == (1.5, 3.0)
    assert (rates.false_flags_per_hour, rates.false_flags_per_speech_hour) == (1.0, 2.0)
    assert rates_of(outcomes, "anger").detected_within_10_s == 1.0
    assert math.isnan(rates_of(outcomes, "fear").median_time_to_handoff_s)


def test_a_moved_threshold_keeps_levels_in_order() -> None:
    for threshold in (1.0, 30.0, 60.0, 95.0):
        moved = with_threshold(POLICY, threshold)
        assert moved.alerts[AlertLevel.ORANGE].raise_threshold == threshold
    assert with_threshold(POLICY, POLICY.alerts[AlertLevel.ORANGE].raise_threshold) == POLICY
