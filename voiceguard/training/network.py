"""The stress network: log-mel front end, causal TCN, statistics pooling, heads.

Everything that one hop leaves to the next lies in one flat state vector, so the
same `forward` trains on seconds of speech at once and serves hop by hop.

The network is a temporal convolutional network after Bai, Kolter, Koltun (2018,
arXiv:1803.01271) with statistics pooling after Snyder et al. (2018, x-vectors),
over a sliding window. Level normalisation subtracts the log of the mean energy
of the last `LEVEL_HOPS` hops, so a constant gain cancels exactly.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from voiceguard.core.units import HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.training.corpora import EMOTIONS
from voiceguard.training.targets import OUTPUTS

FFT_SAMPLES: Final = 256
STEP_SAMPLES: Final = 80
MEL_BANDS: Final = 48
MEL_LOW_HZ: Final = 80.0
MEL_HIGH_HZ: Final = 3800.0
LOG_FLOOR: Final = 1e-12
"""Added to energies before the logarithm: far below one step of 16-bit audio."""

HOP_STEPS: Final = HOP_SAMPLES // STEP_SAMPLES
HOP_FRAMES: Final = HOP_STEPS // 2
OVERLAP_SAMPLES: Final = FFT_SAMPLES - STEP_SAMPLES
LEVEL_HOPS: Final = 6
LONG_HOPS: Final = 6
SHORT_HOPS: Final = 2
QUIETEST: Final = -9.0
"""Log-mel is clipped this far (nepers of power; 39 dB) below the level: noise lies there."""
LOUDEST: Final = 9.0

STEM_KERNEL: Final = 4
STEM_PAST: Final = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    channels: int = 96
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    hidden: int = 64
    dropout: float = 0.2

    def as_data(self) -> dict[str, object]:
        """Return the sizes as plain data, for a checkpoint."""
        return asdict(self)


def mel_filters() -> NDArray[np.float64]:
    """Return triangular mel filters of shape (MEL_BANDS, FFT_SAMPLES // 2 + 1).

    The mel scale and area normalisation are those of Slaney's Auditory Toolbox
    (1998), which librosa uses too: linear below 1 kHz, logarithmic above.
    """
    points = _hz_of_mel(np.linspace(_mel_of_hz(MEL_LOW_HZ), _mel_of_hz(MEL_HIGH_HZ), MEL_BANDS + 2))
    bins = np.arange(FFT_SAMPLES // 2 + 1) * SAMPLE_RATE_HZ / FFT_SAMPLES
    low, centre, high = points[:-2, None], points[1:-1, None], points[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * 2.0 / (high - low))


def _mel_of_hz(hz: float) -> float:
    step_hz, knee_hz, step_log = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0
    if hz < knee_hz:
        return hz / step_hz
    return knee_hz / step_hz + math.log(hz / knee_hz) / step_log


def _hz_of_mel(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    step_hz, knee_hz, step_log = 200.0 / 3.0, 1000.0, math.log(6.4) / 27.0
    knee = knee_hz / step_hz
    return np.where(mel < knee, mel * step_hz, knee_hz * np.exp(step_log * (mel - knee)))


class MelEnergy(nn.Module):
    """Mel energies by a convolution with the Fourier basis: 32 ms Hann window, 10 ms step."""

    def __init__(self) -> None:
        super().__init__()
        window = np.hanning(FFT_SAMPLES + 1)[:-1]
        turns = np.outer(np.arange(FFT_SAMPLES // 2 + 1), np.arange(FFT_SAMPLES)) / FFT_SAMPLES
        basis = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)]) * window
        self.basis: Tensor
        self.filters: Tensor
        self.register_buffer("basis", torch.tensor(basis[:, None], dtype=torch.float32))
        filters = np.tile(mel_filters(), 2)  # one for the real, one for the imaginary part
        self.register_buffer("filters", torch.tensor(filters[:, :, None], dtype=torch.float32))

    def forward(self, samples: Tensor) -> Tensor:
        """Return energies (batch, MEL_BANDS, steps) of samples (batch, 1, OVERLAP + 80 steps)."""
        spectrum = functional.conv1d(samples, self.basis, stride=STEP_SAMPLES)
        return functional.conv1d(spectrum * spectrum, self.filters)


class Block(nn.Module):
    """Dilated causal convolution, then a pointwise one, with a residual connection."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.past = 2 * dilation
        self.dilated = nn.Conv1d(channels, channels, 3, dilation=dilation, bias=False)
        self.dilated_norm = nn.BatchNorm1d(channels)
        self.pointwise = nn.Conv1d(channels, channels, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, frames) of (batch, channels, past + frames)."""
        y = torch.relu(self.dilated_norm(self.dilated(x)))
        y = self.pointwise_norm(self.pointwise(y))
        return torch.relu(x[:, :, self.past :] + y)


class StressNetwork(nn.Module):
    """PCM and state in, logits and state out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        channels = shape.channels
        self.energy = MelEnergy()
        self.input_norm = nn.BatchNorm1d(MEL_BANDS, affine=False)
        self.stem = nn.Conv1d(MEL_BANDS, channels, STEM_KERNEL, stride=2, bias=False)
        self.stem_norm = nn.BatchNorm1d(channels)
        self.blocks = nn.ModuleList(Block(channels, dilation) for dilation in shape.dilations)
        self.head = nn.Sequential(
            nn.BatchNorm1d(4 * channels),
            nn.Dropout(shape.dropout),
            nn.Conv1d(4 * channels, shape.hidden, 1),
            nn.ReLU(),
            nn.Dropout(shape.dropout),
        )
        self.outputs = nn.Conv1d(shape.hidden, len(OUTPUTS), 1)
        self.emotions = nn.Conv1d(shape.hidden, len(EMOTIONS), 1)
        self.state_sizes = self._state_sizes()

    @property
    def state_size(self) -> int:
        """Length of the flat state."""
        return sum(size * width for size, width in self.state_sizes)

    def _state_sizes(self) -> list[tuple[int, int]]:
        """Return (rows, columns) of each part of the state, in order."""
        channels = self.shape.channels
        return [
            (1, OVERLAP_SAMPLES),
            (2, LEVEL_HOPS - 1),  # mean energy of a hop, and 1 if there was one
            (MEL_BANDS, STEM_PAST),
            *((channels, 2 * dilation) for dilation in self.shape.dilations),
            (2 * channels, LONG_HOPS - 1),
        ]

    def zero_state(self, batch: int) -> Tensor:
        """Return the state at the start of a channel."""
        return torch.zeros(batch, self.state_size, device=self.energy.basis.device)

    def forward(self, pcm: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Score hops.

        Args:
            pcm: (batch, k * HOP_SAMPLES), k >= 1, in [-1, 1).
            state: (batch, state_size), zeros at first.

        Returns:
            Logits of `OUTPUTS` (batch, k, 4), logits of `EMOTIONS` (batch, k, 6),
            and the state for the next call.
        """
        parts = self._split(state)
        kept = [pcm[:, -OVERLAP_SAMPLES:]]
        features, valid, level_kept = self._features(pcm, parts[0], parts[1])
        kept.append(_flat(level_kept))
        x = torch.cat([parts[2], features], dim=2)
        kept.append(_flat(x[:, :, -STEM_PAST:]))
        x = torch.relu(self.stem_norm(self.stem(x)))
        for block, dilation, past in zip(
            self.blocks, self.shape.dilations, parts[3:-1], strict=True
        ):
            x = torch.cat([past, x], dim=2)
            kept.append(_flat(x[:, :, -2 * dilation :]))
            x = block(x)
        pooled, pool_kept = self._pool(x, parts[-1], valid)
        kept.append(_flat(pool_kept))
        hidden = self.head(pooled)
        scores, emotions = self.outputs(hidden), self.emotions(hidden)
        return scores.transpose(1, 2), emotions.transpose(1, 2), torch.cat(kept, dim=1)

    def _split(self, state: Tensor) -> list[Tensor]:
        parts, start = [], 0
        for rows, columns in self.state_sizes:
            part = state[:, start : start + rows * columns]
            parts.append(part.reshape(-1, rows, columns))
            start += rows * columns
        return parts

    def _features(
        self, pcm: Tensor, overlap: Tensor, past: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return level-normalised log-mel, which hops exist, and the past levels to keep.

        Every hop goes through the front end by itself, in arrays of one shape: so its
        features are the same to the last bit however many hops and calls are run at once,
        and rounding to int8 cannot fall differently.
        """
        hops = pcm.reshape(pcm.shape[0], -1, HOP_SAMPLES)
        before = torch.cat([overlap, hops[:, :-1, -OVERLAP_SAMPLES:]], dim=1)
        samples = torch.cat([before, hops], dim=2).reshape(-1, 1, OVERLAP_SAMPLES + HOP_SAMPLES)
        with torch.autocast(pcm.device.type, enabled=False):
            energy = self.energy(samples)
        by_hop = energy.mean(dim=(1, 2), keepdim=True).reshape(pcm.shape[0], 1, -1)
        levels = torch.cat([past, torch.cat([by_hop, torch.ones_like(by_hop)], dim=1)], dim=2)
        summed = _sliding_sum(levels, LEVEL_HOPS)
        level = (summed[:, :1] / summed[:, 1:]).reshape(-1, 1, 1)
        relative = torch.log((energy + LOG_FLOOR) / (level + LOG_FLOOR))
        features = self.input_norm(torch.clamp(relative, QUIETEST, LOUDEST))
        by_call = features.reshape(pcm.shape[0], -1, MEL_BANDS, HOP_STEPS).transpose(1, 2)
        joined = by_call.reshape(pcm.shape[0], MEL_BANDS, -1)
        return joined, levels[:, 1:], levels[:, :, -(LEVEL_HOPS - 1) :]

    def _pool(self, x: Tensor, past: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation over a long and a short window of hops, and what to keep."""
        moments = functional.avg_pool1d(torch.cat([x, x * x], dim=1), HOP_FRAMES)
        moments = torch.cat([past, moments], dim=2)
        channels = self.shape.channels
        long = _statistics(moments, valid, LONG_HOPS, channels)
        skipped = LONG_HOPS - SHORT_HOPS
        short = _statistics(moments[:, :, skipped:], valid[:, :, skipped:], SHORT_HOPS, channels)
        return torch.cat([long, short], dim=1), moments[:, :, -(LONG_HOPS - 1) :]


def _flat(x: Tensor) -> Tensor:
    return torch.flatten(x, start_dim=1)


def _sliding_sum(x: Tensor, window: int) -> Tensor:
    """Return sums over `window` neighbours along the last axis, which shrinks by window - 1.

    Added one by one, in one order: a pooling kernel's order depends on the length.
    """
    summed = x[:, :, : 1 - window]
    for shift in range(1, window):
        stop = shift + 1 - window
        summed = summed + (x[:, :, shift:stop] if stop else x[:, :, shift:])
    return summed


def _statistics(moments: Tensor, valid: Tensor, window: int, channels: int) -> Tensor:
    """Return mean and standard deviation over the hops of the window that exist."""
    averaged = _sliding_sum(moments, window) / _sliding_sum(valid, window)
    mean, square = averaged[:, :channels], averaged[:, channels:]
    deviation = torch.sqrt(torch.relu(square - mean * mean) + 1e-4)
    return torch.cat([mean, deviation], dim=1)
