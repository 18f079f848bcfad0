"""The same words in another voice: pitch, formants and tempo moved together or apart.

Samples are float32 in [-1, 1] at 8 kHz. A faster tempo changes their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import fft

from voiceguard.training.lines.codecs import Samples

_SEGMENT: Final = 256
"""WSOLA joins segments of 32 ms every 16 ms."""

_SEARCH: Final = 64
"""It looks 8 ms to either side for the best join: a period of any voice above 63 Hz."""

_WINDOW: Final = 256
"""Formants move in windows of 32 ms that overlap by half."""

_ENVELOPE_QUEFRENCIES: Final = 16
"""Cepstral coefficients (2 ms) that are the vocal tract's; what follows is the pitch's."""

_MOST_ENVELOPE_LOG: Final = 2.3
"""Formants are raised or lowered by at most 20 dB (natural logarithm)."""

_QUIET: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Voice:
    """By which factors a voice differs from the recorded one; 1 is as it is."""

    pitch: float = 1.0
    formants: float = 1.0
    tempo: float = 1.0

    @classmethod
    def drawn(cls, rng: np.random.Generator, together: float = 0.4, apart: float = 0.3) -> Voice:
        """Draw a voice.

        Args:
            rng: what to draw from.
            together: how often all three move by one factor, which is cheap.
            apart: how often each moves by its own.
        """
        kind = rng.random()
        moves = np.clip(np.exp(rng.normal(0.0, 0.07, 3)), 0.82, 1.22)
        if kind < together:
            moves[:] = moves[0]
        elif kind >= together + apart:
            moves[:] = 1.0
        return cls(*moves.tolist())

    def speaking(self, samples: Samples) -> Samples:
        """Return `samples` in this voice, of length / `tempo`."""
        out = samples
        if self.formants != self.pitch:
            out = formants_shifted(out, self.formants / self.pitch)
        if self.tempo != self.pitch:
            out = stretched(out, self.tempo / self.pitch)
        return resampled(out, self.pitch) if self.pitch != 1.0 else out


def resampled(samples: Samples, factor: float) -> Samples:
    """Return `samples` played `factor` times as fast: pitch, formants and tempo rise together."""
    length = max(round(len(samples) / factor), 1)
    # The padding keeps the end from wrapping around to the start.
    padded = fft.next_fast_len(len(samples) + 200, real=True)
    spectrum = fft.rfft(samples, padded)
    # A faster length here would move the factor by up to 3 %.
    resized = round(padded / factor)
    moved = fft.irfft(spectrum[: resized // 2 + 1], resized) * (resized / padded)
    moved = moved[:length].astype(np.float32)
    return np.pad(moved, (0, length - len(moved)))


def stretched(samples: Samples, factor: float) -> Samples:
    """Return `samples` spoken `factor` times as fast, at the same pitch and formants.

    WSOLA (W. Verhelst, M. Roelands, "An overlap-add technique based on waveform similarity
    for high quality time-scale modification of speech", ICASSP 1993).
    """
    length = max(round(len(samples) / factor), 1)
    hop = _SEGMENT // 2
    steps = -(-length // hop) + 1
    last_start = round((steps - 1) * hop * factor)
    margin = _SEARCH + hop
    room_after = max(last_start + 2 * _SEGMENT + _SEARCH - len(samples), 0)
    padded = np.pad(samples, (margin, room_after + hop))
    energies = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)]) + _QUIET
    window = np.hanning(_SEGMENT + 1)[:-1].astype(np.float32)
    out = np.zeros((steps + 1) * hop, np.float32)
    start = _SEARCH
    for step in range(steps):
        if step:
            wanted = _SEARCH + round(step * hop * factor)
            start = _best_start(padded, energies, start + hop, wanted)
        out[step * hop : step * hop + _SEGMENT] += window * padded[start : start + _SEGMENT]
    # The first half of the first segment fades in: it lies before the signal.
    return out[hop : hop + length]


def _best_start(
    padded: Samples, energies: NDArray[np.float64], continuation: int, wanted: int
) -> int:
    """Return the start near `wanted` whose segment best continues what was put out last."""
    template = padded[continuation : continuation + _SEGMENT]
    first = wanted - _SEARCH
    region = padded[first : wanted + _SEARCH + _SEGMENT]
    likeness = np.correlate(region, template, "valid")
    power = energies[first + _SEGMENT :][: len(likeness)] - energies[first:][: len(likeness)]
    return first + int(np.argmax(likeness / np.sqrt(np.maximum(power, _QUIET))))


def formants_shifted(samples: Samples, factor: float) -> Samples:
    """Return `samples` with all formants `factor` times as high, at the same pitch and tempo.

    The envelope of each short-time spectrum, smoothed by its cepstrum, is stretched in
    frequency; the harmonics stay where they are.
    """
    hop = _WINDOW // 2
    frames = len(samples) // hop + 2
    padded = np.pad(samples, (hop, frames * hop - len(samples)))
    window = np.sqrt(np.hanning(_WINDOW + 1)[:-1]).astype(np.float32)
    spectra = fft.rfft(sliding_window_view(padded, _WINDOW)[::hop] * window)
    spectra *= np.exp(_envelope_change(np.abs(spectra), factor))
    pieces = fft.irfft(spectra, _WINDOW) * window
    out = np.zeros(len(padded), np.float32)
    out[: frames * hop] += pieces[:, :hop].ravel()
    out[hop:] += pieces[:, hop:].ravel()
    return out[hop : hop + len(samples)]


def _envelope_change(magnitudes: Samples, factor: float) -> Samples:
    """Return by what log gain stretched envelopes differ from those of (frames, bins)."""
    cepstra = fft.irfft(np.log(magnitudes + _QUIET), _WINDOW)[:, 1:_ENVELOPE_QUEFRENCIES]
    bins = np.arange(_WINDOW // 2 + 1)
    per_bin = 2.0 * np.pi / _WINDOW * np.arange(1, _ENVELOPE_QUEFRENCIES)[:, None]
    places = np.minimum(bins / factor, float(bins[-1]))
    waves = 2.0 * (np.cos(per_bin * places) - np.cos(per_bin * bins))
    change = cepstra @ waves.astype(np.float32)
    return np.asarray(np.clip(change, -_MOST_ENVELOPE_LOG, _MOST_ENVELOPE_LOG), np.float32)
