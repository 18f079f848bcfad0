"""How often, how soon and how wrongly a human is asked for in simulated calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.units import HOP_S, SAMPLE_RATE_HZ
from voiceguard.training.calls.replay import decide, trace_of
from voiceguard.training.calls.scoring import ScoredCall

DETECTION_S = (5.0, 10.0)
"""Seconds of the customer's speech after onset within which a handoff counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy made of one call."""

    speaker: str
    emotion: str | None
    calm_s: float
    """Length of the call before any pressure: its whole length when it stays calm."""
    calm_speech_s: float
    """Scored speech in that time."""
    false_handoffs: int
    false_flags: int
    """Before onset."""
    speech_to_handoff_s: float | None
    """Scored speech from onset to the first handoff after it; None: there was none."""
    time_to_handoff_s: float | None
    """The same on the call's clock."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Outcomes of many calls, taken together."""

    detected_within_5_s: float
    """Share of the pressured calls, of the customer's speech after onset; NaN without any."""
    detected_within_10_s: float
    median_speech_to_handoff_s: float
    """Over the calls with a handoff after onset; NaN without any."""
    median_time_to_handoff_s: float
    false_handoffs_per_hour: float
    """Of call time before onset."""
    false_handoffs_per_speech_hour: float
    false_flags_per_hour: float
    false_flags_per_speech_hour: float


def outcome_of(call: ScoredCall, indices: NDArray[np.float64], policy: Policy) -> Outcome:
    """Return what `policy` makes of a call whose index went as `indices`."""
    decisions = decide(call, indices, policy)
    hops = len(call.end_samples)
    onset = hops if call.onset_hop is None else call.onset_hop
    after = next((hop for hop in decisions.handoffs if hop >= onset), None)
    time_s = None
    if after is not None and call.onset_sample is not None:
        time_s = float(call.end_samples[after] - call.onset_sample) / SAMPLE_RATE_HZ
    return Outcome(
        speaker=call.speaker,
        emotion=call.emotion,
        calm_s=call.calm_s,
        calm_speech_s=onset * HOP_S,
        false_handoffs=sum(hop < onset for hop in decisions.handoffs),
        false_flags=int(decisions.flag is not None and decisions.flag < onset),
        speech_to_handoff_s=None if after is None else (after - onset + 1) * HOP_S,
        time_to_handoff_s=time_s,
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """What rates are ratios of, so that calls can be added up and resampled."""

    pressured_calls: float
    detected_within_5_s: float
    detected_within_10_s: float
    calm_h: float
    calm_speech_h: float
    false_handoffs: float
    false_flags: float


def sum_up(outcomes: Sequence[Outcome], emotion: str | None = None) -> Sums:
    """Add outcomes up, counting detections of one emotion only, or of all (None)."""
    waits_s = _waits_s(outcomes, emotion)
    within = [float(np.sum(waits_s <= limit)) for limit in DETECTION_S]
    return Sums(
        pressured_calls=float(len(waits_s)),
        detected_within_5_s=within[0],
        detected_within_10_s=within[1],
        calm_h=sum(one.calm_s for one in outcomes) / 3600.0,
        calm_speech_h=sum(one.calm_speech_s for one in outcomes) / 3600.0,
        false_handoffs=float(sum(one.false_handoffs for one in outcomes)),
        false_flags=float(sum(one.false_flags for one in outcomes)),
    )


def ratios_of(sums: Sums) -> dict[str, float]:
    """Return the rates that are ratios, by their names in `Rates`; NaN for nothing of nothing."""
    return {
        "detected_within_5_s": _ratio(sums.detected_within_5_s, sums.pressured_calls),
        "detected_within_10_s": _ratio(sums.detected_within_10_s, sums.pressured_calls),
        "false_handoffs_per_hour": _ratio(sums.false_handoffs, sums.calm_h),
        "false_handoffs_per_speech_hour": _ratio(sums.false_handoffs, sums.calm_speech_h),
        "false_flags_per_hour": _ratio(sums.false_flags, sums.calm_h),
        "false_flags_per_speech_hour": _ratio(sums.false_flags, sums.calm_speech_h),
    }


def rates_of(outcomes: Sequence[Outcome], emotion: str | None = None) -> Rates:
    """Take outcomes of calls with and without pressure together; `emotion` as in `sum_up`."""
    times = [
        one.time_to_handoff_s for one in outcomes if one.emotion and emotion in {None, one.emotion}
    ]
    return Rates(
        **ratios_of(sum_up(outcomes, emotion)),
        median_speech_to_handoff_s=_median(_waits_s(outcomes, emotion)),
        median_time_to_handoff_s=_median(np.array([_or_never(time_s) for time_s in times])),
    )


def rates_at(calls: Sequence[ScoredCall], weights: EvidenceWeights, policy: Policy) -> Rates:
    """Return what `policy` makes of `calls` under these constants of the index."""
    return rates_of([outcome_of(call, trace_of(call, weights).indices, policy) for call in calls])


def false_handoffs_per_hour(
    calls: Sequence[ScoredCall], indices: Sequence[NDArray[np.float64]], policy: Policy
) -> float:
    """Return false handoffs an hour of call time before onset; `indices` are of each call.

    The same as in `Rates`, without looking at calls whose index reaches no handoff.
    """
    handoff = policy.alerts.get(policy.handoff_level) if policy.handoff_level else None
    threshold = np.inf if handoff is None else handoff.raise_threshold
    reaching = [
        (call, own)
        for call, own in zip(calls, indices, strict=True)
        if own.max(initial=0.0) >= threshold
    ]
    false = sum(outcome_of(call, own, policy).false_handoffs for call, own in reaching)
    return _ratio(false, sum(call.calm_s for call in calls) / 3600.0)


def _waits_s(outcomes: Sequence[Outcome], emotion: str | None) -> NDArray[np.float64]:
    """Return speech from onset to handoff of each pressured call, infinite where none came."""
    return np.array(
        [
            _or_never(one.speech_to_handoff_s)
            for one in outcomes
            if one.emotion is not None and emotion in {None, one.emotion}
        ]
    )


def _or_never(seconds: float | None) -> float:
    return np.inf if seconds is None else seconds


def _median(seconds: NDArray[np.float64]) -> float:
    found = seconds[np.isfinite(seconds)]
    return float(np.median(found)) if len(found) else np.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan
