"""The figures of one corpus: judges side by side, line conditions, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.judges import MODEL, Judge, areas, model_scores
from benchmarks.accuracy.scores import CLEAN, Heard, ScoredCorpus
from voiceguard.training.statistics import (
    Estimate,
    ReliabilityBin,
    SpeakerBootstrap,
    calibration_error,
    difference,
    reliability,
)

CALIBRATED: Final[Mapping[str, str]] = {"anger": "anger", "distress": "fear"}
"""By output: the acted emotion that its probability is held against."""

GAIN_CONDITIONS: Final = "gain-"
"""What the names of line conditions begin with that change nothing but the level."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Judges on the same clips.

    Attributes:
        titles: of the judges, by name, in order.
        figures: by judge and measure.
        model_ahead_by: by other judge and measure: the model's figure less the judge's, paired.

    """

    titles: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Estimate]]
    model_ahead_by: Mapping[str, Mapping[str, Estimate]]


def compare(judges: Sequence[Judge], bootstrap: SpeakerBootstrap) -> Comparison:
    """Return the figures of all judges; one of them is the model."""
    model = next(judge for judge in judges if judge.name == MODEL)
    figures = {
        judge.name: {name: bootstrap.estimate(figure) for name, figure in judge.figures.items()}
        for judge in judges
    }
    ahead = {
        judge.name: {
            name: bootstrap.estimate(difference(model.figures[name], figure))
            for name, figure in judge.figures.items()
            if name in model.figures
        }
        for judge in judges
        if judge is not model
    }
    return Comparison({judge.name: judge.title for judge in judges}, figures, ahead)


@dataclass(frozen=True, slots=True)
class ScoreShift:
    """How far a condition moves scores (0 to 1) of clips that have speech and are not clipped."""

    clips: int

    largest: float
    percentile_99: float
    mean: float


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """The model after one line condition, against itself over clean G.711.

    Attributes:
        is_extreme: worse than a line that people would go on talking over.
        auc: by measure.
        auc_lost: by measure, clean less condition, paired.
        without_speech: clips in which the engine found none.
        clipped: clips that reach full scale.
        shift: of the outputs anger and distress; None of no such clips.

    """

    name: str
    title: str
    is_extreme: bool
    auc: Mapping[str, Estimate]
    auc_lost: Mapping[str, Estimate]
    without_speech: int
    clipped: int
    shift: ScoreShift | None


def condition_figures(
    corpus: ScoredCorpus, title: str, name: str, bootstrap: SpeakerBootstrap, *, is_extreme: bool
) -> ConditionFigures:
    """Return how the model does after the condition `name`, which `corpus` has scores of."""
    heard = corpus.by_condition[name]
    after = areas(model_scores(heard), corpus.emotions)
    clean = areas(model_scores(corpus.clean), corpus.emotions)
    return ConditionFigures(
        name,
        title,
        is_extreme,
        {measure: bootstrap.estimate(figure) for measure, figure in after.items()},
        {
            measure: bootstrap.estimate(difference(clean[measure], figure))
            for measure, figure in after.items()
        },
        int((~heard.has_speech).sum()),
        int(heard.is_clipped.sum()),
        score_shift(corpus.clean, heard),
    )


def score_shift(clean: Heard, heard: Heard) -> ScoreShift | None:
    """Return how far anger and distress move from `clean` to `heard`; None of no clips."""
    compared = clean.has_speech & heard.has_speech & ~heard.is_clipped
    if not compared.any():
        return None
    moved = np.abs(heard.probabilities - clean.probabilities)[compared, :2]
    return ScoreShift(
        int(compared.sum()),
        float(moved.max()),
        float(np.percentile(moved, 99)),
        float(moved.mean()),
    )


def worst_conditions(
    conditions: Sequence[ConditionFigures], measure: str
) -> list[ConditionFigures]:
    """Return the conditions from the most AUC lost to the least, clean left out."""
    others = [each for each in conditions if each.name != CLEAN and measure in each.auc_lost]
    return sorted(others, key=lambda each: each.auc_lost[measure].value, reverse=True)


@dataclass(frozen=True, slots=True)
class GainShift:
    """How far a score of anger or distress moves at most when only the gain does.

    Attributes:
        of_model: given the same speech at another level.
        of_chain: with the coding and the detector, which are not the same at every level; over
            clips that are not clipped. None where no such condition was tried.

    """

    of_model: float
    of_chain: float | None


def gain_shift(clean: Heard, conditions: Sequence[ConditionFigures]) -> GainShift | None:
    """Return how far scores move with the gain; None where no clip has speech."""
    of_model = clean.gain_shift[~np.isnan(clean.gain_shift)]
    if not len(of_model):
        return None
    chain = [each.shift for each in conditions if each.name.startswith(GAIN_CONDITIONS)]
    of_chain = max((shift.largest for shift in chain if shift is not None), default=None)
    return GainShift(float(of_model.max()), of_chain)


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the probabilities of one output are true of an acted emotion."""

    output: str
    emotion: str
    error: Estimate
    bins: Sequence[ReliabilityBin]


def calibrations(corpus: ScoredCorpus, bootstrap: SpeakerBootstrap) -> list[Calibration]:
    """Return the calibration of anger and distress over clean G.711."""
    found = []
    for column, (output, emotion) in enumerate(CALIBRATED.items()):
        probabilities = corpus.clean.probabilities[:, column]
        positives: NDArray[np.bool_] = corpus.emotions == emotion
        error = bootstrap.estimate(calibration_error(probabilities, positives))
        found.append(Calibration(output, emotion, error, reliability(probabilities, positives)))
    return found
