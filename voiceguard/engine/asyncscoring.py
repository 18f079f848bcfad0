"""Scores the hops of all calls of a server, off its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

import structlog

from voiceguard.core.events import ScoreRequest
from voiceguard.engine.scoring import (
    Answer,
    Batch,
    HopModel,
    ScoreBatcher,
    ScoringLimits,
    ScoringStatistics,
    Track,
)

__all__ = ["LONGEST_GATHER_S", "SHORTEST_GATHER_S", "AsyncScorer"]

SHORTEST_GATHER_S: Final = 0.02
"""How long the first hop waits for others, when there is little to do."""

LONGEST_GATHER_S: Final = 0.05
"""The same under load, where fuller batches pay."""

OnAnswer = Callable[[Answer], None]
OnError = Callable[[Exception], None]


def log_failure(error: Exception) -> None:
    """Log a run that failed."""
    structlog.get_logger(__name__).error("scoring_failed", error=str(error))


class AsyncScorer:
    """Gathers hops for some milliseconds and scores them in one run, in one worker thread.

    All methods belong to the event loop that `start` was called on.  Answers come on the loop
    too, by the function given to `open_track`, in order for each track.  A run that fails costs
    the hops in it and nothing more.

    Args:
        model: what scores.
        limits: how much may wait, and how long.
        on_error: told of the first failure of several in a row, and of whatever a function given
            to `open_track` raises; logs it unless given.

    """

    def __init__(
        self,
        model: HopModel,
        limits: ScoringLimits | None = None,
        *,
        on_error: OnError = log_failure,
    ) -> None:
        """Start with nothing running; see `start`."""
        self._batcher = ScoreBatcher(model, limits)
        self._on_error = on_error
        self._on_answer: dict[Track, OnAnswer] = {}
        self._submitted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._worker: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_run_s = 0.0
        self._run_oldest_s: float | None = None
        self._is_failing = False
        self._has_ended = False

    @property
    def statistics(self) -> ScoringStatistics:
        """What has been scored so far."""
        return self._batcher.statistics

    @property
    def oldest_waiting_s(self) -> float:
        """How long the hop that has waited longest has no answer, in seconds; 0 if all have.

        The server's lag: hops in a run are counted too, so a run that hangs shows.
        """
        known_s = (self._batcher.oldest_submission_s(), self._run_oldest_s)
        oldest_s = min((known for known in known_s if known is not None), default=None)
        return 0.0 if oldest_s is None else asyncio.get_running_loop().time() - oldest_s

    async def start(self) -> None:
        """Begin to score.

        Raises:
            RuntimeError: it was started before; a scorer runs once.

        """
        if self._worker is not None:
            raise RuntimeError("a scorer is started once")
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="voiceguard-scorer")
        self._task = asyncio.create_task(self._serve(self._worker), name="voiceguard-scorer")

    async def stop(self) -> None:
        """End after the run in progress; hops that still wait are missed. Idempotent."""
        self._stopping.set()
        self._submitted.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    def open_track(self, on_answer: OnAnswer) -> Track:
        """Begin a channel.

        Args:
            on_answer: called on the event loop with each answer; never from within `submit`.

        """
        track = self._batcher.open_track()
        self._on_answer[track] = on_answer
        return track

    def close_track(self, track: Track) -> None:
        """End a channel; what it still waits for is dropped. Idempotent."""
        self._batcher.close_track(track)
        self._on_answer.pop(track, None)

    def submit(self, track: Track, request: ScoreRequest) -> None:
        """Let a hop wait for the next run; before `start` it waits, after `stop` it is missed.

        Raises:
            ValueError: the track is closed, or the hop has not the shape of one.

        """
        loop = asyncio.get_running_loop()
        self._batcher.submit(track, request, loop.time())
        self._submitted.set()
        if self._has_ended:
            loop.call_soon(self._miss_waiting)

    async def _serve(self, worker: ThreadPoolExecutor) -> None:
        try:
            while not self._stopping.is_set():
                await self._submitted.wait()
                self._submitted.clear()
                while await self._gather():
                    await self._score_once(worker)
                    self._deliver()
                self._deliver()
        finally:
            worker.shutdown(wait=False, cancel_futures=True)
            self._has_ended = True
            self._miss_waiting()

    async def _gather(self) -> bool:
        """Wait until the oldest hop has waited long enough; return whether one is to be run."""
        oldest_s = self._batcher.oldest_submission_s()
        if oldest_s is None or self._stopping.is_set():
            return False
        gather_s = min(max(self._last_run_s, SHORTEST_GATHER_S), LONGEST_GATHER_S)
        missing_s = oldest_s + gather_s - asyncio.get_running_loop().time()
        if missing_s > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), missing_s)
            except TimeoutError:
                return True
        return not self._stopping.is_set()

    async def _score_once(self, worker: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        batch = self._batcher.take_batch(loop.time())
        if batch is None:
            return
        started_s = loop.time()
        self._run_oldest_s = batch.oldest_s
        try:
            scored = await loop.run_in_executor(worker, self._batcher.run_batch, batch)
        except asyncio.CancelledError:
            self._batcher.fail_batch(batch)
            raise
        except Exception as error:  # noqa: BLE001 (whatever a run raises, calls go on)
            self._fail(batch, error)
        else:
            self._is_failing = False
            self._batcher.finish_batch(batch, scored)
        finally:
            self._run_oldest_s = None
        self._last_run_s = loop.time() - started_s

    def _fail(self, batch: Batch, error: Exception) -> None:
        self._batcher.fail_batch(batch)
        if not self._is_failing:
            self._on_error(error)
        self._is_failing = True

    def _miss_waiting(self) -> None:
        self._batcher.miss_waiting()
        self._deliver()

    def _deliver(self) -> None:
        for track, answer in self._batcher.take_answers():
            on_answer = self._on_answer.get(track)
            if on_answer is None:  # closed by the answer before
                continue
            try:
                on_answer(answer)
            except Exception as error:  # noqa: BLE001 (one call's fault is not another's)
                self._on_error(error)
