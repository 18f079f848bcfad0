"""What listeners, loudness and the model come down to as judges of the same clips."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.accuracy.judges import (
    ANGER_AUC,
    ANGER_OR_FEAR_AUC,
    FEAR_AUC,
    SIX_EMOTIONS_UAR,
    chosen,
    judge_by_loudness,
    judge_by_model,
    judge_by_panel,
    judge_by_single_rater,
)
from tests.benchmarks.accuracy import heard
from voiceguard.training.calibrate import area_under_curve
from voiceguard.training.corpora import EMOTIONS

SIX = np.array(EMOTIONS)
VOTES = np.array(
    [
        [4, 1, 0, 0, 0, 0],  # anger
        [2, 2, 0, 0, 1, 0],  # disgust, as often taken for anger
        [0, 0, 1, 0, 1, 3],  # fear, mostly taken for sadness
        [1, 0, 0, 4, 0, 0],  # happiness
        [0, 0, 0, 0, 5, 0],  # neutral
        [0, 0, 2, 0, 1, 2],  # sadness, as often taken for fear
    ]
)
SHARES = VOTES / VOTES.sum(axis=1, keepdims=True)
ONES = np.ones(6)


def test_the_panel_scores_by_shares_of_votes() -> None:
    figures = judge_by_panel(SHARES, SIX).figures
    assert figures[ANGER_AUC](ONES) == 1.0
    assert figures[FEAR_AUC](ONES) == pytest.approx(4 / 5)
    expected = area_under_curve(SHARES[:, 0] + SHARES[:, 2], np.isin(SIX, ("anger", "fear")))
    assert figures[ANGER_OR_FEAR_AUC](ONES) == pytest.approx(expected)


def test_the_panels_majority_shares_what_it_is_divided_over() -> None:
    recalls = [1.0, 0.5, 0.0, 1.0, 1.0, 0.5]
    uar = judge_by_panel(SHARES, SIX).figures[SIX_EMOTIONS_UAR](ONES)
    assert uar == pytest.approx(np.mean(recalls))


def test_the_single_listener_is_the_mean_over_all_ways_to_draw_one_for_each_clip() -> None:
    votes = SHARES[[0, 1, 2, 3]]
    emotions = SIX[[0, 1, 2, 3]]
    areas, recalls = [], []
    for answers in product(range(6), repeat=4):
        chance = np.prod([votes[clip, answer] for clip, answer in enumerate(answers)])
        heard_anger = np.array([float(answer == 0) for answer in answers])
        right = np.array(EMOTIONS)[list(answers)] == emotions
        areas.append(chance * area_under_curve(heard_anger, emotions == "anger"))
        recalls.append(chance * np.mean(right))
    figures = judge_by_single_rater(votes, emotions).figures
    assert figures[ANGER_AUC](np.ones(4)) == pytest.approx(sum(areas))
    assert figures[SIX_EMOTIONS_UAR](np.ones(4)) == pytest.approx(sum(recalls))


def test_one_listener_knows_less_than_all_of_them() -> None:
    panel, single = judge_by_panel(SHARES, SIX).figures, judge_by_single_rater(SHARES, SIX).figures
    assert all(single[name](ONES) < panel[name](ONES) for name in (ANGER_AUC, FEAR_AUC))


def test_loudness_ranks_by_level_and_names_nothing() -> None:
    figures = judge_by_loudness(np.array([-10.0, -12.0, -11.0, -13.0, -30.0, -20.0]), SIX).figures
    assert figures[ANGER_AUC](ONES) == 1.0
    assert SIX_EMOTIONS_UAR not in figures


def test_the_model_names_emotions_only_with_a_head_for_them() -> None:
    log_odds = np.array([[3.0, -3.0]] + [[-3.0, -3.0]] * 5)
    assert SIX_EMOTIONS_UAR not in judge_by_model(heard(log_odds), SIX).figures
    named = judge_by_model(heard(log_odds, emotions=np.eye(6)), SIX).figures
    assert named[SIX_EMOTIONS_UAR](ONES) == 1.0
    assert named[ANGER_AUC](ONES) == 1.0


def test_a_corpus_without_an_emotion_has_no_figure_for_it() -> None:
    figures = judge_by_model(heard(np.zeros((2, 2))), np.array(["anger", "happiness"])).figures
    assert set(figures) == {ANGER_AUC, ANGER_OR_FEAR_AUC}


def test_ties_share_the_choice() -> None:
    np.testing.assert_allclose(chosen(np.array([[1.0, 1.0, 0.0]])), [[0.5, 0.5, 0.0]])
