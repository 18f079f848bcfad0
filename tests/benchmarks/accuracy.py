"""Synthetic corpora, scored without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.scores import CLEAN, Heard, ScoredCorpus
from voiceguard.training.corpora import EMOTIONS, Clip


def clip(
    name: str,
    speaker: str,
    emotion: str,
    votes: tuple[int, ...] | None = None,
    corpus: str = "crema-d",
) -> Clip:
    return Clip(
        corpus=corpus,
        path=Path(f"{name}.wav"),
        speaker=speaker,
        emotion=emotion,
        language="en",
        vote_counts=votes,
    )


def heard(log_odds: NDArray[np.float64], *, emotions: NDArray[np.float64] | None = None) -> Heard:
    """Return clips that say what is given of anger and distress, and nothing remarkable else."""
    clips = len(log_odds)
    outputs = np.concatenate([log_odds, np.zeros((clips, 2))], axis=1)
    return Heard(
        outputs,
        np.full((clips, 6), np.nan) if emotions is None else emotions,
        np.full(clips, -25.0),
        np.full(clips, 0.2),
        np.ones(clips, np.bool_),
        np.zeros(clips, np.bool_),
        np.full(clips, 0.01),
    )


def scored_corpus(*, speakers: int = 12, unlucky: tuple[str, ...] = ()) -> ScoredCorpus:
    """Return clips of all emotions, well told apart but for neutral clips of the unlucky."""
    rng = np.random.default_rng(0)
    clips, log_odds = [], []
    for speaker in (f"{n:02}" for n in range(speakers)):
        for emotion in EMOTIONS * 3:
            votes = tuple(7 if name == emotion else 1 for name in EMOTIONS)
            clips.append(clip(f"{speaker}-{len(clips)}", speaker, emotion, votes))
            wrong = speaker in unlucky and emotion == "neutral"
            anger = 3.0 if emotion == "anger" or wrong else -3.0
            distress = 3.0 if emotion == "fear" else -3.0
            log_odds.append(rng.normal((anger, distress), 0.5))
    return ScoredCorpus("crema-d", clips, {CLEAN: heard(np.array(log_odds))})
