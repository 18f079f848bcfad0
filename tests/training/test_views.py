"""What each view tells of the speech, and what it keeps to itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.speech import speech
from voiceguard.training.frontend import BANDS, HOP_STEPS, OVERLAP_SAMPLES, FrontEnd
from voiceguard.training.lookback import LONG_HOPS, PAST_HOPS, SHORT_HOPS
from voiceguard.training.views import HOP_VIEWS, STEP_VIEWS, Heard, Views
from voiceguard.training.windows import window_sums


def views_of(pcm: np.ndarray) -> Heard:
    """Return the views of (batch, samples) from silence on."""
    with torch.no_grad():
        batch = len(pcm)
        overlap = torch.zeros(batch, 1, OVERLAP_SAMPLES)
        energy, periodicity = FrontEnd()(torch.from_numpy(pcm.astype(np.float32)), overlap)
        past = [torch.zeros(batch, *size) for size in Views.state_sizes]
        heard: Heard = Views()(energy, periodicity, past)
        return heard


def step_view(heard: Heard, name: str) -> np.ndarray:
    """Return one view of the first row, (BANDS, steps)."""
    first = STEP_VIEWS.index(name) * BANDS
    return heard.steps[0, first : first + BANDS].numpy()


def hop_view(heard: Heard, name: str) -> np.ndarray:
    """Return one view of the first row, (hops, BANDS)."""
    first = HOP_VIEWS.index(name) * BANDS
    return heard.hops[0, :, first : first + BANDS].numpy()


@pytest.mark.parametrize("gain_db", [-24.0, 12.0])
def test_a_constant_gain_changes_nothing(gain_db: float) -> None:
    plain, louder = views_of(speech()), views_of(10 ** (gain_db / 20) * speech())
    np.testing.assert_allclose(louder.steps.numpy(), plain.steps.numpy(), atol=2e-3)
    np.testing.assert_allclose(louder.hops.numpy(), plain.hops.numpy(), atol=2e-3)


def test_a_louder_word_shows_in_the_spectrum_and_not_in_shape_and_periodicity() -> None:
    louder = speech().copy()
    louder[:, 12000:16000] *= 3.0
    plain, raised = views_of(speech()), views_of(louder)
    word = slice(3 * HOP_STEPS + 1, 4 * HOP_STEPS - 1)

    def change(name: str) -> float:
        return float(np.abs(step_view(raised, name) - step_view(plain, name))[:, word].mean())

    assert change("spectrum") > 0.5
    assert change("shape") < 0.5 * change("spectrum")
    assert change("periodicity") < 1e-4


def test_the_profile_is_the_mean_spectrum_of_the_window() -> None:
    with torch.no_grad():
        energy, _ = FrontEnd()(torch.from_numpy(speech()), torch.zeros(1, 1, OVERLAP_SAMPLES))
    by_hop = energy.mean(dim=1).numpy()
    for hop in (0, 3, 9):
        mean = by_hop[max(hop - PAST_HOPS, 0) : hop + 1].mean(axis=0)
        expected = np.clip(np.log(mean) - np.log(mean.mean()), -9.0, 3.0)
        np.testing.assert_allclose(
            hop_view(views_of(speech()), "profile")[hop], expected, atol=1e-3
        )


def test_a_band_that_rises_with_the_voice_has_a_slope() -> None:
    time_s = np.arange(6 * 4000) / 8000
    swell = np.exp(0.8 * np.sin(2 * np.pi * 1.3 * time_s))
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(len(time_s)))
    is_low = np.fft.rfftfreq(len(time_s), 1 / 8000) < 1000
    low, high = np.fft.irfft(spectrum * is_low), np.fft.irfft(spectrum * ~is_low)
    together = views_of((0.02 * (low + 0.1 * high) * swell)[None])
    apart = views_of((0.02 * (low * swell + 0.1 * high))[None])
    # Of the high bands: they rise with the voice, or stay where they are.
    assert hop_view(together, "slope")[-1, -8:].mean() > 0.7
    assert hop_view(apart, "slope")[-1, -8:].mean() < 0.3


def test_pitch_peaks_at_the_period_of_the_loud_steps() -> None:
    time_s = np.arange(3 * 4000) / 8000
    buzz = [sum(np.cos(2 * np.pi * hz * k * time_s) for k in range(1, 9)) for hz in (110, 220)]
    loud = np.where(np.sin(2 * np.pi * 2 * time_s) > 0, 0.1 * buzz[0], 0.001 * buzz[1])
    heard = hop_view(views_of(loud[None]), "pitch")[-1]
    alone = hop_view(views_of(0.1 * buzz[0][None]), "pitch")[-1]
    assert abs(int(np.argmax(heard)) - int(np.argmax(alone))) <= 1


def test_silence_has_finite_views() -> None:
    heard = views_of(np.zeros((1, 8000)))
    assert torch.isfinite(heard.steps).all()
    assert torch.isfinite(heard.hops).all()


def test_window_sums_are_those_of_the_hops_themselves() -> None:
    x: Tensor = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 12, 3)))
    long, short = window_sums(x)
    for hop in range(12 - PAST_HOPS):
        end = hop + LONG_HOPS
        np.testing.assert_allclose(long[:, hop], x[:, hop:end].sum(dim=1), atol=1e-12)
        np.testing.assert_allclose(short[:, hop], x[:, end - SHORT_HOPS : end].sum(dim=1))
