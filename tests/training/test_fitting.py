"""The constants of the index, fitted to calls whose scores are made up and so known."""

from __future__ import annotations

import numpy as np
import pytest

from voiceguard.core.pressure import EvidenceWeights
from voiceguard.training.calls import ScoredCall, cross_validate, describe, fit_evidence
from voiceguard.training.calls.fitting import MOST_FALSE_PER_HOUR
from voiceguard.training.calls.rates import rates_at, rates_of
from voiceguard.training.calls.simulate import UNFITTED, default_policy
from voiceguard.training.examples import TrainingDataError

HOPS, ONSET = 160, 100


def made_up_call(number: int, *, louder_only: bool = False) -> ScoredCall:
    """Return a call in which an angry voice is lively, unpleasant and loud, with noise.

    Every other call stays calm; in it the voice becomes cheerful: lively, but pleasant.
    """
    rng = np.random.default_rng(number)
    angry = number % 2 == 1
    log_odds = rng.normal((-2.0, -3.0, -0.5, 0.0), 0.7, (HOPS, 4))
    levels_db = rng.normal(-30.0, 3.0, HOPS)
    change = (0.0, 0.0, 0.0, 0.0)
    if not louder_only:
        change = (2.5, 0.0, 1.5, -1.5) if angry else (0.8, 0.0, 1.5, 1.5)
    log_odds[ONSET:] += change
    levels_db[ONSET:] += 6.0
    return ScoredCall(
        speaker=f"made-up/{number // 2 % 4}",
        emotion="anger" if angry else None,
        onset_sample=ONSET * 8000 if angry else None,
        length_samples=HOPS * 8000,
        end_samples=np.arange(1, HOPS + 1) * 8000,
        scores=np.round(1.0 / (1.0 + np.exp(-log_odds)), 4),
        levels_db=levels_db,
        confidences=np.ones(HOPS),
    )


CALLS = [made_up_call(number) for number in range(24)]
WEIGHTS = fit_evidence(CALLS)


def test_cheer_is_told_from_anger_by_valence() -> None:
    assert WEIGHTS.valence > 0.2
    assert WEIGHTS.absolute >= 0.2
    rates = rates_at(CALLS, WEIGHTS, default_policy())
    assert rates.detected_within_10_s > 0.9
    assert rates.false_handoffs_per_hour <= MOST_FALSE_PER_HOUR


def test_the_many_calm_speakers_are_those_before_onset() -> None:
    assert WEIGHTS.calm_arousal_mean == pytest.approx(-0.25, abs=0.15)
    assert WEIGHTS.calm_valence_mean == pytest.approx(0.25, abs=0.15)


def test_times_and_caps_are_not_fitted_and_a_manifest_holds_them_all() -> None:
    for name in ("baseline_s", "settled_s", "calm_s", "baseline_cap", "rise_s", "fall_s"):
        assert getattr(WEIGHTS, name) == getattr(UNFITTED, name)
    assert EvidenceWeights.from_mapping(describe(WEIGHTS)) == WEIGHTS


def test_loudness_alone_is_given_little() -> None:
    loud = fit_evidence([made_up_call(number, louder_only=True) for number in range(24)])
    assert loud.level * loud.level_cap_db <= 0.81


def test_cross_validation_judges_every_call_once_with_weights_of_others() -> None:
    outcomes = cross_validate(CALLS)
    assert len(outcomes) == len(CALLS)
    assert rates_of(outcomes).detected_within_10_s > 0.8


def test_too_few_calls_are_said() -> None:
    with pytest.raises(TrainingDataError, match="with and without pressure"):
        fit_evidence(CALLS[:1])
    with pytest.raises(TrainingDataError, match="two speakers"):
        cross_validate(CALLS[:2])
