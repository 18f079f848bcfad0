"""All figures of an evaluation, put together from scores, and as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.egemaps import Answers, judge_by_egemaps
from benchmarks.accuracy.groups import Dimension, Thresholds, group_figures, thresholds_of
from benchmarks.accuracy.judges import (
    Judge,
    has_six_emotions,
    judge_by_loudness,
    judge_by_model,
    judge_by_panel,
    judge_by_single_rater,
)
from benchmarks.accuracy.measures import (
    Calibration,
    Comparison,
    ConditionFigures,
    GainShift,
    calibrations,
    compare,
    condition_figures,
    gain_shift,
)
from benchmarks.accuracy.mistakes import Mistakes, confusion, find_mistakes
from benchmarks.accuracy.scores import ScoredCorpus
from voiceguard.training.corpora import Demographics
from voiceguard.training.statistics import SpeakerBootstrap

ACTED: Final = (
    "Measured on acted speech. Acted emotion is clearer than a customer's: expect less on real "
    "calls, and measure on your own."
)

_DECIMALS: Final = 4


@dataclass(frozen=True, slots=True)
class ConditionName:
    """A line condition, as it is shown."""

    name: str
    title: str
    is_extreme: bool


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """The figures of one corpus.

    Attributes:
        judged_by: the models, one for each part of the clips.
        without_speech: clips in which the engine found no speech over clean G.711.
        gain_shift: None where no clip has speech.
        confusion: rows what was meant, columns what was named; None without an emotions head.
        groups: empty where the corpus says nothing of its speakers.

    """

    name: str
    title: str
    judged_by: Sequence[str]
    clips: int
    speakers: int
    without_speech: int
    comparison: Comparison
    thresholds: Thresholds
    conditions: Sequence[ConditionFigures]
    gain_shift: GainShift | None
    calibrations: Sequence[Calibration]
    mistakes: Sequence[Mistakes]
    confusion: NDArray[np.float64] | None
    groups: Sequence[Dimension]


@dataclass(frozen=True, slots=True)
class JudgedModel:
    """Which file a figure is of."""

    title: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything an evaluation found out; `speech` says what kind of speech it is about."""

    speech: str
    command: str
    seed: int
    draws: int
    models: Sequence[JudgedModel]
    corpora: Sequence[CorpusReport]


@dataclass(frozen=True, slots=True)
class CorpusFacts:
    """What is known of a corpus besides scores."""

    title: str
    judged_by: Sequence[str]
    demographics: Mapping[str, Demographics]
    answers: Answers | None
    """Of the regressions on eGeMAPS, where they were asked."""


def report_corpus(
    corpus: ScoredCorpus,
    facts: CorpusFacts,
    conditions: Sequence[ConditionName],
    handoff_evidence: float,
    bootstrap: SpeakerBootstrap,
) -> CorpusReport:
    """Return all figures of one corpus.

    Args:
        corpus: scored over clean G.711 and after each of `conditions`.
        facts: the rest that is known of it.
        conditions: in the order in which they are shown.
        handoff_evidence: what the default policy hands off at, 0 to 1.
        bootstrap: over the speakers of the corpus.
    """
    thresholds = thresholds_of(corpus, handoff_evidence)
    demographics = facts.demographics
    figures = [
        condition_figures(corpus, each.title, each.name, bootstrap, is_extreme=each.is_extreme)
        for each in conditions
    ]
    return CorpusReport(
        corpus.name,
        facts.title,
        facts.judged_by,
        len(corpus.clips),
        len(set(corpus.speakers.tolist())),
        int((~corpus.clean.has_speech).sum()),
        compare(_judges(corpus, facts.answers), bootstrap),
        thresholds,
        figures,
        gain_shift(corpus.clean, figures),
        calibrations(corpus, bootstrap),
        find_mistakes(corpus, bootstrap),
        confusion(corpus),
        group_figures(corpus, demographics, thresholds, bootstrap) if demographics else [],
    )


def _judges(corpus: ScoredCorpus, answers: Answers | None) -> list[Judge]:
    emotions, votes = corpus.emotions, corpus.votes
    judges = [judge_by_model(corpus.clean, emotions)]
    if votes is not None and has_six_emotions(emotions):
        judges.append(judge_by_panel(votes, emotions))
        judges.append(judge_by_single_rater(votes, emotions))
    if answers is not None:
        judges.append(judge_by_egemaps(answers, emotions))
    judges.append(judge_by_loudness(corpus.clean.level_db, emotions))
    return judges


def as_data(report: Report) -> dict[str, object]:
    """Return the report as plain data for JSON: four decimals, None for what is not determined."""
    data = _plain(asdict(report))
    if not isinstance(data, dict):
        raise TypeError("a report is a mapping")
    return data


def _plain(value: object) -> object:
    match value:
        case np.ndarray():
            return _plain(value.tolist())
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float() | np.floating():
            return round(float(value), _DECIMALS) if math.isfinite(value) else None
        case _:
            return value
