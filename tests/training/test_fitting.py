"""The constants of the index, fitted to calls whose scores are made up and so known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from voiceguard.core.pressure import EvidenceWeights
from voiceguard.training.calls import ScoredCall, cross_validate, describe, fit_evidence
from voiceguard.training.calls.fitting import MOST_FALSE_PER_HOUR
from voiceguard.training.calls.rates import (
    false_handoffs_per_hour,
    outcome_of,
    rates_at,
    rates_of,
)
from voiceguard.training.calls.replay import trace_of
from voiceguard.training.calls.simulate import UNFITTED, default_policy
from voiceguard.training.examples import TrainingDataError

HOPS, ONSET = 160, 100


CHANGES = {
    "anger": (2.5, -0.5, 1.5, -1.5),
    "fear": (-1.0, 2.5, 1.0, -1.0),
    None: (0.8, 0.3, 1.5, 1.5),
}
"""Of the log-odds at onset; cheer is lively too, but pleasant."""


def made_up_call(number: int, *, fear: bool = True, louder_only: bool = False) -> ScoredCall:
    """Return a call in which an angry or a frightened voice is lively and unpleasant, with noise.

    Every other call stays calm; in it the voice becomes cheerful. All become louder but fear.
    """
    rng = np.random.default_rng(number)
    emotion = None if number % 2 == 0 else "fear" if fear and number % 3 == 0 else "anger"
    log_odds = rng.normal((-2.0, -3.0, -0.5, 0.0), 0.7, (HOPS, 4))
    levels_db = rng.normal(-30.0, 3.0, HOPS)
    if not louder_only:
        log_odds[ONSET:] += CHANGES[emotion]
    levels_db[ONSET:] += 0.0 if emotion == "fear" else 6.0
    return ScoredCall(
        speaker=f"made-up/{number // 2 % 4}",
        emotion=emotion,
        onset_sample=ONSET * 8000 if emotion else None,
        length_samples=HOPS * 8000,
        end_samples=np.arange(1, HOPS + 1) * 8000,
        scores=np.round(1.0 / (1.0 + np.exp(-log_odds)), 4),
        levels_db=levels_db,
        confidences=np.ones(HOPS),
        pressured=(np.arange(HOPS) >= ONSET) & (emotion is not None),
    )


CALLS = [made_up_call(number) for number in range(24)]
WEIGHTS = fit_evidence(CALLS)


def test_cheer_is_told_from_anger_by_valence() -> None:
    assert WEIGHTS.anger.valence > 0.2
    for kind in (WEIGHTS.anger, WEIGHTS.distress):
        assert kind.absolute >= 0.2


@pytest.mark.parametrize("emotion", ["anger", "fear"])
def test_both_kinds_are_detected_and_few_hand_off_in_vain(emotion: str) -> None:
    policy = default_policy()
    outcomes = [outcome_of(call, trace_of(call, WEIGHTS).indices, policy) for call in CALLS]
    rates = rates_of(outcomes, emotion)
    assert rates.detected_within_10_s > 0.9
    assert rates.false_handoffs_per_hour <= MOST_FALSE_PER_HOUR


def test_false_handoffs_are_counted_alike_with_and_without_calls_that_reach_nothing() -> None:
    for weights in (WEIGHTS, WEIGHTS.moved(2.0), WEIGHTS.moved(5.0)):
        indices = [trace_of(call, weights).indices for call in CALLS]
        expected = rates_at(CALLS, weights, default_policy()).false_handoffs_per_hour
        assert false_handoffs_per_hour(CALLS, indices, default_policy()) == expected
    assert expected > 10


def test_a_score_that_never_moves_is_silenced() -> None:
    mute = [
        replace(call, scores=call.scores * (1, 0, 0, 0) + (0, 0.001, 0.5, 0.5)) for call in CALLS
    ]
    weights = fit_evidence(mute)
    assert weights.distress.bias < -8.0
    outcomes = [outcome_of(one, trace_of(one, weights).indices, default_policy()) for one in mute]
    assert rates_of(outcomes, "anger").detected_within_10_s > 0.5


def test_a_kind_that_no_call_becomes_keeps_weights_and_stays_rare() -> None:
    angry = [made_up_call(number, fear=False) for number in range(24)]
    weights = fit_evidence(angry)
    assert replace(weights.distress, bias=0.0) == replace(UNFITTED.distress, bias=0.0)
    rates = rates_at(angry, weights, default_policy())
    assert rates.detected_within_10_s > 0.9
    assert rates.false_handoffs_per_hour <= MOST_FALSE_PER_HOUR


def test_the_many_calm_speakers_are_those_before_onset() -> None:
    assert WEIGHTS.calm_anger_mean == pytest.approx(-1.85, abs=0.15)
    assert WEIGHTS.calm_distress_mean == pytest.approx(-2.95, abs=0.15)
    assert WEIGHTS.calm_arousal_mean == pytest.approx(-0.25, abs=0.15)
    assert WEIGHTS.calm_valence_mean == pytest.approx(0.25, abs=0.15)


def test_times_and_caps_are_not_fitted_and_a_manifest_holds_them_all() -> None:
    for name in ("baseline_s", "settled_s", "calm_s", "baseline_cap", "rise_s", "fall_s"):
        assert getattr(WEIGHTS, name) == getattr(UNFITTED, name)
    assert EvidenceWeights.from_mapping(describe(WEIGHTS)) == WEIGHTS


def test_loudness_alone_is_given_little() -> None:
    loud = fit_evidence([made_up_call(number, louder_only=True) for number in range(24)])
    for kind in (loud.anger, loud.distress):
        assert kind.level * loud.level_cap_db <= 0.81


def test_cross_validation_judges_every_call_once_with_weights_of_others() -> None:
    outcomes = cross_validate(CALLS)
    assert len(outcomes) == len(CALLS)
    assert rates_of(outcomes).detected_within_10_s > 0.8


def test_too_few_calls_are_said() -> None:
    with pytest.raises(TrainingDataError, match="with and without pressure"):
        fit_evidence(CALLS[:1])
    with pytest.raises(TrainingDataError, match="two speakers"):
        cross_validate(CALLS[:2])
