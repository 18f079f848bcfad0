"""Micro-batches: one run of the model serves the waiting hops of many channels.

`ScoreBatcher` has neither threads nor a clock; the file analyser drives it as it is, and
`voiceguard.engine.asyncscoring` for the server.

A run takes one hop of each channel at most.  Several hops of one channel in one run would be
computed by other kernels than one after the other, and differ in the last digits; rows beside
each other do not (see `StressModel`), so what a hop scores is the same, bit for bit, whatever
else is waiting.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.events import ScoreMissed, ScoreRequest, ScoreResult
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.model import MAX_ROWS

__all__ = [
    "SCORE_DECIMALS",
    "UNLIMITED",
    "Answer",
    "Batch",
    "BatchScores",
    "HopModel",
    "ScoreBatcher",
    "ScoringLimits",
    "ScoringStatistics",
    "Track",
]

SCORE_DECIMALS: Final = 4
"""Scores are rounded to so many decimals: more say nothing about a voice."""

Answer = ScoreResult | ScoreMissed

_FIRST_SLOTS: Final = 16


class HopModel(Protocol):
    """What scoring needs of a model; `StressModel` has it."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the scores."""
        ...

    def new_states(self, rows: int) -> NDArray[np.float32]:
        """Return the states of channels that have heard nothing, shape (rows, S)."""
        ...

    def run(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores (n, 1, outputs) and states (n, S) of PCM (n, hop) and states (n, S)."""
        ...


@dataclass(frozen=True, slots=True)
class ScoringLimits:
    """How much may wait, and how long."""

    max_waiting: int = 4096
    """Most hops that wait, of all tracks together."""
    max_waiting_per_track: int = 64
    """Most hops of one track that wait: 32 s of speech at half a second each."""
    deadline_s: float = 2.0
    """A hop that has waited longer is missed: its answer would come too late to help anybody."""

    def __post_init__(self) -> None:
        if self.max_waiting < 1 or self.max_waiting_per_track < 1 or not self.deadline_s > 0:
            message = f"limits of scoring must be positive: {self}"
            raise ValueError(message)


UNLIMITED: Final = ScoringLimits(1 << 31, 1 << 31, math.inf)
"""For recordings, which wait as long as it takes."""


@dataclass(frozen=True, slots=True)
class ScoringStatistics:
    """What has been scored since the start."""

    hops_scored: int
    hops_missed: int
    runs: int
    runs_failed: int
    cpu_s: float
    """Time of the processor that runs of the model have taken, in seconds."""
    runs_by_rows: Mapping[int, int]
    """How many runs had so many rows."""
    tracks: int
    hops_waiting: int


@dataclass(slots=True)
class _WaitingHop:
    request: ScoreRequest
    submitted_s: float


@dataclass(slots=True, eq=False)
class Track:
    """One scored channel of one session; made, and written to, by `ScoreBatcher` alone."""

    slot: int
    """Where its state lies."""
    waiting: deque[_WaitingHop] = field(default_factory=deque)
    """Its hops that wait to be taken into a run, in order."""
    is_scheduled: bool = False
    """Whether it is in the queue of tracks to serve, or in a run."""
    is_closed: bool = False
    """Whether it takes no more hops."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Hops taken for one run, one of each track."""

    tracks: tuple[Track, ...]
    requests: tuple[ScoreRequest, ...]
    pcm: NDArray[np.float32]
    """Shape (n, hop_samples)."""
    states: NDArray[np.float32]
    """Shape (n, S); copies, so that the run may be in another thread."""
    oldest_s: float
    """When the hop was submitted that has waited longest."""


@dataclass(frozen=True, slots=True, eq=False)
class BatchScores:
    """What a run made of a `Batch`."""

    scores: NDArray[np.float32]
    """Shape (n, outputs)."""
    next_states: NDArray[np.float32]
    cpu_s: float


@dataclass(slots=True)
class _Counts:
    hops_scored: int = 0
    hops_missed: int = 0
    runs_failed: int = 0
    cpu_s: float = 0.0
    runs_by_rows: Counter[int] = field(default_factory=Counter)


class ScoreBatcher:
    """Keeps what waits and the state of each track, and makes batches of it.

    To be used from one thread, but for `run_batch`, which may be called in another meanwhile.
    A track never has more than one hop in runs at a time.  Time is what the caller says it is,
    in seconds; who does not care about deadlines leaves it at 0.

    Args:
        model: what scores.
        limits: how much may wait, and how long.

    """

    def __init__(self, model: HopModel, limits: ScoringLimits | None = None) -> None:
        """Start without tracks."""
        self._model = model
        self._limits = limits or ScoringLimits()
        self._states = model.new_states(0)
        self._free_slots: list[int] = []
        self._ready: deque[Track] = deque()
        self._answers: list[tuple[Track, Answer]] = []
        self._open_tracks: set[Track] = set()
        self._hops_waiting = 0
        self._counts = _Counts()

    @property
    def hops_waiting(self) -> int:
        """How many hops wait to be taken into a run."""
        return self._hops_waiting

    @property
    def statistics(self) -> ScoringStatistics:
        """What has been scored so far."""
        counts = self._counts
        return ScoringStatistics(
            hops_scored=counts.hops_scored,
            hops_missed=counts.hops_missed,
            runs=counts.runs_by_rows.total() + counts.runs_failed,
            runs_failed=counts.runs_failed,
            cpu_s=counts.cpu_s,
            runs_by_rows=dict(counts.runs_by_rows),
            tracks=len(self._open_tracks),
            hops_waiting=self._hops_waiting,
        )

    def oldest_submission_s(self) -> float | None:
        """Return when the hop that could be run, and waits longest, was submitted; None: none is.

        Hops behind one of the same track that is in a run cannot be run yet.
        """
        heads = (track.waiting[0].submitted_s for track in self._ready if track.waiting)
        return min(heads, default=None)

    def open_track(self) -> Track:
        """Begin a channel that has heard nothing."""
        if not self._free_slots:
            self._grow()
        track = Track(self._free_slots.pop())
        self._states[track.slot] = 0.0
        self._open_tracks.add(track)
        return track

    def close_track(self, track: Track) -> None:
        """End a channel; its waiting hops are dropped and get no answer. Idempotent."""
        if track.is_closed:
            return
        track.is_closed = True
        self._hops_waiting -= len(track.waiting)
        track.waiting.clear()
        self._open_tracks.remove(track)
        self._free_slots.append(track.slot)

    def submit(self, track: Track, request: ScoreRequest, now_s: float = 0.0) -> None:
        """Let a hop wait for a run, behind those of the same track; over a limit, it is missed.

        Args:
            track: an open track.
            request: its next hop.
            now_s: the time, in seconds.

        Raises:
            ValueError: the track is closed, or the hop is not float32 of shape (HOP_SAMPLES,).

        """
        if track.is_closed:
            raise ValueError("a hop was submitted to a closed track")
        pcm = request.pcm
        if pcm.shape != (HOP_SAMPLES,) or pcm.dtype != np.float32:
            message = f"a hop is float32 of shape ({HOP_SAMPLES},), not {pcm.dtype} of {pcm.shape}"
            raise ValueError(message)
        limits = self._limits
        full = self._hops_waiting >= limits.max_waiting
        if full or len(track.waiting) >= limits.max_waiting_per_track:
            self._miss(track, request)
            return
        track.waiting.append(_WaitingHop(request, now_s))
        self._hops_waiting += 1
        self._schedule(track)

    def run_due(self, now_s: float = 0.0) -> list[tuple[Track, Answer]]:
        """Run the model until no hop waits, and return all answers, in order for each track.

        Raises:
            ModelError: a run failed; the hops in it count as missed.

        """
        while batch := self.take_batch(now_s):
            try:
                scored = self.run_batch(batch)
            except BaseException:
                self.fail_batch(batch)
                raise
            self.finish_batch(batch, scored)
        return self.take_answers()

    def take_batch(self, now_s: float) -> Batch | None:
        """Take the first hop of each track that waits, of `MAX_ROWS` tracks at most.

        Hops past their deadline are missed.  Each batch must come back to `finish_batch` or
        `fail_batch`.

        Returns:
            None if no hop waits.

        """
        self._expire(now_s - self._limits.deadline_s)
        tracks: list[Track] = []
        hops: list[_WaitingHop] = []
        while self._ready and len(tracks) < MAX_ROWS:
            track = self._ready.popleft()
            if not track.waiting:  # closed, or all of them expired
                track.is_scheduled = False
                continue
            tracks.append(track)
            hops.append(track.waiting.popleft())
        if not tracks:
            return None
        self._hops_waiting -= len(tracks)
        return Batch(
            tracks=tuple(tracks),
            requests=tuple(hop.request for hop in hops),
            pcm=np.stack([hop.request.pcm for hop in hops]),
            states=self._states[[track.slot for track in tracks]],
            oldest_s=min(hop.submitted_s for hop in hops),
        )

    def run_batch(self, batch: Batch) -> BatchScores:
        """Run the model; touches nothing else, so it may be called in another thread.

        Raises:
            ModelError: the run failed.

        """
        started_s = time.thread_time()
        scores, next_states = self._model.run(batch.pcm, batch.states)
        return BatchScores(scores[:, 0], next_states, time.thread_time() - started_s)

    def finish_batch(self, batch: Batch, scored: BatchScores) -> None:
        """Answer the hops of a run, and keep the states that it left.

        A row that is not a score is missed; its track keeps the state it had.
        """
        self._counts.cpu_s += scored.cpu_s
        self._counts.runs_by_rows[len(batch.tracks)] += 1
        # Written so that a NaN, which compares as False, is no score.
        in_range = np.all((scored.scores >= 0.0) & (scored.scores <= 1.0), axis=1)
        usable = in_range & np.all(np.isfinite(scored.next_states), axis=1)
        rounded = np.round(scored.scores.astype(np.float64), SCORE_DECIMALS).tolist()
        for row, (track, request) in enumerate(zip(batch.tracks, batch.requests, strict=True)):
            if track.is_closed:
                continue
            if not usable[row]:
                self._miss(track, request)
                continue
            self._states[track.slot] = scored.next_states[row]
            scores = dict(zip(self._model.outputs, rounded[row], strict=True))
            self._answers.append((track, ScoreResult(request.channel, request.sequence, scores)))
            self._counts.hops_scored += 1
        self._release(batch)

    def fail_batch(self, batch: Batch) -> None:
        """Miss all hops of a run that failed; their tracks keep the state they had."""
        self._counts.runs_failed += 1
        for track, request in zip(batch.tracks, batch.requests, strict=True):
            if not track.is_closed:
                self._miss(track, request)
        self._release(batch)

    def miss_waiting(self) -> None:
        """Miss all hops that wait."""
        self._expire(math.inf)

    def take_answers(self) -> list[tuple[Track, Answer]]:
        """Return the answers since the last call, those of each track in order.

        Only a hop that was missed because too many waited is answered before those it waited
        behind would have been.
        """
        answers, self._answers = self._answers, []
        return [(track, answer) for track, answer in answers if not track.is_closed]

    def _expire(self, before_s: float) -> None:
        """Miss what was submitted before a time, of tracks that are not in a run."""
        for track in self._ready:
            while track.waiting and track.waiting[0].submitted_s < before_s:
                self._miss(track, track.waiting.popleft().request)
                self._hops_waiting -= 1

    def _miss(self, track: Track, request: ScoreRequest) -> None:
        self._answers.append((track, ScoreMissed(request.channel, request.sequence)))
        self._counts.hops_missed += 1

    def _schedule(self, track: Track) -> None:
        if track.waiting and not track.is_scheduled:
            track.is_scheduled = True
            self._ready.append(track)

    def _release(self, batch: Batch) -> None:
        for track in batch.tracks:
            track.is_scheduled = False
            self._schedule(track)

    def _grow(self) -> None:
        """Double the room for states."""
        slots = len(self._states)
        added = self._model.new_states(max(slots, _FIRST_SLOTS))
        self._states = np.concatenate((self._states, added))
        self._free_slots.extend(range(slots, len(self._states)))
