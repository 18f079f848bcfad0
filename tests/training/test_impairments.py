"""Loss, concealment, rooms and compression do what their names say, by measurement."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.speech import recordings
from voiceguard.training.lines.codecs import Samples
from voiceguard.training.lines.impairments import (
    active_power,
    compressed,
    in_room,
    mixed,
    pink_noise,
    room_response,
)
from voiceguard.training.lines.loss import (
    Lost,
    concealed,
    lost_in_bursts,
    lost_singly,
    packets_in,
    silenced,
)


def clip(index: int = 4) -> Samples:
    return np.asarray(recordings()[index].samples / 32768, np.float32)


def bursts(lost: Lost) -> NDArray[np.int64]:
    edges = np.flatnonzero(np.diff(lost.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return edges[:, 1] - edges[:, 0]


def log_spectra(samples: Samples) -> NDArray[np.float64]:
    framed = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    return 20 * np.log10(np.abs(np.fft.rfft(framed * np.hanning(160)))[:, 4:68] + 1e-3)


@pytest.mark.parametrize("rate", [0.01, 0.03, 0.05, 0.1])
def test_packets_are_lost_at_the_rate_asked_for(rate: float) -> None:
    singly = lost_singly(100_000, np.random.default_rng(2), rate)
    in_bursts = lost_in_bursts(100_000, np.random.default_rng(2), rate, 3.0)
    assert singly.mean() == pytest.approx(rate, rel=0.1)
    assert in_bursts.mean() == pytest.approx(rate, rel=0.1)
    assert bursts(singly).mean() == pytest.approx(1 / (1 - rate), rel=0.05)
    assert bursts(in_bursts).mean() == pytest.approx(3.0, rel=0.1)


def test_what_arrived_is_not_touched_where_nothing_is_concealed() -> None:
    lost = lost_singly(packets_in(clip()), np.random.default_rng(3), 0.1)
    assert lost.any()
    out = silenced(clip(), lost)
    for packet, gone in enumerate(lost):
        piece = slice(160 * packet, 160 * (packet + 1))
        expected = np.zeros(160, np.float32) if gone else clip()[piece]
        np.testing.assert_array_equal(out[piece], expected)
    np.testing.assert_array_equal(out[160 * len(lost) :], clip()[160 * len(lost) :])


@pytest.mark.parametrize("index", [0, 4, 6, 10])
@pytest.mark.parametrize("mean_burst", [1.0, 3.0])
def test_concealed_loss_sounds_more_like_the_speech_than_silence(
    index: int, mean_burst: float
) -> None:
    samples = clip(index)
    original = log_spectra(samples)
    lost = lost_in_bursts(packets_in(samples), np.random.default_rng(5), 0.1, mean_burst)
    spoken = lost & (original.max(axis=1) > -10)
    distances = [
        float(np.mean(np.abs(log_spectra(replace(samples, lost)) - original)[spoken]))
        for replace in (silenced, concealed)
    ]
    assert distances[1] < 0.7 * distances[0]


def test_a_steady_tone_hardly_shows_that_a_packet_is_lost() -> None:
    tone = np.sin(2 * np.pi * 125 * np.arange(3200) / 8000).astype(np.float32)
    lost = np.zeros(20, np.bool_)
    lost[10] = True
    out = concealed(tone, lost)
    np.testing.assert_allclose(out[:1681], tone[:1681], atol=0.03)  # 10 ms of it at full level
    np.testing.assert_allclose(out[1680:1760], 0.9 * tone[1680:1760], atol=0.12)
    np.testing.assert_array_equal(out[1840:], tone[1840:])
    assert np.abs(np.diff(out)).max() < 1.3 * np.abs(np.diff(tone)).max()


def test_a_long_loss_fades_into_silence_within_60_ms() -> None:
    lost = np.zeros(packets_in(clip()), np.bool_)
    lost[50:56] = True
    out = concealed(clip(), lost)
    assert np.any(out[8000:8400])
    assert not np.any(out[8480 : 56 * 160])


@pytest.mark.parametrize("last", [1, 50])
def test_without_a_history_there_is_silence(last: int) -> None:
    lost = np.zeros(packets_in(clip()), np.bool_)
    lost[:last] = True
    np.testing.assert_array_equal(concealed(clip(), lost), silenced(clip(), lost))


def test_loss_at_the_very_end_is_concealed() -> None:
    samples = clip()[: 30 * 160]
    lost = np.zeros(30, np.bool_)
    lost[29] = True
    assert np.any(concealed(samples, lost)[29 * 160 :])


@pytest.mark.parametrize("rt60_s", [0.2, 0.3, 0.6])
def test_a_room_takes_its_time_to_fall_silent(rt60_s: float) -> None:
    """By Schroeder's backward integration (1965), from -5 to -25 dB as ISO 3382 does."""
    response = room_response(rt60_s, 3.0, np.random.default_rng(4))
    assert np.sum(response**2) == pytest.approx(1.0, rel=1e-4)
    assert response[0] ** 2 / np.sum(response[1:] ** 2) == pytest.approx(2.0, rel=0.01)
    tail = response[1:].astype(np.float64)
    left_db = 10 * np.log10(np.cumsum((tail**2)[::-1])[::-1] / np.sum(tail**2))
    fit = (left_db < -5) & (left_db > -25)
    slope = np.polyfit(np.flatnonzero(fit) / 8000, left_db[fit], 1)[0]
    assert -60 / slope == pytest.approx(rt60_s, rel=0.15)


def test_an_impulse_in_a_room_is_its_response() -> None:
    response = room_response(0.1, 0.0, np.random.default_rng(4))
    impulse = np.zeros(500, np.float32)
    impulse[100] = 1.0
    np.testing.assert_allclose(in_room(impulse, response)[100:], response[:400], atol=1e-6)


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    spectrum = np.abs(np.fft.rfft(pink_noise(80_000, np.random.default_rng(6)))) ** 2
    octaves_db = [10 * np.log10(np.mean(spectrum[10 * hz : 20 * hz])) for hz in (125, 500, 2000)]
    assert np.diff(octaves_db) == pytest.approx([-6.0, -6.0], abs=0.5)


def test_pauses_do_not_count_as_speech() -> None:
    spoken = clip()[4000:12000]
    paused = np.concatenate([spoken, np.zeros(16000, np.float32)])
    assert active_power(paused) == pytest.approx(active_power(spoken), rel=0.1)
    added = mixed(paused, np.ones(24000, np.float32), 20.0) - paused
    assert 10 * np.log10(active_power(paused) / np.mean(added**2)) == pytest.approx(20.0, abs=0.01)


def test_compression_brings_levels_closer_and_no_further_than_allowed() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 8000).astype(np.float32)
    levels = []
    for level_db in (-60, -40, -30, -20, -10):
        out = compressed(tone * np.float32(np.sqrt(2) * 10 ** (level_db / 20)), -20.0, 4.0, 15.0)
        levels.append(10 * np.log10(np.mean(out[8000:] ** 2)))
    assert levels == pytest.approx([-45.0, -25.0, -22.5, -20.0, -17.5], abs=0.3)


def test_compression_answers_a_shout_within_its_attack() -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 8000).astype(np.float32)
    tone[:8000] *= 0.05
    out = compressed(tone, -20.0, 4.0, 15.0)
    onset, later = (np.mean(out[part] ** 2) for part in (slice(8000, 8040), slice(9600, 12000)))
    assert onset > 4 * later
