"""From logits to probabilities that mean what they say (Platt 1999), one head at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata

BINS: Final = 10
_LEAST_SCALE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibrated probability is ``sigmoid(scale * logit + shift)``."""

    scale: tuple[float, ...]
    shift: tuple[float, ...]


def fit_calibration(
    logits: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> Calibration:
    """Fit scale and shift of each output.

    Args:
        logits: (n, outputs).
        targets: (n, outputs), 0 to 1, soft ones included.
        weights: (n,).
    """
    fitted = [
        _platt(logits[:, output], targets[:, output], weights) for output in range(logits.shape[1])
    ]
    return Calibration(tuple(scale for scale, _ in fitted), tuple(shift for _, shift in fitted))


def _platt(
    logits: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = parameters[0] * logits + parameters[1]
        error = weights * (sigmoid(z) - targets)
        value = float(np.sum(weights * (np.logaddexp(0.0, z) - targets * z)))
        total = weights.sum()
        return value / total, np.array([error @ logits, error.sum()]) / total

    bounds = [(_LEAST_SCALE, None), (None, None)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])


def expected_calibration_error(
    probabilities: NDArray[np.float64], positives: NDArray[np.bool_]
) -> float:
    """Return the mean gap between probability and share of positives over `BINS` equal bins.

    Source: Naeini, Cooper, Hauskrecht, 2015.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [
        (bins == index).mean()
        * abs(probabilities[bins == index].mean() - positives[bins == index].mean())
        for index in np.unique(bins)
    ]
    return float(np.sum(gaps))


def area_under_curve(scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve (Mann-Whitney U); NaN with one class only."""
    positive_count, negative_count = int(positives.sum()), int((~positives).sum())
    if positive_count == 0 or negative_count == 0:
        return float("nan")
    ranks = rankdata(scores)
    excess = ranks[positives].sum() - positive_count * (positive_count + 1) / 2
    return float(excess / (positive_count * negative_count))


def sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic function of `z`."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(z, -60.0, 60.0))))


def log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log-odds of `probabilities`, which are kept a millionth from 0 and 1."""
    bounded = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)))


def pressure_of(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return anger or distress (independent of each other: noisy-or) of (n, outputs)."""
    return np.asarray(1.0 - (1.0 - probabilities[:, 0]) * (1.0 - probabilities[:, 1]))


def clip_logits(hops: NDArray[np.float64], window_hops: int) -> NDArray[np.float64]:
    """Return the score of a clip before the sigmoid: a mean over its hops.

    The first hops count for less, as far as the model's window is not yet full.

    Args:
        hops: logits (k, outputs), from the start of a channel.
        window_hops: hops that fill the window.
    """
    weights = np.minimum(np.arange(1, len(hops) + 1), window_hops)
    return np.asarray(np.average(hops, axis=0, weights=weights))
