"""Level, band, noise, rooms and speakerphones."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.training.lines.codecs import Samples

_QUIET: Final = 1e-9
_ACTIVE_MARGIN_DB: Final = 15.9
"""Frames so far below the mean are pauses (the margin of ITU-T P.56, method B)."""

_AGC_BLOCK_SAMPLES: Final = 40
_AGC_ATTACK_S: Final = 0.01
_AGC_RELEASE_S: Final = 0.3


def amplified(samples: Samples, gain_db: float) -> Samples:
    """Return `samples` louder by `gain_db`, beyond full scale if need be."""
    return np.asarray(samples * np.float32(10 ** (gain_db / 20)), np.float32)


def clipped(samples: Samples) -> Samples:
    """Cut off what lies beyond full scale."""
    return np.asarray(np.clip(samples, -1.0, (FULL_SCALE - 1) / FULL_SCALE), np.float32)


def overdriven(samples: Samples, excess_db: float) -> Samples:
    """Amplify until the highest peak lies `excess_db` beyond full scale, and clip there."""
    peak = float(np.max(np.abs(samples), initial=0.0)) + _QUIET
    return clipped(amplified(samples, excess_db - 20 * np.log10(peak)))


def band_passed(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Keep `low_hz` to `high_hz`: a Butterworth filter of order 4 on either side."""
    filters = signal.butter(4, (low_hz, high_hz), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(filters, samples), np.float32)


def active_power(samples: Samples) -> float:
    """Return the mean power of 20 ms frames with sound in them, pauses left out.

    After the active speech level of ITU-T P.56, with frames instead of an envelope.
    """
    powers = np.mean(_framed(samples) ** 2, axis=1)
    threshold = np.mean(powers) * 10 ** (-_ACTIVE_MARGIN_DB / 10)
    return float(np.mean(powers[powers >= threshold]))


def mixed(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Add `noise` so that the active speech lies `snr_db` above the mean of the noise."""
    noise_power = float(np.mean(noise**2)) + _QUIET
    gain = np.sqrt(active_power(speech) / noise_power) * 10 ** (-snr_db / 20)
    return np.asarray(speech + gain * noise, np.float32)


def of_unit_power(sound: Samples) -> Samples:
    """Return `sound` with a mean square of 1, silence as it is."""
    return np.asarray(sound / np.sqrt(np.mean(sound**2) + _QUIET), np.float32)


def pink_noise(length: int, rng: np.random.Generator) -> Samples:
    """Return noise whose power falls by 3 dB an octave above 50 Hz; unit power."""
    padded = fft.next_fast_len(max(length, 2), real=True)
    hz = np.fft.rfftfreq(padded, 1 / SAMPLE_RATE_HZ)
    spectrum = fft.rfft(rng.standard_normal(padded)) / np.sqrt(np.maximum(hz, 50.0))
    return of_unit_power(np.asarray(fft.irfft(spectrum, padded)[:length], np.float32))


def room_response(rt60_s: float, direct_db: float, rng: np.random.Generator) -> Samples:
    """Return exponentially decaying noise behind a direct sound; unit energy.

    Polack's model (J.-D. Polack, 1988) of a room that takes `rt60_s` to fall by 60 dB.
    `direct_db` is the energy of the direct sound over that of all reflections.
    """
    length = max(round(rt60_s * SAMPLE_RATE_HZ), 2)
    decay = np.exp(-3.0 * np.log(10.0) * np.arange(length) / (rt60_s * SAMPLE_RATE_HZ))
    response = rng.standard_normal(length) * decay
    response[0] = np.linalg.norm(response[1:]) * 10 ** (direct_db / 20)
    return np.asarray(response / np.linalg.norm(response), np.float32)


def in_room(samples: Samples, response: Samples) -> Samples:
    """Return `samples` as they sound in the room; what rings on after their end is cut."""
    return np.asarray(signal.fftconvolve(samples, response)[: len(samples)], np.float32)


def compressed(samples: Samples, target_db: float, ratio: float, most_db: float) -> Samples:
    """Bring the level towards `target_db` (dBFS) as it goes, as automatic gain control does.

    A level x dB away from the target ends x / `ratio` dB away, unless that takes more than
    `most_db` up or down. Attack 10 ms, release 300 ms.
    """
    blocks = -(-len(samples) // _AGC_BLOCK_SAMPLES)
    padded = np.pad(samples, (0, blocks * _AGC_BLOCK_SAMPLES - len(samples)))
    powers = np.mean(padded.reshape(blocks, _AGC_BLOCK_SAMPLES) ** 2, axis=1) + _QUIET
    level_db = _followed(10 * np.log10(powers))
    gain_db = np.clip((target_db - level_db) * (1.0 - 1.0 / ratio), -most_db, most_db)
    ends = np.arange(1, blocks + 1) * _AGC_BLOCK_SAMPLES
    gain = np.interp(np.arange(len(samples)), ends, 10 ** (gain_db / 20))
    return np.asarray(samples * gain, np.float32)


def _followed(level_db: NDArray[np.floating]) -> NDArray[np.float64]:
    """Follow a level upward at the attack's pace and downward at the release's."""
    block_s = _AGC_BLOCK_SAMPLES / SAMPLE_RATE_HZ
    attack, release = np.exp(-block_s / np.array([_AGC_ATTACK_S, _AGC_RELEASE_S]))
    followed = []
    level = float(level_db[0]) if len(level_db) else 0.0
    for now in level_db.tolist():
        kept = attack if now > level else release
        level = kept * level + (1.0 - kept) * now
        followed.append(level)
    return np.array(followed, np.float64)


def _framed(samples: Samples) -> Samples:
    """Return whole frames of 20 ms; one shorter frame if there is no whole one."""
    frames = len(samples) // FRAME_SAMPLES
    if frames == 0:
        return samples[None]
    return samples[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
