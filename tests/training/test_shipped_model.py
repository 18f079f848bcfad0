"""What the model in the repository must keep to, whoever trained it."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import librosa
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.utils import Extractor

from tests.training.speech import MODEL_DIR, recordings, speech
from voiceguard.core.pressure import EvidenceWeights, PressureIndex
from voiceguard.engine.manifest import load_manifest
from voiceguard.training.calibrate import area_under_curve
from voiceguard.training.clips import heard_over_g711
from voiceguard.training.export import Runner
from voiceguard.training.frontend import (
    BANDS,
    MEL_HIGH_HZ,
    MEL_LOW_HZ,
    OVERLAP_SAMPLES,
    STEP_SAMPLES,
    WINDOW_SAMPLES,
    mel_filters,
)
from voiceguard.training.ship import log_odds_of_clips
from voiceguard.training.splits import held_out_speakers


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner((MODEL_DIR / "model.onnx").read_bytes())


def test_hop_by_hop_is_the_same_as_at_once(runner: Runner) -> None:
    at_once, last_state = runner.run(speech())
    state = np.zeros((1, runner.state_size), np.float32)
    for hop in range(at_once.shape[1]):
        scores, state = runner.run(speech()[:, hop * 4000 : (hop + 1) * 4000], state)
        np.testing.assert_allclose(scores[0, 0], at_once[0, hop], atol=1e-4)
    np.testing.assert_allclose(state, last_state, atol=1e-3)


def test_a_row_says_the_same_whatever_runs_beside_it(runner: Runner) -> None:
    alone, _ = runner.run(speech())
    noise = 0.1 * np.random.default_rng(0).standard_normal(speech().shape).astype(np.float32)
    together, _ = runner.run(np.concatenate([noise, speech(), noise]))
    np.testing.assert_allclose(together[1], alone[0], atol=1e-4)


@pytest.mark.parametrize("gain_db", [-24, -12, 6, 12])
def test_gain_alone_does_not_move_the_scores(runner: Runner, gain_db: int) -> None:
    quiet = 0.2 * speech() / np.abs(speech()).max()
    reference, _ = runner.run(quiet)
    scores, _ = runner.run(np.float32(10 ** (gain_db / 20)) * quiet)
    assert np.abs(scores - reference).max() < 0.02


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(8000),
        np.where(np.arange(8000) // 40 % 2, 32767 / 32768, -1.0),
        np.full(8000, 0.9),
        np.eye(1, 8000, 4000)[0],
        np.random.default_rng(0).uniform(-1, 1, 8000),
    ],
    ids=["silence", "square", "dc", "click", "noise"],
)
def test_degenerate_audio_gives_finite_scores_and_state(runner: Runner, pcm: np.ndarray) -> None:
    scores, state = runner.run(pcm[None].astype(np.float32))
    assert np.isfinite(state).all()
    assert ((scores >= 0) & (scores <= 1)).all()
    after, _ = runner.run(speech(), state)
    assert ((after >= 0) & (after <= 1)).all()


def test_its_front_end_is_librosas() -> None:
    model = onnx.load(MODEL_DIR / "model.onnx")
    filters = mel_filters()[:, 3:153].T.astype(np.float32)
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    (name,) = (
        name
        for name, weight in weights.items()
        if weight.shape == filters.shape and np.allclose(weight, filters)
    )
    (energy,) = (node for node in model.graph.node if name in node.input)
    part = Extractor(model).extract_model(["pcm", "state"], [energy.output[0]])
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(part, Path(folder) / "part.onnx")
        session = onnxruntime.InferenceSession(
            (Path(folder) / "part.onnx").read_bytes(), providers=["CPUExecutionProvider"]
        )
    names = [each.name for each in session.get_inputs()]
    state = np.zeros((1, load_manifest(MODEL_DIR / "model.toml").state_floats), np.float32)
    feed = {"pcm": speech(), "state": state}
    (ours,) = session.run(None, {name: feed[name] for name in names})
    theirs = librosa.feature.melspectrogram(
        y=np.pad(speech()[0], (OVERLAP_SAMPLES, 0)),
        sr=8000,
        n_fft=WINDOW_SAMPLES,
        hop_length=STEP_SAMPLES,
        center=False,
        n_mels=BANDS,
        fmin=MEL_LOW_HZ,
        fmax=MEL_HIGH_HZ,
    )
    joined = ours.reshape(-1, BANDS).T
    np.testing.assert_allclose(np.log(joined + 1e-9), np.log(theirs + 1e-9), atol=2e-3)


def test_anger_stands_out_among_the_bundled_clips(runner: Runner) -> None:
    hops = [heard_over_g711(one.samples) for one in recordings()]
    anger = np.array([one.clip.emotion == "anger" for one in recordings()])
    assert area_under_curve(log_odds_of_clips(runner.score_clips(hops))[:, 0], anger) >= 0.85


def probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def test_a_calm_voice_that_only_gets_louder_stays_below_yellow() -> None:
    weights = EvidenceWeights.from_mapping(load_manifest(MODEL_DIR / "model.toml").pressure)
    index = PressureIndex(weights)
    scores = {
        "anger": probability(weights.calm_anger_mean + weights.calm_anger_deviation),
        "distress": probability(weights.calm_distress_mean + weights.calm_distress_deviation),
        "arousal": probability(weights.calm_arousal_mean + weights.calm_arousal_deviation),
        "valence": probability(weights.calm_valence_mean - weights.calm_valence_deviation),
    }
    for level_db in [-30.0] * 30 + [-18.0] * 60:
        index.receive_scores(scores, level_db, 1.0)
        assert index.pressure_index < 45


CALM = {"anger": 0.1, "distress": 0.1, "arousal": 0.4, "valence": 0.5}
PRESSED = [
    {"anger": 0.9, "distress": 0.1, "arousal": 0.85, "valence": 0.12},
    {"anger": 0.1, "distress": 0.9, "arousal": 0.8, "valence": 0.15},
]


@pytest.mark.parametrize("pressed", PRESSED, ids=["anger", "fear"])
@pytest.mark.parametrize("calm_hops", [0, 30], ids=["from the first word", "after calm talk"])
def test_sustained_anger_and_sustained_fear_hand_off(
    pressed: dict[str, float], calm_hops: int
) -> None:
    weights = EvidenceWeights.from_mapping(load_manifest(MODEL_DIR / "model.toml").pressure)
    index = PressureIndex(weights)
    for _ in range(calm_hops):
        index.receive_scores(CALM, -30.0, 1.0)
    for _ in range(36):
        index.receive_scores(pressed, -30.0, 1.0)
    assert index.pressure_index > 60


def test_the_manifest_names_speakers_kept_out_and_licences() -> None:
    manifest = load_manifest(MODEL_DIR / "model.toml")
    held_out = {
        name: list(speakers) for name, speakers in manifest.training.held_out_speakers.items()
    }
    assert held_out == held_out_speakers()
    assert "crema-d" in {corpus.name for corpus in manifest.training.corpora}
    assert (MODEL_DIR / "model.onnx").stat().st_size < 4_000_000
