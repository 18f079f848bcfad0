"""How good the audio of a hop is, and how far it should move the pressure index.

Bad audio is still scored, but it counts less.  `INSUFFICIENT_SPEECH` is not decided here: it
is a fact about a session (too little speech so far), which only the session knows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from voiceguard.core.events import SignalQuality
from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SILENCE_DBFS", "HopQuality", "QualityMeter", "level_dbfs"]

SILENCE_DBFS: Final = -96.0
"""Level given to digital silence: one step of 16-bit audio lies at -90.3 dBFS."""

CLIPPED_FRACTION: Final = 0.005
NOISY_SNR_DB: Final = 10.0
_FLOOR_RISE: Final = 0.05
_FLOOR_FALL: Final = 0.2


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
    """Level of the hop over the channel's noise floor; `inf` is never given, 60 at most."""
    clipped_fraction: float
    """Fraction of samples that lie flat at the hop's own peak."""


class QualityMeter:
    """Judges the hops of one channel; keeps that channel's noise floor."""

    def __init__(self) -> None:
        """Start with no idea of the noise."""
        self._floor_power: float | None = None

    def receive_silence(self, frames: NDArray[np.int16]) -> None:
        """Learn the noise floor from frames that hold no speech.

        Args:
            frames: shape (n, FRAME_SAMPLES); frames in a segment's hangover do not belong here.

        """
        wide = frames.astype(np.float64)
        powers = np.einsum("ij,ij->i", wide, wide) / (FRAME_SAMPLES * FULL_SCALE**2)
        for power in powers.tolist():
            self._receive_power(power)

    def judge_hop(self, samples: NDArray[np.int16]) -> HopQuality:
        """Return the quality of a hop, shape (HOP_SAMPLES,)."""
        level = level_dbfs(samples)
        floor = SILENCE_DBFS if self._floor_power is None else _power_db(self._floor_power)
        snr_db = min(max(level - floor, 0.0), 60.0)
        clipped = clipped_fraction(samples)
        if clipped > CLIPPED_FRACTION:
            return HopQuality(SignalQuality.CLIPPED, 0.7, level, snr_db, clipped)
        if snr_db < NOISY_SNR_DB:
            return HopQuality(SignalQuality.NOISY, max(0.2, snr_db / NOISY_SNR_DB), level, snr_db, clipped)
        return HopQuality(SignalQuality.OK, 1.0, level, snr_db, clipped)

    def _receive_power(self, power: float) -> None:
        if self._floor_power is None:
            self._floor_power = power
            return
        rate = _FLOOR_RISE if power > self._floor_power else _FLOOR_FALL
        self._floor_power += rate * (power - self._floor_power)


def clipped_fraction(samples: NDArray[np.int16]) -> float:
    """Return the fraction of samples that lie in flat runs at the extremes."""
    return 0.0 if samples.size == 0 else float(np.mean(np.abs(samples.astype(np.int32)) >= 32000))
