"""A random line keeps the length, stays finite and follows its seed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.speech import speech
from voiceguard.training.augment import Chances, Line, Sounds, resampled

ALWAYS = Chances(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
NOISE = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
SOUNDS = Sounds([NOISE], [np.exp(-np.arange(800) / 90).astype(np.float32)])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("samples", [speech()[0], np.zeros(8000, np.float32)])
def test_a_line_keeps_length_and_range(samples: np.ndarray, seed: int) -> None:
    out = Line(np.random.default_rng(seed), SOUNDS, ALWAYS).carry(samples, [NOISE])
    assert out.shape == samples.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0


def test_the_same_seed_is_the_same_line_and_another_is_not() -> None:
    first, again, other = (
        Line(np.random.default_rng(seed), SOUNDS, Chances()).carry(speech()[0], [NOISE])
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.2])
def test_resampling_moves_pitch_and_tempo_alike(factor: float) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(8000) / 8000).astype(np.float32)
    moved = resampled(tone, factor)
    assert len(moved) == round(8000 / factor)
    middle = moved[1000:5000]
    peak_hz = np.argmax(np.abs(np.fft.rfft(middle * np.hanning(4000)))) * 2.0
    assert peak_hz == pytest.approx(500 * factor, rel=0.02)
    assert np.std(middle) == pytest.approx(np.std(tone), rel=0.05)
