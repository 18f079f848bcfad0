"""Recordings of any format, whole or in part, at 8 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from voiceguard.core.errors import AudioFileError
from voiceguard.training.corpora import Clip, read_audio, read_clip


def tone(frequency_hz: float, rate_hz: int, length_s: float = 1.0) -> NDArray[np.float64]:
    time_s = np.arange(round(length_s * rate_hz)) / rate_hz
    return np.asarray(0.5 * np.sin(2 * np.pi * frequency_hz * time_s))


def loudest_hz(samples: NDArray[np.int16]) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 8000 / len(samples))


def test_other_rates_and_channels_become_mono_at_8_khz(tmp_path: Path) -> None:
    both = tone(440, 44100)
    soundfile.write(tmp_path / "tone.wav", np.stack([both, both], axis=1), 44100)
    samples = read_audio(tmp_path / "tone.wav")
    assert len(samples) == 8000
    assert loudest_hz(samples) == 440
    assert np.max(samples) == pytest.approx(16384, rel=0.02)


def test_a_file_that_is_not_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "not.wav").write_bytes(b"text")
    with pytest.raises(AudioFileError, match=r"not\.wav"):
        read_audio(tmp_path / "not.wav")
    with pytest.raises(AudioFileError, match=r"absent\.wav"):
        read_audio(tmp_path / "absent.wav")


@pytest.mark.parametrize("suffix", [".wav", ".ogg"])
def test_a_clip_is_one_channel_and_one_stretch_of_its_file(tmp_path: Path, suffix: str) -> None:
    left = np.concatenate([tone(400, 16000), tone(1000, 16000)])
    right = np.concatenate([tone(600, 16000), tone(1500, 16000)])
    path = tmp_path / f"call{suffix}"
    soundfile.write(path, np.stack([left, right], axis=1), 16000)
    heard = {}
    for channel in (0, 1):
        for start_s in (0.0, 1.0):
            clip = Clip(
                corpus="own",
                path=path,
                speaker="s",
                emotion="anger",
                language="und",
                channel=channel,
                start_s=start_s,
                end_s=start_s + 0.5,
            )
            samples = read_clip(clip)
            assert len(samples) == 4000
            heard[channel, start_s] = loudest_hz(samples)
    assert heard == {(0, 0.0): 400, (0, 1.0): 1000, (1, 0.0): 600, (1, 1.0): 1500}


def test_a_stretch_without_an_end_lasts_to_the_end_of_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(440, 8000, 2.0), 8000)
    assert len(read_audio(tmp_path / "tone.wav", start_s=0.5)) == 12000


def test_a_channel_or_a_stretch_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(440, 8000), 8000)
    with pytest.raises(AudioFileError, match="no channel 1; it has 1"):
        read_audio(path, channel=1)
    with pytest.raises(AudioFileError, match="not within"):
        read_audio(path, start_s=0.5, end_s=1.5)
    with pytest.raises(AudioFileError, match="not within"):
        read_audio(path, start_s=2.0)
