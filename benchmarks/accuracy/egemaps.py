"""The usual baseline: openSMILE's eGeMAPSv02 functionals with logistic regression.

Eyben and others, The Geneva Minimalistic Acoustic Parameter Set, 2016. openSMILE is free for
research only (audEERING's licence), so it is a requirement of this benchmark and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.accuracy.judges import (
    POSITIVES,
    SIX_EMOTIONS_UAR,
    Judge,
    areas,
    chosen,
    has_six_emotions,
    positives_of,
    recall_of,
)
from voiceguard.core.errors import ConfigurationError
from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.training.augment import through_g711
from voiceguard.training.corpora import EMOTIONS, Clip, read_clip

Features = NDArray[np.float64]
"""(clips, 88)."""

_COSTS: Final = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the penalty that are tried."""
_INNER_FOLDS: Final = 4
_MOST_ITERATIONS: Final = 2000


def feature_vector(clip: Clip) -> Features:
    """Return the functionals of a clip that came over clean G.711, whole, (1, 88).

    Raises:
        ConfigurationError: openSMILE is not installed.
    """
    line = through_g711(np.asarray(read_clip(clip) / FULL_SCALE, np.float32))
    return np.nan_to_num(np.asarray(_smile().process_signal(line, SAMPLE_RATE_HZ), np.float64))


def feature_vectors(clips: Sequence[Clip]) -> Features:
    """Return the functionals of clips, (clips, 88); see `feature_vector`."""
    return np.concatenate([feature_vector(clip) for clip in clips])


@cache
def _smile() -> Any:  # noqa: ANN401 - openSMILE ships no types
    try:
        import opensmile  # noqa: PLC0415 - free for research only, so not everybody has it
    except ImportError as error:
        raise ConfigurationError(
            "openSMILE is not installed: pip install -r benchmarks/requirements.txt, "
            "or leave the baseline out with --no-egemaps"
        ) from error
    return opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02,
        feature_level=opensmile.FeatureLevel.Functionals,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What one regression learns from and what it is asked.

    Attributes:
        features: of the clips learnt from, (clips, 88).
        emotions: what they meant.
        speakers: theirs, unique among corpora, so that no speaker is on both sides within.
        asked: features of the clips to judge, (others, 88).
        seed: of the inner folds.

    """

    features: Features
    emotions: NDArray[np.str_]
    speakers: NDArray[np.str_]
    asked: Features
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the regressions say of the clips that they were asked about.

    Attributes:
        scores: by measure, log-odds, (clips,).
        emotion_logits: for `EMOTIONS`, (clips, 6).

    """

    scores: Mapping[str, NDArray[np.float64]]
    emotion_logits: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Self:
        """Return the answers of all parts, one after the other."""
        return cls(
            {name: np.concatenate([part.scores[name] for part in parts]) for name in POSITIVES},
            np.concatenate([part.emotion_logits for part in parts]),
        )


def learn_and_answer(lesson: Lesson) -> Answers:
    """Fit one regression for each measure and one for six emotions; answer with them.

    The penalty is chosen by folds over the speakers learnt from, for AUC and for UAR.
    """
    scores = {}
    for measure in POSITIVES:
        positives = positives_of(measure, lesson.emotions)
        search = _search("roc_auc", lesson.seed)
        search.fit(lesson.features, positives, groups=lesson.speakers)
        scores[measure] = np.asarray(search.decision_function(lesson.asked))
    six = np.isin(lesson.emotions, EMOTIONS)
    search = _search("balanced_accuracy", lesson.seed)
    search.fit(lesson.features[six], lesson.emotions[six], groups=lesson.speakers[six])
    columns = [list(search.classes_).index(emotion) for emotion in EMOTIONS]
    return Answers(scores, np.asarray(search.decision_function(lesson.asked))[:, columns])


def _search(scoring: str, seed: int) -> GridSearchCV:
    regression = LogisticRegression(class_weight="balanced", max_iter=_MOST_ITERATIONS)
    return GridSearchCV(
        make_pipeline(StandardScaler(), regression),
        {"logisticregression__C": _COSTS},
        scoring=scoring,
        cv=GroupKFold(_INNER_FOLDS, shuffle=True, random_state=seed),
    )


def judge_by_egemaps(answers: Answers, emotions: NDArray[np.str_]) -> Judge:
    """Return the regressions on eGeMAPS as a judge."""
    figures = areas(answers.scores, emotions)
    if has_six_emotions(emotions):
        figures[SIX_EMOTIONS_UAR] = recall_of(chosen(answers.emotion_logits), emotions)
    return Judge("egemaps", "eGeMAPS, logistic regression", figures)
