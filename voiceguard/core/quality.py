"""How good the audio of a hop is, and how far it should move the pressure index.

Bad audio is still scored, but it counts less.  `INSUFFICIENT_SPEECH` is not decided here: it
is a fact about a session (too little speech so far), which only the session knows.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.events import SignalQuality
from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE

__all__ = [
    "CLIPPED_FRACTION",
    "NOISY_SNR_DB",
    "SILENCE_DBFS",
    "HopQuality",
    "QualityMeter",
    "clipped_fraction",
    "level_dbfs",
]

SILENCE_DBFS: Final = -96.0
"""Level given to digital silence: one step of 16-bit audio lies at -90.3 dBFS."""

CLIPPED_FRACTION: Final = 0.005
"""Least fraction of a hop's samples on a flat top that makes it clipped (20 samples of 4000)."""

NOISY_SNR_DB: Final = 10.0
"""Signal-to-noise ratio under which a hop is noisy and its confidence falls."""

_MAX_SNR_DB: Final = 60.0
_LEAST_CONFIDENCE: Final = 0.2  # a hop at 0 dB still says a little
_CLIPPED_CONFIDENCE: Final = 0.7  # clipping adds harmonics; pitch, timing and loudness remain

# Full scale as G.711 decodes it: 32124 (mu-law), 32256 (A-law); 32767 in linear audio.
_FULL_SCALE_SAMPLE: Final = 32000
# Flat tops: compare the cell under the peak with the cell below it.  Both are wider than one
# step of G.711 near the peak (3 to 6 %), so its coarse steps alone make no flat top.  Speech
# thins out towards its peak; a sine holds 2.4 times as many samples in the upper cell.
_UPPER_CELL: Final = 0.94
_LOWER_CELL: Final = 0.88
_FLAT_TOP_RATIO: Final = 3.0

# Noise floor: smoothed over 0.5 s upwards and 0.2 s downwards, so that the faint end of a word
# lifts it little and a quiet moment shows at once.
_FLOOR_RISE: Final = 0.2
_FLOOR_FALL: Final = 0.5
_LEAST_HOPS: Final = 16  # 8 s of speech


def level_dbfs(samples: NDArray[np.int16]) -> float:
    """Return the RMS level in dB of full scale (a full-scale square wave: 0 dBFS).

    Never below `SILENCE_DBFS`, also for digital silence or no samples at all.
    """
    if samples.size == 0:
        return SILENCE_DBFS
    wide = samples.astype(np.float64)
    mean_square = float(np.dot(wide, wide)) / samples.size
    return _power_db(mean_square / FULL_SCALE**2)


def _power_db(power: float) -> float:
    """Return a power ratio in dB, `SILENCE_DBFS` at least."""
    return max(10.0 * math.log10(power), SILENCE_DBFS) if power > 0.0 else SILENCE_DBFS


@dataclass(frozen=True, slots=True)
class HopQuality:
    """What a hop's audio is worth."""

    quality: SignalQuality
    """OK, CLIPPED or NOISY."""
    confidence: float
    """0 to 1: how much this hop counts; 1 for clean audio."""
    level_dbfs: float
    """RMS level of the hop."""
    snr_db: float
    """Level of the hop's speech over the channel's noise floor, 0 to 60 dB."""
    clipped_fraction: float
    """Fraction of samples on a flat top, see `clipped_fraction`."""


class QualityMeter:
    """Judges the hops of one channel; keeps that channel's noise floor.

    The floor is learnt from silence.  Where the detector takes steady noise for speech there is
    none, so the floor is never less than the quietest frame of the last 8 s of speech (minimum
    statistics, Martin 2001): a voice draws breath within that time, steady noise does not.
    """

    def __init__(self) -> None:
        self._floor_power: float | None = None
        self._least_powers: deque[float] = deque(maxlen=_LEAST_HOPS)

    def receive_silence(self, samples: NDArray[np.int16]) -> None:
        """Learn the noise floor from a frame between segments, 10 of them a second.

        Args:
            samples: shape (FRAME_SAMPLES,), 8 kHz.

        """
        wide = samples.astype(np.float64)
        power = float(np.dot(wide, wide)) / (FRAME_SAMPLES * FULL_SCALE**2)
        if self._floor_power is None:
            self._floor_power = power
            return
        rate = _FLOOR_RISE if power > self._floor_power else _FLOOR_FALL
        self._floor_power += rate * (power - self._floor_power)

    def judge_hop(self, samples: NDArray[np.int16]) -> HopQuality:
        """Return the quality of a hop, shape (HOP_SAMPLES,); defined for any audio.

        The confidence is 1 for a hop that is OK, falls to 0.2 as the signal-to-noise ratio
        falls from `NOISY_SNR_DB` to 0 dB, and is 0.7 of that where clipped.  A hop both clipped
        and noisy is called clipped.
        """
        level = level_dbfs(samples)
        self._least_powers.append(_least_power(samples))
        snr_db = self._snr_db(level)
        clipped = clipped_fraction(samples)
        heard = min(1.0, snr_db / NOISY_SNR_DB)
        confidence = _LEAST_CONFIDENCE + (1.0 - _LEAST_CONFIDENCE) * heard
        quality = SignalQuality.OK
        if clipped >= CLIPPED_FRACTION:
            quality = SignalQuality.CLIPPED
            confidence *= _CLIPPED_CONFIDENCE
        elif snr_db < NOISY_SNR_DB:
            quality = SignalQuality.NOISY
        return HopQuality(quality, confidence, level, snr_db, clipped)

    @property
    def noise_floor_dbfs(self) -> float:
        """Level of the channel's noise; `SILENCE_DBFS` until it could be heard."""
        heard = 0.0 if self._floor_power is None else self._floor_power
        is_long = len(self._least_powers) == _LEAST_HOPS
        return _power_db(max(heard, min(self._least_powers)) if is_long else heard)

    def _snr_db(self, level: float) -> float:
        """Return the level of what is left of a hop when the noise floor is taken off."""
        floor = 10 ** (self.noise_floor_dbfs / 10)
        signal = max(10 ** (level / 10) - floor, floor)
        return min(10.0 * math.log10(signal / floor), _MAX_SNR_DB)


def _least_power(samples: NDArray[np.int16]) -> float:
    """Return the power of the quietest 20 ms of a hop; 0 where there is no whole frame."""
    count = samples.size // FRAME_SAMPLES
    if count == 0:
        return 0.0
    wide = samples[: count * FRAME_SAMPLES].astype(np.float64).reshape(count, FRAME_SAMPLES)
    return float(np.einsum("ij,ij->i", wide, wide).min()) / (FRAME_SAMPLES * FULL_SCALE**2)


def clipped_fraction(samples: NDArray[np.int16]) -> float:
    """Return the fraction of samples on a flat top, 0 to 1.

    A flat top is full scale, or a peak, on either side of zero, that holds many times the
    samples just under it: a signal clipped before it was turned down or coded.  A constant
    signal below full scale has no peak and gives 0.
    """
    if samples.size == 0:
        return 0.0
    wide = samples.astype(np.int32)
    flat = 0
    for side in (wide, -wide):
        peak = int(side.max())
        if peak <= 0:
            continue
        upper = int(np.count_nonzero(side > _UPPER_CELL * peak))
        lower = int(np.count_nonzero(side > _LOWER_CELL * peak)) - upper
        full_scale = int(np.count_nonzero(side >= _FULL_SCALE_SAMPLE))
        is_flat = upper >= _FLAT_TOP_RATIO * lower and upper < samples.size
        flat += upper if is_flat else full_scale
    return flat / samples.size
