"""Scores of whole clips: all speech counts, and nothing depends on the neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceguard.engine.testing import create_model
from voiceguard.offline.analysis import Engine
from voiceguard.offline.scoring import (
    HOPS_AT_ONCE,
    ClipFailure,
    ClipScore,
    ClipToScore,
    SpeechOfClip,
    score_clips,
)
from voiceguard.resources import samples_dir


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return Engine.load(create_model(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def call() -> np.ndarray:
    samples, _ = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    return samples


def score(engine: Engine, *clips: Path | ClipToScore) -> list[ClipScore | ClipFailure]:
    wanted = [clip if isinstance(clip, ClipToScore) else ClipToScore(clip) for clip in clips]
    return list(score_clips(wanted, engine))


def write(path: Path, samples: np.ndarray, rate_hz: int = 8000) -> Path:
    soundfile.write(path, samples, rate_hz)
    return path


def test_clips_score_the_same_alone_and_together(engine, call, tmp_path) -> None:
    starts = range(0, len(call) - 24000, 12000)
    paths = [
        write(tmp_path / f"{start}.wav", call[start : start + 16000 + start // 20, 0])
        for start in starts
    ]
    together = score(engine, *paths)
    assert [result.path for result in together] == paths
    assert len(together) > 32  # more than one group
    for path, result in zip(paths, together, strict=True):
        (alone,) = score(engine, path)
        assert alone.speech_s == result.speech_s
        assert (alone.outputs is None) == (result.outputs is None)
        if alone.outputs is not None:
            assert result.outputs == pytest.approx(alone.outputs, abs=2e-3)
            assert result.pressure == pytest.approx(alone.pressure, abs=2e-3)


@pytest.mark.parametrize("length_s", [0.4, 0.7, 1.1, 2.3])
def test_all_speech_of_a_short_clip_counts(engine, call, tmp_path, length_s) -> None:
    start = int(48.2 * 8000)
    clip = call[start : start + int(length_s * 8000), 0]
    (result,) = score(engine, write(tmp_path / "short.wav", clip))
    assert result.outputs is not None
    assert 0.5 * length_s < result.speech_s <= length_s
    assert 0.0 < result.pressure < 1.0


def test_without_speech_there_is_no_score(engine, tmp_path) -> None:
    (result,) = score(engine, write(tmp_path / "silent.wav", np.zeros(16000, np.int16)))
    assert result.duration_s == 2.0
    assert result.speech_s == 0.0
    assert result.outputs is None
    assert result.pressure is None


def test_the_rest_is_completed_by_the_clips_own_speech(call) -> None:
    speech = SpeechOfClip(8000)
    hops = speech.receive_samples(np.ascontiguousarray(call[48 * 8000 : 398000, 0]))
    last, shares = speech.finish()
    assert len(hops) >= 2
    assert len(last) == 1
    rest = round(shares[0] * 4000)
    assert 1600 <= rest < 4000
    assert np.array_equal(last[0][rest:], hops[0][: 4000 - rest])


def test_a_long_clip_is_scored_in_parts_with_its_state_carried(engine, call, tmp_path) -> None:
    long = np.concatenate([call[29 * 8000 : 36 * 8000, 0]] * 12)
    (result,) = score(engine, write(tmp_path / "long.wav", long))
    assert result.speech_s > (HOPS_AT_ONCE + 8) * 0.5
    (part,) = score(engine, write(tmp_path / "part.wav", long[: len(long) // 2]))
    assert result.outputs["anger"] == pytest.approx(part.outputs["anger"], abs=0.05)


def test_loud_scores_above_quiet(engine, call, tmp_path) -> None:
    """The test model hears level: the mean must carry what single hops say."""
    quiet, loud = call[3 * 8000 : 9 * 8000, 0], call[48 * 8000 : 54 * 8000, 0]
    first, second = score(engine, write(tmp_path / "q.wav", quiet), write(tmp_path / "l.wav", loud))
    assert second.outputs["anger"] > first.outputs["anger"] + 0.1
    assert second.pressure > first.pressure


def test_only_the_channel_that_is_meant_is_heard(engine, call, tmp_path) -> None:
    both = write(tmp_path / "both.wav", call[: 20 * 8000])
    for channel in (0, 1):
        mono = write(tmp_path / f"{channel}.wav", call[: 20 * 8000, channel])
        (wanted,) = score(engine, mono)
        (result,) = score(engine, ClipToScore(both, channel))
        assert (result.outputs, result.speech_s) == (wanted.outputs, wanted.speech_s)


def test_one_bad_clip_does_not_stop_the_others(engine, call, tmp_path) -> None:
    good = write(tmp_path / "good.wav", call[: 8 * 8000, 0])
    both = write(tmp_path / "both.wav", call[:8000])
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    results = score(engine, bad, good, both, ClipToScore(good, 3), good)
    kinds = [type(result) for result in results]
    assert kinds == [ClipFailure, ClipScore, ClipFailure, ClipFailure, ClipScore]
    assert "--channel 0" in str(results[2].problem)
    assert "there is no channel 3" in str(results[3].problem)
    assert results[1] == results[4]


def test_a_truncated_clip_has_no_score(engine, call, tmp_path) -> None:
    path = write(tmp_path / "cut.wav", call[: 8 * 8000, 0])
    path.write_bytes(path.read_bytes()[:40000])
    (result,) = score(engine, path)
    assert isinstance(result, ClipFailure)
    assert "truncated" in str(result.problem)
