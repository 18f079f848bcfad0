"""The network against librosa, against itself hop by hop, and a short run of training."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from tests.training.speech import recordings, speech
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
from voiceguard.training.examples import RowSampler, TrainingDataError, prefetched
from voiceguard.training.export import Runner, onnx_bytes
from voiceguard.training.fit import Schedule, fit
from voiceguard.training.network import (
    FFT_SAMPLES,
    MEL_BANDS,
    MEL_HIGH_HZ,
    MEL_LOW_HZ,
    STEP_SAMPLES,
    MelEnergy,
    Shape,
    StressNetwork,
)
from voiceguard.training.ship import ship
from voiceguard.training.splits import held_out_speakers

TINY = Shape(channels=8, dilations=(1, 2), hidden=8)


def tiny_network() -> StressNetwork:
    torch.manual_seed(1)
    return StressNetwork(TINY).eval()


def test_mel_energies_are_librosas() -> None:
    samples = speech()[0]
    with torch.no_grad():
        ours = MelEnergy()(torch.from_numpy(samples[None, None]))[0].numpy()
    theirs = librosa.feature.melspectrogram(
        y=samples,
        sr=8000,
        n_fft=FFT_SAMPLES,
        hop_length=STEP_SAMPLES,
        window="hann",
        center=False,
        power=2.0,
        n_mels=MEL_BANDS,
        fmin=MEL_LOW_HZ,
        fmax=MEL_HIGH_HZ,
    )
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(np.log(ours + 1e-9), np.log(theirs + 1e-9), atol=2e-3)


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
    assert weights.absolute > 0
    assert weights.level * weights.level_cap_db <= 0.81


def test_rows_follow_from_seed_and_step_alone() -> None:
    utterances = utterances_of(recordings())
    first = list(prefetched(RowSampler(utterances, Sounds(), 5, Chances()), 3, 2))
    again = RowSampler(utterances, Sounds(), 5, Chances()).batch(2, 2)
    assert len(first) == 3
    np.testing.assert_array_equal(first[2].pcm, again.pcm)
    np.testing.assert_array_equal(first[2].outputs, again.outputs)


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
