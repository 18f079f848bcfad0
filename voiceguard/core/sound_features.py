"""What tells a tone or music from a voice, measured on one hop.

A voice glides in pitch, changes its spectrum several times a second and falls silent between
syllables.  Tones and notes keep their frequencies, several at once; drums have no pitch.  The
features are those of the literature on telling speech from music (Saunders 1996; Scheirer and
Slaney 1997: level and spectral modulation, low-energy frames, flatness, centroid), with peak
concentration for tones and the sameness of narrow spectral lines from frame to frame for notes.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ

Floats = NDArray[np.float32]

__all__ = ["FEATURE_NAMES", "hop_features"]

_WINDOW: Final = 512
_STEP: Final = 249
_FRAMES: Final = 15  # 14 * 249 + 512 = 3998 of the 4000 samples
_BINS: Final = _WINDOW // 2 + 1
_HANN: Final = np.hanning(_WINDOW + 1)[:_WINDOW].astype(np.float32) / np.float32(FULL_SCALE)
_FRAME_INDEX: Final = np.arange(_FRAMES)[:, None] * _STEP + np.arange(_WINDOW)
_BIN_HZ: Final = SAMPLE_RATE_HZ / _WINDOW
_FIRST_BIN: Final = 4  # 62 Hz: below lie mains hum and the direct voltage
_EDGES_HZ: Final = (
    62, 150, 250, 350, 470, 600, 750, 930, 1140, 1400, 1700, 2050, 2450, 2900, 3400, 3950,
)  # fmt: skip
_BAND_COUNT: Final = len(_EDGES_HZ) - 1
_FLOOR: Final = np.float32(1e-6)  # 60 dB under the hop's mean, about G.711's own noise in a bin
_LEAST_POWER: Final = np.float32(1e-9)
_LINE_RANGES: Final = ((6, 44), (44, 112), (112, 246))  # bins: to 0.7, 1.75 and 3.85 kHz
_ACTIVE_SHARE: Final = 0.03  # -15 dB of the hop's mean power
_LOWEST_BAND: Final = np.float32(11.5)  # 50 dB under the loudest


def _power_columns() -> Floats:
    """Return the matrix (bins, bands + 1) that sums a power spectrum; the last: its centroid."""
    edges = np.round(np.array(_EDGES_HZ) / _BIN_HZ).astype(int)
    matrix = np.zeros((_BINS, _BAND_COUNT + 1), np.float32)
    for band, (first, stop) in enumerate(pairwise(edges)):
        matrix[first:stop, band] = 1.0
    matrix[:, -1] = np.arange(_BINS) * _BIN_HZ / 1000.0
    return matrix


def _line_columns() -> Floats:
    """Return the matrix (bins less six, ranges) that averages over the ranges of lines."""
    matrix = np.zeros((_BINS - 6, len(_LINE_RANGES)), np.float32)
    for column, (first, stop) in enumerate(_LINE_RANGES):
        matrix[first - 3 : stop - 3, column] = 1.0 / (stop - first)
    return matrix


_POWER_COLUMNS: Final = _power_columns()
_LINE_COLUMNS: Final = _line_columns()
_LOG_COLUMN: Final = np.zeros(_BINS, np.float32)
_LOG_COLUMN[_FIRST_BIN:252] = 1.0 / (252 - _FIRST_BIN)
_MEAN_ROW: Final = np.full(_FRAMES, 1.0 / _FRAMES, np.float32)
_ROWS: Final = np.arange(_FRAMES)[:, None]
_AROUND: Final = np.array([-1, 0, 1])

FEATURE_NAMES: Final = (
    "band_0", "band_1", "band_2", "band_low", "band_mid", "band_high", "band_top",
    "band_flux", "band_deviation",
    "level_deviation", "level_peak", "level_dip",
    "flatness", "flatness_deviation", "centroid", "centroid_deviation",
    "concentration", "concentration_deviation",
    "lines_kept_low", "lines_kept_mid", "lines_kept_high",
    "lines_low", "lines_mid", "lines_high",
    "lines_same_low", "lines_same_mid", "lines_same_high",
    "peak_steady", "peak_near", "peak_move",
)  # fmt: skip
"""Names of the features, in the order in which `hop_features` gives them."""


def hop_features(samples: NDArray[np.int16]) -> Floats:
    """Return the features of a hop, shape (len(FEATURE_NAMES),), finite for any audio.

    Args:
        samples: shape (HOP_SAMPLES,), 8 kHz.

    """
    frames = samples.astype(np.float32)[_FRAME_INDEX] * _HANN
    spectrum = np.fft.rfft(frames, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    power[:, :_FIRST_BIN] = 0.0
    power *= 1.0 / (power.sum() / _FRAMES + _LEAST_POWER)  # features do not hear loudness
    sums = power @ _POWER_COLUMNS
    energy = sums[:, :-1].sum(axis=1) + _FLOOR
    levels = np.log(energy).tolist()
    log_power = np.log(power + _FLOOR)
    active = _active_frames(energy.tolist())
    flatness = (log_power @ _LOG_COLUMN).tolist()
    centroid = (sums[:, -1] / energy).tolist()
    concentration = (np.einsum("ij,ij->i", power, power) / (energy * energy)).tolist()
    return np.array(
        [
            *_band_features(np.log(sums[:, :-1] + 10 * _FLOOR)),
            *_level_features(levels),
            *_spread([flatness[n] - levels[n] for n in active]),
            *_spread([centroid[n] for n in active]),
            *_spread([concentration[n] for n in active]),
            *_line_features(log_power),
            *_peak_features(log_power, power.argmax(axis=1), active),
        ],
        np.float32,
    )


def _active_frames(energy: list[float]) -> list[int]:
    """Return the frames that are not pauses; there is always one."""
    least = _ACTIVE_SHARE * sum(energy) / _FRAMES
    return [frame for frame in range(_FRAMES) if energy[frame] >= least]


def _spread(values: list[float]) -> tuple[float, float]:
    """Return mean and standard deviation."""
    mean = sum(values) / len(values)
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def _band_features(bands: Floats) -> list[float]:
    """Return the mean spectrum in seven bands, and how much it moves."""
    bands = np.maximum(bands, bands.max() - _LOWEST_BAND)
    mean = _MEAN_ROW @ bands
    centred = bands - mean
    steps = bands[1:] - bands[:-1]
    variances = np.einsum("ij,ij->j", centred, centred)
    deviation = float(np.sqrt(variances).sum()) / (_BAND_COUNT * math.sqrt(_FRAMES))
    flux = float(np.abs(steps).sum()) / steps.size
    level = mean.tolist()
    overall = sum(level) / _BAND_COUNT
    groups = [sum(level[n : n + 3]) / 3 - overall for n in (3, 6, 9, 12)]
    return [*(band - overall for band in level[:3]), *groups, flux, deviation]


def _level_features(levels: list[float]) -> list[float]:
    """Return how the level moves: its deviation, its peak and its quiet fifth, from the mean."""
    ordered = sorted(levels)
    mean, deviation = _spread(levels)
    return [deviation, ordered[-1] - mean, mean - ordered[2]]


def _line_features(log_power: Floats) -> list[float]:
    """Return how sharp the spectral lines are, and how far the same lines stay.

    Sharpness is the log spectrum less that three bins to each side, so that formants and tilt
    cancel and harmonics, notes and tones stay.  First the part of it that stays over the whole
    hop, then the sharpness, then its correlation from frame to frame, each in three ranges.
    """
    lines = log_power[:, 3:-3] - np.float32(0.5) * (log_power[:, :-6] + log_power[:, 6:])
    kept_lines = _MEAN_ROW @ lines
    kept = ((kept_lines * kept_lines) @ _LINE_COLUMNS).tolist()
    squares = (np.einsum("ij,ij->j", lines, lines) @ _LINE_COLUMNS).tolist()
    products = (np.einsum("ij,ij->j", lines[1:], lines[:-1]) @ _LINE_COLUMNS).tolist()
    powers = [square / _FRAMES + 1e-6 for square in squares]
    return [
        *(math.sqrt(part / whole) for part, whole in zip(kept, powers, strict=True)),
        *(math.sqrt(whole) for whole in powers),
        *(part / (_FRAMES - 1) / whole for part, whole in zip(products, powers, strict=True)),
    ]


def _peak_features(
    log_power: Floats, strongest: NDArray[np.intp], active: list[int]
) -> list[float]:
    """Return how still the strongest line is: shares of still and of near steps, and their middle.

    Its frequency is interpolated between bins on the log spectrum (a parabola); still means
    within 0.06 bins (1 Hz), near within 0.25 bins (4 Hz).
    """
    around = log_power[_ROWS, np.minimum(strongest, _BINS - 2)[:, None] + _AROUND].tolist()
    places = [
        place + max(-0.5, min(0.5, 0.5 * (below - above) / min(below - 2 * at + above, -1e-3)))
        for place, (below, at, above) in zip(strongest.tolist(), around, strict=True)
    ]
    moves = sorted(abs(places[b] - places[a]) for a, b in pairwise(active) if b == a + 1)
    if not moves:
        return [0.0, 0.0, 0.0]
    still = sum(move < 0.06 for move in moves) / len(moves)
    near = sum(move < 0.25 for move in moves) / len(moves)
    return [still, near, math.log(moves[len(moves) // 2] + 0.01)]
