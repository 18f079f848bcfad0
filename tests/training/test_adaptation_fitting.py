"""Calibration and constants of the index, fitted to clips that are made up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.testing import _PRESSURE
from voiceguard.training.adapt.figures import comparison, measure
from voiceguard.training.adapt.fitting import (
    Judged,
    Wish,
    cross_judge,
    fit_adaptation,
    folds_by_speaker,
    index_peaks,
    judge,
    recalibration,
)
from voiceguard.training.adapt.scored import Scored
from voiceguard.training.adapt.thresholds import raise_thresholds
from voiceguard.training.calibrate import pressure_of, sigmoid

WEIGHTS = EvidenceWeights.from_mapping(
    {name: value for name, value in _PRESSURE.items() if name != "fitted_on"}
)
WISH = Wish(60.0, 0.1)


def scored(
    clips: int = 240, speakers: int = 8, scale: float = 0.4, shift: float = 1.0, seed: int = 0
) -> Scored:
    """Return clips of a model whose log-odds should be `scale` times as far, and `shift` more."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.0, 2.0, (clips, 2))
    targets = (rng.random((clips, 2)) < sigmoid(scale * z + shift - 2.0)).astype(float)
    neutral = np.full((6, 2), 0.5)  # arousal and valence
    hops = tuple(np.hstack([sigmoid(row + rng.normal(0.0, 0.05, (6, 2))), neutral]) for row in z)
    return Scored(
        speakers=np.array([f"s{index % speakers}" for index in range(clips)]),
        targets=targets,
        pressure=targets.max(axis=1),
        hop_scores=hops,
        hop_levels_db=(np.full(6, -30.0),) * clips,
        window_hops=6,
    )


def test_a_distortion_is_undone() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(0.0, 2.0, (4000, 2))
    targets = (rng.random((4000, 2)) < sigmoid([0.5, 2.0] * z + [1.0, -0.5])).astype(float)
    found = recalibration(z, targets, targets.max(axis=1))
    assert found.scale == pytest.approx((0.5, 2.0), rel=0.15)
    assert found.shift == pytest.approx((1.0, -0.5), abs=0.15)


def test_verdicts_alone_calibrate_anger_or_distress() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(0.0, 2.0, (4000, 2))
    either = pressure_of(sigmoid(0.6 * z - 1.0))
    pressure = (rng.random(4000) < either).astype(float)
    targets = np.where(pressure[:, None] == 1.0, math.nan, 0.0) * np.ones((1, 2))
    found = recalibration(z, targets, pressure)
    said = pressure_of(sigmoid(np.array(found.scale) * z + np.array(found.shift)))
    assert said.mean() == pytest.approx(pressure.mean(), abs=0.02)
    assert found.scale == pytest.approx((0.6, 0.6), abs=0.2)


def test_a_handful_of_clips_bends_little() -> None:
    z = np.array([[2.0, 2.0], [-2.0, -2.0]])
    few = recalibration(z, np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([0.0, 1.0]))
    assert all(0.3 < scale < 1.5 for scale in few.scale)


def test_adapting_lowers_the_error_of_speakers_not_fitted_to() -> None:
    clips = scored()
    folds = folds_by_speaker(clips)
    before = measure(clips, judge(clips, WEIGHTS), WISH)
    after = measure(clips, cross_judge(clips, folds, WEIGHTS, WISH), WISH)
    for name in ("pressure", "anger", "distress"):
        assert after.outputs[name].calibration_error < before.outputs[name].calibration_error
        assert after.outputs[name].log_loss < before.outputs[name].log_loss
    assert before.outputs["anger"].positives == int(clips.targets[:, 0].sum())
    lines = list(comparison(before, after, WISH))
    assert any("calibration error" in line for line in lines)


def test_the_biases_are_the_highest_that_keeps_false_alarms_rare() -> None:
    clips = scored()
    fitted = fit_adaptation(clips, WEIGHTS, WISH)
    again = clips.recalibrated(fitted.calibration)

    def false_alarm_share(weights: EvidenceWeights) -> float:
        return float(np.mean(index_peaks(again.subset(again.is_calm), weights) >= 60.0))

    assert false_alarm_share(fitted.weights) <= 0.1
    assert false_alarm_share(fitted.weights.moved(0.05)) > 0.1
    anger, distress = fitted.weights.anger, fitted.weights.distress
    assert anger.bias - distress.bias == WEIGHTS.anger.bias - WEIGHTS.distress.bias
    assert replace(anger, bias=WEIGHTS.anger.bias) == WEIGHTS.anger
    for name in ("level_cap_db", "baseline_s", "rise_s", "fall_s"):
        assert getattr(fitted.weights, name) == getattr(WEIGHTS, name)
    assert fitted.weights.calm_anger_mean != WEIGHTS.calm_anger_mean
    assert fitted.weights.calm_distress_mean != WEIGHTS.calm_distress_mean


def test_every_speaker_is_in_one_fold_and_every_kind_on_both_sides() -> None:
    clips = scored(speakers=6)
    rare = clips.subset(~clips.is_pressured | np.isin(clips.speakers, ["s1", "s4"]))
    folds = folds_by_speaker(rare)
    assert set(folds.tolist()) == set(range(5))
    for speaker in np.unique(rare.speakers):
        assert len(set(folds[rare.speakers == speaker].tolist())) == 1
    for fold in range(5):
        assert rare.is_pressured[folds != fold].any()
        assert rare.is_calm[folds != fold].any()


def test_clips_of_one_speaker_are_one_call_with_pressure_last() -> None:
    clips = scored(clips=4, speakers=1)
    calm = np.tile([0.05, 0.05, 0.3, 0.5], (8, 1))
    angry = np.tile([0.9, 0.9, 0.8, 0.2], (8, 1))
    call = Scored(
        clips.speakers,
        np.array([[1.0, 0.0]] + [[0.0, 0.0]] * 3),
        np.array([1.0, 0.0, 0.0, 0.0]),
        (angry, calm, calm, calm),
        (np.full(8, -30.0),) * 4,
        6,
    )
    peaks = index_peaks(call, WEIGHTS)
    assert peaks[0] > 80.0
    assert (peaks[1:] < 30.0).all()


def test_without_both_kinds_an_output_has_no_figures() -> None:
    clips = scored()
    unknown = Scored(
        clips.speakers,
        np.where(clips.is_pressured[:, None], math.nan, 0.0) * np.ones((1, 2)),
        clips.pressure,
        clips.hop_scores,
        clips.hop_levels_db,
        6,
    )
    figures = measure(unknown, Judged(unknown.logits(), np.zeros(240)), WISH)
    assert list(figures.outputs) == ["pressure"]
    assert figures.detected_share == 0.0


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2])
def test_thresholds_are_reached_as_rarely_as_wished(share: float) -> None:
    peaks = np.random.default_rng(0).uniform(5.0, 90.0, 400)
    found = raise_thresholds(peaks, share)
    assert found["yellow"] <= found["orange"] <= found["red"]
    assert np.mean(peaks >= found["orange"]) <= share
    assert np.mean(peaks >= found["yellow"]) <= 2 * share
    assert np.mean(peaks >= found["orange"] - 2.0) > share or share == 0.0
