"""Fits calibration and the constants of the index to labelled clips, and tests that by speaker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from voiceguard.core.pressure import EvidenceWeights, PressureIndex
from voiceguard.training.adapt.scored import INDEXED, Scored
from voiceguard.training.calibrate import Calibration
from voiceguard.training.population import with_calm_population
from voiceguard.training.targets import OUTPUTS

MOST_FOLDS: Final = 5

FALSE_ALARM_SHARE: Final = 0.05
"""Wished where nobody says otherwise: a human is asked for in vain in one clip of twenty."""

_SCALE_SPREAD: Final = 0.5
_SHIFT_SPREAD: Final = 2.0
"""Standard deviations of a normal prior on the log of the scale and on the shift, around a
calibration that is right already: forty clips bend it, a handful do not."""

_LEAST_PRESSURE: Final = 1e-9
_MOVES: Final = np.round(np.arange(-8.0, 8.01, 0.05), 2)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a threshold is to achieve."""

    threshold: float
    """Pressure index, 0 to 100, at which a human is asked for."""
    false_alarm_share: float
    """At most this share of clips without anger or distress may reach it."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What was fitted."""

    calibration: Calibration
    """Of anger and distress, on top of the one that the model has."""
    weights: EvidenceWeights


@dataclass(frozen=True, slots=True)
class Judged:
    """Clips as one model, or several by turns, judge them."""

    logits: NDArray[np.float64]
    """(clips, 2): log-odds of anger and distress."""
    peaks: NDArray[np.float64]
    """(clips,): highest pressure index during the clip, 0 to 100; see `index_peaks`."""


def fit_adaptation(scored: Scored, weights: EvidenceWeights, wish: Wish) -> Adaptation:
    """Fit calibration first, then what the index takes for calm, then its biases."""
    calibration = recalibration(scored.logits(), scored.targets, scored.pressure)
    again = scored.recalibrated(calibration)
    calm = np.concatenate(again.subset(again.is_calm).hop_scores)
    weights = with_calm_population(weights, calm)
    return Adaptation(calibration, _with_biases(again, weights, wish))


def judge(scored: Scored, weights: EvidenceWeights) -> Judged:
    """Return what a model says of clips."""
    return Judged(scored.logits(), index_peaks(scored, weights))


def cross_judge(
    scored: Scored, folds: NDArray[np.int64], weights: EvidenceWeights, wish: Wish
) -> Judged:
    """Return what adapted models say of clips whose speakers they were not fitted to.

    Args:
        scored: the clips, before they are adapted to.
        folds: of each clip, as from `folds_by_speaker`.
        weights: constants of the index, before.
        wish: what the threshold is to achieve.
    """
    logits, peaks = np.zeros((len(folds), len(INDEXED))), np.zeros(len(folds))
    for fold in np.unique(folds):
        adapted = fit_adaptation(scored.subset(folds != fold), weights, wish)
        own = scored.subset(folds == fold).recalibrated(adapted.calibration)
        judged = judge(own, adapted.weights)
        logits[folds == fold], peaks[folds == fold] = judged.logits, judged.peaks
    return Judged(logits, peaks)


def recalibration(
    logits: NDArray[np.float64], targets: NDArray[np.float64], pressure: NDArray[np.float64]
) -> Calibration:
    """Fit scale and shift of anger and distress (Platt 1999) with a prior.

    Where a label says neither, only that it was one of the two, the likelihood is that of
    their noisy-or.

    Args:
        logits: (clips, 2).
        targets: (clips, 2), NaN where not known.
        pressure: (clips,), NaN where not known.
    """
    known = ~np.isnan(targets)
    either_known = ~known.any(axis=1) & ~np.isnan(pressure)
    wanted, wanted_either = np.nan_to_num(targets), np.nan_to_num(pressure)

    def loss(theta: NDArray[np.float64]) -> float:
        z = np.exp(theta[:2]) * logits + theta[2:]
        each = np.logaddexp(0.0, z) - wanted * z
        neither = -np.logaddexp(0.0, z).sum(axis=1)
        either = np.log(-np.expm1(np.minimum(neither, -_LEAST_PRESSURE)))
        of_either = -wanted_either * either - (1.0 - wanted_either) * neither
        unlikely = (theta[:2] / _SCALE_SPREAD) ** 2 + (theta[2:] / _SHIFT_SPREAD) ** 2
        return float((each * known).sum() + (of_either * either_known).sum() + unlikely.sum() / 2)

    found = minimize(loss, np.zeros(4), method="L-BFGS-B").x
    return Calibration(
        tuple(float(scale) for scale in np.exp(found[:2])),
        tuple(float(shift) for shift in found[2:]),
    )


def _with_biases(scored: Scored, weights: EvidenceWeights, wish: Wish) -> EvidenceWeights:
    """Return both biases moved alike, as high as false alarms remain as rare as wished.

    Many labels say only that it was one of the two, so what anger counts for beside
    distress stays as it was.
    """
    calm = scored.subset(scored.is_calm)

    def is_rare(move: float) -> bool:
        peaks = index_peaks(calm, weights.moved(move))
        return float(np.mean(peaks >= wish.threshold)) <= wish.false_alarm_share

    low, high = 0, len(_MOVES) - 1  # false alarms never become rarer as the biases rise
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_rare(float(_MOVES[middle])) else (low, middle - 1)
    return weights.moved(float(_MOVES[low]))


def index_peaks(scored: Scored, weights: EvidenceWeights) -> NDArray[np.float64]:
    """Return the highest pressure index during each clip, (clips,), as in a call.

    All clips of a speaker are one call, those with anger or distress last: so the index knows
    how the speaker sounds when calm, as far as there are such clips.
    """
    peaks = np.zeros(len(scored.speakers))
    for speaker in np.unique(scored.speakers):
        own = np.flatnonzero(scored.speakers == speaker)
        index = PressureIndex(weights)
        for clip in sorted(own, key=lambda row: bool(scored.is_pressured[row])):
            readings = [
                index.receive_scores(dict(zip(OUTPUTS, scores, strict=True)), level_db, 1.0)
                for scores, level_db in zip(
                    scored.hop_scores[clip].tolist(),
                    scored.hop_levels_db[clip].tolist(),
                    strict=True,
                )
            ]
            peaks[clip] = max(reading.pressure_index for reading in readings)
    return peaks


def folds_by_speaker(scored: Scored, most: int = MOST_FOLDS) -> NDArray[np.int64]:
    """Return the fold of each clip, from 0: each speaker in one, anger or distress in all.

    The speaker with most clips is dealt first; each goes where the fewest of its kind are.
    """
    names = sorted(set(scored.speakers.tolist()))
    pressured = Counter(scored.speakers[scored.is_pressured].tolist())
    calm = Counter(scored.speakers[scored.is_calm].tolist())
    shares = {
        name: np.array([pressured[name] / pressured.total(), calm[name] / calm.total()])
        for name in names
    }
    loads = np.zeros((min(most, len(names)), 2))
    fold_of: dict[str, int] = {}
    for name in sorted(names, key=lambda name: -float(shares[name].sum())):
        crowding = loads @ shares[name]
        fold = min(range(len(loads)), key=lambda index: (crowding[index], loads[index].sum()))
        fold_of[name] = fold
        loads[fold] += shares[name]
    return np.array([fold_of[name] for name in scored.speakers.tolist()], np.int64)
