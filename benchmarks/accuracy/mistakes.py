"""What the model gets wrong: which emotions alarm, and the clips it is surest and wrong about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.groups import FALSE_ALARM_RATE
from benchmarks.accuracy.judges import chosen, has_six_emotions
from benchmarks.accuracy.measures import CALIBRATED
from benchmarks.accuracy.scores import ScoredCorpus
from voiceguard.training.corpora import EMOTIONS
from voiceguard.training.statistics import (
    Estimate,
    SpeakerBootstrap,
    Statistic,
    among,
    area,
    share,
    threshold_at,
)

WORST: Final = 8
"""Clips listed of each kind."""


@dataclass(frozen=True, slots=True)
class WrongClip:
    """A clip that the model is sure and wrong about.

    Attributes:
        probability: of the output, by the model.
        listeners: share of listeners who heard that emotion; None where nobody was asked.

    """

    name: str
    emotion: str
    probability: float
    listeners: float | None


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The errors of one output.

    Attributes:
        output: "anger" or "distress".
        looked_for: the acted emotion that it is held against.
        threshold: probability above which `FALSE_ALARM_RATE` of the other clips lie.
        alarms: by emotion: share of its clips above the threshold.
        told_apart: by other emotion: AUC of what is looked for against it.
        false_alarms: the highest alarms among other emotions, highest first.
        misses: the lowest scores of what is looked for that are no alarms, lowest first.

    """

    output: str
    looked_for: str
    threshold: float
    alarms: Mapping[str, Estimate]
    told_apart: Mapping[str, Estimate]
    false_alarms: Sequence[WrongClip]
    misses: Sequence[WrongClip]


def find_mistakes(corpus: ScoredCorpus, bootstrap: SpeakerBootstrap) -> list[Mistakes]:
    """Return the errors of anger and of distress over clean G.711."""
    return [
        _mistakes_of(corpus, column, output, looked_for, bootstrap)
        for column, (output, looked_for) in enumerate(CALIBRATED.items())
    ]


def _mistakes_of(
    corpus: ScoredCorpus, column: int, output: str, looked_for: str, bootstrap: SpeakerBootstrap
) -> Mistakes:
    probabilities, emotions = corpus.clean.probabilities[:, column], corpus.emotions
    log_odds = corpus.clean.log_odds[:, column]
    positives = emotions == looked_for
    threshold = threshold_at(FALSE_ALARM_RATE, probabilities[~positives])
    alarm = probabilities > threshold
    names = np.unique(emotions).tolist()
    alarms = {name: bootstrap.estimate(share(alarm, emotions == name)) for name in names}
    told_apart = {
        name: bootstrap.estimate(_against(log_odds, positives, emotions == name))
        for name in names
        if name != looked_for
    }
    order = np.argsort(log_odds, kind="stable")
    false_alarms = [each for each in order[::-1].tolist() if alarm[each] and not positives[each]]
    misses = [each for each in order.tolist() if positives[each] and not alarm[each]]
    return Mistakes(
        output,
        looked_for,
        threshold,
        alarms,
        told_apart,
        [_wrong(corpus, index, column, looked_for) for index in false_alarms[:WORST]],
        [_wrong(corpus, index, column, looked_for) for index in misses[:WORST]],
    )


def _against(
    scores: NDArray[np.float64], positives: NDArray[np.bool_], others: NDArray[np.bool_]
) -> Statistic:
    both = positives | others
    return among(both, area(scores[both], positives[both]))


def _wrong(corpus: ScoredCorpus, index: int, column: int, looked_for: str) -> WrongClip:
    clip = corpus.clips[index]
    votes = clip.vote_shares
    return WrongClip(
        clip.path.stem,
        clip.emotion,
        float(corpus.clean.probabilities[index, column]),
        None if votes is None else votes[EMOTIONS.index(looked_for)],
    )


def confusion(corpus: ScoredCorpus) -> NDArray[np.float64] | None:
    """Return how often each emotion (row) is named each (column), in the order of `EMOTIONS`.

    Rows add up to 1. None where the model has no emotions head or the corpus other emotions.
    """
    if not (corpus.clean.has_emotions and has_six_emotions(corpus.emotions)):
        return None
    named = chosen(corpus.clean.emotion_logits)
    return np.stack([named[corpus.emotions == emotion].mean(axis=0) for emotion in EMOTIONS])
