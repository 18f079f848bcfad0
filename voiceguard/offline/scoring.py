"""Scores of whole recordings, many at a time: for benchmarks, and for looking over a corpus.

Nothing of a call is in here: no baseline of the speaker, no smoothing, no policy.
docs/analysis.md says what the numbers mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import AudioFileError
from voiceguard.core.speech import HopGatherer, SpeechHop
from voiceguard.core.tones import ToneMusicGate
from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE, HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.engine.resample import StreamResampler
from voiceguard.engine.vad import WebRtcDetector
from voiceguard.offline.analysis import Engine
from voiceguard.offline.recordings import RecordingReader

FILES_AT_ONCE: Final = 32
"""Recordings that are open at a time; their hops share runs of the model."""

HOPS_AT_ONCE: Final = 64
"""Most hops of one recording in one run: memory does not grow with its length."""

SHORTEST_REST_S: Final = 0.2
"""Speech at the end that is worth a hop of its own, when there was a whole one before."""

SMALLEST_SCORE: Final = 1e-4
"""Scores are kept this far from 0 and 1, where log-odds would run away."""


@dataclass(frozen=True, slots=True)
class ClipToScore:
    """One recording and the channel of it that is meant."""

    path: Path
    channel: int | None = None
    """None: it must have only one."""


@dataclass(frozen=True, slots=True)
class ClipScore:
    """What came of one recording."""

    path: Path
    duration_s: float
    speech_s: float
    """Speech that was scored; music and tones do not count."""
    outputs: Mapping[str, float] | None
    """Each model output, 0 to 1, over all scored speech; None when there was none."""
    pressure: float | None
    """Evidence of anger or distress, 0 to 1, over all scored speech."""


@dataclass(frozen=True, slots=True)
class ClipFailure:
    """A recording that has no score."""

    path: Path
    problem: AudioFileError


def score_clips(clips: Sequence[ClipToScore], engine: Engine) -> Iterator[ClipScore | ClipFailure]:
    """Score recordings; yield their results in the order given.

    Raises:
        ModelError: the model failed.
    """
    for start in range(0, len(clips), FILES_AT_ONCE):
        yield from _score_group(clips[start : start + FILES_AT_ONCE], engine)


def _score_group(clips: Sequence[ClipToScore], engine: Engine) -> Iterator[ClipScore | ClipFailure]:
    with ExitStack() as stack:
        lanes: list[_Lane | ClipFailure] = []
        for clip in clips:
            try:
                lanes.append(_Lane(clip, engine, stack))
            except AudioFileError as error:
                lanes.append(ClipFailure(clip.path, error))
        active = [lane for lane in lanes if isinstance(lane, _Lane)]
        while active:
            waiting = [(lane, hops) for lane in active if len(hops := lane.next_hops())]
            _run(waiting, engine)
            active = [lane for lane, _ in waiting]
        for lane in lanes:
            yield lane if isinstance(lane, ClipFailure) else lane.result()


def _run(waiting: Sequence[tuple[_Lane, NDArray[np.int16]]], engine: Engine) -> None:
    """Run the model over the waiting hops, those of equally many hops together."""
    groups: defaultdict[int, list[tuple[_Lane, NDArray[np.int16]]]] = defaultdict(list)
    for lane, hops in waiting:
        groups[len(hops)].append((lane, hops))
    for group in groups.values():
        pcm = np.stack([hops.reshape(-1) for _, hops in group]).astype(np.float32)
        states = np.stack([lane.state for lane, _ in group])
        scores, next_states = engine.model.run(pcm / np.float32(FULL_SCALE), states)
        for row, (lane, _) in enumerate(group):
            lane.receive_scores(scores[row], next_states[row])


class _Lane:
    """One recording on its way through the model."""

    def __init__(self, clip: ClipToScore, engine: Engine, stack: ExitStack) -> None:
        self._path = clip.path
        self._engine = engine
        reader = stack.enter_context(RecordingReader(clip.path))
        self._channel = _channel(clip, reader.shape.channels)
        self._rate_hz = reader.shape.sample_rate_hz
        self._speech = SpeechOfClip(self._rate_hz)
        self._blocks = reader.blocks()
        self._samples = 0
        self._ended = False
        self._failure: AudioFileError | None = None
        self._waiting: list[NDArray[np.int16]] = []
        self._shares: list[float] = []
        self._scores: list[NDArray[np.float32]] = []
        self.state = engine.model.new_states(1)[0]
        """What the model carries from hop to hop."""

    def next_hops(self) -> NDArray[np.int16]:
        """Return the next hops, shape (n, HOP_SAMPLES), n at most `HOPS_AT_ONCE`; 0: the end."""
        while not self._ended and len(self._waiting) < HOPS_AT_ONCE:
            self._read()
        taken, self._waiting = self._waiting[:HOPS_AT_ONCE], self._waiting[HOPS_AT_ONCE:]
        return np.stack(taken) if taken else np.empty((0, HOP_SAMPLES), np.int16)

    def receive_scores(self, scores: NDArray[np.float32], state: NDArray[np.float32]) -> None:
        """Take the scores of the hops, shape (n, outputs), and the state after them."""
        self._scores.append(scores)
        self.state = state

    def result(self) -> ClipScore | ClipFailure:
        """Return what came of it."""
        if self._failure is not None:
            return ClipFailure(self._path, self._failure)
        manifest = self._engine.model.manifest
        window_hops = manifest.window_samples // manifest.hop_samples
        outputs = _averaged(self._scores, self._shares, window_hops)
        named = None
        if outputs is not None:
            named = dict(zip(self._engine.model.outputs, outputs.tolist(), strict=True))
        return ClipScore(
            path=self._path,
            duration_s=self._samples / self._rate_hz,
            speech_s=sum(self._shares) * HOP_SAMPLES / SAMPLE_RATE_HZ,
            outputs=named,
            pressure=None if named is None else self._engine.weights.absolute_evidence(named),
        )

    def _read(self) -> None:
        try:
            block = next(self._blocks, None)
        except AudioFileError as error:
            self._failure, self._ended = error, True
            self._waiting.clear()
            return
        if block is None:
            self._ended = True
            self._wait_for_scores(*self._speech.finish())
            return
        self._samples += len(block)
        hops = self._speech.receive_samples(np.ascontiguousarray(block[:, self._channel]))
        self._wait_for_scores(hops, [1.0] * len(hops))

    def _wait_for_scores(self, hops: list[NDArray[np.int16]], shares: list[float]) -> None:
        self._waiting += hops
        self._shares += shares


class SpeechOfClip:
    """Finds the speech of one channel, in hops, as a session does, and the rest of it too.

    Args:
        rate_hz: rate of the samples, one of `INPUT_RATES_HZ`.
    """

    def __init__(self, rate_hz: int) -> None:
        self._resampler = None if rate_hz == SAMPLE_RATE_HZ else StreamResampler(rate_hz)
        self._vad = WebRtcDetector()
        self._gatherer = HopGatherer()
        self._gate = ToneMusicGate()
        self._rest = np.empty(0, np.int16)
        self._first = np.empty(0, np.int16)
        self._last_gated = False

    def receive_samples(self, samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
        """Take the next samples; return the hops of speech that they complete."""
        return self._receive(
            samples if self._resampler is None else self._resampler.receive(samples)
        )

    def finish(self) -> tuple[list[NDArray[np.int16]], list[float]]:
        """Return the last hops, and how much of each is speech, 0 to 1.

        What is left at the end fills no hop. The clip's own speech, said again from its
        beginning, makes it one: silence would be something that no call ever has there.
        """
        hops = [] if self._resampler is None else self._receive(self._resampler.flush())
        weights = [1.0] * len(hops)
        rest = self._gatherer.waiting_samples
        too_short = len(rest) < SHORTEST_REST_S * SAMPLE_RATE_HZ and len(self._first) > 0
        if len(rest) and not too_short and not self._last_gated:
            hops.append(np.resize(np.concatenate((rest, self._first)), HOP_SAMPLES))
            weights.append(len(rest) / HOP_SAMPLES)
        return hops, weights

    def _receive(self, samples: NDArray[np.int16]) -> list[NDArray[np.int16]]:
        joined = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        count = len(joined) // FRAME_SAMPLES
        whole, self._rest = joined[: count * FRAME_SAMPLES], joined[count * FRAME_SAMPLES :]
        if not count:
            return []
        voiced = self._vad.decide_frames(whole.astype("<i2").tobytes())
        gathered = self._gatherer.receive_frames(whole.reshape(count, FRAME_SAMPLES), voiced)
        found = [item for item in gathered if isinstance(item, SpeechHop)]
        return [hop.samples for hop in found if not self._is_gated(hop)]

    def _is_gated(self, hop: SpeechHop) -> bool:
        self._last_gated = self._gate.receive_hop(hop.samples).is_tone_or_music
        if not self._last_gated and not len(self._first):
            self._first = hop.samples
        return self._last_gated


def _channel(clip: ClipToScore, channels: int) -> int:
    if clip.channel is None and channels > 1:
        message = (
            f"{clip.path}: has {channels} channels; say which one to score, for example "
            "--channel 0 or --roles customer,agent"
        )
        raise AudioFileError(message)
    channel = clip.channel or 0
    if channel >= channels:
        counted = "1 channel" if channels == 1 else f"{channels} channels"
        message = f"{clip.path}: has {counted}, counted from 0; there is no channel {channel}"
        raise AudioFileError(message)
    return channel


def _averaged(
    scores: Sequence[NDArray[np.float32]], shares: Sequence[float], window_hops: int
) -> NDArray[np.float64] | None:
    """Return the mean of each output over the hops; None: no hop has usable scores.

    The mean is taken over log-odds, in which the evidence of hops adds up. A hop counts by
    how much of it is speech, and by how full the model's window was: training calibrates
    the outputs for this very mean.

    Args:
        scores: parts of shape (n, outputs), in order.
        shares: how much of each hop is speech, 0 to 1.
        window_hops: hops that the model hears at once.
    """
    if not scores:
        return None
    hops = np.concatenate(scores).astype(np.float64)
    usable = np.isfinite(hops).all(axis=1)
    if not usable.any():
        return None
    heard = np.minimum(np.arange(1, len(hops) + 1) / max(window_hops, 1), 1.0)
    bounded = np.clip(hops[usable], SMALLEST_SCORE, 1 - SMALLEST_SCORE)
    log_odds = np.log(bounded / (1 - bounded))
    mean = np.average(log_odds, axis=0, weights=(heard * np.array(shares))[usable])
    return np.asarray(1 / (1 + np.exp(-mean)))
