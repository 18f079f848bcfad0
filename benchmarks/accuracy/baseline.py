"""The baseline on eGeMAPS, asked about the same clips and kept from the same speakers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.accuracy.cache import Cache, clip_keys, key_of
from benchmarks.accuracy.egemaps import (
    Answers,
    Features,
    Lesson,
    feature_vectors,
    learn_and_answer,
)
from benchmarks.accuracy.parts import Part, name_of
from benchmarks.accuracy.pool import Progress, counting, in_processes
from voiceguard.core.errors import ConfigurationError
from voiceguard.training.corpora import Clip
from voiceguard.training.splits import EVALUATION_ONLY

_CLIPS_AT_ONCE: Final = 32
_FEATURES: Final = "features"
_VERSION: Final = "eGeMAPSv02 functionals, whole clip over G.711 mu-law"
"""Part of the key of kept features: another way to take them needs another text here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A corpus that the baseline is asked about.

    Attributes:
        clips: all there are; learnt from unless the corpus is for evaluation only.
        parts: those that are judged, by what is kept from the judge.

    """

    corpus: str
    clips: Sequence[Clip]
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Clips with their features, (clips, 88)."""

    clips: Sequence[Clip]
    features: Features


def ask_egemaps(
    asked: Sequence[Asked], jobs: int, cache: Cache, seed: int, progress: Progress
) -> dict[str, Answers]:
    """Return the answers of the regressions by corpus, in the order of its parts' clips.

    Each part is judged by a regression that learnt from all other speakers of the corpora that
    may be learnt from, so what is left out is the same as for the model.

    Raises:
        ConfigurationError: there is nothing to learn from, or openSMILE is missing.
    """
    known = {
        each.corpus: _Known(each.clips, _features(each, jobs, cache, progress))
        for each in asked
        if each.clips
    }
    home = [known[name] for name in known if name not in EVALUATION_ONLY]
    if not home:
        raise ConfigurationError("eGeMAPS has nothing to learn from: give CREMA-D, or --no-egemaps")
    learnt = _Known(
        [clip for each in home for clip in each.clips],
        np.concatenate([each.features for each in home]),
    )
    lessons = [
        (each.corpus, _lesson(part, learnt, known[each.corpus], seed))
        for each in asked
        for part in each.parts
    ]
    answers: defaultdict[str, list[Answers]] = defaultdict(list)
    with progress("learning from eGeMAPS", len(lessons)) as show:
        advance = counting(show)
        coming = in_processes(learn_and_answer, [lesson for _, lesson in lessons], jobs)
        for (corpus, _), answer in zip(lessons, coming, strict=True):
            answers[corpus].append(answer)
            advance(1)
    return {corpus: Answers.joined(parts) for corpus, parts in answers.items()}


def _lesson(part: Part, learnt: _Known, known: _Known, seed: int) -> Lesson:
    """Return what a part's judge may learn: everything but the part's own speakers."""
    speakers = np.array([name_of(clip) for clip in learnt.clips])
    rows = ~np.isin(speakers, [name_of(clip) for clip in part.clips])
    place = {clip.path: index for index, clip in enumerate(known.clips)}
    return Lesson(
        learnt.features[rows],
        np.array([clip.emotion for clip in learnt.clips])[rows],
        speakers[rows],
        known.features[[place[clip.path] for clip in part.clips]],
        seed,
    )


def _features(asked: Asked, jobs: int, cache: Cache, progress: Progress) -> Features:
    """Return the features of all clips of a corpus, out of the cache where they are there."""
    key = key_of("egemaps", [_VERSION, *clip_keys(asked.clips)])
    kept = cache.find(key)
    if kept is not None:
        return kept[_FEATURES]
    starts = range(0, len(asked.clips), _CLIPS_AT_ONCE)
    batches = [asked.clips[start : start + _CLIPS_AT_ONCE] for start in starts]
    rows = []
    with progress(f"eGeMAPS of {asked.corpus}", len(asked.clips)) as show:
        advance = counting(show)
        for batch in in_processes(feature_vectors, batches, jobs):
            rows.append(batch)
            advance(len(batch))
    features = np.concatenate(rows)
    cache.keep(key, {_FEATURES: features})
    return features
