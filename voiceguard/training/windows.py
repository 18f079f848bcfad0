"""Sums and statistics over the hops that a score looks back on."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_LEAST_VARIANCE: Final = 1e-4


def window_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums over `LONG_HOPS` and over `SHORT_HOPS`, each (batch, hops, channels).

    Two and four make six, always added in one order, so a sum does not depend on how many
    are computed at once.

    Args:
        x: (batch, PAST_HOPS + hops, channels).
    """
    two = x[:, :-1] + x[:, 1:]
    four = two[:, :-2] + two[:, 2:]
    return four[:, :-2] + two[:, 4:], two[:, 4:]


def mean_and_deviation(moments: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation over the hops of a window that exist.

    Args:
        moments: sums over the window of means of the hops, then of their mean squares:
            (batch, hops, 2 * channels).
        count: how many hops of the window exist, (batch, hops, 1).
    """
    mean, square = (moments / count).chunk(2, dim=2)
    return mean, torch.sqrt(torch.relu(square - mean * mean) + _LEAST_VARIANCE)
