"""Pitch, formants and tempo move together or apart, each by its factor."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.speech import recordings
from voiceguard.training.lines.codecs import Samples
from voiceguard.training.voices import Voice, formants_shifted, resampled, stretched

FACTORS = pytest.mark.parametrize("factor", [0.82, 0.93, 1.0, 1.1, 1.22])


def clip() -> Samples:
    return np.asarray(recordings()[4].samples / 32768, np.float32)


def vowel(pitch_hz: float = 100.0, formant_hz: float = 1200.0) -> Samples:
    """Return one second of harmonics under one broad formant."""
    hz = np.arange(1, int(3900 / pitch_hz)) * pitch_hz
    gains = np.exp(-0.5 * ((hz - formant_hz) / 250.0) ** 2) + 0.01
    waves = np.sin(2 * np.pi * hz[:, None] * np.arange(8000) / 8000 + np.arange(len(hz))[:, None])
    return np.asarray(0.1 * gains @ waves, np.float32)


def power(samples: Samples) -> np.ndarray:
    """Return the power spectrum of the middle, in bins of 2 Hz."""
    return np.abs(np.fft.rfft(samples[1200:5200] * np.hanning(4000))) ** 2


def pitch_hz(samples: Samples) -> float:
    """Return the pitch between 60 and 160 Hz by autocorrelation."""
    middle = samples[1200:5200]
    likeness = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    lag = 50 + int(np.argmax(likeness[50:134]))
    left, top, right = likeness[lag - 1 : lag + 2]
    return 8000 / (lag + 0.5 * (left - right) / (left - 2 * top + right))


def formant_hz(samples: Samples) -> float:
    """Return the centre of the power spectrum."""
    spectrum = power(samples)
    return float(np.sum(np.arange(len(spectrum)) * 2.0 * spectrum) / np.sum(spectrum))


@FACTORS
def test_resampling_moves_pitch_and_tempo_alike(factor: float) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(8000) / 8000).astype(np.float32)
    moved = resampled(tone, factor)
    assert len(moved) == round(8000 / factor)
    assert np.argmax(power(moved)) * 2.0 == pytest.approx(500 * factor, rel=0.02)
    assert np.std(moved[1000:5000]) == pytest.approx(np.std(tone), rel=0.05)


@FACTORS
def test_stretching_keeps_pitch_formants_and_level(factor: float) -> None:
    moved = stretched(vowel(), factor)
    assert len(moved) == round(8000 / factor)
    assert pitch_hz(moved) == pytest.approx(100.0, rel=0.01)
    assert formant_hz(moved) == pytest.approx(formant_hz(vowel()), rel=0.02)
    assert np.std(moved) == pytest.approx(np.std(vowel()), rel=0.03)


@FACTORS
def test_stretching_keeps_the_order_of_events(factor: float) -> None:
    """A click lies where the tempo puts it, within the search and a segment."""
    for place in (1500, 6000, 10000):
        samples = 0.001 * np.random.default_rng(1).standard_normal(12000).astype(np.float32)
        samples[place] = 1.0
        moved = stretched(samples, factor)
        assert abs(int(np.argmax(moved)) - place / factor) < 200


@FACTORS
def test_formants_move_and_pitch_stays(factor: float) -> None:
    moved = formants_shifted(vowel(), factor)
    assert len(moved) == 8000
    assert pitch_hz(moved) == pytest.approx(100.0, rel=0.01)
    assert formant_hz(moved) == pytest.approx(1200 * factor, rel=0.08)


@pytest.mark.parametrize("change", [stretched, formants_shifted])
def test_a_factor_of_one_changes_nothing(change: object) -> None:
    np.testing.assert_allclose(change(clip(), 1.0), clip(), atol=1e-6)  # type: ignore[operator]


@pytest.mark.parametrize(
    "voice", [Voice(), Voice(1.1, 1.1, 1.1), Voice(pitch=1.15), Voice(1.1, 0.95, 0.9)]
)
def test_a_voice_is_what_it_says(voice: Voice) -> None:
    spoken = voice.speaking(vowel())
    assert len(spoken) == pytest.approx(8000 / voice.tempo, abs=2)
    assert pitch_hz(spoken) == pytest.approx(100 * voice.pitch, rel=0.015)
    assert formant_hz(spoken) == pytest.approx(1200 * voice.formants, rel=0.08)
    assert voice.speaking(clip()).dtype == np.float32


@pytest.mark.parametrize("length", [1, 50, 200, 257])
def test_short_pieces_are_spoken_too(length: int) -> None:
    spoken = Voice(1.1, 0.95, 0.9).speaking(clip()[5000 : 5000 + length])
    assert len(spoken) == pytest.approx(length / 0.9, abs=2)
    assert np.isfinite(spoken).all()


def test_voices_are_drawn_as_often_as_asked() -> None:
    rng = np.random.default_rng(8)
    drawn = [Voice.drawn(rng, together=0.4, apart=0.3) for _ in range(1000)]
    same = [voice for voice in drawn if voice == Voice()]
    alike = [voice for voice in drawn if voice.pitch == voice.formants == voice.tempo != 1.0]
    assert len(same) == pytest.approx(300, abs=45)
    assert len(alike) == pytest.approx(400, abs=45)
    factors = np.array([(voice.pitch, voice.formants, voice.tempo) for voice in drawn])
    assert factors.min() >= 0.82
    assert factors.max() <= 1.22
    assert Voice.drawn(np.random.default_rng(8)) == drawn[0]
