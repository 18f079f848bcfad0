"""Which speakers are learnt from and which are only listened to: fixed, and written down.

Drawn once at random, balanced by sex. Development speakers choose (the best
checkpoint, calibration, constants of the index); test speakers are scored once,
at the end. Neither is ever learnt from, so both may appear in the demo call and
in simulated calls.

Beside the one partition of the shipped model there are five folds over the same
speakers, for cross-validation. Neither needs the recordings.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from voiceguard.training.corpora import Clip, Sex
from voiceguard.training.corpora.crema_d import SEX_OF_ACTOR
from voiceguard.training.corpora.emo_db import SPEAKERS as EMO_DB_SPEAKERS


class Split(Enum):
    """What a speaker's clips are for."""

    TRAIN = "train"
    DEVELOPMENT = "development"
    TEST = "test"


DEVELOPMENT_SPEAKERS: Final = {
    "crema-d": ("1012", "1021", "1047", "1064", "1069", "1080", "1083", "1089"),
    "emo-db": (),
}
TEST_SPEAKERS: Final = {
    "crema-d": (
        *("1002", "1026", "1027", "1030", "1033", "1034", "1035", "1053"),
        *("1066", "1072", "1073", "1077", "1078", "1079", "1088", "1091"),
    ),
    "emo-db": ("11", "16"),
}

EVALUATION_ONLY: Final = frozenset({"nemo"})
"""Corpora that nothing is learnt from or chosen by: their licences forbid it in what we ship."""

FOLDS: Final = 5
"""Of CREMA-D's 91 speakers 18 or 19 each, of EMO-DB's ten one woman and one man."""

_HELD_OUT_SHARE: Final = 10
"""One speaker in this many of the other corpora is kept for development."""

_FOLD_DEVELOPMENT_OF_EACH_SEX: Final = 4
"""Speakers of CREMA-D that a fold's model is calibrated on: as many as the shipped model's."""

_FOLD_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Partition:
    """What each speaker's clips are for."""

    development: Mapping[str, frozenset[str]]
    """By corpus; has the same corpora as `test`."""
    test: Mapping[str, frozenset[str]]
    """By corpus, where the speakers are written down."""
    unheard: frozenset[str] = EVALUATION_ONLY
    """Corpora of which nothing is learnt: all of them is test."""


SHIPPED: Final = Partition(
    {corpus: frozenset(speakers) for corpus, speakers in DEVELOPMENT_SPEAKERS.items()},
    {corpus: frozenset(speakers) for corpus, speakers in TEST_SPEAKERS.items()},
)
"""The partition of the model that is shipped."""


def split_of(clip: Clip, partition: Partition = SHIPPED) -> Split:
    """Return what `clip` is for. Corpora that are not written down have no test split.

    Of those, a checksum of the speaker decides what is for development.
    """
    if clip.corpus in partition.unheard:
        return Split.TEST
    if clip.corpus in partition.test:
        if clip.speaker in partition.test[clip.corpus]:
            return Split.TEST
        is_development = clip.speaker in partition.development[clip.corpus]
        return Split.DEVELOPMENT if is_development else Split.TRAIN
    draw = zlib.crc32(f"{clip.corpus}/{clip.speaker}".encode()) % _HELD_OUT_SHARE
    return Split.DEVELOPMENT if draw == 0 else Split.TRAIN


def select(clips: Iterable[Clip], split: Split, partition: Partition = SHIPPED) -> list[Clip]:
    """Return the clips of one split, in order."""
    return [clip for clip in clips if split_of(clip, partition) is split]


def held_out_speakers(partition: Partition = SHIPPED) -> dict[str, list[str]]:
    """Return the speakers that are never learnt from, by corpus."""
    return {
        corpus: sorted(partition.development[corpus] | partition.test[corpus])
        for corpus in partition.test
    }


def fold_of(corpus: str, speaker: str) -> int | None:
    """Return the fold, 1 to `FOLDS`, whose test speakers `speaker` belongs to.

    None: the corpus has no folds, or no such speaker.
    """
    return _FOLD_OF_SPEAKER.get(corpus, {}).get(speaker)


def fold_partition(fold: int) -> Partition:
    """Return what a fold's model learns from, is calibrated on and is tested on.

    Test is the fold itself. Development is four women and four men of the next fold of
    CREMA-D; of EMO-DB, with its ten speakers, it is nobody.

    Raises:
        ValueError: `fold` is not from 1 to `FOLDS`.
    """
    if not 1 <= fold <= FOLDS:
        raise ValueError(f"fold {fold} is not from 1 to {FOLDS}")
    test = {
        corpus: frozenset(speaker for speaker, own in folds.items() if own == fold)
        for corpus, folds in _FOLD_OF_SPEAKER.items()
    }
    following = fold % FOLDS + 1
    development: list[str] = []
    for drawn in _by_sex(SEX_OF_ACTOR):
        candidates = [name for name in drawn if fold_of("crema-d", name) == following]
        development += candidates[:_FOLD_DEVELOPMENT_OF_EACH_SEX]
    return Partition({"crema-d": frozenset(development), "emo-db": frozenset()}, test)


def _by_sex(sexes: Mapping[str, Sex | None]) -> tuple[list[str], list[str]]:
    """Return women and men, each in an order as good as random.

    A digest orders them because its values, unlike a random generator's, never change
    with a library's version.
    """

    def draw(speaker: str) -> str:
        return hashlib.sha256(f"{_FOLD_SEED}/{speaker}".encode()).hexdigest()

    women = sorted((name for name, sex in sexes.items() if sex == "female"), key=draw)
    men = sorted((name for name, sex in sexes.items() if sex == "male"), key=draw)
    return women, men


def _dealt(sexes: Mapping[str, Sex | None]) -> Mapping[str, int]:
    """Return the fold of each speaker: women dealt out like cards, then men, going on in turn."""
    women, men = _by_sex(sexes)
    return MappingProxyType(
        {speaker: index % FOLDS + 1 for index, speaker in enumerate((*women, *men))}
    )


_FOLD_OF_SPEAKER: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "crema-d": _dealt(SEX_OF_ACTOR),
        "emo-db": _dealt({name: person.sex for name, person in EMO_DB_SPEAKERS.items()}),
    }
)
