"""Recorded noises and rooms, and pieces of them of a wanted length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.training.corpora import find_audio, read_audio
from voiceguard.training.lines.codecs import Samples

LONGEST_ROOM_SAMPLES: Final = SAMPLE_RATE_HZ // 2
"""Impulse responses are cut after half a second; telephone calls are made in smaller rooms."""

_BEFORE_DIRECT_SAMPLES: Final = 8
_QUIET: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Sounds:
    """Recorded noises and impulse responses to draw from; either may be empty."""

    noises: Sequence[Samples] = ()
    rooms: Sequence[Samples] = ()

    @classmethod
    def from_folder(cls, folder: Path | None) -> Sounds:
        """Read `noise/` and `impulse-responses/` below `folder`; nothing for None.

        Raises:
            CorpusError: one of them is missing or empty.
        """
        if folder is None:
            return cls()
        noises = [_read(path) for path in find_audio(folder / "noise")]
        rooms = [_room(_read(path)) for path in find_audio(folder / "impulse-responses")]
        return cls(noises, rooms)


def one_of(sounds: Sequence[Samples], rng: np.random.Generator) -> Samples:
    """Draw one of `sounds`, of which there must be some."""
    return sounds[int(rng.integers(len(sounds)))]


def excerpt(sound: Samples, length: int, rng: np.random.Generator) -> Samples:
    """Return `length` samples of `sound` from anywhere in it, repeated where it is short."""
    start = int(rng.integers(len(sound)))
    repeats = -(-(start + length) // len(sound))
    return np.asarray(np.tile(sound, repeats)[start : start + length])


def _read(path: Path) -> Samples:
    return np.asarray(read_audio(path) / FULL_SCALE, np.float32)


def _room(response: Samples) -> Samples:
    """Return the response from its direct sound on, of unit energy."""
    start = int(np.argmax(np.abs(response)))
    cut = response[max(start - _BEFORE_DIRECT_SAMPLES, 0) :][:LONGEST_ROOM_SAMPLES]
    return np.asarray(cut / (np.linalg.norm(cut) + _QUIET), np.float32)
