"""The constants of the pressure index, fitted to simulated calls of development speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from voiceguard.core.pressure import EvidenceWeights, PressureIndex
from voiceguard.training.calibrate import sigmoid
from voiceguard.training.calls.rates import rates_at
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.simulate import UNFITTED, default_policy
from voiceguard.training.targets import OUTPUTS

MOST_FALSE_PER_HOUR: Final = 0.5
"""False handoffs that the bias may cost, of call time without pressure."""

_UNSETTLED_HOPS: Final = 2
_BIASES: Final = tuple(np.arange(0.0, -5.01, -0.05))
_MOST_FROM_LEVEL: Final = 0.8
"""Bound, in log-odds, on what loudness can add to a voice wholly angry or distressed."""
_STEEPEST: Final = 3.0


def fit_evidence(calls: Sequence[ScoredCall]) -> EvidenceWeights:
    """Fit the constants of the evidence to hops labelled calm or pressured.

    Logistic regression with weights that are not negative, on the terms that
    `PressureIndex` itself computes.
    """
    weights = _baseline_constants(calls)
    terms, pressured = _hops(calls, weights)

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = theta[0] + terms @ theta[1:]
        error = sigmoid(z) - pressured
        value = float(np.sum(np.logaddexp(0.0, z) - pressured * z))
        penalty = 1e-3 * float(theta[1:] @ theta[1:])
        gradient = np.array([error.sum(), *(error @ terms)]) / len(z)
        gradient[1:] += 2e-3 * theta[1:]
        return value / len(z) + penalty, gradient

    most_level = _MOST_FROM_LEVEL / weights.level_cap_db
    bounds = [(None, None), (0.1, _STEEPEST), (0.0, _STEEPEST), (0.0, most_level)]
    start = np.array([-1.0, 0.5, 0.3, 0.0])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    fitted = replace(
        weights,
        absolute=round(float(found[1]), 4),
        relative=round(float(found[2]), 4),
        level=round(float(found[3]), 5),
    )
    return _with_bias(calls, fitted)


def _with_bias(calls: Sequence[ScoredCall], weights: EvidenceWeights) -> EvidenceWeights:
    """Return the highest bias that keeps false alarms as rare as they must be.

    The regression's own bias supposes that half of all speech is pressured; of real
    calls very little is, and what matters is how often a threshold is crossed in vain.
    """
    for bias in _BIASES:
        candidate = replace(weights, bias=round(float(bias), 2))
        rates = rates_at(calls, candidate, default_policy())
        if rates.false_handoffs_per_hour <= MOST_FALSE_PER_HOUR:
            return candidate
    return candidate


def _baseline_constants(calls: Sequence[ScoredCall]) -> EvidenceWeights:
    """Return weights with the population of calm speakers, and the terms themselves unweighted."""
    weights = UNFITTED
    calm = np.concatenate([_term(call, weights)[: call.onset_hop] for call in calls])
    mean, deviation = float(calm.mean()), float(calm.std())
    return replace(
        weights,
        absolute=0.0,
        calm_mean=round(mean, 4),
        calm_deviation=round(deviation, 4),
        baseline_maximum=round(mean + deviation, 4),
    )


def _term(call: ScoredCall, weights: EvidenceWeights) -> NDArray[np.float64]:
    """Return the log-odds of the evidence of each hop under `weights`."""
    index = PressureIndex(weights)
    evidence = np.array(
        [
            index.receive_scores(_named(scores), float(level), float(confidence)).evidence
            for scores, level, confidence in zip(
                call.scores, call.levels_db, call.confidences, strict=True
            )
        ]
    )
    return np.asarray(np.log(evidence) - np.log1p(-evidence))


def _named(scores: NDArray[np.float64]) -> dict[str, float]:
    return {name: float(score) for name, score in zip(OUTPUTS, scores, strict=True)}


def _hops(
    calls: Sequence[ScoredCall], weights: EvidenceWeights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the three terms of each settled hop, and 1 where it is pressured."""
    alone = [replace(weights, **{name: 1.0}) for name in ("absolute", "relative", "level")]
    terms, labels = [], []
    for call in calls:
        columns = np.stack([_term(call, one) for one in alone], axis=1)
        onset = len(columns) if call.onset_hop is None else call.onset_hop
        terms += [columns[:onset], columns[onset + _UNSETTLED_HOPS :]]
        labels += [np.zeros(onset), np.ones(max(len(columns) - onset - _UNSETTLED_HOPS, 0))]
    return np.concatenate(terms), np.concatenate(labels)


def describe(weights: EvidenceWeights) -> dict[str, float]:
    """Return the constants as the manifest's `[pressure]` table holds them."""
    return {name: float(value) for name, value in asdict(weights).items()}
