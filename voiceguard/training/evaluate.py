"""How well a model separates what it should, on speakers that it has not heard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.calibrate import (
    area_under_curve,
    expected_calibration_error,
    pressure_of,
    sigmoid,
)
from voiceguard.training.clips import Recording, heard_over_g711
from voiceguard.training.export import Runner
from voiceguard.training.ship import log_odds_of_clips

PRESSURED = ("anger", "fear")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy on one corpus of acted speech, over G.711 mu-law, clip by clip."""

    clips: int
    speakers: int
    without_speech: int
    """Clips in which the engine found no speech; they count as scored 0."""
    anger_auc: float
    anger_or_fear_auc: float
    fear_auc: float
    anger_calibration_error: float
    anger_auc_against: dict[str, float]
    """By emotion of the clips that are not angry."""

    def as_data(self) -> dict[str, object]:
        """Return plain data, for JSON; None where the corpus has no clips to measure it on."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: object) -> object:
    """Return `value` with None for NaN, which JSON does not have."""
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case float() if math.isnan(value):
            return None
        case _:
            return value


def measure_accuracy(runner: Runner, recordings: Sequence[Recording]) -> Accuracy:
    """Score every recording from the start of a channel; a clip's score is a mean of log-odds."""
    hops = [heard_over_g711(recording.samples) for recording in recordings]
    scored = [one for one in hops if len(one)]
    logits = np.full((len(hops), 4), -20.0)
    logits[[len(one) > 0 for one in hops]] = log_odds_of_clips(runner.score_clips(scored))
    emotions = np.array([recording.clip.emotion for recording in recordings])
    anger = emotions == "anger"
    probabilities = sigmoid(logits)
    pressure = pressure_of(probabilities)
    return Accuracy(
        clips=len(recordings),
        speakers=len({recording.clip.speaker for recording in recordings}),
        without_speech=len(hops) - len(scored),
        anger_auc=_rounded(area_under_curve(logits[:, 0], anger)),
        anger_or_fear_auc=_rounded(area_under_curve(pressure, np.isin(emotions, PRESSURED))),
        fear_auc=_rounded(area_under_curve(logits[:, 1], emotions == "fear")),
        anger_calibration_error=_rounded(expected_calibration_error(probabilities[:, 0], anger)),
        anger_auc_against=_against(logits[:, 0], emotions),
    )


def _against(scores: NDArray[np.float64], emotions: NDArray[np.str_]) -> dict[str, float]:
    areas = {}
    for other in sorted(set(emotions.tolist()) - {"anger"}):
        both = np.isin(emotions, ("anger", other))
        areas[other] = _rounded(area_under_curve(scores[both], emotions[both] == "anger"))
    return areas


def _rounded(value: float) -> float:
    return round(float(value), 4)
