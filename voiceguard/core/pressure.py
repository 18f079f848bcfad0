"""The pressure index of one customer channel, from the scores of its speech.

docs/pressure-index.md derives the formula and shows what its constants were
fitted on. The constants travel in the manifest of the model they were fitted
to, so that the two can never be mixed up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
        "calm_anger_deviation",
        "calm_distress_deviation",
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
    {"absolute", "relative", "arousal", "valence", "level", "level_cap_db", "baseline_cap"}
)

PRESSURED_EVIDENCE: Final = 0.5
"""A hop with this much evidence is no longer taken into a speaker's baseline."""

LEADING_RATIO: Final = 1.5
"""How many times the other an evidence must be to name the reason of a handoff."""

Constants = Mapping[str, float | Mapping[str, float]]
"""The `[pressure]` table of a manifest: numbers, and a table for each of `REQUIRED_SCORES`."""


@dataclass(frozen=True, slots=True)
class KindWeights:
    """How much each term of a hop says for one kind of pressure: anger, or distress."""

    bias: float
    """Log-odds of the evidence when every term is 0."""
    absolute: float
    """Weight of the hop's own log-odds of this kind."""
    relative: float
    """Weight of their deviation from the speaker's baseline."""
    arousal: float
    """Weight of the same for arousal, upward: a livelier voice than this speaker's own."""
    valence: float
    """Weight of the same for valence, downward: a less pleasant one. Cheer takes away."""
    level: float
    """Weight, for each decibel above the baseline, of a voice wholly of this kind."""

    def evidence(self, terms: EvidenceTerms) -> float:
        """Return the evidence of one hop for this kind, 0 to 1."""
        return _sigmoid(
            self.bias
            + self.absolute * terms.absolute
            + self.relative * terms.relative
            + self.arousal * terms.arousal
            - self.valence * terms.valence
            + self.level * terms.level
        )


@dataclass(frozen=True, slots=True)
class EvidenceWeights:
    """Constants of the index, fitted together with the model.

    Log-odds are natural logarithms; deviations are in standard deviations of
    the speaker's own baseline; levels are in decibels.
    """

    anger: KindWeights
    distress: KindWeights
    deviation_cap: float
    """Deviations are clipped to plus and minus this."""
    level_cap_db: float
    """Rises in level are clipped to this."""
    baseline_s: float
    """Scored speech after which there is a baseline."""
    settled_s: float
    """Calm speech that the baseline is taken from; then it stays. At least `baseline_s`."""
    calm_anger_mean: float
    """Mean log-odds of calm speech over many speakers, to which a baseline is shrunk."""
    calm_anger_deviation: float
    """Standard deviation of the same."""
    calm_distress_mean: float
    """The same two of distress."""
    calm_distress_deviation: float
    calm_arousal_mean: float
    """Of arousal."""
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
    def from_mapping(cls, values: Constants) -> EvidenceWeights:
        """Read the `[pressure]` table of a model's manifest.

        Raises:
            ModelError: when a constant is missing, unknown or out of range.
        """
        anger, distress = (
            KindWeights(**_numbers(values.get(kind), KindWeights, f"pressure.{kind}"))
            for kind in REQUIRED_SCORES
        )
        numbers = _numbers(values, cls, "pressure", REQUIRED_SCORES)
        weights = cls(anger=anger, distress=distress, **numbers)
        if weights.settled_s < weights.baseline_s:
            message = f"[pressure] in the manifest: settled_s = {weights.settled_s} is out of range"
            raise ModelError(message)
        return weights

    def moved(self, log_odds: float) -> EvidenceWeights:
        """Return these constants with both biases raised by so much."""
        return replace(
            self,
            anger=replace(self.anger, bias=round(self.anger.bias + log_odds, 4)),
            distress=replace(self.distress, bias=round(self.distress.bias + log_odds, 4)),
        )

    def absolute_evidence(self, scores: Mapping[str, float]) -> float:
        """Return the evidence of one hop, 0 to 1, knowing nothing of its speaker."""
        return max(
            kind.evidence(EvidenceTerms(_log_odds(scores[name]), 0.0, 0.0, 0.0, 0.0))
            for name, kind in (("anger", self.anger), ("distress", self.distress))
        )

    def smooth(self, smoothed: float, evidence: float, confidence: float) -> float:
        """Move `smoothed` toward `evidence`: a first-order low-pass over speech time."""
        time_constant_s = self.rise_s if evidence > smoothed else self.fall_s
        step = 1.0 - math.exp(-HOP_S * confidence / time_constant_s)
        return smoothed + step * (evidence - smoothed)


def _numbers(
    values: object, of: type[KindWeights | EvidenceWeights], path: str, besides: Sequence[str] = ()
) -> dict[str, float]:
    """Return the constants of the dataclass `of`, but for the tables `besides` in it."""
    names = {field.name for field in fields(of)}
    given = dict(values) if isinstance(values, Mapping) else {}
    if set(given) != names:
        missing, unknown = sorted(names - set(given)), sorted(set(given) - names)
        message = f"[{path}] in the manifest: missing {missing}, unknown {unknown}"
        raise ModelError(message)
    numbers = {}
    for name in sorted(names - set(besides)):
        value = given[name]
        good = isinstance(value, int | float) and math.isfinite(value)
        good = good and not (name in _POSITIVE and value <= 0)
        good = good and not (name in _NOT_NEGATIVE and value < 0)
        if not good:
            raise ModelError(f"[{path}] in the manifest: {name} = {value} is out of range")
        numbers[name] = float(value)
    return numbers


@dataclass(frozen=True, slots=True)
class EvidenceTerms:
    """What the log-odds of a hop's evidence for one kind are a weighted sum of.

    All but `absolute` are 0 until the baseline is ready.
    """

    absolute: float
    """Log-odds of this kind in the hop."""
    relative: float
    """Their deviation from the speaker's baseline, in standard deviations, clipped."""
    arousal: float
    """The same of arousal; 0 from a model without it."""
    valence: float
    """The same of valence; 0 from a model without it."""
    level: float
    """Rise in level, in decibels, clipped, times the probability of this kind."""


@dataclass(frozen=True, slots=True)
class KindReading:
    """What one hop says of one kind of pressure."""

    evidence: float
    """This hop alone, 0 to 1, before smoothing."""
    terms: EvidenceTerms


@dataclass(frozen=True, slots=True)
class PressureReading:
    """What the index is after one more hop."""

    pressure_index: float
    """0 to 100."""
    anger: KindReading
    distress: KindReading
    baseline_ready: bool

    @property
    def leading(self) -> KindReading:
        """The kind that this hop says more of."""
        return self.distress if self.distress.evidence > self.anger.evidence else self.anger

    @property
    def evidence(self) -> float:
        """This hop alone, 0 to 1, before smoothing: the larger of the two."""
        return self.leading.evidence

    @property
    def baseline_deviation(self) -> float:
        """Distance of the leading kind from the speaker's baseline, in standard deviations."""
        return self.leading.terms.relative


class PressureIndex:
    """Keeps the index of one channel; one call for each scored hop, in order."""

    def __init__(self, weights: EvidenceWeights) -> None:
        self._weights = weights
        self._baseline = _Baseline(weights)
        self._anger = 0.0
        self._distress = 0.0

    @property
    def pressure_index(self) -> float:
        """The index now, 0 to 100."""
        return 100.0 * max(self._anger, self._distress)

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
        weights, ready = self._weights, self._baseline.ready
        anger_terms, distress_terms = self._baseline.compare(scores, level_db)
        anger = KindReading(weights.anger.evidence(anger_terms), anger_terms)
        distress = KindReading(weights.distress.evidence(distress_terms), distress_terms)
        self._baseline.receive(scores, level_db, max(anger.evidence, distress.evidence))
        self._anger = weights.smooth(self._anger, anger.evidence, confidence)
        self._distress = weights.smooth(self._distress, distress.evidence, confidence)
        return PressureReading(self.pressure_index, anger, distress, ready)

    def leading_reason(self) -> HandoffReason:
        """Return which of the two evidences carries the pressure now."""
        if self._anger >= LEADING_RATIO * self._distress:
            return HandoffReason.ANGER
        if self._distress >= LEADING_RATIO * self._anger:
            return HandoffReason.DISTRESS
        return HandoffReason.PRESSURE


class _Baseline:
    """This speaker's own calm voice, from the first seconds of calm speech, then frozen."""

    def __init__(self, weights: EvidenceWeights) -> None:
        self._weights = weights
        self._hops = 0
        self._anger = _Usual(weights, weights.calm_anger_mean, weights.calm_anger_deviation)
        self._distress = _Usual(
            weights, weights.calm_distress_mean, weights.calm_distress_deviation
        )
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
        self._anger.receive(_log_odds(scores["anger"]))
        self._distress.receive(_log_odds(scores["distress"]))
        if "arousal" in scores:
            self._arousal.receive(_log_odds(scores["arousal"]))
        if "valence" in scores:
            self._unpleasant.receive(-_log_odds(scores["valence"]))

    def compare(
        self, scores: Mapping[str, float], level_db: float
    ) -> tuple[EvidenceTerms, EvidenceTerms]:
        """Return the terms of a hop that has not been received yet: of anger, of distress."""
        arousal = valence = rise_db = 0.0
        if self.ready:
            if "arousal" in scores:
                arousal = self._arousal.deviation(_log_odds(scores["arousal"]))
            if "valence" in scores:
                valence = -self._unpleasant.deviation(-_log_odds(scores["valence"]))
            rise_db = level_db - self._level_sum_db / self._hops
            rise_db = max(0.0, min(rise_db, self._weights.level_cap_db))

        def terms(score: float, usual: _Usual) -> EvidenceTerms:
            log_odds = _log_odds(score)
            relative = usual.deviation(log_odds) if self.ready else 0.0
            return EvidenceTerms(log_odds, relative, arousal, valence, rise_db * score)

        return terms(scores["anger"], self._anger), terms(scores["distress"], self._distress)


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
        self._own_mean = 0.0
        self._squares = 0.0
        self._mean = mean
        self._deviation = deviation

    def receive(self, value: float) -> None:
        """Take one more value (Welford 1962: the sum of squares about the running mean)."""
        self._count += 1
        before = value - self._own_mean
        self._own_mean += before / self._count
        self._squares += before * (value - self._own_mean)
        many = self._weights.calm_s / HOP_S
        total = self._count + many
        shrunk = (self._count * self._own_mean + many * self._many_mean) / total
        highest = self._many_mean + self._weights.baseline_cap * self._many_deviation
        self._mean = min(shrunk, highest)
        pooled = math.sqrt((self._squares + many * self._many_deviation**2) / total)
        self._deviation = max(pooled, self._many_deviation / 2.0)

    def deviation(self, value: float) -> float:
        """Return how far `value` is from the mean, in standard deviations, clipped."""
        cap = self._weights.deviation_cap
        return max(-cap, min((value - self._mean) / self._deviation, cap))


def _log_odds(probability: float) -> float:
    bounded = max(PROBABILITY_FLOOR, min(probability, 1.0 - PROBABILITY_FLOOR))
    return math.log(bounded / (1.0 - bounded))


def _sigmoid(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(log_odds, 60.0))))
