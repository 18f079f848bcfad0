"""The front end as part of the exported graph: hops of PCM in, mel energies and periodicity out.

A window is two steps long and symmetric, so its two halves fold onto one another before the
Fourier transform, which is then a matrix half as large: the even part of a real signal has the
cosine transform, the odd part the sine transform (Oppenheim, Schafer, Discrete-Time Signal
Processing, ch. 8).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voiceguard.core.units import HOP_SAMPLES, SAMPLE_RATE_HZ

STEP_SAMPLES: Final = 160
"""20 ms: emotion moves slowly, and the Fourier transform is what the front end costs."""

WINDOW_SAMPLES: Final = 2 * STEP_SAMPLES
"""40 ms, so that the harmonics of a voice stand apart; twice the step, so that it folds."""

BANDS: Final = 40
"""Mel bands, and as many lags."""

MEL_LOW_HZ: Final = 80.0
MEL_HIGH_HZ: Final = 3800.0

HIGHEST_PITCH_HZ: Final = 500.0
LOWEST_PITCH_HZ: Final = 60.0
_BINS: Final = np.arange(3, 153)
"""Of the Fourier transform, those that the mel filters look at."""

QUIET: Final = 1e-12
"""Added to energies before a logarithm or a division: far below one step of 16-bit audio."""

OVERLAP_SAMPLES: Final = WINDOW_SAMPLES - STEP_SAMPLES
HOP_STEPS: Final = HOP_SAMPLES // STEP_SAMPLES
"""Steps in a hop of speech."""


def hann_window() -> NDArray[np.float64]:
    """Return the periodic Hann window of `WINDOW_SAMPLES`."""
    return np.asarray(np.hanning(WINDOW_SAMPLES + 1)[:-1])


def mel_filters() -> NDArray[np.float64]:
    """Return triangular mel filters of shape (BANDS, WINDOW_SAMPLES // 2 + 1).

    The mel scale and area normalisation are those of Slaney's Auditory Toolbox
    (1998), which librosa uses too: linear below 1 kHz, logarithmic above.
    """
    points = _hz_of_mel(np.linspace(_mel_of_hz(MEL_LOW_HZ), _mel_of_hz(MEL_HIGH_HZ), BANDS + 2))
    bins = np.arange(WINDOW_SAMPLES // 2 + 1) * SAMPLE_RATE_HZ / WINDOW_SAMPLES
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


def lags_samples() -> NDArray[np.float64]:
    """Return the periods of `BANDS` pitches from the highest to the lowest, evenly in octaves."""
    shortest, longest = SAMPLE_RATE_HZ / HIGHEST_PITCH_HZ, SAMPLE_RATE_HZ / LOWEST_PITCH_HZ
    return np.geomspace(shortest, longest, BANDS)


class FrontEnd(nn.Module):
    """Mel energies and periodicity of hops, each hop by itself in arrays of one shape.

    So a hop's values are the same to the last bit however many hops and calls are run
    at once, and rounding to int8 cannot fall differently.
    """

    def __init__(self) -> None:
        super().__init__()
        turns = 2.0 * np.pi * np.outer(np.arange(STEP_SAMPLES), _BINS) / WINDOW_SAMPLES
        middle = np.cos(np.pi * _BINS)[None]  # the window's middle sample has no partner
        # The first sample of a periodic Hann window weighs nothing.
        self.window = _constant(self, "window", hann_window()[1:STEP_SAMPLES])
        self.cosines = _constant(self, "cosines", np.concatenate([np.cos(turns[1:]), middle]))
        self.sines = _constant(self, "sines", np.sin(turns[1:]))
        self.filters = _constant(self, "filters", mel_filters()[:, _BINS].T)
        self.lags = _constant(self, "lags", _lag_waves())

    def forward(self, pcm: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """Analyse hops.

        Args:
            pcm: (batch, hops * HOP_SAMPLES).
            overlap: (batch, 1, OVERLAP_SAMPLES), the samples before.

        Returns:
            Mel energies, and the autocorrelation at `lags_samples` of a compressed spectrum
            against that at lag 0; both (batch * hops, HOP_STEPS, BANDS).
        """
        hops = pcm.reshape(pcm.shape[0], -1, HOP_SAMPLES)
        before = torch.cat([overlap, hops[:, :-1, -OVERLAP_SAMPLES:]], dim=1)
        blocks = torch.cat([before, hops], dim=2).reshape(-1, HOP_STEPS + 1, STEP_SAMPLES)
        first, second = blocks[:, :-1], blocks[:, 1:]
        mirrored = torch.flip(second, dims=[2])[:, :, : STEP_SAMPLES - 1]
        first = first[:, :, 1:]
        even = torch.cat([(first + mirrored) * self.window, second[:, :, :1]], dim=2)
        odd = (first - mirrored) * self.window
        real, imaginary = even @ self.cosines, odd @ self.sines
        power = real * real + imaginary * imaginary
        # Compressed so that the period shows rather than the formants (Tolonen, Karjalainen,
        # "A computationally efficient multipitch analysis model", IEEE TSAP 8(6), 2000).
        waves = torch.sqrt(torch.sqrt(power)) @ self.lags
        return power @ self.filters, waves[:, :, 1:] / (waves[:, :, :1] + QUIET)


def _lag_waves() -> NDArray[np.float64]:
    """Return what turns a spectrum into its autocorrelation at lag 0 and `lags_samples`."""
    lags = np.concatenate([[0.0], lags_samples()])
    return np.asarray(np.cos(2.0 * np.pi * np.outer(_BINS, lags) / WINDOW_SAMPLES))


def _constant(owner: nn.Module, name: str, values: NDArray[np.float64]) -> Tensor:
    owner.register_buffer(name, torch.tensor(values, dtype=torch.float32))
    return owner.get_buffer(name)
