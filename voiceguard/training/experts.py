"""Small networks that each hear one view of the speech and know nothing of each other.

They run side by side as the groups of one network's convolutions, which costs no more nodes
than one of them. The slow part is a temporal convolutional network after Bai, Kolter, Koltun
(2018, arXiv:1803.01271) with statistics pooling after Snyder et al. (2018, x-vectors) over a
sliding window of hops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from voiceguard.training.corpora import EMOTIONS
from voiceguard.training.frontend import BANDS, HOP_STEPS
from voiceguard.training.lookback import PAST_HOPS
from voiceguard.training.targets import OUTPUTS
from voiceguard.training.views import HOP_VIEWS, STEP_VIEWS
from voiceguard.training.windows import mean_and_deviation, window_sums

STEM_KERNEL: Final = 3
STRIDE: Final = 5
"""Steps of 20 ms in a slow step of 100 ms; a hop holds a whole number of them."""

_SLOW_STEPS: Final = HOP_STEPS // STRIDE
_STATISTICS: Final = 4
_EXPERTS: Final = len(STEP_VIEWS)


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of one expert; all experts of steps have the same."""

    channels: int = 48
    """At 20 ms."""
    slow_channels: int = 64
    """At 100 ms."""
    dilations: tuple[int, ...] = (1, 2)
    slow_dilations: tuple[int, ...] = (1, 2)
    hidden: int = 48
    hop_hidden: int = 32
    """Of an expert of hops."""
    dropout: float = 0.2

    def as_data(self) -> dict[str, object]:
        """Return the sizes as plain data, for a checkpoint."""
        return asdict(self)


class Block(nn.Module):
    """Dilated causal convolution, then a pointwise one, with a residual connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        width, groups = _EXPERTS * channels, _EXPERTS
        self.dilated = nn.Conv1d(width, width, 3, dilation=dilation, groups=groups, bias=False)
        self.dilated_norm = nn.BatchNorm1d(width)
        self.pointwise = nn.Conv1d(width, width, 1, groups=groups, bias=False)
        self.pointwise_norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, width, steps) of (batch, width, past + steps)."""
        y = torch.relu(self.dilated_norm(self.dilated(x)))
        y = self.pointwise_norm(self.pointwise(y))
        return torch.relu(x[:, :, self.past :] + y)


class StepExperts(nn.Module):
    """One temporal convolutional network for each of `STEP_VIEWS`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        channels, slow, groups = shape.channels, shape.slow_channels, _EXPERTS
        width, slow_width = groups * channels, groups * slow
        self.input_norm = nn.BatchNorm1d(groups * BANDS, affine=False)
        self.stem = nn.Conv1d(groups * BANDS, width, STEM_KERNEL, groups=groups, bias=False)
        self.stem_norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(Block(channels, dilation) for dilation in shape.dilations)
        self.slower = nn.Conv1d(width, slow_width, STRIDE, stride=STRIDE, groups=groups, bias=False)
        self.slower_norm = nn.BatchNorm1d(slow_width)
        self.slow_blocks = nn.ModuleList(Block(slow, dilation) for dilation in shape.slow_dilations)
        self.head = Head([slow] * groups * _STATISTICS, shape.hidden, groups, shape.dropout)

    @property
    def state_sizes(self) -> list[tuple[int, int]]:
        """(rows, columns) of each part of the state, in order."""
        width, slow_width = _EXPERTS * self.shape.channels, _EXPERTS * self.shape.slow_channels
        return [
            (_EXPERTS * BANDS, STEM_KERNEL - 1),
            *((width, 2 * dilation) for dilation in self.shape.dilations),
            *((slow_width, 2 * dilation) for dilation in self.shape.slow_dilations),
            (PAST_HOPS, 2 * slow_width),
        ]

    def forward(
        self, steps: Tensor, counts: tuple[Tensor, Tensor], past: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Hear hops.

        Args:
            steps: the step views, as `Heard.steps`.
            counts: how many hops there are, as `Heard.counts`.
            past: what this returned last, zeros at first; shapes are `state_sizes`.

        Returns:
            Log-odds of `OUTPUTS` and of `EMOTIONS`, those of one expert after those of another,
            (batch, hops, experts * ...), and the past for the next call.
        """
        kept: list[Tensor] = []
        waiting = iter(past)

        def after_past(x: Tensor, columns: int) -> Tensor:
            joined = torch.cat([next(waiting), x], dim=2)
            kept.append(joined[:, :, -columns:])
            return joined

        x = after_past(self.input_norm(steps), STEM_KERNEL - 1)
        x = torch.relu(self.stem_norm(self.stem(x)))
        for block, dilation in zip(self.blocks, self.shape.dilations, strict=True):
            x = block(after_past(x, 2 * dilation))
        x = torch.relu(self.slower_norm(self.slower(x)))
        for block, dilation in zip(self.slow_blocks, self.shape.slow_dilations, strict=True):
            x = block(after_past(x, 2 * dilation))
        moments = functional.avg_pool1d(torch.cat([x, x * x], dim=1).float(), _SLOW_STEPS)
        moments = torch.cat([next(waiting), moments.transpose(1, 2)], dim=1)
        kept.append(moments[:, -PAST_HOPS:])
        sums = window_sums(moments)
        pairs = [mean_and_deviation(*one) for one in zip(sums, counts, strict=True)]
        outputs, emotions = self.head(torch.cat([each for pair in pairs for each in pair], dim=2))
        return outputs, emotions, kept


class HopExperts(nn.Module):
    """One hidden layer for each of `HOP_VIEWS`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        experts = len(HOP_VIEWS)
        self.head = Head([BANDS] * experts, shape.hop_hidden, experts, shape.dropout)

    def forward(self, hops: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-odds as `StepExperts` does, of `Heard.hops`."""
        outputs, emotions = self.head(hops)
        return outputs, emotions


class Head(nn.Module):
    """One hidden layer for each expert, and what it says of outputs and emotions."""

    def __init__(self, parts: Sequence[int], hidden: int, experts: int, dropout: float) -> None:
        """Make a head.

        Args:
            parts: sizes of the parts of the input, the experts' in turns.
            hidden: units of each expert.
            experts: how many.
            dropout: of inputs and of units.
        """
        super().__init__()
        self.norm = HopNorm(sum(parts))
        self.dropout = nn.Dropout(dropout)
        inside = [hidden] * experts
        self.hidden = ExpertLinear(parts, inside)
        self.outputs = ExpertLinear(inside, [len(OUTPUTS)] * experts)
        self.emotions = ExpertLinear(inside, [len(EMOTIONS)] * experts)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-odds (batch, hops, experts * ...) of outputs and of emotions."""
        hidden = self.dropout(torch.relu(self.hidden(self.dropout(self.norm(x)))))
        return self.outputs(hidden), self.emotions(hidden)


class HopNorm(nn.BatchNorm1d):
    """Batch norm of (batch, hops, channels)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, each channel normalised over batch and hops."""
        return super().forward(x.flatten(0, 1)).reshape(x.shape)


class ExpertLinear(nn.Module):
    """A linear layer whose blocks from one expert to another are nil."""

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        owners_in = _owners(inputs, len(outputs))
        owners_out = _owners(outputs, len(outputs))
        allowed = (owners_out[:, None] == owners_in).float()
        fan_in = allowed.sum(dim=1, keepdim=True)
        self.allowed: Tensor
        self.register_buffer("allowed", allowed, persistent=False)
        # As torch initialises a linear layer with so many inputs.
        self.weight = nn.Parameter(torch.empty_like(allowed).uniform_(-1, 1) / fan_in.sqrt())
        self.bias = nn.Parameter(torch.empty(len(allowed)).uniform_(-1, 1) / fan_in[:, 0].sqrt())

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., sum of outputs) of (..., sum of inputs)."""
        return functional.linear(x, self.weight * self.allowed, self.bias)


def _owners(sizes: Sequence[int], experts: int) -> Tensor:
    """Return of each unit the number of its expert; parts are the experts' in turns."""
    parts = torch.arange(len(sizes)) % experts
    return parts.repeat_interleave(torch.tensor(sizes))
