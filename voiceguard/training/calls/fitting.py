"""The constants of the pressure index, fitted to simulated calls of development speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights, PressureReading
from voiceguard.training.calibrate import sigmoid
from voiceguard.training.calls.rates import Outcome, outcome_of, rates_at
from voiceguard.training.calls.replay import trace_of
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.simulate import UNFITTED, default_policy
from voiceguard.training.examples import TrainingDataError
from voiceguard.training.population import with_calm_population

MOST_FALSE_PER_HOUR: Final = 0.5
"""False handoffs that the bias may cost, of call time without pressure."""
FOLDS: Final = 4
"""Of speakers, in cross-validation."""

_UNSETTLED_HOPS: Final = 2
"""Hops after onset that are not learnt from: the model's window still holds calm speech."""
_PENALTY: Final = 1e-3
_MOST_FROM_LEVEL: Final = 0.8
"""Bound, in log-odds, on what loudness can add to a voice wholly angry or distressed."""
_LEAST_ABSOLUTE: Final = 0.2
"""An index that knew deviations only would miss who is angry from the first word."""
_STEEPEST: Final = 3.0
_BIASES: Final = (-12.0, 4.0)
_BISECTIONS: Final = 10


def fit_evidence(calls: Sequence[ScoredCall], policy: Policy | None = None) -> EvidenceWeights:
    """Fit the constants of the evidence to the hops of scored calls.

    Weights: a logistic regression, calm hops and pressured ones counting alike as
    a whole, none of the weights negative, on the terms that `PressureIndex` itself
    computes. Bias: the highest at which `policy` (None: the default one) hands off
    in vain no more often than `MOST_FALSE_PER_HOUR`.

    Raises:
        TrainingDataError: the calls hold no calm speech, or none under pressure.
    """
    calm = np.concatenate([call.scores[: call.onset_hop] for call in calls])
    weights = with_calm_population(UNFITTED, calm)
    terms, pressured = _hops(calls, weights)
    if not 0 < pressured.sum() < len(pressured):
        raise TrainingDataError("calls with and without pressure are needed; simulate more")
    balance = np.where(pressured == 1.0, 0.5 / pressured.mean(), 0.5 / (1.0 - pressured.mean()))

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = theta[0] + terms @ theta[1:]
        error = balance * (sigmoid(z) - pressured) / len(z)
        value = float(np.mean(balance * (np.logaddexp(0.0, z) - pressured * z)))
        gradient = np.array([error.sum(), *(error @ terms)])
        gradient[1:] += 2.0 * _PENALTY * theta[1:]
        return value + _PENALTY * float(theta[1:] @ theta[1:]), gradient

    free, most_level = (0.0, _STEEPEST), _MOST_FROM_LEVEL / weights.level_cap_db
    bounds = [(None, None), (_LEAST_ABSOLUTE, _STEEPEST), free, free, free, (0.0, most_level)]
    found = minimize(loss, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds).x
    fitted = replace(
        weights,
        absolute=round(float(found[1]), 4),
        relative=round(float(found[2]), 4),
        arousal=round(float(found[3]), 4),
        valence=round(float(found[4]), 4),
        level=round(float(found[5]), 5),
    )
    return _with_bias(calls, fitted, policy or default_policy())


def cross_validate(calls: Sequence[ScoredCall], policy: Policy | None = None) -> list[Outcome]:
    """Return the outcome of every call under constants fitted to other speakers' calls.

    Raises:
        TrainingDataError: there are calls of one speaker only, or too few to fit.
    """
    speakers = sorted({call.speaker for call in calls})
    if len(speakers) < 2:
        raise TrainingDataError("cross-validation needs calls of two speakers at least")
    judged_by = policy or default_policy()
    outcomes = []
    for fold in range(min(FOLDS, len(speakers))):
        left_out = set(speakers[fold::FOLDS])
        weights = fit_evidence([one for one in calls if one.speaker not in left_out], judged_by)
        outcomes += [
            outcome_of(call, trace_of(call, weights).indices, judged_by)
            for call in calls
            if call.speaker in left_out
        ]
    return outcomes


def _with_bias(
    calls: Sequence[ScoredCall], weights: EvidenceWeights, policy: Policy
) -> EvidenceWeights:
    """Return the highest bias that keeps false handoffs as rare as they must be, by bisection.

    The regression's own bias supposes that half of all speech is pressured; of real
    calls very little is, and what matters is how often somebody is called in vain.
    """
    low, high = _BIASES
    for _ in range(_BISECTIONS):
        bias = (low + high) / 2.0
        rates = rates_at(calls, replace(weights, bias=bias), policy)
        if rates.false_handoffs_per_hour <= MOST_FALSE_PER_HOUR:
            low = bias
        else:
            high = bias
    return replace(weights, bias=round(low, 4))


def _hops(
    calls: Sequence[ScoredCall], weights: EvidenceWeights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the terms of each settled hop, (hops, 5), and 1 where it is pressured."""
    terms, labels = [], []
    for call in calls:
        rows = np.array([_row(one) for one in trace_of(call, weights).readings]).reshape(-1, 5)
        onset = len(rows) if call.onset_hop is None else call.onset_hop
        settled = rows[onset + _UNSETTLED_HOPS :]
        terms += [rows[:onset], settled]
        labels += [np.zeros(onset), np.ones(len(settled))]
    return np.concatenate(terms), np.concatenate(labels)


def _row(reading: PressureReading) -> tuple[float, float, float, float, float]:
    """Return the terms so that each rises with pressure."""
    terms = reading.terms
    return terms.absolute, terms.relative, terms.arousal, -terms.valence, terms.level


def describe(weights: EvidenceWeights) -> dict[str, float]:
    """Return the constants as the manifest's `[pressure]` table holds them."""
    return {name: float(value) for name, value in asdict(weights).items()}
