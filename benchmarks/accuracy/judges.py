"""Who judges clips, and how well: the model, listeners, eGeMAPS, loudness, on the same clips.

Every judge comes down to statistics (`voiceguard.training.statistics`) of the same names, so that
all have intervals from the same draws of speakers and differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.scores import Heard
from voiceguard.training.corpora import EMOTIONS
from voiceguard.training.statistics import Statistic, area, unweighted_average_recall

ANGER_AUC: Final = "anger_auc"
ANGER_OR_FEAR_AUC: Final = "anger_or_fear_auc"
FEAR_AUC: Final = "fear_auc"
SIX_EMOTIONS_UAR: Final = "six_emotions_uar"

MEASURES: Final[Mapping[str, str]] = {
    ANGER_AUC: "anger against the rest, AUC",
    ANGER_OR_FEAR_AUC: "anger or fear against the rest, AUC",
    FEAR_AUC: "fear against the rest, AUC",
    SIX_EMOTIONS_UAR: "six emotions, UAR",
}

POSITIVES: Final[Mapping[str, tuple[str, ...]]] = {
    ANGER_AUC: ("anger",),
    ANGER_OR_FEAR_AUC: ("anger", "fear"),
    FEAR_AUC: ("fear",),
}
"""Emotions that a measure looks for."""

MODEL: Final = "model"

_ANGER, _FEAR = EMOTIONS.index("anger"), EMOTIONS.index("fear")


@dataclass(frozen=True, slots=True)
class Judge:
    """One row of the comparison; a measure that it cannot give is left out of `figures`."""

    name: str
    title: str
    figures: Mapping[str, Statistic]


def positives_of(measure: str, emotions: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Return which clips a measure looks for, (clips,)."""
    return np.isin(emotions, POSITIVES[measure])


def areas(
    scores: Mapping[str, NDArray[np.float64]], emotions: NDArray[np.str_]
) -> dict[str, Statistic]:
    """Return the AUC of each measure that there are scores for and clips of both kinds."""
    figures = {}
    for measure, of_clips in scores.items():
        positives = positives_of(measure, emotions)
        if positives.any() and not positives.all():
            figures[measure] = area(of_clips, positives)
    return figures


def model_scores(heard: Heard) -> dict[str, NDArray[np.float64]]:
    """Return what ranks the clips for each measure, by the model."""
    return {
        ANGER_AUC: heard.log_odds[:, 0],
        ANGER_OR_FEAR_AUC: heard.pressure,
        FEAR_AUC: heard.log_odds[:, 1],
    }


def judge_by_model(heard: Heard, emotions: NDArray[np.str_]) -> Judge:
    """Return the model as a judge; it names emotions only where it has a head for them."""
    figures = areas(model_scores(heard), emotions)
    if heard.has_emotions and has_six_emotions(emotions):
        figures[SIX_EMOTIONS_UAR] = recall_of(chosen(heard.emotion_logits), emotions)
    return Judge(MODEL, "model", figures)


def judge_by_panel(votes: NDArray[np.float64], emotions: NDArray[np.str_]) -> Judge:
    """Return all listeners of a clip together: a share of votes as score, the majority as name.

    Args:
        votes: shares for `EMOTIONS`, (clips, 6).
        emotions: what was meant, (clips,). Of emotions with equally many votes one is drawn.
    """
    scores = {
        ANGER_AUC: votes[:, _ANGER],
        ANGER_OR_FEAR_AUC: votes[:, _ANGER] + votes[:, _FEAR],
        FEAR_AUC: votes[:, _FEAR],
    }
    figures = areas(scores, emotions)
    figures[SIX_EMOTIONS_UAR] = recall_of(chosen(votes), emotions)
    return Judge("panel", "human panel, all votes pooled", figures)


def judge_by_single_rater(votes: NDArray[np.float64], emotions: NDArray[np.str_]) -> Judge:
    """Return the expectation over one listener of each clip, drawn from those who voted.

    One listener answers yes or no, and the AUC of such an answer is the mean of how often it is
    right of clips that are and of clips that are not; so the expectation is exact.
    """
    figures: dict[str, Statistic] = {}
    for measure, names in POSITIVES.items():
        positives = positives_of(measure, emotions)
        says_so = votes[:, [EMOTIONS.index(name) for name in names]].sum(axis=1)
        if positives.any() and not positives.all():
            right = np.where(positives, says_so, 1.0 - says_so)
            figures[measure] = unweighted_average_recall(right, positives.astype(np.str_))
    figures[SIX_EMOTIONS_UAR] = recall_of(votes, emotions)
    return Judge("single-rater", "a single listener", figures)


def judge_by_loudness(level_db: NDArray[np.float64], emotions: NDArray[np.str_]) -> Judge:
    """Return the level of the speech as a judge: the louder, the angrier."""
    return Judge("loudness", "loudness alone", areas(dict.fromkeys(POSITIVES, level_db), emotions))


def chosen(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance of each column to be the answer, (clips, columns): ties share it."""
    best = scores == scores.max(axis=1, keepdims=True)
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def has_six_emotions(emotions: NDArray[np.str_]) -> bool:
    """Return whether the clips are of the six emotions, all of them and no other."""
    return set(emotions.tolist()) == set(EMOTIONS)


def recall_of(chances: NDArray[np.float64], emotions: NDArray[np.str_]) -> Statistic:
    """Return the UAR of answers drawn with `chances` (clips, 6); clips are of `EMOTIONS` only."""
    truth = np.array([EMOTIONS.index(emotion) for emotion in emotions.tolist()])
    return unweighted_average_recall(chances[np.arange(len(truth)), truth], emotions)
