"""Rows of speech to train on: clips of one speaker and emotion, joined as serving joins them."""

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
from voiceguard.training.corpora import Clip
from voiceguard.training.lookback import LONG_HOPS
from voiceguard.training.targets import PRESSURED, Target
from voiceguard.training.voices import Voice

ROW_HOPS: Final = LONG_HOPS
"""Hops in a row: as many as a score looks back on."""

_SHARES: Final = {"crema-d": 0.72, "emo-db": 0.1, "emogator": 0.14, "calm": 0.04}
"""Share of rows drawn from each corpus; corpora not given leave theirs to the others."""

_OTHER_CORPUS: Final = 0.2
"""Of any corpus that is not named above."""

_ANGRY: Final = frozenset({"anger", PRESSURED})
_AFRAID: Final = frozenset({"fear", "distress"})
_EMOTION_SHARES: Final = (0.27, 0.2, 0.53)
"""Of a speaker's rows, the angry, the afraid and the others, if there are such."""

_OTHER_VOICES: Final = 4

_ECHOED_TOGETHER: Final = 12
_AHEAD: Final = 12
"""Batches that are kept for their echoes, and that are made in advance."""

_EVEN_LEVEL: Final = 0.7
"""How often the clips of a row are brought to about one level; else each has any."""

_LEVEL_DB: Final = 1.7
"""Standard deviation of about."""


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


@dataclass(frozen=True, slots=True)
class _Speaker:
    """A speaker's utterances by emotion, and how often each emotion is drawn."""

    by_emotion: Sequence[Sequence[Utterance]]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> _Speaker:
        """Give the angry, the afraid and the others their shares."""
        by_emotion: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in utterances:
            by_emotion[utterance.clip.emotion].append(utterance)
        kinds = np.array([_kind(emotion) for emotion in by_emotion])
        shares = np.array([float(len(own)) for own in by_emotion.values()])
        for kind, share in enumerate(_EMOTION_SHARES):
            mine = kinds == kind
            if mine.any():
                shares[mine] *= share / shares[mine].sum()
        return cls(list(by_emotion.values()), shares / shares.sum())

    def drawn(self, rng: np.random.Generator) -> Sequence[Utterance]:
        """Draw an emotion and return the utterances of it."""
        return self.by_emotion[rng.choice(len(self.by_emotion), p=self.shares)]


def _kind(emotion: str) -> int:
    """Return the place of an emotion in `_EMOTION_SHARES`."""
    if emotion in _ANGRY:
        return 0
    return 1 if emotion in _AFRAID else 2


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
        self._speakers: dict[str, list[_Speaker]] = defaultdict(list)
        for (corpus, _), own in by_speaker.items():
            self._speakers[corpus].append(_Speaker.of(own))
        self._corpora = sorted(self._speakers)
        shares = np.array([_SHARES.get(corpus, _OTHER_CORPUS) for corpus in self._corpora])
        self._shares = shares / shares.sum()

    def batch(self, step: int, rows: int) -> Batch:
        """Return the rows of one step."""
        rng = np.random.default_rng((self._seed, step))
        line = Line(rng, self._sounds, self._chances)
        drawn = [self._row(line, rng) for _ in range(rows)]
        targets = zip(*(of_row for _, of_row in drawn), strict=True)
        return Batch(np.stack([pcm for pcm, _ in drawn]), *(np.stack(part) for part in targets))

    def _row(self, line: Line, rng: np.random.Generator) -> tuple[Samples, HopTargets]:
        """Return speech, and what to learn from each hop.

        Each clip comes over a line of its own, so that what a row has in common is the
        voice and its emotion.
        """
        length = ROW_HOPS * HOP_SAMPLES
        corpus = self._corpora[rng.choice(len(self._corpora), p=self._shares)]
        own = self._speaker(corpus, rng).drawn(rng)
        voice = Voice.drawn(rng)
        evens_level = rng.random() < _EVEN_LEVEL
        samples = np.zeros(length, np.float32)
        owner = np.zeros(length, np.int32)
        used: list[Utterance] = []
        filled = 0
        while filled < length:
            utterance = own[int(rng.integers(len(own)))]
            piece = voice.speaking(_float(utterance.speech))
            piece = piece if used else _from_somewhere(piece, length, rng)
            piece = piece[: length - filled]
            piece = line.carry(piece, self._other_voices(len(piece), rng))
            piece = _relevelled(piece, rng) if evens_level else piece
            stop = filled + len(piece)
            samples[filled:stop] = piece
            owner[filled:stop] = len(used)
            used.append(utterance)
            filled = stop
        return samples, _hop_targets(owner, used)

    def _speaker(self, corpus: str, rng: np.random.Generator) -> _Speaker:
        speakers = self._speakers[corpus]
        return speakers[int(rng.integers(len(speakers)))]

    def _other_voices(self, length: int, rng: np.random.Generator) -> list[Samples]:
        """Return clips of other people, for babble and echo."""
        corpora = rng.choice(self._corpora, _OTHER_VOICES)
        own = [self._speaker(str(corpus), rng).drawn(rng) for corpus in corpora]
        return [_float(clips[int(rng.integers(len(clips)))].speech[:length]) for clips in own]


def _voice(clip: Clip) -> str:
    """Return whose clips are joined: a speaker's, or those of a folder of unnamed people."""
    return clip.speaker.split("/")[0]


def _float(speech: NDArray[np.int16]) -> Samples:
    return np.asarray(speech / FULL_SCALE, np.float32)


def _from_somewhere(piece: Samples, length: int, rng: np.random.Generator) -> Samples:
    """Return a clip longer than a row from anywhere in it, so that all of it is learnt."""
    spare = len(piece) - length
    return piece[rng.integers(spare + 1) :] if spare > 0 else piece


def _relevelled(samples: Samples, rng: np.random.Generator) -> Samples:
    """Bring a clip near one common level."""
    rms = float(np.sqrt(np.mean(samples**2))) + 1e-6
    return np.asarray(samples * (0.05 / rms * 10 ** (rng.normal(0.0, _LEVEL_DB) / 20)), np.float32)


def _hop_targets(owner: NDArray[np.int32], used: list[Utterance]) -> HopTargets:
    """Return targets and weights of each hop from the clip that fills most of it.

    A hop counts the more, the more of the model's window is filled by then.
    """
    owners = owner.reshape(ROW_HOPS, HOP_SAMPLES)
    targets = [used[int(np.argmax(np.bincount(hop)))].target for hop in owners]
    filled = np.arange(1, ROW_HOPS + 1) / LONG_HOPS
    return (
        np.array([target.outputs for target in targets], np.float32),
        np.array([target.pressure_alone for target in targets], np.float32),
        np.array([target.emotions for target in targets], np.float32),
        np.array([target.weight for target in targets], np.float32) * filled.astype(np.float32),
    )


def prefetched(batches: Batches, steps: int, rows: int, echoes: int = 1) -> Iterator[Batch]:
    """Yield the batches of `steps` steps, prepared in a thread while others are learnt.

    Each batch comes `echoes` times, a dozen others in between: rendering speech costs more than
    learning from it (data echoing; Choi et al. 2019, arXiv:1907.05550).
    """
    numbers = [_batch_of(step, echoes) for step in range(steps)]
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="examples") as pool:
        waiting: dict[int, Future[Batch]] = {}
        submitted = 0
        try:
            for number in numbers:
                for new in range(submitted, min(number + _AHEAD, max(numbers)) + 1):
                    waiting[new] = pool.submit(batches.batch, new, rows)
                    submitted = new + 1
                for old in [each for each in waiting if each < number - number % _ECHOED_TOGETHER]:
                    del waiting[old]
                yield waiting[number].result()
        finally:
            for future in waiting.values():
                future.cancel()


def _batch_of(step: int, echoes: int) -> int:
    """Return the number of a step's batch: some in turn, as often as they are echoed, then more."""
    turn = step // (_ECHOED_TOGETHER * echoes)
    return turn * _ECHOED_TOGETHER + step % _ECHOED_TOGETHER
