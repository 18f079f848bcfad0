"""The constants of the pressure index, fitted to simulated calls of development speakers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from voiceguard.core.policy import Policy
from voiceguard.core.pressure import REQUIRED_SCORES, EvidenceTerms, EvidenceWeights, KindWeights
from voiceguard.training.calibrate import sigmoid
from voiceguard.training.calls.rates import Outcome, false_handoffs_per_hour, outcome_of
from voiceguard.training.calls.replay import Trace, smoothed_index, trace_of
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.script import PRESSURED
from voiceguard.training.calls.simulate import UNFITTED, default_policy
from voiceguard.training.examples import TrainingDataError
from voiceguard.training.population import with_calm_population

MOST_FALSE_PER_HOUR: Final = 0.5
"""False handoffs that the biases may cost together, of call time without pressure."""
FOLDS: Final = 4
"""Of speakers, in cross-validation."""

_EMOTION_OF: Final = dict(zip(REQUIRED_SCORES, PRESSURED, strict=True))
"""What a call becomes that each kind of evidence is learnt from."""
_SHARES: Final = {"anger": 0.75, "distress": 0.25}
"""Of false handoffs, that each kind may cost."""
_UNSETTLED_HOPS: Final = 2
"""Hops after onset that are not learnt from: the model's window still holds calm speech."""
_PENALTY: Final = 1e-3
_MOST_FROM_LEVEL: Final = 0.8
"""Bound, in log-odds, on what loudness can add to a voice wholly angry or distressed."""
_LEAST_ABSOLUTE: Final = 0.2
"""An index that knew deviations only would miss who is angry from the first word."""
_STEEPEST: Final = 3.0
_LEAST_RANGE: Final = 0.01
"""Of log-odds of evidence; one that moves less says nothing and is silenced."""
_BIASES: Final = (-12.0, 4.0)
_MOVES: Final = (-3.0, 3.0)
_BISECTIONS: Final = 9


def fit_evidence(calls: Sequence[ScoredCall], policy: Policy | None = None) -> EvidenceWeights:
    """Fit the constants of the evidence to the hops of scored calls.

    Weights, for anger and for distress apart: a logistic regression, calm hops and
    those under this pressure counting alike as a whole, none of the weights negative,
    on the terms that `PressureIndex` itself computes. Biases: each the highest at which
    its kind alone costs its share of `MOST_FALSE_PER_HOUR` under `policy` (None: the
    default one); then both are moved alike, as far as they may cost all of it together.
    A kind that no call becomes keeps the weights of `UNFITTED`.

    Raises:
        TrainingDataError: the calls hold no calm speech, or none under pressure.
    """
    judged_by = policy or default_policy()
    calm = np.concatenate([call.scores[: call.onset_hop] for call in calls])
    if not len(calm) or not any(call.pressured.any() for call in calls):
        raise TrainingDataError("calls with and without pressure are needed; simulate more")
    weights = with_calm_population(UNFITTED, calm)
    traces = [trace_of(call, weights) for call in calls]
    until_onset = [_until_onset(call) for call in calls]

    def fitted(kind: str, start: KindWeights) -> KindWeights:
        rows = [_rows(trace, kind) for trace in traces]
        learnt = _with_weights(start, weights, _hops(calls, rows, kind))
        most = MOST_FALSE_PER_HOUR * _SHARES[kind]
        return _with_bias(learnt, weights, until_onset, rows, judged_by, most)

    anger, distress = fitted("anger", weights.anger), fitted("distress", weights.distress)
    return _moved(replace(weights, anger=anger, distress=distress), until_onset, judged_by)


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


@dataclass(frozen=True, slots=True)
class _Hops:
    """What one kind is learnt from."""

    terms: NDArray[np.float64]
    """(hops, 5), each so that it rises with pressure."""
    pressured: NDArray[np.float64]
    """(hops,), 0 or 1."""


def _until_onset(call: ScoredCall) -> ScoredCall:
    """Return what a call was before any pressure, which is all that can be in vain."""
    calm = slice(0, call.onset_hop)
    return replace(
        call,
        end_samples=call.end_samples[calm],
        scores=call.scores[calm],
        levels_db=call.levels_db[calm],
        confidences=call.confidences[calm],
        pressured=call.pressured[calm],
    )


def _rows(trace: Trace, kind: str) -> NDArray[np.float64]:
    """Return the terms of each hop for one kind, (hops, 5), each so that it rises with it."""

    def row(terms: EvidenceTerms) -> tuple[float, ...]:
        return terms.absolute, terms.relative, terms.arousal, -terms.valence, terms.level

    return np.array([row(getattr(one, kind).terms) for one in trace.readings]).reshape(-1, 5)


def _hops(calls: Sequence[ScoredCall], rows: Sequence[NDArray[np.float64]], kind: str) -> _Hops:
    """Return the calm hops of all calls, and those of `kind` that are settled."""
    terms, labels = [], []
    for call, own in zip(calls, rows, strict=True):
        terms.append(own[: call.onset_hop])
        labels.append(np.zeros(len(terms[-1])))
        if call.onset_hop is not None and call.emotion == _EMOTION_OF[kind]:
            settled = slice(call.onset_hop + _UNSETTLED_HOPS, None)
            terms.append(own[settled][call.pressured[settled]])
            labels.append(np.ones(len(terms[-1])))
    return _Hops(np.concatenate(terms), np.concatenate(labels))


def _with_weights(start: KindWeights, weights: EvidenceWeights, hops: _Hops) -> KindWeights:
    """Return the weights of one kind, by logistic regression; `start` where it never occurs."""
    terms, pressured = hops.terms, hops.pressured
    if not pressured.any():
        return start
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
    bias, absolute, relative, arousal, valence = (round(float(one), 4) for one in found[:5])
    return KindWeights(bias, absolute, relative, arousal, valence, round(float(found[5]), 5))


def _with_bias(
    kind: KindWeights,
    weights: EvidenceWeights,
    calls: Sequence[ScoredCall],
    rows: Sequence[NDArray[np.float64]],
    policy: Policy,
    most_false_per_hour: float,
) -> KindWeights:
    """Return the highest bias at which this kind alone costs no more than so much.

    The regression's own bias supposes that half of all speech is pressured; of real
    calls very little is, and what matters is how often somebody is called in vain.
    `rows` are terms against baselines that were learnt without this bias: near enough to
    tell the kinds' shares, and far quicker.
    """
    slopes = np.array([kind.absolute, kind.relative, kind.arousal, kind.valence, kind.level])
    log_odds = [own[: len(call.scores)] @ slopes for call, own in zip(calls, rows, strict=True)]
    if float(np.ptp(np.concatenate(log_odds))) < _LEAST_RANGE:
        return replace(kind, bias=_BIASES[0])

    def is_rare(bias: float) -> bool:
        indices = [
            smoothed_index(sigmoid(own + bias), call.confidences, weights)
            for call, own in zip(calls, log_odds, strict=True)
        ]
        return false_handoffs_per_hour(calls, indices, policy) <= most_false_per_hour

    return replace(kind, bias=round(_highest(is_rare, *_BIASES), 4))


def _moved(
    weights: EvidenceWeights, calls: Sequence[ScoredCall], policy: Policy
) -> EvidenceWeights:
    """Return both biases moved alike, as high as all false handoffs together allow."""

    def is_rare(move: float) -> bool:
        indices = [trace_of(call, weights.moved(move)).indices for call in calls]
        return false_handoffs_per_hour(calls, indices, policy) <= MOST_FALSE_PER_HOUR

    return weights.moved(_highest(is_rare, *_MOVES))


def _highest(is_rare: Callable[[float], bool], low: float, high: float) -> float:
    """Return the highest value between the two that is still rare, by bisection."""
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if is_rare(middle) else (low, middle)
    return low


def describe(weights: EvidenceWeights) -> dict[str, Any]:
    """Return the constants as the manifest's `[pressure]` table holds them."""
    return asdict(weights)
