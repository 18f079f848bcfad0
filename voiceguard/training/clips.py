"""Corpora read into memory, and clips scored as serving would score them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE
from voiceguard.training.augment import MULAW, through_g711
from voiceguard.training.corpora import Clip, read_clip
from voiceguard.training.examples import Utterance
from voiceguard.training.gating import hops_of, speech_of
from voiceguard.training.targets import target_of

LEAST_FRAMES = 15
"""Clips with less speech than this (0.3 s) teach nothing."""

Report = Callable[[int, int], None]
"""Called with the number of clips done and the number of clips there are."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A clip as it was recorded, pauses included."""

    clip: Clip
    samples: NDArray[np.int16]


def read_recordings(clips: Sequence[Clip], report: Report) -> list[Recording]:
    """Read all clips.

    Raises:
        AudioFileError: one of them cannot be read.
    """
    recordings: list[Recording] = []
    pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="reading")
    try:
        for clip, samples in zip(clips, pool.map(read_clip, clips), strict=True):
            recordings.append(Recording(clip, samples))
            report(len(recordings), len(clips))
    finally:
        pool.shutdown(cancel_futures=True)
    return recordings


def utterances_of(recordings: Iterable[Recording]) -> list[Utterance]:
    """Return the speech and targets of all recordings that have both."""
    utterances = []
    for recording in recordings:
        target = target_of(recording.clip)
        speech = speech_of(recording.samples)
        if target is not None and len(speech) >= LEAST_FRAMES * FRAME_SAMPLES:
            utterances.append(Utterance(recording.clip, speech, target))
    return utterances


def heard_over_g711(samples: NDArray[np.int16], law: str = MULAW) -> NDArray[np.float32]:
    """Return the hops of a recording that came over a clean G.711 line."""
    line = through_g711(np.asarray(samples / FULL_SCALE, np.float32), law)
    return hops_of(speech_of(np.round(line * FULL_SCALE).astype(np.int16)))
