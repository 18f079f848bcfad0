"""Goes on training a network on a user's recordings, a little, and measures that by speaker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from voiceguard.training.adapt.recordings import HeardClip
from voiceguard.training.adapt.scored import Scored
from voiceguard.training.augment import Chances, Sounds
from voiceguard.training.calibrate import Calibration, area_under_curve, pressure_of, sigmoid
from voiceguard.training.examples import Batch, Batches, RowSampler, Utterance
from voiceguard.training.export import Runner, onnx_bytes, quantised_bytes
from voiceguard.training.fit import Schedule, fit
from voiceguard.training.network import StressNetwork
from voiceguard.training.progress import progress
from voiceguard.training.ship import MOST_AUC_LOST, quantiser_rows

FOLDS: Final = 4
"""Each is a training of its own: fewer than calibration, which costs nothing, can afford."""

STEPS: Final = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """How a base is learnt on from."""

    initial: StressNetwork
    calibration: Calibration
    """Of the base, for all outputs; the graphs of learnt networks begin with it."""
    rehearsed: Sequence[Utterance]
    """Of the corpora that the base has learnt from: half of the rows, if there are any."""
    sounds: Sounds
    seed: int
    steps: int = STEPS

    @property
    def schedule(self) -> Schedule:
        """Return a tenth of training's rate and half of its rows: the base is to be kept."""
        return Schedule(
            steps=self.steps,
            rows=32,
            peak_rate=3e-4,
            warm_up_steps=max(self.steps // 10, 1),
            echoes=1,
            averaging=0.98,
        )


class _Mixed:
    """Rows of which half come from each of two samplers."""

    def __init__(self, own: Batches, other: Batches) -> None:
        self._own = own
        self._other = other

    def batch(self, step: int, rows: int) -> Batch:
        """Return the rows of one step."""
        parts = self._own.batch(step, rows - rows // 2), self._other.batch(step, rows // 2)
        joined = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Batch)
        }
        return Batch(**joined)


def learnt_on(plan: Plan, heard: Sequence[HeardClip], title: str) -> StressNetwork:
    """Return the plan's network, learnt on from `heard`; show progress."""
    own = [Utterance(one.clip, one.speech, one.target) for one in heard]
    sampler: Batches = RowSampler(own, plan.sounds, plan.seed, Chances())
    if plan.rehearsed:
        other = RowSampler(plan.rehearsed, plan.sounds, plan.seed + 1, Chances())
        sampler = _Mixed(sampler, other)
    torch.manual_seed(plan.seed)
    with progress(title, plan.steps) as report:
        return fit(
            sampler,
            plan.initial.shape,
            plan.schedule,
            lambda step, loss: report(step, f"loss {loss:.3f}"),
            plan.initial,
        )


def scores_out_of_fold(
    plan: Plan, heard: Sequence[HeardClip], folds: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    """Return scores (k, outputs) of each clip, by a network that did not hear its speaker."""
    scores: dict[int, NDArray[np.float32]] = {}
    count = int(folds.max()) + 1
    for fold in range(count):
        inside = [one for one, own in zip(heard, folds, strict=True) if own != fold]
        network = learnt_on(plan, inside, f"learning without fold {fold + 1} of {count}")
        runner = Runner(onnx_bytes(network, plan.calibration))
        rows = np.flatnonzero(folds == fold).tolist()
        outside = runner.score_clips(heard[row].hops for row in rows)
        scores |= dict(zip(rows, outside, strict=True))
    return [scores[row] for row in range(len(heard))]


def exported(
    network: StressNetwork, plan: Plan, heard: Sequence[HeardClip], scored: Scored
) -> bytes:
    """Return the graph of a learnt network, in int8 if that costs next to nothing."""
    fp32 = onnx_bytes(network, plan.calibration)
    rows = quantiser_rows([one.hops for one in heard])
    int8 = quantised_bytes(fp32, rows, network.state_size)
    lost = _auc(fp32, heard, scored) - _auc(int8, heard, scored)
    return int8 if lost <= MOST_AUC_LOST else fp32


def _auc(model: bytes, heard: Sequence[HeardClip], scored: Scored) -> float:
    """Return how well a graph orders the clips it has learnt from by pressure."""
    scores = Runner(model).score_clips(one.hops for one in heard)
    again = replace(scored, hop_scores=tuple(one.astype(float) for one in scores))
    return area_under_curve(pressure_of(sigmoid(again.logits())), scored.is_pressured)
