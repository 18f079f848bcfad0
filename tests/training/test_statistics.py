"""Whether figures and their intervals are what they are called."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from voiceguard.training.calibrate import area_under_curve, expected_calibration_error
from voiceguard.training.statistics import (
    Estimate,
    SpeakerBootstrap,
    among,
    area,
    calibration_error,
    difference,
    reliability,
    share,
    threshold_at,
    unweighted_average_recall,
    widest_gap,
)

RNG = np.random.default_rng(5)
SCORES = np.round(RNG.normal(size=60), 1)  # rounded, so that some are tied
POSITIVES = RNG.random(60) < 0.3


def test_area_counts_each_clip_as_often_as_it_weighs() -> None:
    weights = RNG.integers(0, 4, 60)
    repeated = np.repeat(np.arange(60), weights)
    expected = area_under_curve(SCORES[repeated], POSITIVES[repeated])
    assert area(SCORES, POSITIVES)(weights.astype(float)) == pytest.approx(expected)


def test_area_of_one_class_is_not_determined() -> None:
    assert math.isnan(area(SCORES, np.ones(60, np.bool_))(np.ones(60)))


def drawn(rng: np.random.Generator, speakers: int, clips: int) -> tuple[np.ndarray, ...]:
    """Return names, scores and positives; each speaker has a level of their own."""
    names = np.repeat([f"{n:03}" for n in range(speakers)], clips)
    positives = np.tile(np.arange(clips) % 2 == 0, speakers)
    own = np.repeat(rng.normal(scale=0.8, size=speakers), clips)
    return names, own + 1.5 * positives + rng.normal(size=speakers * clips), positives


def test_intervals_over_speakers_cover_a_mean_and_intervals_over_clips_do_not() -> None:
    rng = np.random.default_rng(1)
    by_speaker = by_clip = 0
    for seed in range(120):
        names, scores, positives = drawn(rng, 30, 10)
        mean = share(scores - np.where(positives, 1.5, 0.0), np.ones(300, np.bool_))
        by_speaker += covers(SpeakerBootstrap.draw(names, 200, seed).estimate(mean), 0.0)
        alone = np.arange(300).astype(str)
        by_clip += covers(SpeakerBootstrap.draw(alone, 200, seed).estimate(mean), 0.0)
    assert by_speaker / 120 >= 0.88
    assert by_clip / 120 <= 0.75


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low <= truth <= estimate.high


def test_the_interval_of_an_area_covers_the_true_area() -> None:
    rng = np.random.default_rng(2)
    truth = float(norm.cdf(1.5 / math.sqrt(2 * (1 + 0.8**2))))
    covered = 0
    for seed in range(150):
        names, scores, positives = drawn(rng, 30, 10)
        bootstrap = SpeakerBootstrap.draw(names, 200, seed)
        covered += covers(bootstrap.estimate(area(scores, positives)), truth)
    assert 0.87 <= covered / 150 <= 0.995


def test_the_same_seed_gives_the_same_interval_and_another_does_not() -> None:
    names, scores, positives = drawn(np.random.default_rng(3), 8, 10)
    first, again, other = (
        SpeakerBootstrap.draw(names, 100, seed).estimate(area(scores, positives))
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first.value == other.value
    assert first.low != other.low


def test_a_difference_is_paired() -> None:
    names, scores, positives = drawn(np.random.default_rng(3), 8, 10)
    figure = area(scores, positives)
    nothing = SpeakerBootstrap.draw(names, 50, 0).estimate(difference(figure, figure))
    assert (nothing.low, nothing.value, nothing.high) == (0.0, 0.0, 0.0)


def test_average_recall_weighs_classes_alike() -> None:
    classes = np.array(["a", "a", "a", "b"])
    right = np.array([1.0, 0.0, 0.5, 1.0])
    assert unweighted_average_recall(right, classes)(np.ones(4)) == pytest.approx((0.5 + 1.0) / 2)
    assert math.isnan(unweighted_average_recall(right, classes)(np.array([1.0, 1.0, 1.0, 0.0])))


def test_share_is_over_the_clips_counted_only() -> None:
    alarms = np.array([True, True, False, False])
    calm = np.array([False, True, True, True])
    assert share(alarms, calm)(np.ones(4)) == pytest.approx(1 / 3)
    assert share(alarms, calm)(np.array([9.0, 3.0, 1.0, 0.0])) == pytest.approx(3 / 4)


def test_among_takes_a_figure_of_some_clips() -> None:
    some = np.arange(60) < 40
    inner = area(SCORES[some], POSITIVES[some])
    expected = area_under_curve(SCORES[some], POSITIVES[some])
    assert among(some, inner)(np.ones(60)) == pytest.approx(expected)


def test_calibration_error_is_that_of_training() -> None:
    probabilities = RNG.random(200)
    positives = RNG.random(200) < probabilities**2
    expected = expected_calibration_error(probabilities, positives)
    assert calibration_error(probabilities, positives)(np.ones(200)) == pytest.approx(expected)


def test_reliability_holds_every_clip_once() -> None:
    probabilities = np.array([0.0, 0.05, 0.31, 0.39, 1.0])
    positives = np.array([False, True, False, True, True])
    bins = reliability(probabilities, positives)
    assert [(each.low, each.clips, each.share_of_positives) for each in bins] == [
        (0.0, 2, 0.5),
        (0.3, 2, 0.5),
        (0.9, 1, 1.0),
    ]
    assert bins[1].mean_probability == pytest.approx(0.35)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 1.0])
def test_a_threshold_keeps_its_rate_and_is_the_lowest_that_does(rate: float) -> None:
    negatives = RNG.permutation(100).astype(float)
    threshold = threshold_at(rate, negatives)
    assert (negatives > threshold).mean() <= rate
    lower = negatives[negatives < threshold]
    assert len(lower) == 0 or (negatives > lower.max()).mean() > rate


def test_ties_do_not_break_the_rate() -> None:
    assert (np.full(10, 0.5) > threshold_at(0.1, np.full(10, 0.5))).mean() == 0.0


def test_the_widest_gap_is_between_best_and_worst() -> None:
    names = np.repeat([f"{n}" for n in range(12)], 10)
    group = np.repeat(["a", "b", "c"], 40)
    wrong = np.zeros(120, np.bool_)
    wrong[group == "b"] = np.arange(40) % 2 == 0
    wrong[group == "c"] = np.arange(40) % 4 == 0
    bootstrap = SpeakerBootstrap.draw(names, 100, 0)
    figures = {name: share(wrong, group == name) for name in "abc"}
    gap = widest_gap(figures, bootstrap)
    assert gap is not None
    assert (gap.highest, gap.lowest) == ("b", "a")
    assert gap.difference.value == pytest.approx(0.5)
    assert gap.difference.low > 0
    assert widest_gap({"a": figures["a"]}, bootstrap) is None
