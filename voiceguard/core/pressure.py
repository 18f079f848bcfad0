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
    """Weight of the deviation from the speaker's baseline."""
    deviation_cap: float
    """Deviations are clipped to plus and minus this."""
    level: float
    """Weight, for each decibel above the baseline, of a voice wholly angry or distressed."""
    level_cap_db: float
    """Rises in level are clipped to this."""
    baseline_s: float
    """Scored speech that the baseline is taken from."""
    calm_mean: float
    """Mean log-odds of calm speech over many speakers, to which a baseline is shrunk."""
    calm_deviation: float
    """Standard deviation of the same."""
    calm_s: float
    """Seconds of speech that these two count for beside the speaker's own."""
    baseline_maximum: float
    """Most a baseline may be: who is angry from the first word stays measurable."""
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
        positive = ("calm_deviation", "deviation_cap", "baseline_s", "rise_s", "fall_s")
        not_negative = ("absolute", "relative", "level", "level_cap_db", "calm_s")
        for field in fields(self):
            value = getattr(self, field.name)
            good = math.isfinite(value)
            good = good and not (field.name in positive and value <= 0)
            good = good and not (field.name in not_negative and value < 0)
            if not good:
                message = f"[pressure] in the manifest: {field.name} = {value} is out of range"
                raise ModelError(message)

    def absolute_evidence(self, scores: Mapping[str, float]) -> float:
        """Return the evidence of one hop, 0 to 1, knowing nothing of its speaker."""
        return _sigmoid(self.bias + self.absolute * _log_odds(_pressure(scores)))


@dataclass(frozen=True, slots=True)
class PressureReading:
    """What the index is after one more hop."""

    pressure_index: float
    """0 to 100."""
    evidence: float
    """This hop alone, 0 to 1, before smoothing."""
    baseline_deviation: float
    baseline_ready: bool


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
        weights, baseline = self._weights, self._baseline
        pressure = _pressure(scores)
        log_odds = _log_odds(pressure)
        deviation, rise_db = baseline.compare(log_odds, level_db)
        evidence = _sigmoid(
            weights.bias
            + weights.absolute * log_odds
            + weights.relative * deviation
            + weights.level * rise_db * pressure
        )
        ready = baseline.ready
        baseline.receive(log_odds, level_db)
        self._smoothed = self._smooth(self._smoothed, evidence, confidence)
        self._anger = self._smooth(self._anger, scores["anger"], confidence)
        self._distress = self._smooth(self._distress, scores["distress"], confidence)
        return PressureReading(self.pressure_index, evidence, deviation, ready)

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
    """This speaker's own calm level, from the first seconds of speech, then frozen.

    The mean is shrunk to that of many speakers, with `calm_s` as the weight of
    the many: the posterior mean of a normal variable under a normal prior.
    """

    def __init__(self, weights: EvidenceWeights) -> None:
        self._weights = weights
        self._log_odds: list[float] = []
        self._levels_db: list[float] = []
        self._mean = 0.0
        self._deviation = 1.0
        self._level_db = 0.0
        self.ready = False

    def receive(self, log_odds: float, level_db: float) -> None:
        """Take one more hop, unless the baseline is complete."""
        if self.ready:
            return
        self._log_odds.append(log_odds)
        self._levels_db.append(level_db)
        if len(self._log_odds) * HOP_S >= self._weights.baseline_s:
            self._freeze()

    def compare(self, log_odds: float, level_db: float) -> tuple[float, float]:
        """Return deviation (standard deviations) and rise in level (dB); zeros until ready."""
        if not self.ready:
            return 0.0, 0.0
        cap = self._weights.deviation_cap
        deviation = (log_odds - self._mean) / self._deviation
        rise_db = level_db - self._level_db
        return max(-cap, min(deviation, cap)), max(0.0, min(rise_db, self._weights.level_cap_db))

    def _freeze(self) -> None:
        weights = self._weights
        own, calm = float(len(self._log_odds)), weights.calm_s / HOP_S
        mean = (sum(self._log_odds) + calm * weights.calm_mean) / (own + calm)
        squares = sum((value - mean) ** 2 for value in self._log_odds)
        variance = (squares + calm * weights.calm_deviation**2) / (own + calm)
        self._mean = min(mean, weights.baseline_maximum)
        self._deviation = max(math.sqrt(variance), weights.calm_deviation / 2)
        self._level_db = sum(self._levels_db) / own
        self._log_odds.clear()
        self._levels_db.clear()
        self.ready = True


def _pressure(scores: Mapping[str, float]) -> float:
    """Return the probability of anger or distress, taken as independent (noisy-or)."""
    return 1.0 - (1.0 - scores["anger"]) * (1.0 - scores["distress"])


def _log_odds(probability: float) -> float:
    bounded = max(PROBABILITY_FLOOR, min(probability, 1.0 - PROBABILITY_FLOOR))
    return math.log(bounded / (1.0 - bounded))


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(log_odds, 60.0))))
