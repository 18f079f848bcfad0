from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.core.units import FRAME_SAMPLES
from voiceguard.engine.vad import WebRtcDetector

DATA = Path(__file__).parents[1] / "data"


def spoken_frames() -> np.ndarray:
    """Return a spoken announcement between half seconds of faint noise, in frames."""
    voice, rate_hz = soundfile.read(DATA / "tones" / "notfound.flac", dtype="int16")
    assert rate_hz == 8000
    noise = np.random.default_rng(3).normal(0, 10, (2, 4000)).astype(np.int16)
    call = np.concatenate((noise[0], voice, noise[1]))
    return call[: len(call) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)


def test_it_hears_a_voice_and_no_noise():
    decisions = WebRtcDetector().decide_frames(spoken_frames().tobytes())
    assert np.mean(decisions[30:100]) > 0.8
    assert not any(decisions[8:25])  # it takes its first frames to learn the noise
    assert not any(decisions[-15:])


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_how_frames_are_grouped_changes_nothing(sizes):
    frames = spoken_frames()
    detector = WebRtcDetector()
    parts: list[bool] = []
    for size in sizes:
        parts += detector.decide_frames(frames[len(parts) : len(parts) + size].tobytes())
    whole = WebRtcDetector().decide_frames(frames[: len(parts)].tobytes())
    assert parts == whole


def test_detectors_do_not_share_what_they_learn():
    frames = spoken_frames().tobytes()
    loud = np.random.default_rng(4).normal(0, 8000, 16000).astype(np.int16).tobytes()
    one, other = WebRtcDetector(), WebRtcDetector()
    other.decide_frames(loud)
    assert one.decide_frames(frames) == WebRtcDetector().decide_frames(frames)


def test_no_frames_give_no_decisions():
    assert WebRtcDetector().decide_frames(b"") == []


@pytest.mark.parametrize("size", [1, 319, 321])
def test_half_a_frame_is_refused(size):
    with pytest.raises(ValueError, match="whole number"):
        WebRtcDetector().decide_frames(bytes(size))


def test_an_unknown_aggressiveness_is_refused():
    with pytest.raises(ValueError, match=r"."):
        WebRtcDetector(4)


@pytest.mark.parametrize(
    "frame",
    [np.zeros(160), np.full(160, 9000), np.full(160, -32768), np.resize([32767, -32768], 160)],
)
def test_degenerate_audio_gets_a_decision(frame):
    decisions = WebRtcDetector().decide_frames(np.tile(frame, 50).astype("<i2").tobytes())
    assert len(decisions) == 50
