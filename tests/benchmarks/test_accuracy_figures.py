"""Figures by condition and by group, and the list of errors, from scores whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy.groups import (
    ANGER_FALSE_ALARMS,
    FALSE_ALARM_RATE,
    LEAST_SPEAKERS,
    age_band,
    group_figures,
    thresholds_of,
)
from benchmarks.accuracy.judges import ANGER_AUC, judge_by_loudness, judge_by_model
from benchmarks.accuracy.measures import (
    GainShift,
    calibrations,
    compare,
    condition_figures,
    gain_shift,
    score_shift,
    worst_conditions,
)
from benchmarks.accuracy.mistakes import confusion, find_mistakes
from benchmarks.accuracy.scores import CLEAN, Heard, ScoredCorpus
from tests.benchmarks.accuracy import heard, scored_corpus
from voiceguard.training.corpora import EMOTIONS, Demographics
from voiceguard.training.statistics import SpeakerBootstrap

CORPUS = scored_corpus()
BOOTSTRAP = SpeakerBootstrap.draw(CORPUS.speakers, 50, 0)


def worsened(corpus: ScoredCorpus, noise: float) -> ScoredCorpus:
    """Return the corpus with a condition that blurs its scores."""
    rng = np.random.default_rng(1)
    log_odds = corpus.clean.log_odds + noise * rng.normal(size=corpus.clean.log_odds.shape)
    return replace(
        corpus,
        by_condition={**corpus.by_condition, "noise": replace(corpus.clean, log_odds=log_odds)},
    )


def test_the_model_is_ahead_by_the_difference_of_the_figures() -> None:
    judges = [
        judge_by_model(CORPUS.clean, CORPUS.emotions),
        judge_by_loudness(CORPUS.clean.level_db, CORPUS.emotions),
    ]
    compared = compare(judges, BOOTSTRAP)
    assert compared.figures["model"][ANGER_AUC].value == 1.0
    assert compared.figures["loudness"][ANGER_AUC].value == 0.5
    assert compared.model_ahead_by["loudness"][ANGER_AUC].value == 0.5
    assert "model" not in compared.model_ahead_by


def test_a_condition_loses_what_it_blurs() -> None:
    corpus = worsened(CORPUS, 4.0)
    clean, noise = (
        condition_figures(corpus, name, name, BOOTSTRAP, is_extreme=False)
        for name in (CLEAN, "noise")
    )
    assert clean.auc_lost[ANGER_AUC].high == 0.0
    assert noise.auc_lost[ANGER_AUC].low > 0.02
    assert worst_conditions([clean, noise], ANGER_AUC) == [noise]


def moved(by: float, *, clipped: tuple[int, ...] = ()) -> Heard:
    own = heard(np.full((3, 2), by))
    is_clipped = np.isin(np.arange(3), clipped)
    return replace(own, is_clipped=is_clipped)


def test_scores_move_by_the_difference_of_probabilities_of_clips_that_are_not_clipped() -> None:
    far = moved(0.0)
    far.log_odds[0] = 20.0
    shift = score_shift(moved(0.0), far)
    assert shift is not None
    assert shift.largest == pytest.approx(0.5)
    unclipped = score_shift(moved(0.0), replace(far, is_clipped=np.array([True, False, False])))
    assert unclipped is not None
    assert (unclipped.clips, unclipped.largest) == (2, 0.0)
    assert score_shift(moved(0.0), moved(1.0, clipped=(0, 1, 2))) is None


def test_only_conditions_of_gain_count_as_gain() -> None:
    corpus = worsened(CORPUS, 4.0)
    noise = condition_figures(corpus, "noise", "noise", BOOTSTRAP, is_extreme=False)
    assert gain_shift(CORPUS.clean, [noise]) == GainShift(0.01, None)
    assert noise.shift is not None
    louder = gain_shift(CORPUS.clean, [replace(noise, name="gain-up-6")])
    assert louder == GainShift(0.01, noise.shift.largest)


def test_calibration_is_held_against_the_acted_emotion() -> None:
    found = {each.output: each for each in calibrations(CORPUS, BOOTSTRAP)}
    assert (found["anger"].emotion, found["distress"].emotion) == ("anger", "fear")
    assert found["anger"].error.value < 0.1
    assert sum(each.clips for each in found["anger"].bins) == len(CORPUS.clips)


def demographics(unlucky: tuple[str, ...], speakers: int) -> dict[str, Demographics]:
    names = [f"{n:02}" for n in range(speakers)]
    return {
        name: Demographics("female" if name in unlucky else "male", 30 + n, "one", None)
        for n, name in enumerate(names)
    }


def test_a_group_with_more_false_alarms_is_named_with_an_interval() -> None:
    unlucky = tuple(f"{n:02}" for n in range(LEAST_SPEAKERS))
    corpus = scored_corpus(unlucky=unlucky)
    dimensions = group_figures(
        corpus, demographics(unlucky, 12), thresholds_of(corpus, 0.6), BOOTSTRAP
    )
    sex = next(each for each in dimensions if each.name == "sex")
    gap = sex.gaps[ANGER_FALSE_ALARMS]
    assert (gap.highest, gap.lowest) == ("female", "male")
    assert gap.difference.low > 0
    assert [(group.name, group.speakers) for group in sex.groups] == [("female", 5), ("male", 7)]
    assert {each.name for each in dimensions} == {"sex", "age"}  # one race, no ethnicity


def test_a_group_of_few_is_shown_but_not_named() -> None:
    unlucky = tuple(f"{n:02}" for n in range(LEAST_SPEAKERS - 1))
    corpus = scored_corpus(unlucky=unlucky)
    sex = group_figures(corpus, demographics(unlucky, 12), thresholds_of(corpus, 0.6), BOOTSTRAP)[0]
    assert [group.name for group in sex.groups] == ["female", "male"]
    assert not sex.gaps


def test_the_threshold_gives_the_rate_over_everybody() -> None:
    corpus = worsened(CORPUS, 1.0)
    calm = corpus.emotions != "anger"
    alarms = corpus.clean.probabilities[calm, 0] > thresholds_of(corpus, 0.6).anger
    assert FALSE_ALARM_RATE - 1 / calm.sum() < alarms.mean() <= FALSE_ALARM_RATE


@pytest.mark.parametrize(
    ("age", "band"), [(20, "up to 29"), (29, "up to 29"), (30, "30-39"), (59, "50-59")]
)
def test_bands_of_age_are_ten_years(age: int, band: str) -> None:
    assert age_band(age) == band
    assert age_band(74) == "60 and over"


def test_errors_are_named_with_what_listeners_heard() -> None:
    corpus = scored_corpus(unlucky=("03",))
    anger, distress = find_mistakes(corpus, BOOTSTRAP)
    assert anger.alarms["neutral"].value == max(
        share.value for name, share in anger.alarms.items() if name != "anger"
    )
    assert [clip.emotion for clip in anger.false_alarms[:3]] == ["neutral"] * 3
    assert anger.false_alarms[0].listeners == pytest.approx(1 / 12)
    assert anger.false_alarms[0].probability > anger.threshold
    assert not anger.misses
    assert distress.looked_for == "fear"
    assert distress.told_apart["anger"].value == 1.0


def test_confusion_has_rows_that_add_up() -> None:
    assert confusion(CORPUS) is None
    names = [EMOTIONS.index(emotion) for emotion in CORPUS.emotions.tolist()]
    clean = replace(CORPUS.clean, emotion_logits=np.eye(6)[names])
    table = confusion(replace(CORPUS, by_condition={CLEAN: clean}))
    assert table is not None
    np.testing.assert_allclose(table, np.eye(6))
