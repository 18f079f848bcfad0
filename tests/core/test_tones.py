from __future__ import annotations

import ast
import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis.extra.numpy import arrays

from benchmarks.hold_music import TEST_STYLES, TONES, hold_music, tone
from voiceguard.core import gate_weights
from voiceguard.core.sound_features import FEATURE_NAMES, hop_features
from voiceguard.core.speech import HopGatherer, SpeechHop
from voiceguard.core.tones import ToneMusicGate
from voiceguard.core.units import FRAME_SAMPLES, HOP_SAMPLES
from voiceguard.engine.vad import WebRtcDetector

DATA = Path(__file__).parents[1] / "data"
TONE_FILES = sorted(
    path
    for path in (DATA / "tones").glob("*.flac")
    if path.stem not in ("error", "notfound", "ring")
)
SPOKEN_FILES = [DATA / "tones" / f"{name}.flac" for name in ("error", "notfound", "ring")]


def recording(path: Path, times: int = 4) -> np.ndarray:
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 8000
    return np.tile(samples, times)


def on_a_line(signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (8000 * signal + rng.normal(0, 15, len(signal))).astype(np.int16)


def speech_hops(samples: np.ndarray) -> list[np.ndarray]:
    """Return the hops that detector and segmenter let through, as in service."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    voiced = WebRtcDetector().decide_frames(frames.tobytes())
    gathered = HopGatherer().receive_frames(frames, voiced)
    return [event.samples for event in gathered if isinstance(event, SpeechHop)]


def gated(hops: list[np.ndarray], gate: ToneMusicGate | None = None) -> list[bool]:
    gate = gate or ToneMusicGate()
    return [gate.receive_hop(hop).is_tone_or_music for hop in hops]


@pytest.mark.parametrize("path", TONE_FILES, ids=lambda path: path.stem)
def test_recorded_tones_are_gated_from_their_first_hop(path):
    decisions = gated(speech_hops(recording(path, 8)))
    assert decisions
    assert all(decisions)


@pytest.mark.parametrize("name", TONES)
def test_made_tones_are_gated_from_their_first_hop(name):
    rng = np.random.default_rng(11)
    decisions = gated(speech_hops(on_a_line(tone(rng, name, 12.0), rng)))
    assert decisions
    assert all(decisions)


@pytest.mark.parametrize("path", SPOKEN_FILES, ids=lambda path: path.stem)
def test_spoken_announcements_are_not_gated(path):
    decisions = gated(speech_hops(recording(path)))
    assert len(decisions) >= 8
    assert not any(decisions)


@pytest.mark.parametrize("style", TEST_STYLES)
def test_music_of_instruments_it_was_not_fitted_on_is_gated_after_two_seconds(style):
    rng = np.random.default_rng(12)
    decisions = [
        decision
        for _ in range(3)
        for decision in gated(speech_hops(on_a_line(hold_music(rng, style, 8.0), rng)))[4:]
    ]
    assert len(decisions) >= 15
    assert np.mean(decisions) >= 0.8


@pytest.mark.parametrize("name", ["break29", "coolloop7", "breakbeat"])
def test_recorded_loops_it_was_not_fitted_on_are_gated_after_two_seconds(name):
    decisions = gated(speech_hops(recording(DATA / "music" / f"{name}.flac")))[4:]
    assert len(decisions) >= 15
    assert np.mean(decisions) >= 0.8


def test_speech_after_music_is_scored_at_once():
    rng = np.random.default_rng(13)
    gate = ToneMusicGate()
    assert gated(speech_hops(on_a_line(hold_music(rng, "bells", 10.0), rng)), gate)[-1]
    assert np.mean(gated(speech_hops(recording(SPOKEN_FILES[1])), gate)[:5]) <= 0.2


def test_speech_over_faint_music_is_scored():
    rng = np.random.default_rng(14)
    voice = recording(SPOKEN_FILES[1]).astype(float)
    music = hold_music(rng, "guitar-song", len(voice) / 8000)
    music *= 10 ** (-15 / 20) * np.sqrt(np.mean(voice**2) / np.mean(music**2))
    spoken = [hop for hop in speech_hops((voice + music).astype(np.int16)) if loud(hop, voice)]
    assert len(spoken) >= 6
    assert np.mean(gated(spoken)) <= 0.2


def loud(hop: np.ndarray, voice: np.ndarray) -> bool:
    return float(np.mean(hop.astype(float) ** 2)) > 0.3 * float(np.mean(voice**2))


def test_the_gate_hears_no_difference_in_loudness():
    rng = np.random.default_rng(15)
    music = 8000 * hold_music(rng, "brass-band", 6.0)
    voice = recording(SPOKEN_FILES[1]).astype(float)
    for sound in (music, voice):
        decisions = [
            [
                ToneMusicGate().receive_hop((gain * hop).astype(np.int16))
                for hop in speech_hops(sound.astype(np.int16))
            ]
            for gain in (1.0, 0.25)
        ]
        for loud_one, quiet_one in zip(*decisions, strict=True):
            assert quiet_one.is_tone_or_music == loud_one.is_tone_or_music


@pytest.mark.parametrize(
    ("samples", "is_tone"),
    [
        (np.zeros(HOP_SAMPLES), None),
        (np.full(HOP_SAMPLES, 9000), None),
        (np.full(HOP_SAMPLES, -32768), None),
        (np.eye(1, HOP_SAMPLES)[0] * 32767, None),
        (np.where(np.arange(HOP_SAMPLES) // 10 % 2, 32767, -32768), True),
    ],
    ids=["zero", "dc", "dc-full-scale", "click", "square"],
)
def test_degenerate_audio_has_a_finite_answer(samples, is_tone):
    decision = ToneMusicGate().receive_hop(samples.astype(np.int16))
    assert math.isfinite(decision.tone_score)
    assert math.isfinite(decision.music_score)
    assert is_tone is None or decision.is_tone_or_music is is_tone


@given(arrays(np.int16, HOP_SAMPLES))
def test_any_audio_gives_finite_features(samples):
    features = hop_features(samples)
    assert features.shape == (len(FEATURE_NAMES),)
    assert np.all(np.isfinite(features))


def test_the_constants_are_those_of_the_features():
    for rows in (gate_weights.TONE_ROWS, gate_weights.MUSIC_ROWS):
        assert [len(row) for row in rows] == [len(FEATURE_NAMES)] * 4
        assert min(rows[1]) > 0.0


def test_a_steady_pair_of_tones_shows_in_the_features():
    times = np.arange(HOP_SAMPLES) / 8000
    pair = 9000 * (np.sin(2 * np.pi * 697 * times) + np.sin(2 * np.pi * 1209 * times))
    measured = dict(zip(FEATURE_NAMES, hop_features(pair.astype(np.int16)).tolist(), strict=True))
    assert measured["peak_near"] == 1.0
    assert measured["lines_same_mid"] > 0.95
    assert measured["level_deviation"] < 0.05
    assert measured["centroid"] == pytest.approx((697 + 1209) / 2000, abs=0.02)


def test_constants_are_data_only():
    tree = ast.parse(inspect.getsource(gate_weights))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
