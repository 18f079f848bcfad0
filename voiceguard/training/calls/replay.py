"""A scored call judged again: other constants or thresholds, the same scores.

The index, the ladder of alerts and the handoffs are those of the engine; a test
holds a replay against the engine's own events. Scoring is what costs time, and
happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.alerts import AlertLadder
from voiceguard.core.events import AlertLevel, HandoffReason
from voiceguard.core.handoffs import Handoffs
from voiceguard.core.policy import AlertPolicy, Policy
from voiceguard.core.pressure import EvidenceWeights, PressureIndex, PressureReading
from voiceguard.core.units import HOP_S, SAMPLE_RATE_HZ
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.targets import OUTPUTS


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What the index of a call was after each scored hop."""

    indices: NDArray[np.float64]
    """(hops,), 0 to 100."""
    readings: Sequence[PressureReading]
    reasons: Sequence[HandoffReason]


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a policy made of one call; positions are numbers of scored hops."""

    handoffs: tuple[int, ...]
    flag: int | None
    levels: tuple[AlertLevel, ...]
    """After each hop."""


def trace_of(call: ScoredCall, weights: EvidenceWeights) -> Trace:
    """Return the index of `call` under other constants."""
    index = PressureIndex(weights)
    readings, reasons = [], []
    for scores, level_db, confidence in zip(
        call.scores, call.levels_db, call.confidences, strict=True
    ):
        named = dict(zip(OUTPUTS, map(float, scores), strict=True))
        readings.append(index.receive_scores(named, float(level_db), float(confidence)))
        reasons.append(index.leading_reason())
    return Trace(
        np.array([reading.pressure_index for reading in readings], np.float64),
        readings,
        reasons,
    )


def smoothed_index(
    evidence: NDArray[np.float64], confidences: NDArray[np.float64], weights: EvidenceWeights
) -> NDArray[np.float64]:
    """Return the index that evidence of one kind alone makes, (hops,), 0 to 100."""
    smoothed, indices = 0.0, []
    for one, confidence in zip(evidence.tolist(), confidences.tolist(), strict=True):
        smoothed = weights.smooth(smoothed, one, confidence)
        indices.append(100.0 * smoothed)
    return np.array(indices, np.float64)


def decide(call: ScoredCall, indices: NDArray[np.float64], policy: Policy) -> Decisions:
    """Return what `policy` makes of a call whose index went as `indices`.

    Nobody answers the handoffs, as in the benchmark's calls.
    """
    ladder = AlertLadder(policy.alerts)
    requests = Handoffs(policy, int(policy.cooldown_s * SAMPLE_RATE_HZ))
    handoffs: list[int] = []
    levels: list[AlertLevel] = []
    flag: int | None = None
    for hop, (index, end) in enumerate(zip(indices, call.end_samples, strict=True)):
        ladder.receive_index(float(index), HOP_S, (hop + 1) * HOP_S)
        levels.append(ladder.level)
        if flag is None and policy.flag_level is not None and ladder.level >= policy.flag_level:
            flag = hop
        if requests.receive_level(ladder.level, float(index), int(end)) is not None:
            handoffs.append(hop)
    return Decisions(tuple(handoffs), flag, tuple(levels))


def with_threshold(policy: Policy, raise_threshold: float) -> Policy:
    """Return `policy` with the level that hands off, and flags, raised at another index.

    The distance to its clear threshold stays; the other levels keep out of the way.
    """
    handoff = policy.handoff_level or AlertLevel.ORANGE
    alert = policy.alerts[handoff]
    distance = alert.raise_threshold - alert.clear_threshold
    moved = replace(
        alert,
        raise_threshold=raise_threshold,
        clear_threshold=max(raise_threshold - distance, 0.0),
    )
    alerts = {
        level: moved
        if level == handoff
        else _moved_aside(other, min if level < handoff else max, raise_threshold)
        for level, other in policy.alerts.items()
    }
    return replace(policy, alerts=alerts, flag_level=handoff, handoff_level=handoff)


def _moved_aside(
    alert: AlertPolicy, bound: Callable[[float, float], float], raise_threshold: float
) -> AlertPolicy:
    threshold = bound(alert.raise_threshold, raise_threshold)
    return replace(
        alert,
        raise_threshold=threshold,
        clear_threshold=min(alert.clear_threshold, 0.9 * threshold),
    )
