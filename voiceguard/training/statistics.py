"""Figures of scored clips and how sure they are: bootstrap intervals over speakers.

A figure is a `Statistic`: a function of how often each clip counts. Clips of one speaker are
alike, so the bootstrap draws speakers, not clips, with replacement, and a clip counts as often as
its speaker was drawn (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8
and 13).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.calibrate import BINS

Weights = NDArray[np.float64]
"""How often each clip counts, (clips,), 0 or more."""

Statistic = Callable[[Weights], float]
"""A figure of clips so weighted; NaN where they do not determine it."""

INTERVAL_PERCENT: Final = (2.5, 97.5)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval (percentiles of the bootstrap)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class SpeakerBootstrap:
    """The same draws of speakers for every figure, so that differences are paired."""

    codes: NDArray[np.intp]
    """Of each clip the index of its speaker, (clips,)."""
    counts: NDArray[np.int64]
    """How often each speaker was drawn, (draws, speakers)."""

    @classmethod
    def draw(cls, speakers: Sequence[str] | NDArray[np.str_], draws: int, seed: int) -> Self:
        """Draw as many speakers as there are, with replacement, `draws` times.

        Args:
            speakers: the speaker of each clip.
            draws: how many samples to take; 1000 make the interval's ends steady to about 5 % of
                its width.
            seed: everything drawn follows from it.
        """
        names, codes = np.unique(np.asarray(speakers), return_inverse=True)
        rng = np.random.default_rng(seed)
        evenly = np.full(len(names), 1.0 / len(names))
        return cls(codes, rng.multinomial(len(names), evenly, size=draws))

    def estimate(self, statistic: Statistic) -> Estimate:
        """Return the figure of all clips with its interval; draws that give NaN are left out."""
        weights = self.counts.astype(np.float64)
        drawn = np.array([statistic(of_draw[self.codes]) for of_draw in weights])
        known = drawn[~np.isnan(drawn)]
        low, high = np.percentile(known, INTERVAL_PERCENT) if len(known) else (np.nan, np.nan)
        return Estimate(statistic(np.ones(len(self.codes))), float(low), float(high))


def area(scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> Statistic:
    """Return the area under the ROC curve, ties counting for half (Mann-Whitney U)."""
    order = np.argsort(scores, kind="stable")
    ordered, is_positive = scores[order], positives[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else order

    def statistic(weights: Weights) -> float:
        sorted_weights = weights[order]
        above = np.where(is_positive, sorted_weights, 0.0)
        below = sorted_weights - above
        total = above.sum() * below.sum()
        if total == 0:
            return float("nan")
        tied_above, tied_below = np.add.reduceat(above, starts), np.add.reduceat(below, starts)
        before = np.cumsum(tied_below) - tied_below
        return float(tied_above @ (before + tied_below / 2) / total)

    return statistic


def share(values: NDArray[np.float64] | NDArray[np.bool_], counted: NDArray[np.bool_]) -> Statistic:
    """Return the mean of `values` over the clips counted; of alarms over calm clips: false ones."""
    numbers = np.where(counted, values, 0.0)
    ones = counted.astype(np.float64)

    def statistic(weights: Weights) -> float:
        total = float(weights @ ones)
        return float(weights @ numbers) / total if total else float("nan")

    return statistic


def unweighted_average_recall(
    right: NDArray[np.float64] | NDArray[np.bool_], classes: NDArray[np.str_]
) -> Statistic:
    """Return the mean over classes of how often their clips are named right.

    Args:
        right: for each clip 1 or 0, or a probability where the answer was drawn.
        classes: the true class of each clip.
    """
    recalls = [share(right, classes == name) for name in np.unique(classes)]
    return lambda weights: float(np.mean([recall(weights) for recall in recalls]))


def calibration_error(
    probabilities: NDArray[np.float64], positives: NDArray[np.bool_], bins: int = BINS
) -> Statistic:
    """Return the expected calibration error over equal bins (Naeini, Cooper, Hauskrecht, 2015)."""
    index = _bin_of(probabilities, bins)
    gaps = probabilities - positives

    def statistic(weights: Weights) -> float:
        summed = np.bincount(index, weights * gaps, minlength=bins)
        total = float(weights.sum())
        return float(np.abs(summed).sum()) / total if total else float("nan")

    return statistic


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Return the difference `first - second` on the same clips."""
    return lambda weights: first(weights) - second(weights)


def among(clips: NDArray[np.bool_], statistic: Statistic) -> Statistic:
    """Return a figure of these clips only, `statistic` being one of as many clips as are True."""
    return lambda weights: statistic(weights[clips])


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Clips whose probability lies between `low` and `high`."""

    low: float
    high: float
    clips: int
    mean_probability: float
    share_of_positives: float


def reliability(
    probabilities: NDArray[np.float64], positives: NDArray[np.bool_], bins: int = BINS
) -> list[ReliabilityBin]:
    """Return what a reliability diagram shows, empty bins left out."""
    index = _bin_of(probabilities, bins)
    return [
        ReliabilityBin(
            each / bins,
            (each + 1) / bins,
            int((index == each).sum()),
            float(probabilities[index == each].mean()),
            float(positives[index == each].mean()),
        )
        for each in np.unique(index).tolist()
    ]


def _bin_of(probabilities: NDArray[np.float64], bins: int) -> NDArray[np.intp]:
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1)


def threshold_at(rate: float, negatives: NDArray[np.float64]) -> float:
    """Return the lowest score that at most `rate` of the negatives' scores lie above.

    Args:
        rate: 0 to 1.
        negatives: scores of clips without what is looked for, at least one.
    """
    allowed = int(np.floor(rate * len(negatives) + 1e-9))
    return float(np.sort(negatives)[max(len(negatives) - 1 - allowed, 0)])


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest difference between two groups."""

    highest: str
    lowest: str
    difference: Estimate


def widest_gap(groups: Mapping[str, Statistic], bootstrap: SpeakerBootstrap) -> Gap | None:
    """Return the two groups that differ most, with the interval of their difference.

    The pair is picked by what it is then measured on, so of many groups the difference is
    flattered: chance alone gives some. None with fewer than two groups that have a figure.
    """
    everyone = np.ones(len(bootstrap.codes))
    values = {name: figure(everyone) for name, figure in groups.items()}
    known = sorted((name for name in values if not np.isnan(values[name])), key=values.__getitem__)
    if len(known) < 2:
        return None
    lowest, highest = known[0], known[-1]
    return Gap(highest, lowest, bootstrap.estimate(difference(groups[highest], groups[lowest])))
