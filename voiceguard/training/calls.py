"""Simulated calls of held-out speakers, to fit the constants of the pressure index.

A call is one speaker's clips joined: first calm (neutral, happy, sad, disgusted
in the proportions below), then, in half of the calls, angry or afraid. Its level
wanders by as much as a cheerful or a bad line's does, whatever the mood, so
that loudness alone explains nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from voiceguard.core.pressure import EvidenceWeights, PressureIndex
from voiceguard.core.quality import level_dbfs
from voiceguard.core.units import FULL_SCALE, HOP_S, HOP_SAMPLES
from voiceguard.training.augment import Chances, Line, Samples, Sounds
from voiceguard.training.calibrate import sigmoid
from voiceguard.training.examples import TrainingDataError, Utterance
from voiceguard.training.export import Runner
from voiceguard.training.targets import OUTPUTS

PRESSURED: Final = ("anger", "fear")
_CALM_SHARES: Final = {"neutral": 0.45, "happiness": 0.2, "sadness": 0.25, "disgust": 0.1}
_UNSETTLED_HOPS: Final = 2
HANDOFF_THRESHOLD: Final = 60.0
HANDOFF_HOLD_S: Final = 1.5
"""What the default policy hands off at."""
MOST_FALSE_ALARMS_PER_HOUR: Final = 2.0
"""Of calm speech in simulated calls; the bias is as high as this allows."""
_BIASES: Final = tuple(np.arange(0.0, -5.01, -0.05))
_MOST_FROM_LEVEL: Final = 0.8
"""Bound, in log-odds, on what loudness can add to a voice wholly angry or distressed."""
_STEEPEST: Final = 3.0


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """One customer's channel, scored."""

    scores: NDArray[np.float32]
    """(hops, 4)."""
    levels_db: NDArray[np.float64]
    """(hops,), relative to full scale."""
    onset_hop: int | None
    """First hop of anger or fear, None in a calm call."""
    emotion: str | None


@dataclass(frozen=True, slots=True)
class Rates:
    """What a threshold on the index makes of simulated calls."""

    detected_within_10_s: float
    false_alarms_per_hour: float
    """Of speech."""


def simulate_calls(
    utterances: Sequence[Utterance], runner: Runner, sounds: Sounds, calls: int, seed: int
) -> list[SimulatedCall]:
    """Build and score `calls` calls of the speakers of `utterances`.

    Raises:
        TrainingDataError: no speaker has both calm and pressured clips.
    """
    by_speaker: dict[tuple[str, str], dict[str, list[Utterance]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for utterance in utterances:
        key = utterance.clip.corpus, utterance.clip.speaker
        by_speaker[key][utterance.clip.emotion].append(utterance)
    needed = (*_CALM_SHARES, *PRESSURED)
    voices = [own for own in by_speaker.values() if all(own[emotion] for emotion in needed)]
    if not voices:
        raise TrainingDataError("no held-out speaker has clips of every emotion that calls need")
    return [
        _call(voices[index % len(voices)], runner, sounds, np.random.default_rng((seed, index)))
        for index in range(calls)
    ]


def _call(
    own: dict[str, list[Utterance]], runner: Runner, sounds: Sounds, rng: np.random.Generator
) -> SimulatedCall:
    calm = _passage(own, None, rng.uniform(12.0, 45.0), rng)
    emotion = str(rng.choice(PRESSURED, p=[0.6, 0.4])) if rng.random() < 0.5 else None
    later = _passage(own, emotion, rng.uniform(12.0, 20.0), rng)
    line = Line(rng, sounds, Chances(clipping=0.03, loss=0.1, noise=0.5))
    speech = line.carry(np.concatenate([calm, later]), [])
    hops = speech[: len(speech) // HOP_SAMPLES * HOP_SAMPLES]
    scores = runner.run(hops[None])[0][0]
    samples = np.round(hops * FULL_SCALE).astype(np.int16).reshape(-1, HOP_SAMPLES)
    levels = np.array([level_dbfs(hop) for hop in samples])
    onset = -(-len(calm) // HOP_SAMPLES) if emotion else None
    return SimulatedCall(scores, levels, onset, emotion)


def _passage(
    own: dict[str, list[Utterance]], emotion: str | None, length_s: float, rng: np.random.Generator
) -> Samples:
    """Return at least `length_s` of speech in one mood (None: calm ones mixed)."""
    pieces: list[Samples] = []
    drift_db = rng.normal(0.0, 4.0)
    while sum(map(len, pieces)) < length_s * HOP_SAMPLES / HOP_S:
        moods, shares = list(_CALM_SHARES), list(_CALM_SHARES.values())
        clips = own[emotion or str(rng.choice(moods, p=shares))]
        speech = clips[rng.integers(len(clips))].speech / FULL_SCALE
        gain_db = drift_db + rng.normal(0.0, 2.0)
        pieces.append(np.asarray(speech * 10 ** (gain_db / 20), np.float32))
    return np.concatenate(pieces)


def fit_evidence(calls: Sequence[SimulatedCall]) -> EvidenceWeights:
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


def _with_bias(calls: Sequence[SimulatedCall], weights: EvidenceWeights) -> EvidenceWeights:
    """Return the highest bias that keeps false alarms as rare as they must be.

    The regression's own bias supposes that half of all speech is pressured; of real
    calls very little is, and what matters is how often a threshold is crossed in vain.
    """
    for bias in _BIASES:
        candidate = replace(weights, bias=round(float(bias), 2))
        rates = rates_at(calls, candidate, HANDOFF_THRESHOLD, HANDOFF_HOLD_S)
        if rates.false_alarms_per_hour <= MOST_FALSE_ALARMS_PER_HOUR:
            return candidate
    return candidate


def _baseline_constants(calls: Sequence[SimulatedCall]) -> EvidenceWeights:
    """Return weights with the population of calm speakers, and the terms themselves unweighted."""
    weights = EvidenceWeights(
        bias=0.0,
        absolute=1.0,
        relative=0.0,
        deviation_cap=4.0,
        level=0.0,
        level_cap_db=12.0,
        baseline_s=8.0,
        calm_mean=0.0,
        calm_deviation=1.0,
        calm_s=4.0,
        baseline_maximum=0.0,
        rise_s=2.0,
        fall_s=4.0,
    )
    calm = np.concatenate([_term(call, weights)[: call.onset_hop] for call in calls])
    mean, deviation = float(calm.mean()), float(calm.std())
    return replace(
        weights,
        absolute=0.0,
        calm_mean=round(mean, 4),
        calm_deviation=round(deviation, 4),
        baseline_maximum=round(mean + deviation, 4),
    )


def _term(call: SimulatedCall, weights: EvidenceWeights) -> NDArray[np.float64]:
    """Return the log-odds of the evidence of each hop under `weights`."""
    index = PressureIndex(weights)
    evidence = np.array(
        [
            index.receive_scores(_named(scores), float(level), 1.0).evidence
            for scores, level in zip(call.scores, call.levels_db, strict=True)
        ]
    )
    return np.asarray(np.log(evidence) - np.log1p(-evidence))


def _named(scores: NDArray[np.float32]) -> dict[str, float]:
    return {name: float(score) for name, score in zip(OUTPUTS, scores, strict=True)}


def _hops(
    calls: Sequence[SimulatedCall], weights: EvidenceWeights
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


def rates_at(
    calls: Sequence[SimulatedCall], weights: EvidenceWeights, threshold: float, hold_s: float
) -> Rates:
    """Return how often the index stays at `threshold` for `hold_s`, in time and in vain."""
    detected, pressured, alarms, calm_s = 0, 0, 0, 0.0
    hold = max(round(hold_s / HOP_S), 1)
    for call in calls:
        high = np.array(_trace(call, weights)) >= threshold
        held = np.convolve(high, np.ones(hold), "full")[: len(high)] >= hold
        onset = len(high) if call.onset_hop is None else call.onset_hop
        calm_s += onset * HOP_S
        calm_held = held[:onset]
        alarms += int(np.sum(calm_held & ~np.concatenate([[False], calm_held[:-1]])))
        if call.onset_hop is not None:
            pressured += 1
            detected += bool(held[onset : onset + round(10.0 / HOP_S)].any())
    return Rates(detected / max(pressured, 1), alarms / max(calm_s / 3600.0, HOP_S / 3600.0))


def _trace(call: SimulatedCall, weights: EvidenceWeights) -> list[float]:
    index = PressureIndex(weights)
    return [
        index.receive_scores(_named(scores), float(level), 1.0).pressure_index
        for scores, level in zip(call.scores, call.levels_db, strict=True)
    ]


def describe(weights: EvidenceWeights) -> dict[str, float]:
    """Return the constants as the manifest's `[pressure]` table holds them."""
    return {name: float(value) for name, value in asdict(weights).items()}
