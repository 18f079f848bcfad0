"""What the pressure index takes for calm: the scores of many people's calm speech."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.pressure import PROBABILITY_FLOOR, EvidenceWeights
from voiceguard.training.calibrate import log_odds

_LEAST_DEVIATION: Final = 0.1


def with_calm_population(weights: EvidenceWeights, calm: NDArray[np.float64]) -> EvidenceWeights:
    """Return `weights` with the means and deviations of many calm speakers' hops.

    Args:
        weights: constants, of which no others change.
        calm: scores of hops, (hops, 4), in the order of `OUTPUTS`.
    """
    anger, distress, arousal, valence = calm.T
    return replace(
        weights,
        calm_anger_mean=_mean(anger),
        calm_anger_deviation=_deviation(anger),
        calm_distress_mean=_mean(distress),
        calm_distress_deviation=_deviation(distress),
        calm_arousal_mean=_mean(arousal),
        calm_arousal_deviation=_deviation(arousal),
        calm_valence_mean=_mean(valence),
        calm_valence_deviation=_deviation(valence),
    )


def _mean(probabilities: NDArray[np.float64]) -> float:
    return round(float(_log_odds(probabilities).mean()), 4)


def _deviation(probabilities: NDArray[np.float64]) -> float:
    """Return the deviation of log-odds; not 0, also of a score that never moves."""
    return max(round(float(_log_odds(probabilities).std()), 4), _LEAST_DEVIATION)


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds of scores kept as far from 0 and 1 as the index keeps them."""
    return log_odds(np.clip(probabilities, PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR))
