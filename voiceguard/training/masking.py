"""Hides parts of the spectrum while training, so that no band and no moment is leant on alone."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from voiceguard.training.frontend import BANDS, QUIET

_CHANCE: Final = 0.5
_MOST_BANDS: Final = 7
_MOST_STEPS: Final = 11
"""0.2 s."""

_DAMPED: Final = 0.0025
"""Of the energy, what is left of the hidden moment: -26 dB, the next word's noise floor."""


class SpectrumMasking(nn.Module):
    """SpecAugment (Park et al. 2019, arXiv:1904.08779): does nothing but in training."""

    def forward(self, energy: Tensor, rows: int) -> Tensor:
        """Return energies of which half of the rows lack some bands and a moment.

        Args:
            energy: (rows * hops, HOP_STEPS, BANDS).
            rows: how many there are.
        """
        if not self.training:
            return energy
        by_row = energy.reshape(rows, -1, BANDS)
        chosen = (torch.rand(rows, 1, device=energy.device) < _CHANCE).unsqueeze(2)
        mean = torch.log(by_row + QUIET).mean(dim=(1, 2), keepdim=True).exp()
        bands = _stretch(rows, BANDS, _MOST_BANDS, energy.device).unsqueeze(1)
        steps = _stretch(rows, by_row.shape[1], _MOST_STEPS, energy.device).unsqueeze(2)
        flattened = torch.where(chosen & bands, mean, by_row)
        damped = torch.where(chosen & steps, _DAMPED * flattened, flattened)
        return damped.reshape(energy.shape)


def _stretch(rows: int, length: int, longest: int, device: torch.device) -> Tensor:
    """Return (rows, length), true from a random place over a random number of neighbours."""
    first = torch.randint(length - longest, (rows, 1), device=device)
    width = torch.randint(1, longest + 1, (rows, 1), device=device)
    places = torch.arange(length, device=device)
    return (places >= first) & (places < first + width)
