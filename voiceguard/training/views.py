"""Views of speech, one for each expert: what each may hear, and what it may not.

A corpus has its own rooms, microphones and levels, and a network that hears everything learns
them. An expert that hears one view can lean on that view only, and where one is led astray by a
strange room, the others are not (docs/evaluation/experiments.md). A constant gain cancels in
every view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from voiceguard.training.frontend import BANDS, QUIET
from voiceguard.training.lookback import PAST_HOPS
from voiceguard.training.windows import window_sums

STEP_VIEWS: Final = ("spectrum", "shape", "periodicity")
"""Every 20 ms: log-mel against the level of the last 3 s; against its own level, so that only
the colour is left, with soft steps faded out, where a room is heard rather than a voice; and
autocorrelation, which is pitch and voicing and knows no colour."""

HOP_VIEWS: Final = ("profile", "slope", "pitch")
"""Every hop, of the last 3 s: the mean spectrum; how much each band rises when the voice does
(a regression slope); and the mean autocorrelation, loud steps first."""

_FARTHEST: Final = 9.0
"""Log-mel is clipped this far (nepers of power; 39 dB) from the level: noise lies below."""

_FARTHEST_IN_SHAPE: Final = 5.0
_HIGHEST_PROFILE: Final = 3.0
_FARTHEST_LEVEL: Final = 3.0
_LOWEST_BAND: Final = -2.5
_HIGHEST_BAND: Final = 4.0
_LEAST_SPREAD: Final = 0.05
"""Added to the mean square of levels, so that a flat voice has no slope rather than any."""

_LOUDEST_STEP: Final = 4.5
"""A step weighs in the pitch as the root of its energy, and no more than this."""

_FADE_SLOPE: Final = 2.0
_FADE_MIDDLE: Final = -1.5
"""A step 1.5 nepers (6.5 dB) below the level of the last 3 s is heard by half."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The views of some hops."""

    steps: Tensor
    """(batch, len(STEP_VIEWS) * BANDS, hops * HOP_STEPS)."""
    hops: Tensor
    """(batch, hops, len(HOP_VIEWS) * BANDS)."""
    counts: tuple[Tensor, Tensor]
    """How many hops there are in the long window and in the short one, each (batch, hops, 1)."""
    kept: list[Tensor]
    """What the next hops need of these, as `Views.state_sizes` says."""


class Views(nn.Module):
    """What the experts hear, from the front end's energies and periodicity."""

    state_sizes: Final = [(PAST_HOPS, BANDS + 1), (PAST_HOPS, 2 * BANDS + 2)]
    """Of each past hop: its mean energy by band, and 1 if there was such a hop; then its sums
    for slope and pitch."""

    def forward(self, energy: Tensor, periodicity: Tensor, past: list[Tensor]) -> Heard:
        """Return the views of hops.

        Args:
            energy: (batch * hops, HOP_STEPS, BANDS).
            periodicity: the same.
            past: what was kept of the hops before, zeros at first.
        """
        batch = past[0].shape[0]
        by_hop = functional.pad(energy.mean(dim=1), (0, 1), value=1.0)
        known = torch.cat([past[0], by_hop.reshape(batch, -1, BANDS + 1)], dim=1)
        long, short = window_sums(known)
        bands = long[:, :, :BANDS] / long[:, :, BANDS:]
        mean_bands = torch.log(bands + QUIET)
        level = torch.log(bands.mean(dim=2, keepdim=True) + QUIET)
        log_mel = torch.log(energy + QUIET)
        own_level = torch.log(energy.mean(dim=2, keepdim=True) + QUIET)
        rise = own_level - level.reshape(-1, 1, 1)
        steps = _steps(log_mel, own_level, rise, periodicity)
        moments = _moments(log_mel - mean_bands.reshape(-1, 1, BANDS), rise, periodicity)
        moments = torch.cat([past[1], moments.reshape(batch, -1, 2 * BANDS + 2)], dim=1)
        slope, pitch = _slope_and_pitch(window_sums(moments)[0] / long[:, :, BANDS:])
        profile = torch.clamp(mean_bands - level, -_FARTHEST, _HIGHEST_PROFILE)
        return Heard(
            steps.reshape(batch, -1, len(STEP_VIEWS) * BANDS).transpose(1, 2),
            torch.cat([profile, slope, pitch], dim=2),
            (long[:, :, BANDS:], short[:, :, BANDS:]),
            [known[:, -PAST_HOPS:], moments[:, -PAST_HOPS:]],
        )


def _steps(log_mel: Tensor, own_level: Tensor, rise: Tensor, periodicity: Tensor) -> Tensor:
    """Return the step views side by side, (batch * hops, HOP_STEPS, 3 * BANDS)."""
    shape = log_mel - own_level
    spectrum = torch.clamp(shape + rise, -_FARTHEST, _FARTHEST)
    fade = torch.sigmoid(_FADE_SLOPE * (rise - _FADE_MIDDLE))
    faded = torch.clamp(shape, -_FARTHEST_IN_SHAPE, _FARTHEST_IN_SHAPE) * fade
    return torch.cat([spectrum, faded, periodicity], dim=2)


def _moments(bands: Tensor, rise: Tensor, periodicity: Tensor) -> Tensor:
    """Return of each hop what slope and pitch are made of, (batch * hops, 2 * BANDS + 2)."""
    bands = torch.clamp(bands, _LOWEST_BAND, _HIGHEST_BAND)
    weight = torch.clamp(torch.exp(0.5 * rise), max=_LOUDEST_STEP)
    rise = torch.clamp(rise, -_FARTHEST_LEVEL, _FARTHEST_LEVEL)
    parts = [bands * rise, periodicity * weight, rise * rise, weight]
    return torch.cat(parts, dim=2).mean(dim=1)


def _slope_and_pitch(means: Tensor) -> tuple[Tensor, Tensor]:
    """Return two hop views, each (batch, hops, BANDS), of the window's mean moments."""
    covariance, weighted = means[:, :, :BANDS], means[:, :, BANDS : 2 * BANDS]
    square, weight = means[:, :, 2 * BANDS : -1], means[:, :, -1:]
    return covariance / (square + _LEAST_SPREAD), weighted / (weight + QUIET)
