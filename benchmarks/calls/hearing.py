"""Calls made and heard in several processes, each with its own engine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.model import StressModel
from voiceguard.training.augment import Sounds
from voiceguard.training.calls import CallMaker, CallSounds, ScoredCall, default_policy, voices_of
from voiceguard.training.calls.scoring import hear
from voiceguard.training.clips import Recording, Report

if TYPE_CHECKING:
    from benchmarks.calls.baselines import Egemaps


@dataclass(frozen=True, slots=True)
class Setting:
    """What calls are made of and heard with."""

    recordings: Sequence[Recording]
    augmentation: Path | None
    model: Path
    seed: int
    with_features: bool
    """Compute eGeMAPS too, which takes far longer than everything else."""


@dataclass(frozen=True, slots=True, eq=False)
class HeardCall:
    """A call that the engine heard."""

    call: ScoredCall
    features: NDArray[np.float32] | None
    """(hops, 88) eGeMAPS functionals, where they were asked for."""


class _Worker:
    """Makes and hears calls; one for each process."""

    def __init__(self, setting: Setting) -> None:
        self._maker = CallMaker(
            voices_of(setting.recordings),
            CallSounds.from_folder(setting.augmentation),
            Sounds.from_folder(setting.augmentation),
            setting.seed,
        )
        self._model = StressModel.load(setting.model)
        self._weights = EvidenceWeights.from_mapping(self._model.manifest.pressure)
        self._policy = default_policy()
        self._egemaps = _egemaps() if setting.with_features else None

    def hear(self, number: int) -> HeardCall:
        script, audio = self._maker.make(number)
        keep = self._egemaps is not None
        call, _ = hear(script, audio, self._model, self._policy, self._weights, keep_pcm=keep)
        if self._egemaps is None or call.pcm is None:
            return HeardCall(call, None)
        features = self._egemaps.of_hops(call.pcm)
        return HeardCall(replace(call, pcm=None), features)


def _egemaps() -> Egemaps:
    from benchmarks.calls.baselines import Egemaps  # noqa: PLC0415 - only baselines need openSMILE

    return Egemaps()


_WORKER: list[_Worker] = []
"""The worker of this process, set once when the process starts."""


def _start(setting: Setting) -> None:
    _WORKER[:] = [_Worker(setting)]


def _hear(number: int) -> HeardCall:
    return _WORKER[0].hear(number)


def hear_calls(setting: Setting, count: int, jobs: int, report: Report) -> list[HeardCall]:
    """Return calls 0 to `count` - 1 in order, whatever `jobs` is.

    Raises:
        ModelError: the model cannot be loaded or failed.
        TrainingDataError: no speaker has clips of every emotion that calls need.
    """
    if jobs == 1:
        _start(setting)
        return [_reported(number, count, report) for number in range(count)]
    heard: dict[int, HeardCall] = {}
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_start, initargs=(setting,))
    try:
        numbers = {pool.submit(_hear, number): number for number in range(count)}
        for future in as_completed(numbers):
            heard[numbers[future]] = future.result()
            report(len(heard), count)
    finally:
        pool.shutdown(cancel_futures=True)
    return [heard[number] for number in range(count)]


def _reported(number: int, count: int, report: Report) -> HeardCall:
    heard = _hear(number)
    report(number + 1, count)
    return heard
