"""Rows of speech to train on: several clips of one speaker, joined as serving joins them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import VoiceguardError
from voiceguard.core.units import FULL_SCALE, HOP_SAMPLES
from voiceguard.training.augment import Chances, Line, Samples, Sounds
from voiceguard.training.corpora import EMOTIONS, Clip
from voiceguard.training.targets import OUTPUTS, Target
from voiceguard.training.voices import Voice

ROW_HOPS: Final = 8
"""Hops in a row: long enough for a change of mood and for the whole window after it."""

SWITCH_WEIGHT: Final = 0.25
"""Weight of the first second after a change of clip: the window still holds the clip before."""

_SWITCH_HOPS: Final = 2
_SAME_EMOTION: Final = 0.5
_SHARES: Final = {"crema-d": 0.76, "emo-db": 0.09, "emogator": 0.09, "calm": 0.06}
"""Share of rows drawn from each corpus; corpora not given leave theirs to the others."""


class TrainingDataError(VoiceguardError):
    """There is nothing, or not enough, to learn from."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """The speech of one clip, and what the model is to say of it."""

    clip: Clip
    speech: NDArray[np.int16]
    """A whole number of 20 ms frames at 8 kHz."""
    target: Target


HopTargets: TypeAlias = tuple[
    NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]
]
"""Of each hop of a row: outputs, pressure, emotions and weights, as a `Batch` has them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one step of training; NaN targets are not learnt."""

    pcm: NDArray[np.float32]
    """(rows, ROW_HOPS * HOP_SAMPLES)."""
    outputs: NDArray[np.float32]
    """(rows, ROW_HOPS, 4)."""
    pressure: NDArray[np.float32]
    """(rows, ROW_HOPS); NaN where anger and distress say it already."""
    emotions: NDArray[np.float32]
    """(rows, ROW_HOPS, 6)."""
    weights: NDArray[np.float32]
    """(rows, ROW_HOPS)."""


class Batches(Protocol):
    """Whatever rows to train on come from."""

    def batch(self, step: int, rows: int) -> Batch:
        """Return the rows of one step; the same step, the same rows."""
        ...


class RowSampler:
    """Draws rows at random. Step n of a seed is the same row whatever was drawn before."""

    def __init__(
        self, utterances: Sequence[Utterance], sounds: Sounds, seed: int, chances: Chances
    ) -> None:
        if not utterances:
            raise TrainingDataError("no clip with speech to train on; check the corpus folders")
        self._sounds = sounds
        self._seed = seed
        self._chances = chances
        by_speaker: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
        for utterance in utterances:
            by_speaker[utterance.clip.corpus, _voice(utterance.clip)].append(utterance)
        self._speakers: dict[str, list[list[Utterance]]] = defaultdict(list)
        for (corpus, _), own in by_speaker.items():
            self._speakers[corpus].append(own)
        self._corpora = sorted(self._speakers)
        shares = np.array([_SHARES.get(corpus, 0.2) for corpus in self._corpora])
        self._shares = shares / shares.sum()

    def batch(self, step: int, rows: int) -> Batch:
        """Return the rows of one step."""
        rng = np.random.default_rng((self._seed, step))
        line = Line(rng, self._sounds, self._chances)
        drawn = [self._row(rng) for _ in range(rows)]
        speech, targets = [row[0] for row in drawn], [row[1] for row in drawn]
        pcm = []
        for index, samples in enumerate(speech):
            picks = rng.integers(rows, size=6)
            others = [speech[pick] for pick in picks if pick != index]
            pcm.append(line.carry(samples, others))
        return Batch(np.stack(pcm), *(np.stack(part) for part in zip(*targets, strict=True)))

    def _row(self, rng: np.random.Generator) -> tuple[Samples, HopTargets]:
        """Return speech before the line, and what to learn from each hop."""
        length = ROW_HOPS * HOP_SAMPLES
        corpus = self._corpora[rng.choice(len(self._corpora), p=self._shares)]
        speakers = self._speakers[corpus]
        own = speakers[rng.integers(len(speakers))]
        voice = Voice.drawn(rng)
        evens_level = rng.random() < 0.6
        samples = np.zeros(length, np.float32)
        owner = np.zeros(length, np.int32)
        used: list[Utterance] = []
        filled = 0
        while filled < length:
            utterance = _next_utterance(own, used, rng)
            piece = voice.speaking(_float(utterance.speech))
            piece = _relevelled(piece, rng) if evens_level else piece
            stop = min(filled + len(piece), length)
            samples[filled:stop] = piece[: stop - filled]
            owner[filled:stop] = len(used)
            used.append(utterance)
            filled = stop
        return samples, _hop_targets(owner, used)


def _voice(clip: Clip) -> str:
    """Return whose clips are joined: a speaker's, or those of a folder of unnamed people."""
    return clip.speaker.split("/")[0]


def _float(speech: NDArray[np.int16]) -> Samples:
    return np.asarray(speech / FULL_SCALE, np.float32)


def _next_utterance(
    own: list[Utterance], used: list[Utterance], rng: np.random.Generator
) -> Utterance:
    """Draw the next clip: half of the time of the same emotion as the last."""
    if used and rng.random() < _SAME_EMOTION:
        same = [one for one in own if one.clip.emotion == used[-1].clip.emotion]
        return same[rng.integers(len(same))]
    return own[rng.integers(len(own))]


def _relevelled(samples: Samples, rng: np.random.Generator) -> Samples:
    """Bring a clip near one common level, so that loudness does not tell its emotion."""
    rms = float(np.sqrt(np.mean(samples**2))) + 1e-6
    return np.asarray(samples * (0.05 / rms * 10 ** (rng.normal(0.0, 3.0) / 20)), np.float32)


def _hop_targets(owner: NDArray[np.int32], used: list[Utterance]) -> HopTargets:
    """Return targets and weights of each hop from the clip that fills most of it."""
    outputs = np.zeros((ROW_HOPS, len(OUTPUTS)), np.float32)
    pressure = np.zeros(ROW_HOPS, np.float32)
    emotions = np.zeros((ROW_HOPS, len(EMOTIONS)), np.float32)
    weights = np.zeros(ROW_HOPS, np.float32)
    previous, since_switch = used[0], ROW_HOPS
    for hop in range(ROW_HOPS):
        counts = np.bincount(owner[hop * HOP_SAMPLES : (hop + 1) * HOP_SAMPLES])
        current = used[int(np.argmax(counts))]
        changed = current.clip.emotion != previous.clip.emotion
        since_switch = 0 if changed else since_switch + 1
        outputs[hop], emotions[hop] = current.target.outputs, current.target.emotions
        pressure[hop] = current.target.pressure_alone
        settled = 1.0 if since_switch >= _SWITCH_HOPS else SWITCH_WEIGHT
        weights[hop] = current.target.weight * settled
        previous = current
    return outputs, pressure, emotions, weights


def prefetched(sampler: Batches, steps: int, rows: int, ahead: int = 3) -> Iterator[Batch]:
    """Yield the batches of `steps` steps, prepared in a thread while the last one is learnt."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="examples") as pool:
        waiting: list[Future[Batch]] = []
        try:
            for step in range(steps + ahead):
                if step < steps:
                    waiting.append(pool.submit(sampler.batch, step, rows))
                if (step >= ahead or step >= steps) and waiting:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
