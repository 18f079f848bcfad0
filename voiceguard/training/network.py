"""The stress network: front end, views, experts that each hear one view, their sum.

Everything that one hop leaves to the next lies in one flat state vector, so the
same `forward` trains on seconds of speech at once and serves hop by hop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from voiceguard.training.corpora import EMOTIONS
from voiceguard.training.experts import HopExperts, Shape, StepExperts
from voiceguard.training.frontend import OVERLAP_SAMPLES, FrontEnd
from voiceguard.training.masking import SpectrumMasking
from voiceguard.training.targets import OUTPUTS
from voiceguard.training.views import HOP_VIEWS, STEP_VIEWS, Views

WEIGHTS: Final = {"spectrum": 2.0, "shape": 2.0, "profile": 2.0}
"""Of an expert's log-odds, where not 1. Spectrum and shape tell most at home, the profile travels
best; chosen with EMO-DB left out (docs/evaluation/experiments.md)."""

HEARD_IN_STEPS: Final = "distress"
"""The output that the experts of hops have no part in: a mean over 3 s shows the effort of a
voice, which anger and fear share, and takes loud fear for anger."""


_VIEWS: Final = (*STEP_VIEWS, *HOP_VIEWS)
EXPERTS: Final = len(_VIEWS)
"""How many there are."""


class StressNetwork(nn.Module):
    """PCM and state in, log-odds and state out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.front_end = FrontEnd()
        self.masking = SpectrumMasking()
        self.views = Views()
        self.step_experts = StepExperts(shape)
        self.hop_experts = HopExperts(shape)
        self.output_mixing: Tensor
        self.emotion_mixing: Tensor
        self.register_buffer("output_mixing", _mixing(OUTPUTS), persistent=False)
        self.register_buffer("emotion_mixing", _mixing(EMOTIONS), persistent=False)
        self.state_sizes = [
            (1, OVERLAP_SAMPLES),
            *Views.state_sizes,
            *self.step_experts.state_sizes,
        ]

    @property
    def state_size(self) -> int:
        """Length of the flat state."""
        return sum(rows * columns for rows, columns in self.state_sizes)

    def zero_state(self, batch: int) -> Tensor:
        """Return the state at the start of a channel."""
        return torch.zeros(batch, self.state_size, device=self.output_mixing.device)

    def forward(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score hops.

        Args:
            pcm: (batch, k * HOP_SAMPLES), k >= 1, in [-1, 1).
            state: (batch, state_size), zeros at first.

        Returns:
            Log-odds of `OUTPUTS` (batch, k, 4), of `EMOTIONS` (batch, k, 6), each the
            weighted mean of the experts', and the state for the next call.
        """
        outputs, emotions, next_state = self._hear(pcm, state)
        return outputs @ self.output_mixing, emotions @ self.emotion_mixing, next_state

    def hear(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what `forward` does, of each expert by itself: (batch, experts, k, ...)."""
        outputs, emotions, next_state = self._hear(pcm, state)
        by_expert = (len(pcm), outputs.shape[1], EXPERTS, -1)
        outputs, emotions = (
            each.reshape(by_expert).transpose(1, 2) for each in (outputs, emotions)
        )
        return outputs, emotions, next_state

    def _hear(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the log-odds of one expert after those of another, (batch, k, ...)."""
        overlap, levels, moments, *past = self._split(state)
        with torch.autocast(pcm.device.type, enabled=False):
            energy, periodicity = self.front_end(pcm, overlap)
            energy = self.masking(energy, pcm.shape[0])
            heard = self.views(energy, periodicity, [levels, moments])
        outputs, emotions, kept = self.step_experts(heard.steps, heard.counts, past)
        by_hop, emotions_by_hop = self.hop_experts(heard.hops)
        kept = [pcm[:, -OVERLAP_SAMPLES:], *heard.kept, *kept]
        return (
            torch.cat([outputs, by_hop], dim=2),
            torch.cat([emotions, emotions_by_hop], dim=2),
            torch.cat([part.flatten(1) for part in kept], dim=1),
        )

    def _split(self, state: Tensor) -> list[Tensor]:
        parts, start = [], 0
        for rows, columns in self.state_sizes:
            stop = start + rows * columns
            parts.append(state[:, start:stop].reshape(-1, rows, columns))
            start = stop
        return parts


def _mixing(names: Sequence[str]) -> Tensor:
    """Return what makes weighted means of the experts' log-odds, (experts * names, names)."""
    weights = torch.tensor([[WEIGHTS.get(view, 1.0)] * len(names) for view in _VIEWS])
    if HEARD_IN_STEPS in names:
        weights[len(STEP_VIEWS) :, names.index(HEARD_IN_STEPS)] = 0.0
    diagonals = [torch.diag(own) for own in weights / weights.sum(dim=0)]
    return torch.cat(diagonals, dim=0)
