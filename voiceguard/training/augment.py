"""What telephone lines, rooms and microphones do to speech, at random.

A corpus has its own rooms, microphones, levels and sentences, and a network
learns them unless they are randomised beyond recognition. All functions take and
return float32 in [-1, 1] at 8 kHz, keep the length, and draw from the generator given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy import fft

from voiceguard.core.units import FRAME_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.training.corpora import find_audio, read_audio
from voiceguard.training.lines.codecs import ALAW, MULAW, Samples, through_g711, through_int16

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

_LONGEST_ROOM_SAMPLES: Final = SAMPLE_RATE_HZ // 2
_QUIET: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Sounds:
    """Recorded noises and impulse responses to draw from; either may be empty."""

    noises: Sequence[Samples] = ()
    rooms: Sequence[Samples] = ()

    @classmethod
    def from_folder(cls, folder: Path | None) -> Sounds:
        """Read `noise/` and `impulse-responses/` below `folder`; nothing for None.

        Raises:
            CorpusError: one of them is missing or empty.
        """
        if folder is None:
            return cls()
        noises = [_read(path) for path in find_audio(folder / "noise")]
        rooms = [_room(_read(path)) for path in find_audio(folder / "impulse-responses")]
        return cls(noises, rooms)


def _read(path: Path) -> Samples:
    return np.asarray(read_audio(path) / 32768.0, np.float32)


def _room(response: Samples) -> Samples:
    """Return the response from its direct sound on, of unit energy."""
    start = int(np.argmax(np.abs(response)))
    cut = response[max(start - 8, 0) :][:_LONGEST_ROOM_SAMPLES]
    return np.asarray(cut / (np.linalg.norm(cut) + _QUIET), np.float32)


def resampled(samples: Samples, factor: float) -> Samples:
    """Return `samples` played `factor` times as fast: pitch, formants and tempo rise together.

    The one function here that changes the length (to length / factor).
    """
    length = max(round(len(samples) / factor), 1)
    # Padding to fast lengths that keep the ratio would shift the factor by under 1 %.
    padded = fft.next_fast_len(len(samples) + 200, real=True)
    spectrum = fft.rfft(samples, padded)
    resized = fft.next_fast_len(round(padded / factor), real=True)
    moved = fft.irfft(spectrum[: resized // 2 + 1], resized) * (resized / padded)
    moved = moved[:length].astype(np.float32)
    return np.pad(moved, (0, length - len(moved)))


@dataclass(frozen=True, slots=True)
class Chances:
    """How often each thing happens to a row of speech."""

    room: float = 0.3
    equaliser: float = 0.9
    band: float = 0.7
    noise: float = 0.5
    echo: float = 0.15
    clipping: float = 0.12
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
            out = self._mixed(out, self._noise(len(out), others), self._rng.uniform(3.0, 35.0))
        if others and self._happens(self._chances.echo):
            other = self._fitted(self._one_of(others), len(out))
            out = self._mixed(out, other, self._rng.uniform(22.0, 36.0))
        out = self._levelled(out)
        if self._happens(self._chances.g711):
            law = MULAW if self._happens(0.5) else ALAW
            out = through_g711(out, law)
        else:
            out = through_int16(out)
        return self._with_loss(out) if self._happens(self._chances.loss) else out

    def _happens(self, chance: float) -> bool:
        return bool(self._rng.random() < chance)

    def _one_of(self, sounds: Sequence[Samples]) -> Samples:
        return sounds[int(self._rng.integers(len(sounds)))]

    def _filtered(self, speech: Samples) -> Samples:
        """Apply room, microphone and band in one multiplication of spectra."""
        padded = fft.next_fast_len(len(speech) + _LONGEST_ROOM_SAMPLES, real=True)
        spectrum = fft.rfft(speech, padded)
        if self._happens(self._chances.room):
            spectrum *= fft.rfft(self._room(), padded)
        spectrum *= self._response(len(spectrum))
        return np.asarray(fft.irfft(spectrum, padded)[: len(speech)], np.float32)

    def _room(self) -> Samples:
        """Return a recorded room, or exponentially decaying noise (Polack's model)."""
        rooms = self._sounds.rooms
        if rooms and self._happens(0.4):
            return self._one_of(rooms)
        decay_s = self._rng.uniform(0.1, 0.6)
        length = int(min(decay_s, 0.5) * SAMPLE_RATE_HZ)
        tail = self._rng.standard_normal(length) * np.exp(
            -6.9 * np.arange(length) / (decay_s * SAMPLE_RATE_HZ)
        )
        direct_db = self._rng.uniform(-3.0, 12.0)
        tail[0] = np.linalg.norm(tail) * 10 ** (direct_db / 20)
        return np.asarray(tail / np.linalg.norm(tail), np.float32)

    def _response(self, bins: int) -> Samples:
        """Return a random magnitude response: tilt, bumps, notches and the telephone's band."""
        hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, bins, dtype=np.float32)
        octaves = np.log2(np.maximum(hz, 60.0) / 1000.0)
        gain_db = np.zeros(bins, np.float32)
        if self._happens(self._chances.equaliser):
            gain_db += self._rng.normal(0.0, 3.0) * octaves
            for _ in range(self._rng.integers(1, 5)):
                centre = self._rng.uniform(-3.0, 2.0)
                width = self._rng.uniform(0.15, 0.8)
                depth_db = self._rng.normal(0.0, 7.0)
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
            noises = self._sounds.noises
            return self._coloured(self._fitted(self._one_of(noises), length))
        if kind < 0.6 and others:
            voices = int(self._rng.integers(2, 6))
            babble = [self._fitted(self._one_of(others), length) for _ in range(voices)]
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

    def _fitted(self, sound: Samples, length: int) -> Samples:
        """Return `length` samples of `sound` from anywhere in it, repeated where it is short."""
        start = int(self._rng.integers(len(sound)))
        repeats = -(-(start + length) // len(sound))
        return np.asarray(np.tile(sound, repeats)[start : start + length])

    def _mixed(self, speech: Samples, noise: Samples, snr_db: float) -> Samples:
        powers = float(np.mean(speech**2)), float(np.mean(noise**2)) + _QUIET
        gain = np.sqrt(powers[0] / powers[1]) * 10 ** (-snr_db / 20)
        return np.asarray(speech + gain * noise, np.float32)

    def _levelled(self, samples: Samples) -> Samples:
        """Bring to a random level; now and then so far up that it clips."""
        rms = float(np.sqrt(np.mean(samples**2))) + _QUIET
        peak = float(np.max(np.abs(samples))) + _QUIET
        wanted = 10 ** (self._rng.uniform(-46.0, -14.0) / 20)
        gain = min(wanted / rms, 0.98 / peak)
        if self._happens(self._chances.clipping):
            gain = self._rng.uniform(1.0, 4.0) / peak
        return np.asarray(np.clip(samples * gain, -1.0, 32767 / 32768), np.float32)

    def _with_loss(self, samples: Samples) -> Samples:
        """Lose packets of 20 ms; put silence or the fading packet before in their place."""
        packets = len(samples) // FRAME_SAMPLES
        out = samples.copy()
        framed = out[: packets * FRAME_SAMPLES].reshape(packets, FRAME_SAMPLES)
        lost = np.flatnonzero(self._rng.random(packets) < self._rng.uniform(0.01, 0.1))
        fade = 0.0 if self._happens(0.5) else 0.8
        for packet in lost:
            framed[packet] = fade * framed[packet - 1] if packet else 0.0
        return out
