"""A user's labelled recordings as the engine hears them, and whether they are enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.quality import level_dbfs
from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE, HOP_SAMPLES
from voiceguard.training.clips import LEAST_FRAMES, Recording
from voiceguard.training.corpora import Clip
from voiceguard.training.examples import TrainingDataError
from voiceguard.training.gating import hops_of, speech_of
from voiceguard.training.targets import Target, target_of

PRESSURED_FROM: Final = 0.5
"""Clips whose pressure is known to be this or more count as anger or distress."""

Scorer: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Takes speech (k * HOP_SAMPLES,) from the start of a channel, returns scores (k, outputs)."""


@dataclass(frozen=True, slots=True)
class HeardClip:
    """One labelled clip: its speech, as serving would find it, and what is known of it."""

    clip: Clip
    target: Target
    speech: NDArray[np.int16]
    """Frames of speech, joined, at 8 kHz."""
    hops: NDArray[np.float32]
    """(k * HOP_SAMPLES,), k >= 1, in [-1, 1)."""

    @property
    def is_pressured(self) -> bool | None:
        """Return whether it is anger or distress; None: its label does not say."""
        pressure = self.target.pressure
        return None if math.isnan(pressure) else pressure >= PRESSURED_FROM

    @property
    def levels_db(self) -> NDArray[np.float64]:
        """Return the level of each hop, (k,), relative to full scale."""
        samples = np.round(self.hops * FULL_SCALE).astype(np.int16).reshape(-1, HOP_SAMPLES)
        return np.array([level_dbfs(hop) for hop in samples])


@dataclass(frozen=True, slots=True)
class Least:
    """How much there must be before anything is fitted to it."""

    clips: int = 40
    clips_of_each: int = 10
    """With anger or distress, and without."""
    speakers: int = 4
    speakers_of_each: int = 2
    """Who were heard with anger or distress, and without: one of them can be held out then."""


LEAST: Final = Least()


def hear(recordings: Iterable[Recording]) -> list[HeardClip]:
    """Return the clips that have speech and a label that says something.

    The recordings are telephone calls already: no line is put before them.
    """
    heard = []
    for recording in recordings:
        target = target_of(recording.clip)
        speech = speech_of(recording.samples)
        if target is not None and len(speech) >= LEAST_FRAMES * FRAME_SAMPLES:
            heard.append(HeardClip(recording.clip, target, speech, hops_of(speech)))
    return heard


def check_enough(heard: Sequence[HeardClip], least: Least = LEAST) -> None:
    """Refuse to fit anything to next to nothing.

    Raises:
        TrainingDataError: there is too little; the message says how many of what are missing.
    """
    if missing := list(_shortages(heard, least)):
        raise TrainingDataError(f"too little to adapt to: {'; '.join(missing)}; label more calls")


def _shortages(heard: Sequence[HeardClip], least: Least) -> Iterator[str]:
    def speakers(clips: Iterable[HeardClip]) -> int:
        return len({one.clip.speaker for one in clips})

    known = [one for one in heard if one.is_pressured is not None]
    counts = [
        ("clips with speech and a label", len(known), least.clips),
        ("speakers", speakers(known), least.speakers),
    ]
    for name, wanted in (("with anger or distress", True), ("without", False)):
        own = [one for one in known if one.is_pressured is wanted]
        counts += [
            (f"clips {name}", len(own), least.clips_of_each),
            (f"speakers {name}", speakers(own), least.speakers_of_each),
        ]
    for name, count, needed in counts:
        if count < needed:
            yield f"{count} {name} of at least {needed}, {needed - count} missing"
