"""The training loop: soft-label losses on every hop, averaged weights kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from voiceguard.training.examples import Batch, Batches, prefetched
from voiceguard.training.experts import Shape
from voiceguard.training.network import StressNetwork

_OUTPUT_WEIGHTS: Final = (1.0, 0.8, 0.4, 0.4)
_EMOTION_WEIGHT: Final = 0.3
_LONGEST_GRADIENT: Final = 2.0
_LEAST_FREQUENCY: Final = 1e-3

_LEAST_PRESSURE: Final = 1e-6
"""Keeps the logarithm of a pressure of nearly 0 finite."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int = 700
    rows: int = 64
    peak_rate: float = 3e-3
    weight_decay: float = 0.05
    warm_up_steps: int = 60
    echoes: int = 2
    """How often a batch is learnt from before there are new ones."""
    averaging: float = 0.995
    """Weights that are kept are an exponential mean over steps with this memory."""


Report = Callable[[int, float], None]
"""Called after each step with the number of steps done and the loss."""


def fit(
    sampler: Batches,
    shape: Shape,
    schedule: Schedule,
    report: Report,
    initial: StressNetwork | None = None,
) -> StressNetwork:
    """Train a network and return its averaged weights, in evaluation mode.

    Args:
        sampler: what to learn from.
        shape: sizes of a network made for it.
        schedule: how long and how fast.
        report: called after each step.
        initial: a network to learn on from, left as it is; it has its own shape.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = (StressNetwork(shape) if initial is None else copy.deepcopy(initial)).to(device)
    averaged = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.peak_rate, weight_decay=schedule.weight_decay
    )
    network.train()
    batches = prefetched(sampler, schedule.steps, schedule.rows, schedule.echoes)
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, schedule)
        loss = loss_of(network, batch, device)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_GRADIENT)
        optimiser.step()
        _average(averaged, network, min(schedule.averaging, (step + 1) / (step + 10)))
        report(step + 1, float(loss.detach()))
    return averaged.cpu().eval()


def loss_of(network: StressNetwork, batch: Batch, device: torch.device) -> Tensor:
    """Return the loss of one batch from zero state, summed over the experts.

    Each expert learns as if it were alone, so none leans on another's errors.
    """
    pcm = torch.from_numpy(batch.pcm).to(device)
    with torch.autocast(device.type, torch.bfloat16):
        by_expert = network.hear(pcm, network.zero_state(len(pcm)))
    # (experts, rows, hops, ...): what is learnt is the same for every expert.
    logits, emotion_logits = (each.float().transpose(0, 1) for each in by_expert[:2])
    outputs = torch.from_numpy(batch.outputs).to(device)
    emotions = torch.from_numpy(batch.emotions).to(device)
    weights = torch.from_numpy(batch.weights).to(device)
    known = ~torch.isnan(outputs)
    each = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(outputs).expand_as(logits), reduction="none"
    )
    heads = torch.tensor(_OUTPUT_WEIGHTS, device=device)
    total = (each * known * heads * weights[..., None]).sum() / weights.sum()
    pressure = torch.from_numpy(batch.pressure).to(device)
    total = total + (_pressure_loss(logits, pressure) * weights).sum() / weights.sum()
    return total + _EMOTION_WEIGHT * _emotion_loss(emotion_logits, emotions, weights)


def _emotion_loss(logits: Tensor, emotions: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy of the emotions, as if each were as frequent as the others.

    The logits are adjusted by how frequent each is in the batch (Menon et al. 2021,
    arXiv:2007.07314), so that what they say does not depend on what was drawn.

    Args:
        logits: (experts, batch, hops, 6).
        emotions: (batch, hops, 6); where they are NaN the loss is 0.
        weights: (batch, hops).
    """
    named = ~torch.isnan(emotions).any(dim=-1)
    known = torch.nan_to_num(emotions)
    counted = weights * named
    frequency = (known * counted[..., None]).sum(dim=(0, 1)) / (counted.sum() + _LEAST_FREQUENCY)
    adjusted = logits + torch.log(frequency + _LEAST_FREQUENCY)
    cross_entropy = -(known * functional.log_softmax(adjusted, dim=-1)).sum(dim=-1)
    return (cross_entropy * counted).sum() / weights.sum()


def _pressure_loss(logits: Tensor, pressure: Tensor) -> Tensor:
    """Return the cross-entropy of anger or distress, taken as independent (noisy-or).

    Args:
        logits: (..., batch, hops, 4).
        pressure: (batch, hops); where it is NaN the loss is 0.
    """
    neither = functional.logsigmoid(-logits[..., 0]) + functional.logsigmoid(-logits[..., 1])
    either = torch.log(-torch.expm1(torch.clamp(neither, max=-_LEAST_PRESSURE)))
    known = torch.nan_to_num(pressure)
    return -(known * either + (1.0 - known) * neither) * ~torch.isnan(pressure)


def _rate(step: int, schedule: Schedule) -> float:
    """Return the learning rate: linear warm-up, then a cosine down to a hundredth."""
    if step < schedule.warm_up_steps:
        return schedule.peak_rate * (step + 1) / schedule.warm_up_steps
    span = max(schedule.steps - schedule.warm_up_steps, 1)
    done = (step - schedule.warm_up_steps) / span
    return schedule.peak_rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))


@torch.no_grad()
def _average(averaged: StressNetwork, network: StressNetwork, memory: float) -> None:
    for mean, new in zip(
        averaged.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.dtype.is_floating_point:
            mean.lerp_(new, 1.0 - memory)
        else:
            mean.copy_(new)
