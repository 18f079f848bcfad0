from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voiceguard.core.audio import _mulaw_table
from voiceguard.core.events import SignalQuality
from voiceguard.core.quality import SILENCE_DBFS, QualityMeter, clipped_fraction, level_dbfs
from voiceguard.core.units import FRAME_SAMPLES, HOP_SAMPLES

RNG_SEED = 5


def voice_like(peak: float) -> np.ndarray:
    """Return pulses through two resonances with a slow swell: peaky, as speech is."""
    times = np.arange(HOP_SAMPLES) / 8000
    rng = np.random.default_rng(RNG_SEED)
    pulses = (
        np.diff(np.floor(np.cumsum(110 + 20 * np.sin(6 * times)) / 8000), prepend=0) > 0
    ) * 1.0
    ring = np.arange(200) / 8000
    response = np.exp(-300 * ring) * np.sin(2 * np.pi * 600 * ring)
    response += 0.4 * np.exp(-400 * ring) * np.sin(2 * np.pi * 1500 * ring)
    voice = np.convolve(pulses, response)[:HOP_SAMPLES] + 0.01 * rng.normal(size=HOP_SAMPLES)
    voice *= 0.4 + 0.6 * np.abs(np.sin(2 * np.pi * 2 * times))
    return voice * (peak / np.abs(voice).max())


def over_mulaw(signal: np.ndarray) -> np.ndarray:
    """Return each sample as the nearest of the 256 that mu-law can give."""
    values = np.sort(_mulaw_table().astype(np.float64))
    upper = np.clip(np.searchsorted(values, signal), 1, 255)
    nearer = np.where(signal - values[upper - 1] < values[upper] - signal, upper - 1, upper)
    return values[nearer].astype(np.int16)


def test_levels_are_those_of_full_scale():
    assert level_dbfs(np.full(100, -32768, np.int16)) == pytest.approx(0.0)
    sine = 32768 / 10 * np.sin(np.arange(8000) * 2 * np.pi * 0.05)
    assert level_dbfs(sine.astype(np.int16)) == pytest.approx(-20 - 3.01, abs=0.02)
    assert level_dbfs(np.zeros(100, np.int16)) == SILENCE_DBFS
    assert level_dbfs(np.zeros(0, np.int16)) == SILENCE_DBFS


@pytest.mark.parametrize("peak", [1000, 8000, 30000])
def test_a_voice_below_full_scale_is_not_clipped(peak):
    assert clipped_fraction(over_mulaw(voice_like(peak))) < 0.005


@pytest.mark.parametrize("turned_down_db", [0, 12, 24])
def test_clipping_shows_even_when_turned_down_before_the_codec(turned_down_db):
    clipped = np.clip(voice_like(32767 * 4), -32768, 32767) * 10 ** (-turned_down_db / 20)
    judged = QualityMeter().judge_hop(over_mulaw(clipped))
    assert judged.quality is SignalQuality.CLIPPED
    assert judged.confidence == pytest.approx(0.7)


@pytest.mark.parametrize(("noise_db", "quality"), [(30, "ok"), (15, "ok"), (5, "noisy")])
def test_noise_is_measured_against_the_silence_before(noise_db, quality):
    voice = voice_like(16000)
    rng = np.random.default_rng(RNG_SEED)
    scale = np.sqrt(np.mean(voice**2)) * 10 ** (-noise_db / 20)
    meter = QualityMeter()
    for frame in scale * rng.normal(size=(20, FRAME_SAMPLES)):
        meter.receive_silence(frame.astype(np.int16))
    judged = meter.judge_hop((voice + scale * rng.normal(size=HOP_SAMPLES)).astype(np.int16))
    assert judged.quality is SignalQuality(quality)
    assert judged.snr_db == pytest.approx(noise_db, abs=1.5)
    assert (judged.confidence == 1.0) == (quality == "ok")


def test_noise_that_passes_for_speech_shows_after_eight_seconds():
    rng = np.random.default_rng(RNG_SEED)
    voice = voice_like(16000)
    scale = np.sqrt(np.mean(voice**2)) * 10 ** (-5 / 20)
    noisy, clean = QualityMeter(), QualityMeter()
    for hop in range(16):
        noise = scale * rng.normal(size=HOP_SAMPLES)
        voice[:400] *= 0.01 if hop == 3 else 1.0  # a breath
        heard = noisy.judge_hop((voice + noise).astype(np.int16))
        trusted = clean.judge_hop(voice.astype(np.int16))
    assert heard.quality is SignalQuality.NOISY
    assert trusted.quality is SignalQuality.OK


def test_without_silence_a_hop_is_trusted():
    judged = QualityMeter().judge_hop(voice_like(16000).astype(np.int16))
    assert (judged.quality, judged.confidence) == (SignalQuality.OK, 1.0)


def test_one_loud_frame_lifts_the_floor_less_than_quiet_frames_lower_it():
    loud, quiet = np.full(FRAME_SAMPLES, 3000, np.int16), np.full(FRAME_SAMPLES, 30, np.int16)
    meter = QualityMeter()
    for frame in (quiet, loud):
        meter.receive_silence(frame)
    assert level_dbfs(loud) - meter.noise_floor_dbfs == pytest.approx(7.0, abs=0.1)
    for _ in range(10):
        meter.receive_silence(quiet)
    assert meter.noise_floor_dbfs < level_dbfs(loud) - 35


@pytest.mark.parametrize(
    ("samples", "clipped"),
    [
        (np.zeros(HOP_SAMPLES), 0.0),
        (np.full(HOP_SAMPLES, 9000), 0.0),
        (np.full(HOP_SAMPLES, -32768), 1.0),
        (np.where(np.arange(HOP_SAMPLES) // 20 % 2, 32767, -32768), 1.0),
        (np.where(np.arange(HOP_SAMPLES) // 20 % 2, 900, -900), 1.0),
        (np.zeros(0), 0.0),
    ],
)
def test_degenerate_audio_has_a_defined_answer(samples, clipped):
    assert clipped_fraction(samples.astype(np.int16)) == clipped


@given(arrays(np.int16, HOP_SAMPLES), st.booleans())
def test_any_audio_gives_finite_answers(samples, silence_first):
    meter = QualityMeter()
    if silence_first:
        meter.receive_silence(samples[:FRAME_SAMPLES])
    judged = meter.judge_hop(samples)
    numbers = (judged.level_dbfs, judged.snr_db, judged.clipped_fraction, judged.confidence)
    assert all(math.isfinite(number) for number in numbers)
    assert 0.0 < judged.confidence <= 1.0
    assert 0.0 <= judged.clipped_fraction <= 1.0
