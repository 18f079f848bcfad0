"""Rates over the threshold that hands off, with bootstrap intervals over speakers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.training.calls.rates import (
    Outcome,
    Rates,
    Sums,
    outcome_of,
    rates_of,
    ratios_of,
    sum_up,
)
from voiceguard.training.calls.replay import smoothed_index, trace_of, with_threshold
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.script import PRESSURED

THRESHOLDS: Final = (1.0, *(float(threshold) for threshold in range(4, 100, 4)), 99.0, 99.5)
FALSE_PER_HOUR: Final = 0.5
"""What a threshold may cost in false handoffs for rates to be compared at it."""

_RESAMPLES: Final = 1000
_COVERAGE: Final = 0.95

Interval = tuple[float, float]
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """Rates at one threshold."""

    threshold: float
    rates: Rates
    by_emotion: dict[str, Rates]
    intervals: dict[str, Interval]
    """By name of the rate, `anger.detected_within_10_s` for those of one emotion."""
    outcomes: Sequence[Outcome]


def measure(threshold: float, outcomes: Sequence[Outcome], seed: int) -> Measured:
    """Take outcomes together, with 95 % percentile intervals (Efron 1979) over speakers."""
    return Measured(
        threshold=threshold,
        rates=rates_of(outcomes),
        by_emotion={emotion: rates_of(outcomes, emotion) for emotion in PRESSURED},
        intervals=_intervals(outcomes, seed),
        outcomes=outcomes,
    )


def shipped_point(
    calls: Sequence[ScoredCall], weights: EvidenceWeights, policy: Policy, seed: int
) -> Measured:
    """Measure `policy` as it is."""
    outcomes = [outcome_of(call, trace_of(call, weights).indices, policy) for call in calls]
    return measure(_threshold(policy), outcomes, seed)


def _threshold(policy: Policy) -> float:
    return policy.alerts[policy.handoff_level].raise_threshold if policy.handoff_level else 100.0


def perfect_point(
    calls: Sequence[ScoredCall], weights: EvidenceWeights, policy: Policy, seed: int
) -> Measured:
    """Measure `policy` with a judge who is right about every hop.

    Its evidence is 1 in the clips of anger or fear and 0 elsewhere: what smoothing, hold and the
    calls themselves allow at most.
    """
    outcomes = [
        outcome_of(
            call,
            smoothed_index(call.pressured.astype(np.float64), call.confidences, weights),
            policy,
        )
        for call in calls
    ]
    return measure(_threshold(policy), outcomes, seed)


def curve(
    calls: Sequence[ScoredCall],
    weights: EvidenceWeights,
    policy: Policy,
    seed: int,
    report: Report,
) -> list[Measured]:
    """Measure `policy` with its handoff at each of `THRESHOLDS`."""
    traces = [trace_of(call, weights).indices for call in calls]
    points = []
    for threshold in THRESHOLDS:
        moved = with_threshold(policy, threshold)
        outcomes = [
            outcome_of(call, indices, moved) for call, indices in zip(calls, traces, strict=True)
        ]
        points.append(measure(threshold, outcomes, seed))
        report(len(points), len(THRESHOLDS))
    return points


def best_within(points: Sequence[Measured], false_per_hour: float) -> Measured:
    """Return the lowest threshold that keeps false handoffs within `false_per_hour`."""
    good = [one for one in points if one.rates.false_handoffs_per_hour <= false_per_hour]
    return min(good, key=lambda one: one.threshold) if good else points[-1]


def _intervals(outcomes: Sequence[Outcome], seed: int) -> dict[str, Interval]:
    speakers = sorted({one.speaker for one in outcomes})
    own = [[one for one in outcomes if one.speaker == speaker] for speaker in speakers]
    even = np.full(len(speakers), 1.0 / len(speakers))
    draws = np.random.default_rng(seed).multinomial(len(speakers), even, size=_RESAMPLES)
    found = _intervals_of(own, None, draws)
    for emotion in PRESSURED:
        within = _intervals_of(own, emotion, draws)
        found |= {f"{emotion}.{name}": interval for name, interval in within.items()}
    return found


def _intervals_of(
    own: Sequence[Sequence[Outcome]], emotion: str | None, draws: NDArray[np.int64]
) -> dict[str, Interval]:
    """Return intervals of rates; `draws` (resamples, speakers) counts how often each was drawn."""
    sums = [sum_up(outcomes, emotion) for outcomes in own]
    names = [field.name for field in fields(Sums)]
    table = np.array([[getattr(one, name) for name in names] for one in sums])
    resampled = [Sums(*row) for row in draws @ table]
    values = [ratios_of(one) for one in resampled]
    tail = 100.0 * (1.0 - _COVERAGE) / 2.0
    return {name: _percentiles([one[name] for one in values], tail) for name in values[0]}


def _percentiles(values: Sequence[float], tail: float) -> Interval:
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [tail, 100.0 - tail])
    return float(low), float(high)
