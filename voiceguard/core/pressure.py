"""The pressure index of one customer channel, from the scores of its speech.

docs/pressure-index.md derives the formula and shows what its constants were
fitted on. The constants travel in the manifest of the model they were fitted
to, so that the two can never be mixed up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from voiceguard.core.errors import ModelError
from voiceguard.core.events import HandoffReason
from voiceguard.core.units import HOP_S

REQUIRED_SCORES: Final = ("anger", "distress")
"""Model outputs without which there is no index."""

PROBABILITY_FLOOR: Final = 0.001
"""Scores are kept this far from 0 and 1, where log-odds would run away."""

_POSITIVE: Final = frozenset(
    {
        "calm_deviation",
        "calm_arousal_deviation",
        "calm_valence_deviation",
        "deviation_cap",
        "baseline_s",
        "calm_s",
        "rise_s",
        "fall_s",
    }
)
_NOT_NEGATIVE: Final = frozenset(
    {
        "absolute",
        "relative",
        "arousal",
        "valence",
        "level",
        "level_cap_db",
        "baseline_cap",
    }
)

PRESSURED_EVIDENCE: Final = 0.5
"""A hop with this much evidence is no longer taken into a speaker's baseline."""

LEADING_RATIO: Final = 1.5
"""How many times the other a score must be to name the reason of a handoff."""


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """Constants of the index, fitted together with the model.

    Log-odds are natural logarithms; `deviation` is in standard deviations of
    the speaker's own baseline; levels are in decibels.
    """

    bias: float
    """Log-odds of pressure when every term is 0."""
    absolute: float
    """Weight of the hop's own log-odds."""
    relative: float
    """Weight of the deviation of the log-odds from the speaker's baseline."""
    arousal: float
    """Weight of the same for arousal, upward: a livelier voice than this speaker's own."""
    valence: float
    """Weight of the same for valence, downward: a less pleasant one. Cheer takes away."""
    deviation_cap: float
    """Deviations are clipped to plus and minus this."""
    level: float
    """Weight, for each decibel above the baseline, of a voice wholly angry or distressed."""
    level_cap_db: float
    """Rises in level are clipped to this."""
    baseline_s: float
    """Scored speech after which there is a baseline."""
    settled_s: float
    """Calm speech that the baseline is taken from; then it stays. At least `baseline_s`."""
    calm_mean: float
    """Mean log-odds of calm speech over many speakers, to which a baseline is shrunk."""
    calm_deviation: float
    """Standard deviation of the same."""
    calm_arousal_mean: float
    """The same two of arousal, in log-odds."""
    calm_arousal_deviation: float
    calm_valence_mean: float
    """And of valence."""
    calm_valence_deviation: float
    calm_s: float
    """Seconds of speech that the many count for beside the speaker's own."""
    baseline_cap: float
    """Standard deviations of the many that a baseline may lie on the side of pressure.

    So who is angry from the first word stays measurable.
    """
    rise_s: float
    """Time constant of smoothing upward, in seconds of speech."""
    fall_s: float
    """Time constant of smoothing downward, in seconds of speech."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, float]) -> EvidenceWeights:
        """Read the `[pressure]` table of a model's manifest.

        Raises:
            ModelError: when a constant is missing, unknown or out of range.
        """
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            missing, unknown = sorted(names - set(values)), sorted(set(values) - names)
            message = f"[pressure] in the manifest: missing {missing}, unknown {unknown}"
            raise ModelError(message)
        weights = cls(**{name: float(value) for name, value in values.items()})
        weights._check()
        return weights

    def _check(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            good = math.isfinite(value)
            good = good and not (field.name in _POSITIVE and value <= 0)
            good = good and not (field.name in _NOT_NEGATIVE and value < 0)
            good = good and not (field.name == "settled_s" and value < self.baseline_s)
            if not good:
                message = f"[pressure] in the manifest: {field.name} = {value} is out of range"
                raise ModelError(message)

    def absolute_evidence(self, scores: Mapping[str, float]) -> float:
        """Return the evidence of one hop, 0 to 1, knowing nothing of its speaker."""
        return _sigmoid(self.bias + self.absolute * _log_odds(_pressure(scores)))

    def evidence(self, terms: EvidenceTerms) -> float:
        """Return the evidence of one hop, 0 to 1, against its speaker's baseline."""
        return _sigmoid(
            self.bias
            + self.absolute * terms.absolute
            + self.relative * terms.relative
            + self.arousal * terms.arousal
            - self.valence * terms.valence
            + self.level * terms.level
        )


@dataclass(frozen=True, slots=True)
class EvidenceTerms:
    """What the log-odds of a hop's evidence are a weighted sum of.

    All but `absolute` are 0 until the baseline is ready.
    """

    absolute: float
    """Log-odds of anger or distress in this hop."""
    relative: float
    """Their deviation from the speaker's baseline, in standard deviations, clipped."""
    arousal: float
    """The same of arousal; 0 from a model without it."""
    valence: float
    """The same of valence; 0 from a model without it."""
    level: float
    """Rise in level, in decibels, clipped, times the probability of anger or distress."""


@dataclass(frozen=True, slots=True)
class PressureReading:
    """What the index is after one more hop."""

    pressure_index: float
    """0 to 100."""
    evidence: float
    """This hop alone, 0 to 1, before smoothing."""
    terms: EvidenceTerms
    baseline_ready: bool

    @property
    def baseline_deviation(self) -> float:
        """Distance of the hop from the speaker's own baseline, in standard deviations."""
        return self.terms.relative


class PressureIndex:
    """Keeps the index of one channel; one call for each scored hop, in order."""

    def __init__(self, weights: EvidenceWeights) -> None:
        self._weights = weights
        self._baseline = _Baseline(weights)
        self._smoothed = 0.0
        self._anger = 0.0
        self._distress = 0.0

    @property
    def pressure_index(self) -> float:
        """The index now, 0 to 100."""
        return 100.0 * self._smoothed

    @property
    def baseline_ready(self) -> bool:
        """Whether the speaker's own calm level is known."""
        return self._baseline.ready

    def receive_scores(
        self, scores: Mapping[str, float], level_db: float, confidence: float
    ) -> PressureReading:
        """Take the scores of the next hop.

        Args:
            scores: model outputs, 0 to 1, with at least `REQUIRED_SCORES`.
            level_db: level of the hop, in dB relative to full scale.
            confidence: 0 to 1; how far to believe this hop.
        """
        ready = self._baseline.ready
        terms = self._baseline.compare(scores, level_db)
        evidence = self._weights.evidence(terms)
        self._baseline.receive(scores, level_db, evidence)
        self._smoothed = self._smooth(self._smoothed, evidence, confidence)
        self._anger = self._smooth(self._anger, scores["anger"], confidence)
        self._distress = self._smooth(self._distress, scores["distress"], confidence)
        return PressureReading(self.pressure_index, evidence, terms, ready)

    def leading_reason(self) -> HandoffReason:
        """Return which of the scores carries the pressure now."""
        if self._anger >= LEADING_RATIO * self._distress:
            return HandoffReason.ANGER
        if self._distress >= LEADING_RATIO * self._anger:
            return HandoffReason.DISTRESS
        return HandoffReason.PRESSURE

    def _smooth(self, smoothed: float, value: float, confidence: float) -> float:
        """Move `smoothed` toward `value`: a first-order low-pass over speech time."""
        time_constant_s = self._weights.rise_s if value > smoothed else self._weights.fall_s
        step = 1.0 - math.exp(-HOP_S * confidence / time_constant_s)
        return smoothed + step * (value - smoothed)


class _Baseline:
    """This speaker's own calm voice, from the first seconds of calm speech, then frozen."""

    def __init__(self, weights: EvidenceWeights) -> None:
        self._weights = weights
        self._hops = 0
        self._log_odds = _Usual(weights, weights.calm_mean, weights.calm_deviation)
        self._arousal = _Usual(weights, weights.calm_arousal_mean, weights.calm_arousal_deviation)
        self._unpleasant = _Usual(
            weights, -weights.calm_valence_mean, weights.calm_valence_deviation
        )
        self._level_sum_db = 0.0

    @property
    def ready(self) -> bool:
        return self._hops * HOP_S >= self._weights.baseline_s

    def receive(self, scores: Mapping[str, float], level_db: float, evidence: float) -> None:
        """Take one more hop, unless the baseline has settled.

        Once there is a baseline, hops that speak for pressure do not count toward it.
        """
        if self._hops * HOP_S >= self._weights.settled_s:
            return
        if self.ready and evidence >= PRESSURED_EVIDENCE:
            return
        self._hops += 1
        self._level_sum_db += level_db
        self._log_odds.receive(_log_odds(_pressure(scores)))
        if "arousal" in scores:
            self._arousal.receive(_log_odds(scores["arousal"]))
        if "valence" in scores:
            self._unpleasant.receive(-_log_odds(scores["valence"]))

    def compare(self, scores: Mapping[str, float], level_db: float) -> EvidenceTerms:
        """Return the terms of a hop that has not been received yet."""
        pressure = _pressure(scores)
        log_odds = _log_odds(pressure)
        if not self.ready:
            return EvidenceTerms(log_odds, 0.0, 0.0, 0.0, 0.0)
        arousal = valence = 0.0
        if "arousal" in scores:
            arousal = self._arousal.deviation(_log_odds(scores["arousal"]))
        if "valence" in scores:
            valence = -self._unpleasant.deviation(-_log_odds(scores["valence"]))
        rise_db = level_db - self._level_sum_db / self._hops
        rise_db = max(0.0, min(rise_db, self._weights.level_cap_db))
        relative = self._log_odds.deviation(log_odds)
        return EvidenceTerms(log_odds, relative, arousal, valence, rise_db * pressure)


class _Usual:
    """Mean and deviation of one quantity, each shrunk to those of many speakers.

    With `calm_s` as the weight of the many, the mean is the posterior mean of a
    normal variable under a normal prior; the variance pools the speaker's own, about
    their own mean, with that of the many. The quantity rises with pressure.
    """

    def __init__(self, weights: EvidenceWeights, mean: float, deviation: float) -> None:
        self._weights = weights
        self._many_mean = mean
        self._many_deviation = deviation
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def receive(self, value: float) -> None:
        """Take one more value (Welford 1962: the sum of squares about the running mean)."""
        self._count += 1
        before = value - self._mean
        self._mean += before / self._count
        self._squares += before * (value - self._mean)

    def deviation(self, value: float) -> float:
        """Return how far `value` is from the mean, in standard deviations, clipped."""
        weights, many = self._weights, self._weights.calm_s / HOP_S
        mean = (self._count * self._mean + many * self._many_mean) / (self._count + many)
        highest = self._many_mean + weights.baseline_cap * self._many_deviation
        pooled = self._squares + many * self._many_deviation**2
        deviation = max(math.sqrt(pooled / (self._count + many)), self._many_deviation / 2.0)
        cap = weights.deviation_cap
        return max(-cap, min((value - min(mean, highest)) / deviation, cap))


def _pressure(scores: Mapping[str, float]) -> float:
    """Return the probability of anger or distress, taken as independent (noisy-or)."""
    return 1.0 - (1.0 - scores["anger"]) * (1.0 - scores["distress"])


def _log_odds(probability: float) -> float:
    bounded = max(PROBABILITY_FLOOR, min(probability, 1.0 - PROBABILITY_FLOOR))
    return math.log(bounded / (1.0 - bounded))


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(log_odds, 60.0))))
