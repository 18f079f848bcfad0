"""Whether the model does as well for one group of speakers as for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.judges import (
    ANGER_AUC,
    ANGER_OR_FEAR_AUC,
    areas,
    model_scores,
    positives_of,
)
from benchmarks.accuracy.scores import ScoredCorpus
from voiceguard.training.corpora import Demographics
from voiceguard.training.statistics import (
    Estimate,
    Gap,
    SpeakerBootstrap,
    Statistic,
    among,
    share,
    threshold_at,
    widest_gap,
)

FALSE_ALARM_RATE: Final = 0.05
"""Of all speakers together, at the threshold that groups are compared at."""

LEAST_SPEAKERS: Final = 5
"""A group of fewer is shown, but says too little to be named as different."""

UNKNOWN: Final = "unknown"
YOUNGEST: Final = "up to 29"

ANGER_FALSE_ALARMS: Final = "anger_false_alarms"
PRESSURE_FALSE_ALARMS: Final = "pressure_false_alarms"
HANDOFF_FALSE_ALARMS: Final = "handoff_false_alarms"

GROUP_MEASURES: Final[Mapping[str, str]] = {
    ANGER_AUC: "anger, AUC",
    ANGER_OR_FEAR_AUC: "anger or fear, AUC",
    ANGER_FALSE_ALARMS: "false alarms, anger",
    PRESSURE_FALSE_ALARMS: "false alarms, anger or distress",
    HANDOFF_FALSE_ALARMS: "false alarms, policy",
}


def age_band(age_years: int) -> str:
    """Return a band of ten years; CREMA-D's actors are 20 to 74."""
    for last in (29, 39, 49, 59):
        if age_years <= last:
            return YOUNGEST if last == 29 else f"{last - 9}-{last}"
    return "60 and over"


DIMENSIONS: Final[Mapping[str, Callable[[Demographics], str | None]]] = {
    "sex": lambda speaker: speaker.sex,
    "age": lambda speaker: None if speaker.age_years is None else age_band(speaker.age_years),
    "race": lambda speaker: speaker.race,
    "ethnicity": lambda speaker: speaker.ethnicity,
}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Scores above which there is an alarm.

    Attributes:
        anger: probability of anger, at which `FALSE_ALARM_RATE` of clips without it alarm.
        pressure: probability of anger or distress, likewise.
        handoff: evidence at which the default policy hands off, 0 to 1, the speaker unknown.

    """

    anger: float
    pressure: float
    handoff: float


def thresholds_of(corpus: ScoredCorpus, handoff: float) -> Thresholds:
    """Return the thresholds that give `FALSE_ALARM_RATE` over all clips of the corpus."""
    heard, emotions = corpus.clean, corpus.emotions
    calm_of_anger = ~positives_of(ANGER_AUC, emotions)
    calm = ~positives_of(ANGER_OR_FEAR_AUC, emotions)
    return Thresholds(
        threshold_at(FALSE_ALARM_RATE, heard.probabilities[calm_of_anger, 0]),
        threshold_at(FALSE_ALARM_RATE, heard.pressure[calm]),
        handoff,
    )


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One group of speakers."""

    name: str
    speakers: int
    clips: int
    figures: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Dimension:
    """Speakers grouped by one thing, with the largest difference by measure."""

    name: str
    groups: Sequence[GroupFigures]
    gaps: Mapping[str, Gap]


def group_figures(
    corpus: ScoredCorpus,
    speakers: Mapping[str, Demographics],
    thresholds: Thresholds,
    bootstrap: SpeakerBootstrap,
) -> list[Dimension]:
    """Return the model's figures by sex, age, race and ethnicity.

    Args:
        corpus: scored over clean G.711.
        speakers: what is known of each; others count as `UNKNOWN`.
        thresholds: the same for every group.
        bootstrap: over the speakers of the corpus.
    """
    figures = _figures(corpus, thresholds)
    return [
        _dimension(name, labels, corpus, figures, bootstrap)
        for name, labels in _groupings(corpus, speakers).items()
    ]


Figures = Callable[[NDArray[np.bool_]], Mapping[str, Statistic]]
"""From the clips of a group to its figures, each a statistic of all clips."""


def _figures(corpus: ScoredCorpus, thresholds: Thresholds) -> Figures:
    heard, emotions = corpus.clean, corpus.emotions
    calm_of_anger = ~positives_of(ANGER_AUC, emotions)
    calm = ~positives_of(ANGER_OR_FEAR_AUC, emotions)
    alarms = {
        ANGER_FALSE_ALARMS: (heard.probabilities[:, 0] > thresholds.anger, calm_of_anger),
        PRESSURE_FALSE_ALARMS: (heard.pressure > thresholds.pressure, calm),
        HANDOFF_FALSE_ALARMS: (heard.evidence >= thresholds.handoff, calm),
    }
    scores = model_scores(heard)

    def figures(group: NDArray[np.bool_]) -> Mapping[str, Statistic]:
        own = {name: scores[name][group] for name in (ANGER_AUC, ANGER_OR_FEAR_AUC)}
        areas_of = areas(own, emotions[group])
        return {
            **{name: among(group, area) for name, area in areas_of.items()},
            **{name: share(alarm, group & clips) for name, (alarm, clips) in alarms.items()},
        }

    return figures


def _groupings(
    corpus: ScoredCorpus, speakers: Mapping[str, Demographics]
) -> dict[str, NDArray[np.str_]]:
    """Return the group of each clip by dimension, by which the corpus tells its speakers apart."""
    groupings = {}
    for name, group_of in DIMENSIONS.items():
        groups = {speaker: group_of(known) or UNKNOWN for speaker, known in speakers.items()}
        labels = np.array([groups.get(clip.speaker, UNKNOWN) for clip in corpus.clips])
        if len(set(labels.tolist())) > 1:
            groupings[name] = labels
    return groupings


def _dimension(
    name: str,
    labels: NDArray[np.str_],
    corpus: ScoredCorpus,
    figures: Figures,
    bootstrap: SpeakerBootstrap,
) -> Dimension:
    names = sorted(np.unique(labels).tolist(), key=lambda group: (group != YOUNGEST, group))
    by_group = {group: figures(labels == group) for group in names}
    sizes = {group: len(set(corpus.speakers[labels == group].tolist())) for group in by_group}
    groups = [
        GroupFigures(
            group,
            sizes[group],
            int((labels == group).sum()),
            {measure: bootstrap.estimate(figure) for measure, figure in own.items()},
        )
        for group, own in by_group.items()
    ]
    gaps = {}
    for measure in GROUP_MEASURES:
        compared = {
            group: own[measure]
            for group, own in by_group.items()
            if sizes[group] >= LEAST_SPEAKERS and measure in own
        }
        gap = widest_gap(compared, bootstrap)
        if gap is not None and gap.difference.value > 0:
            gaps[measure] = gap
    return Dimension(name, groups, gaps)
