"""Scores of clips by their models, after each line condition, gated once for each."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import scores
from benchmarks.accuracy.cache import Arrays, Cache, clip_keys, file_digest, key_of
from benchmarks.accuracy.emotions import (
    EmotionLogits,
    emotion_logits,
    has_emotion_logits,
)
from benchmarks.accuracy.parts import Part
from benchmarks.accuracy.pool import in_processes
from benchmarks.accuracy.scores import CLEAN, NO_SPEECH_LEVEL_DB, NO_SPEECH_LOG_ODDS, Heard
from voiceguard.core import speech
from voiceguard.core.errors import ModelError
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.units import FULL_SCALE
from voiceguard.engine import vad
from voiceguard.engine.manifest import ModelManifest, load_manifest
from voiceguard.training import gating, lines
from voiceguard.training.calibrate import clip_logits, sigmoid
from voiceguard.training.checkpoint import CHECKPOINT_FILE
from voiceguard.training.corpora import EMOTIONS, Clip, read_clip
from voiceguard.training.export import Runner
from voiceguard.training.gating import hops_of, speech_of
from voiceguard.training.lines.conditions import condition_named
from voiceguard.training.lines.sounds import Sounds
from voiceguard.training.manifest import MANIFEST_FILE, MODEL_FILE
from voiceguard.training.ship import log_odds_of_clips
from voiceguard.training.targets import OUTPUTS

CLIPS_AT_ONCE: Final = 8
"""So few that a batch after every condition ends within seconds of Ctrl-C."""

OTHER_VOICES: Final = 12
"""Calm clips of other speakers that babble and echo are made of."""

FULL_SCALE_PEAK: Final = 0.979
"""Peak from which a clip counts as clipped; the loudest code of G.711 mu-law is 0.980."""

GAINS_DB: Final = (-24.0, -12.0, 6.0, 12.0)
"""Levels at which the model has the same speech again, in decibels against its own."""

_QUIET: Final = 1e-10
_CODE: Final = (
    *sorted(Path(lines.__path__[0]).glob("*.py")),
    *(Path(str(module.__file__)) for module in (gating, scores, speech, vad)),
    Path(__file__),
)
"""What scores follow from besides model and clips; a change to it makes kept scores worthless."""

Advance = Callable[[int], None]
"""Called with the number of scores that have come in, one for each clip and condition."""


@dataclass(frozen=True, slots=True)
class Line:
    """What clips go through.

    Attributes:
        conditions: names of line conditions, `CLEAN` among them.
        augmentation: folder of recorded noises and rooms; None: synthetic ones only.

    """

    conditions: tuple[str, ...]
    augmentation: Path | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Clips for one process to score."""

    model: Path
    clips: tuple[Clip, ...]
    others: tuple[Clip, ...]
    """Whose voices babble and echo are made of, where they are not the clip's own speaker."""
    line: Line


def score_parts(
    parts: Sequence[Part], line: Line, jobs: int, cache: Cache, advance: Advance
) -> list[Mapping[str, Heard]]:
    """Return the scores of each part's clips, in order, by condition.

    A part that was scored before, by the same model and code, comes out of `cache`.

    Raises:
        AudioFileError: a clip cannot be read.
        ModelError: a model cannot be read.
        WorkerError: a process was killed.
    """
    others = other_voices([clip for part in parts for clip in part.clips])
    keys = [_key_of(part, line, others) for part in parts]
    kept = [cache.find(key) for key in keys]
    missing = [part for part, found in zip(parts, kept, strict=True) if found is None]
    batches = [_batches(part, line, others) for part in missing]
    coming = in_processes(score_batch, [one for of_part in batches for one in of_part], jobs)
    of_missing = iter(batches)
    scored: list[Mapping[str, Heard]] = []
    for part, key, found in zip(parts, keys, kept, strict=True):
        if found is None:
            arrived = _arrived(coming, next(of_missing), line, advance)
            cache.keep(key, arrived)
        else:
            arrived = found
            advance(len(part.clips) * len(line.conditions))
        scored.append({name: Heard.from_matrix(matrix) for name, matrix in arrived.items()})
    return scored


def _batches(part: Part, line: Line, others: tuple[Clip, ...]) -> list[Batch]:
    starts = range(0, len(part.clips), CLIPS_AT_ONCE)
    clips = [part.clips[start : start + CLIPS_AT_ONCE] for start in starts]
    return [Batch(part.model, some, others, line) for some in clips]


def _arrived(
    coming: Iterator[Arrays], batches: Sequence[Batch], line: Line, advance: Advance
) -> Arrays:
    """Take the scores of these batches as they come in, and join them."""
    matrices: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)
    for batch in batches:
        for condition, matrix in next(coming).items():
            matrices[condition].append(matrix)
        advance(len(batch.clips) * len(line.conditions))
    return {condition: np.concatenate(each) for condition, each in matrices.items()}


def _key_of(part: Part, line: Line, others: Sequence[Clip]) -> str:
    """Return what the scores of a part follow from: model, clips, line and the code of the line."""
    sounds = [] if line.augmentation is None else sorted(line.augmentation.rglob("*.*"))
    return key_of(
        "scores",
        [
            file_digest(
                *(part.model / name for name in (MANIFEST_FILE, MODEL_FILE, CHECKPOINT_FILE))
            ),
            *clip_keys(part.clips),
            *line.conditions,
            *(f"{path.name}/{path.stat().st_size}" for path in sounds),
            *clip_keys(others),
            file_digest(*_CODE),
        ],
    )


def other_voices(clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Return calm clips of different speakers, spread over them, the same whatever the order."""
    first: dict[str, Clip] = {}
    for clip in sorted(clips, key=lambda each: each.path.stem):
        if clip.emotion == "neutral":
            first.setdefault(clip.speaker, clip)
    speakers = sorted(first)
    step = max(len(speakers) // OTHER_VOICES, 1)
    return tuple(first[speaker] for speaker in speakers[::step][:OTHER_VOICES])


def score_batch(batch: Batch) -> dict[str, NDArray[np.float64]]:
    """Return the scores of a batch by condition, each as `Heard.as_matrix` gives them."""
    recorded = [_unit_scale(clip) for clip in batch.clips]
    judge = _judge(batch.model)
    by_condition = {}
    for condition in batch.line.conditions:
        arrived = [
            _arrived_clip(clip, samples, condition, batch)
            for clip, samples in zip(batch.clips, recorded, strict=True)
        ]
        by_condition[condition] = judge.hear(arrived, is_clean=condition == CLEAN).as_matrix()
    return by_condition


@dataclass(frozen=True, slots=True, eq=False)
class _Arrived:
    """A clip after the line."""

    speech: NDArray[np.int16]
    """What the engine's detector and segmenter let through."""
    is_clipped: bool


def _arrived_clip(
    clip: Clip, samples: NDArray[np.float32], condition: str, batch: Batch
) -> _Arrived:
    """Return what arrives of a clip."""
    others = [_voice(other) for other in batch.others if other.speaker != clip.speaker]
    sounds = _sounds(batch.line.augmentation)
    clip_id = f"{clip.corpus}/{clip.path.stem}"
    arrived = condition_named(condition).heard(samples, clip_id, sounds, others)
    pcm = np.clip(np.round(arrived * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return _Arrived(speech_of(pcm), bool(np.abs(arrived).max() >= FULL_SCALE_PEAK))


def _unit_scale(clip: Clip) -> NDArray[np.float32]:
    return np.asarray(read_clip(clip) / FULL_SCALE, np.float32)


_voice = cache(_unit_scale)


@cache
def _sounds(augmentation: Path | None) -> Sounds:
    return Sounds.from_folder(augmentation)


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """A model, ready to score."""

    runner: Runner
    weights: EvidenceWeights
    emotions: EmotionLogits | None
    window_hops: int

    def hear(self, arrived: Sequence[_Arrived], *, is_clean: bool) -> Heard:
        """Return the scores of clips; over the clean line six emotions and gains are tried too."""
        hops = [hops_of(clip.speech) for clip in arrived]
        head = self.emotions if is_clean else None
        log_odds = np.full((len(hops), len(OUTPUTS)), NO_SPEECH_LOG_ODDS)
        logits = np.full((len(hops), len(EMOTIONS)), np.nan if head is None else 0.0)
        gain_shift = np.full(len(hops), np.nan)
        for rows, pcm in _of_one_length(hops):
            log_odds[rows] = self._log_odds(pcm)
            if is_clean:
                gain_shift[rows] = self._gain_shift(pcm, log_odds[rows])
            if head is not None:
                logits[rows] = [clip_logits(of_clip, self.window_hops) for of_clip in head(pcm)]
        return Heard(
            log_odds,
            logits,
            np.array([_level_db(clip.speech) for clip in arrived]),
            np.array([self._evidence(row) for row in log_odds]),
            np.array([len(one) > 0 for one in hops]),
            np.array([clip.is_clipped for clip in arrived]),
            gain_shift,
        )

    def _log_odds(self, pcm: NDArray[np.float32]) -> NDArray[np.float64]:
        return log_odds_of_clips(list(self.runner.run(pcm)[0]))

    def _gain_shift(
        self, pcm: NDArray[np.float32], log_odds: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return how far anger or distress moves at most over `GAINS_DB`, nothing clipped."""
        gains = [np.float32(10 ** (gain_db / 20)) for gain_db in GAINS_DB]
        moved = [sigmoid(self._log_odds(gain * pcm)) - sigmoid(log_odds) for gain in gains]
        return np.asarray(np.abs(moved)[..., :2].max(axis=(0, 2)))

    def _evidence(self, log_odds: NDArray[np.float64]) -> float:
        outputs = dict(zip(OUTPUTS, sigmoid(log_odds).tolist(), strict=True))
        return self.weights.absolute_evidence(outputs)


@cache
def _judge(folder: Path) -> _Judge:
    manifest = load_manifest(folder / MANIFEST_FILE)
    return _Judge(
        Runner(model_bytes(folder, manifest)),
        EvidenceWeights.from_mapping(manifest.pressure),
        emotion_logits(folder) if has_emotion_logits(folder) else None,
        manifest.window_samples // manifest.hop_samples,
    )


def model_bytes(folder: Path, manifest: ModelManifest) -> bytes:
    """Return the model's file, which has to be the one that the manifest describes.

    Raises:
        ModelError: it cannot be read, or is another one.
    """
    path = folder / manifest.file
    try:
        model = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}; give a model folder") from error
    if hashlib.sha256(model).hexdigest() != manifest.sha256:
        raise ModelError(f"{path}: not the file that {MANIFEST_FILE} beside it describes")
    return model


def _of_one_length(
    hops: Sequence[NDArray[np.float32]],
) -> list[tuple[list[int], NDArray[np.float32]]]:
    """Return clips of as many hops together, with their places; clips of no hops are left out."""
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for place, one in enumerate(hops):
        if len(one):
            by_length[len(one)].append(place)
    return [(rows, np.stack([hops[row] for row in rows])) for rows in by_length.values()]


def _level_db(speech: NDArray[np.int16]) -> float:
    """Return the mean power of speech, in dB relative to full scale."""
    if len(speech) == 0:
        return NO_SPEECH_LEVEL_DB
    power = float(np.mean((speech / FULL_SCALE) ** 2))
    return 10.0 * float(np.log10(power + _QUIET))
