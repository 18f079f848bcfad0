"""The network against librosa, against itself hop by hop, and a short run of training."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from tests.training.speech import recordings, speech
from tests.training.tiny import TINY
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.manifest import load_manifest
from voiceguard.training.augment import Chances, Sounds
from voiceguard.training.calibrate import (
    Calibration,
    area_under_curve,
    expected_calibration_error,
    fit_calibration,
    sigmoid,
)
from voiceguard.training.clips import utterances_of
from voiceguard.training.corpora import CREMA_D
from voiceguard.training.examples import Batch, RowSampler, TrainingDataError, prefetched
from voiceguard.training.export import Runner, onnx_bytes
from voiceguard.training.fit import Schedule, fit
from voiceguard.training.frontend import (
    BANDS,
    HOP_STEPS,
    MEL_HIGH_HZ,
    MEL_LOW_HZ,
    OVERLAP_SAMPLES,
    STEP_SAMPLES,
    WINDOW_SAMPLES,
    FrontEnd,
    hann_window,
    lags_samples,
)
from voiceguard.training.network import StressNetwork
from voiceguard.training.ship import ship
from voiceguard.training.splits import held_out_speakers


def tiny_network() -> StressNetwork:
    torch.manual_seed(1)
    return StressNetwork(TINY).eval()


def analysed(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mel energies and periodicity, (steps, BANDS), from silence on."""
    with torch.no_grad():
        pcm = torch.from_numpy(samples[None].astype(np.float32))
        parts = FrontEnd()(pcm, torch.zeros(1, 1, OVERLAP_SAMPLES))
    return tuple(part.reshape(-1, BANDS).numpy() for part in parts)


def test_mel_energies_are_librosas() -> None:
    ours, _ = analysed(speech()[0])
    theirs = librosa.feature.melspectrogram(
        y=np.pad(speech()[0], (OVERLAP_SAMPLES, 0)),
        sr=8000,
        n_fft=WINDOW_SAMPLES,
        hop_length=STEP_SAMPLES,
        window="hann",
        center=False,
        power=2.0,
        n_mels=BANDS,
        fmin=MEL_LOW_HZ,
        fmax=MEL_HIGH_HZ,
    ).T
    assert ours.shape == theirs.shape == (speech().shape[1] // 4000 * HOP_STEPS, BANDS)
    np.testing.assert_allclose(np.log(ours + 1e-9), np.log(theirs + 1e-9), atol=2e-3)


@pytest.mark.parametrize("pitch_hz", [90.0, 180.0, 320.0])
def test_periodicity_peaks_at_the_period_of_a_voice(pitch_hz: float) -> None:
    time_s = np.arange(4000) / 8000
    buzz = sum(np.cos(2 * np.pi * pitch_hz * k * time_s) / k for k in range(1, 11))
    _, periodicity = analysed(0.1 * np.asarray(buzz))
    steady = periodicity[2:]
    # Twice the period is a period too, so the shortest near the top is the voice's.
    first_peak = np.array([np.flatnonzero(row > 0.9 * row.max())[0] for row in steady])
    expected = np.argmin(np.abs(lags_samples() - 8000 / pitch_hz))
    assert np.abs(first_peak - expected).max() <= 2


def test_periodicity_is_that_of_the_compressed_spectrum() -> None:
    _, periodicity = analysed(speech()[0])
    windows = np.lib.stride_tricks.sliding_window_view(speech()[0], WINDOW_SAMPLES)[::STEP_SAMPLES]
    spectrum = np.abs(np.fft.rfft(windows * hann_window())) ** 0.5
    spectrum[:, :3] = spectrum[:, 153:] = 0.0
    lag_0 = spectrum.sum(axis=1)
    waves = np.cos(2 * np.pi * np.outer(np.arange(161), lags_samples()) / WINDOW_SAMPLES)
    expected = (spectrum @ waves) / lag_0[:, None]
    np.testing.assert_allclose(periodicity[1:], expected, atol=2e-3)


def test_streamed_is_what_one_shot_says() -> None:
    network, pcm = tiny_network(), torch.from_numpy(speech())
    with torch.no_grad():
        at_once, _, last = network(pcm, network.zero_state(1))
        state, hops = network.zero_state(1), []
        for start in range(0, pcm.shape[1], 4000):
            scores, _, state = network(pcm[:, start : start + 4000], state)
            hops.append(scores)
    np.testing.assert_allclose(torch.cat(hops, dim=1).numpy(), at_once.numpy(), atol=1e-5)
    np.testing.assert_allclose(state.numpy(), last.numpy(), atol=1e-4)


def test_no_expert_hears_anothers_view() -> None:
    network = tiny_network()
    parameters = dict(network.step_experts.named_parameters())
    outputs, emotions, _ = network.hear(torch.from_numpy(speech()), network.zero_state(1))
    for expert in range(3):
        said = outputs[:, expert].sum() + emotions[:, expert].sum()
        network.zero_grad()
        said.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        stem = parameters["stem.weight"].grad
        assert stem is not None
        moved = stem.reshape(3, -1).abs().sum(dim=1) > 0
        assert moved.tolist() == [one == expert for one in range(3)]
        hidden = network.step_experts.head.hidden.weight.grad
        assert hidden is not None
        inputs = hidden.abs().sum(dim=0).reshape(-1, 3, TINY.slow_channels).sum(dim=(0, 2)) > 0
        assert inputs.tolist() == [one == expert for one in range(3)]


def test_the_sum_is_the_weighted_mean_of_the_experts() -> None:
    network, pcm = tiny_network(), torch.from_numpy(speech())
    with torch.no_grad():
        outputs, emotions, _ = network(pcm, network.zero_state(1))
        each, emotions_of_each, _ = network.hear(pcm, network.zero_state(1))
    weights = np.array([2.0, 2.0, 1.0, 2.0, 1.0, 1.0]) / 9.0
    for mixed, parts in ((outputs, each), (emotions, emotions_of_each)):
        expected = np.einsum("e,beho->bho", weights, parts.numpy())
        if mixed is outputs:
            of_steps = np.array([2.0, 2.0, 1.0]) / 5.0
            expected[..., 1] = np.einsum("e,beh->bh", of_steps, parts.numpy()[:, :3, :, 1])
        np.testing.assert_allclose(mixed.numpy(), expected, atol=1e-5)


def test_exported_graph_says_what_the_network_says() -> None:
    network = tiny_network()
    calibration = Calibration((1.5, 1.0, 1.0, 0.5), (0.1, -0.2, 0.0, 0.3))
    pcm = np.concatenate([speech(), 0.3 * speech()])
    with torch.no_grad():
        logits, _, state = network(torch.from_numpy(pcm), network.zero_state(2))
    scores, next_state = Runner(onnx_bytes(network, calibration)).run(pcm)
    expected = sigmoid(logits.numpy() * calibration.scale + calibration.shift)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    np.testing.assert_allclose(next_state, state.numpy(), atol=1e-4)


def test_training_lowers_the_loss_and_ships_a_model_that_the_engine_takes(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    sampler = RowSampler(utterances_of(recordings()), Sounds(), 7, Chances())
    losses: list[float] = []
    schedule = Schedule(steps=30, rows=8, peak_rate=1e-2, warm_up_steps=3)
    network = fit(sampler, TINY, schedule, lambda _, loss: losses.append(loss))
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])
    made_by, held_out = "voiceguard train", held_out_speakers()
    shipped = ship(
        network, recordings(), Sounds(), tmp_path, made_by, 7, [CREMA_D], held_out, calls=6
    )
    manifest = load_manifest(tmp_path / "model.toml")
    assert manifest.size_bytes == shipped.size_bytes == (tmp_path / "model.onnx").stat().st_size
    assert manifest.state_floats == network.state_size
    weights = EvidenceWeights.from_mapping(manifest.pressure)
    assert weights.anger.absolute > 0
    assert weights.anger.level * weights.level_cap_db <= 0.81


def test_rows_follow_from_seed_and_step_alone() -> None:
    utterances = utterances_of(recordings())
    first = list(prefetched(RowSampler(utterances, Sounds(), 5, Chances()), 3, 2))
    again = RowSampler(utterances, Sounds(), 5, Chances()).batch(2, 2)
    assert len(first) == 3
    np.testing.assert_array_equal(first[2].pcm, again.pcm)
    np.testing.assert_array_equal(first[2].outputs, again.outputs)


class Numbered:
    """Batches that hold nothing but their own number."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def batch(self, step: int, rows: int) -> Batch:
        self.made.append(step)
        return Batch(*(np.full(rows, step, np.float32) for _ in range(5)))


@pytest.mark.parametrize(("steps", "echoes"), [(1, 1), (5, 3), (36, 3), (50, 3), (80, 1)])
def test_batches_come_back_and_are_made_once(steps: int, echoes: int) -> None:
    batches = Numbered()
    numbers = [int(batch.pcm[0]) for batch in prefetched(batches, steps, 2, echoes)]
    assert len(numbers) == steps
    assert batches.made == sorted(set(numbers)) == list(range(max(numbers) + 1))
    often = Counter(numbers)
    assert max(often.values()) <= echoes
    assert all(often[number] == echoes for number in range(steps // (12 * echoes) * 12))
    if steps > 12:
        assert all(first != second for first, second in pairwise(numbers))


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(TrainingDataError):
        RowSampler([], Sounds(), 1, Chances())


def test_calibration_undoes_what_was_done_to_the_odds() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(-1.0, 2.0, 4000)
    happened = rng.random(4000) < sigmoid(truth)
    logits = (truth / 3.0 + 1.0)[:, None]
    found = fit_calibration(logits, happened[:, None].astype(float), np.ones(4000))
    assert found.scale[0] == pytest.approx(3.0, rel=0.1)
    calibrated = sigmoid(found.scale[0] * logits[:, 0] + found.shift[0])
    raw_error = expected_calibration_error(sigmoid(logits[:, 0]), happened)
    assert expected_calibration_error(calibrated, happened) < 0.03 < raw_error


def test_area_under_curve_counts_pairs_in_order_and_ties_by_half() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.9])
    assert area_under_curve(scores, np.array([False, False, True, True])) == pytest.approx(0.875)
