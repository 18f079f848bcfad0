"""Which speakers are learnt from and which are only listened to: fixed, and written down.

Drawn once at random, balanced by sex. Development speakers choose (the best
checkpoint, calibration, constants of the index); test speakers are scored once,
at the end. Neither is ever learnt from, so both may appear in the demo call and
in simulated calls.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from enum import Enum
from typing import Final

from voiceguard.training.corpora import Clip


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

_HELD_OUT_SHARE: Final = 10
"""One speaker in this many of the auxiliary corpora is kept for development."""


def split_of(clip: Clip) -> Split:
    """Return what `clip` is for. Auxiliary corpora have no test split: a checksum decides."""
    if clip.corpus in EVALUATION_ONLY:
        return Split.TEST
    if clip.corpus in TEST_SPEAKERS:
        if clip.speaker in TEST_SPEAKERS[clip.corpus]:
            return Split.TEST
        is_development = clip.speaker in DEVELOPMENT_SPEAKERS[clip.corpus]
        return Split.DEVELOPMENT if is_development else Split.TRAIN
    draw = zlib.crc32(f"{clip.corpus}/{clip.speaker}".encode()) % _HELD_OUT_SHARE
    return Split.DEVELOPMENT if draw == 0 else Split.TRAIN


def select(clips: Iterable[Clip], split: Split) -> list[Clip]:
    """Return the clips of one split, in order."""
    return [clip for clip in clips if split_of(clip) is split]


def held_out_speakers() -> dict[str, list[str]]:
    """Return the speakers that are never learnt from, by corpus."""
    return {
        corpus: sorted((*DEVELOPMENT_SPEAKERS[corpus], *TEST_SPEAKERS[corpus]))
        for corpus in TEST_SPEAKERS
    }
