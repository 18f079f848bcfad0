"""What telephone lines, rooms and microphones do to speech, at random.

A corpus has its own rooms, microphones, levels and sentences, and a network
learns them unless they are randomised beyond recognition. All functions take and
return float32 in [-1, 1] at 8 kHz, keep the length, and draw from the generator given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import fft

from voiceguard.core.units import SAMPLE_RATE_HZ
from voiceguard.training.lines.codecs import (
    ALAW,
    AMR_NB_BIT_RATES,
    MULAW,
    OPUS_BIT_RATES,
    Samples,
    through_amr_nb,
    through_g711,
    through_gsm_fr,
    through_int16,
    through_opus,
)
from voiceguard.training.lines.impairments import clipped, compressed, mixed, room_response
from voiceguard.training.lines.loss import (
    concealed,
    lost_in_bursts,
    lost_singly,
    packets_in,
    repeated,
    silenced,
)
from voiceguard.training.lines.sounds import LONGEST_ROOM_SAMPLES, Sounds, excerpt, one_of
from voiceguard.training.voices import resampled

__all__ = [
    "ALAW",
    "MULAW",
    "Chances",
    "Line",
    "Samples",
    "Sounds",
    "resampled",
    "through_g711",
]

_QUIET: Final = 1e-9

_TILT_DB: Final = 1.2
"""Standard deviation, for each octave, of the equaliser's tilt: a stronger one would hide what
vocal effort does to a spectrum."""

_BUMP_DB: Final = 3.0
"""Standard deviation of the equaliser's bumps and notches."""

_SNR_DB: Final = (5.0, 35.0)


@dataclass(frozen=True, slots=True)
class Chances:
    """How often each thing happens to a row of speech."""

    room: float = 0.25
    equaliser: float = 0.9
    band: float = 0.5
    noise: float = 0.75
    echo: float = 0.15
    compression: float = 0.15
    clipping: float = 0.12
    mobile: float = 0.12
    """AMR-NB, GSM or Opus ahead of G.711: ten times as slow as all the rest together."""
    g711: float = 0.8
    loss: float = 0.15


class Line:
    """A random telephone line: one call of `carry` is one call on one line."""

    def __init__(self, rng: np.random.Generator, sounds: Sounds, chances: Chances) -> None:
        self._rng = rng
        self._sounds = sounds
        self._chances = chances

    def carry(self, speech: Samples, others: Sequence[Samples]) -> Samples:
        """Return `speech` as it comes out at the far end.

        Args:
            speech: one row of concatenated speech.
            others: speech of other people, for babble and echo.
        """
        out = self._filtered(speech)
        if self._happens(self._chances.noise):
            out = mixed(out, self._noise(len(out), others), self._rng.uniform(*_SNR_DB))
        if others and self._happens(self._chances.echo):
            other = self._excerpt(others, len(out))
            out = mixed(out, other, self._rng.uniform(22.0, 36.0))
        if self._happens(self._chances.compression):
            out = self._compressed(out)
        out = self._levelled(out)
        if self._happens(self._chances.mobile):
            out = self._over_mobile(out)
        if self._happens(self._chances.g711):
            law = MULAW if self._happens(0.5) else ALAW
            out = through_g711(out, law)
        else:
            out = through_int16(out)
        return self._with_loss(out) if self._happens(self._chances.loss) else out

    def _happens(self, chance: float) -> bool:
        return bool(self._rng.random() < chance)

    def _excerpt(self, sounds: Sequence[Samples], length: int) -> Samples:
        return excerpt(one_of(sounds, self._rng), length, self._rng)

    def _filtered(self, speech: Samples) -> Samples:
        """Apply room, microphone and band in one multiplication of spectra."""
        padded = fft.next_fast_len(len(speech) + LONGEST_ROOM_SAMPLES, real=True)
        spectrum = fft.rfft(speech, padded)
        if self._happens(self._chances.room):
            spectrum *= fft.rfft(self._room(), padded)
        spectrum *= self._response(len(spectrum))
        return np.asarray(fft.irfft(spectrum, padded)[: len(speech)], np.float32)

    def _room(self) -> Samples:
        """Return a recorded room, or exponentially decaying noise."""
        rooms = self._sounds.rooms
        if rooms and self._happens(0.4):
            return one_of(rooms, self._rng)
        decay_s, direct_db = self._rng.uniform(0.1, 0.5), self._rng.uniform(-3.0, 12.0)
        return room_response(decay_s, direct_db, self._rng)

    def _response(self, bins: int) -> Samples:
        """Return a random magnitude response: tilt, bumps, notches and the telephone's band."""
        hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, bins, dtype=np.float32)
        octaves = np.log2(np.maximum(hz, 60.0) / 1000.0)
        gain_db = np.zeros(bins, np.float32)
        if self._happens(self._chances.equaliser):
            gain_db += self._rng.normal(0.0, _TILT_DB) * octaves
            for _ in range(self._rng.integers(1, 5)):
                centre = self._rng.uniform(-3.0, 2.0)
                width = self._rng.uniform(0.15, 0.8)
                depth_db = self._rng.normal(0.0, _BUMP_DB)
                gain_db += depth_db * np.exp(-0.5 * ((octaves - centre) / width) ** 2)
        if self._happens(self._chances.band):
            low_hz, high_hz = self._rng.uniform(100, 420), self._rng.uniform(2900, 3900)
            slope_db = self._rng.uniform(12.0, 48.0)
            gain_db -= slope_db * np.maximum(0.0, np.log2(low_hz / np.maximum(hz, 20.0)))
            gain_db -= 8.0 * slope_db * np.maximum(0.0, np.log2(np.maximum(hz, 20.0) / high_hz))
        return np.asarray(10.0 ** (np.clip(gain_db, -60.0, 24.0) / 20.0), np.float32)

    def _noise(self, length: int, others: Sequence[Samples]) -> Samples:
        kind = self._rng.random()
        if kind < 0.35 and self._sounds.noises:
            return self._coloured(self._excerpt(self._sounds.noises, length))
        if kind < 0.6 and others:
            voices = int(self._rng.integers(2, 6))
            babble = [self._excerpt(others, length) for _ in range(voices)]
            return np.asarray(np.sum(babble, axis=0), np.float32)
        noise = self._coloured(self._rng.standard_normal(length, dtype=np.float32))
        if self._happens(0.3):  # comes and goes
            hz = self._rng.uniform(0.2, 6.0)
            swing = np.sin(2 * np.pi * hz * np.arange(length) / SAMPLE_RATE_HZ)
            noise *= (1.0 + 0.9 * swing).astype(np.float32)
        return noise

    def _coloured(self, noise: Samples) -> Samples:
        padded = fft.next_fast_len(len(noise), real=True)
        spectrum = fft.rfft(noise, padded)
        spectrum *= self._response(len(spectrum))
        return np.asarray(fft.irfft(spectrum, padded)[: len(noise)], np.float32)

    def _compressed(self, samples: Samples) -> Samples:
        """Compress as a speakerphone's or a headset's automatic gain control does."""
        loudness_db = 10 * np.log10(float(np.mean(samples**2)) + _QUIET)
        target_db = loudness_db + self._rng.uniform(-6.0, 6.0)
        ratio, most_db = self._rng.uniform(1.5, 6.0), self._rng.uniform(6.0, 18.0)
        return compressed(samples, target_db, ratio, most_db)

    def _levelled(self, samples: Samples) -> Samples:
        """Bring to a random level; now and then so far up that it clips."""
        rms = float(np.sqrt(np.mean(samples**2))) + _QUIET
        peak = float(np.max(np.abs(samples))) + _QUIET
        wanted = 10 ** (self._rng.uniform(-46.0, -14.0) / 20)
        gain = min(wanted / rms, 0.98 / peak)
        if self._happens(self._chances.clipping):
            gain = self._rng.uniform(1.0, 4.0) / peak
        return clipped(np.asarray(samples * gain, np.float32))

    def _over_mobile(self, samples: Samples) -> Samples:
        """Code as a mobile network or an Internet call does."""
        kind = self._rng.random()
        if kind < 0.5:
            return through_amr_nb(samples, int(self._rng.choice(AMR_NB_BIT_RATES)))
        if kind < 0.75:
            return through_gsm_fr(samples)
        lowest, highest = OPUS_BIT_RATES
        return through_opus(samples, int(self._rng.integers(lowest, highest, endpoint=True)))

    def _with_loss(self, samples: Samples) -> Samples:
        """Lose packets, singly or in bursts, and put something in their place."""
        packets, rate = packets_in(samples), self._rng.uniform(0.01, 0.1)
        if self._happens(0.5):
            lost = lost_singly(packets, self._rng, rate)
        else:
            lost = lost_in_bursts(packets, self._rng, rate, self._rng.uniform(1.5, 5.0))
        kind = self._rng.random()
        if kind < 0.4:
            return silenced(samples, lost)
        return concealed(samples, lost) if kind < 0.8 else repeated(samples, lost)
