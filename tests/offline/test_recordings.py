"""Files that are read, and files that are refused with one line that says why."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceguard.core.errors import AudioFileError
from voiceguard.offline.recordings import Envelope, RecordingReader, find_recordings

SECOND = (np.sin(np.arange(8000) / 8) * 12000).astype(np.int16)


def read(path: Path) -> np.ndarray:
    with RecordingReader(path) as reader:
        return np.concatenate(list(reader.blocks()))


def refusal(path: Path) -> str:
    with pytest.raises(AudioFileError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 32000, 44100, 48000])
def test_sixteen_bits_come_through_unchanged(tmp_path, rate_hz) -> None:
    path = tmp_path / "call.wav"
    stereo = np.stack((SECOND, SECOND[::-1]), axis=1)
    soundfile.write(path, stereo, rate_hz)
    assert np.array_equal(read(path), stereo)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("call.flac", {}),
        ("call.ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("call.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("call.mp3", {"format": "MP3"}),
        ("ulaw.wav", {"subtype": "ULAW"}),
        ("float.wav", {"subtype": "FLOAT"}),
        ("wide.wav", {"subtype": "PCM_24"}),
        ("call.aiff", {}),
    ],
)
def test_every_format_is_read(tmp_path, name, options) -> None:
    path = tmp_path / name
    soundfile.write(path, SECOND / 32768, 8000, **options)
    samples = read(path)
    assert abs(len(samples) - len(SECOND)) < 2500  # codecs pad
    assert 6000 < np.abs(samples).max() < 16000


@pytest.mark.parametrize("rate_hz", [6000, 11025, 22050, 96000])
def test_an_odd_rate_becomes_8_khz(tmp_path, rate_hz) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz) * 0.5, rate_hz)
    with RecordingReader(path) as reader:
        assert reader.shape.is_resampled
        assert reader.shape.sample_rate_hz == 8000
        samples = np.concatenate(list(reader.blocks()))[:, 0]
    assert abs(len(samples) - 8000) <= 1
    spectrum = np.abs(np.fft.rfft(samples[:8000] * np.hanning(len(samples[:8000]))))
    assert abs(int(spectrum.argmax()) - 440) <= 1


def test_what_no_line_carries_is_clipped_or_silent(tmp_path) -> None:
    path = tmp_path / "wild.wav"
    wild = np.array([0.5, 3.0, -3.0, np.nan, np.inf, -np.inf] * 100, np.float32)
    soundfile.write(path, wild, 8000, subtype="FLOAT")
    assert read(path)[:6, 0].tolist() == [16384, 32767, -32768, 0, 32767, -32768]


def test_what_is_no_recording_is_refused(tmp_path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("not audio at all, whatever its name")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "slow.wav", SECOND, 2000)
    soundfile.write(tmp_path / "many.wav", np.zeros((100, 9)), 8000)
    (tmp_path / "call.raw").write_bytes(bytes(16000))
    assert "does not exist" in refusal(tmp_path / "missing.wav")
    assert "is a folder" in refusal(tmp_path)
    assert "is empty" in refusal(tmp_path / "empty.wav")
    assert "is not audio" in refusal(tmp_path / "text.wav")
    assert "holds no samples" in refusal(tmp_path / "nothing.wav")
    assert "2000 Hz" in refusal(tmp_path / "slow.wav")
    assert "9 channels" in refusal(tmp_path / "many.wav")
    assert "is not audio" in refusal(tmp_path / "call.raw")


@pytest.mark.parametrize("name", ["call.wav", "call.flac"])
def test_a_truncated_file_gives_what_it_has_and_says_so(tmp_path, name) -> None:
    path = tmp_path / name
    rng = np.random.default_rng(1)
    samples = rng.integers(-9000, 9000, 5 * 8000).astype(np.int16)
    soundfile.write(path, samples, 8000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    got = []
    with (
        RecordingReader(path) as reader,
        pytest.raises(AudioFileError, match=r"truncated|damaged"),
    ):
        got.extend(reader.blocks())
    heard = np.concatenate(got)[:, 0]
    assert 8000 < len(heard) < 5 * 8000
    assert np.array_equal(heard, samples[: len(heard)])


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF])
def test_a_length_that_was_never_filled_in_promises_nothing(tmp_path, length) -> None:
    path = tmp_path / "piped.wav"
    header = b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    path.write_bytes(header + b"data" + struct.pack("<I", length) + SECOND.tobytes())
    if length == 0:  # libsndfile takes it at its word
        assert "holds no samples" in refusal(path)
    else:
        assert np.array_equal(read(path)[:, 0], SECOND)


def test_a_folder_is_searched_in_the_order_of_names(tmp_path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.WAV", "b/1.flac", "a.mp3", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_recordings(tmp_path)]
    assert found == ["a.mp3", "b/1.flac", "b/2.WAV"]
    assert find_recordings(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


def test_a_folder_without_recordings_is_refused(tmp_path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(AudioFileError, match="holds no recording"):
        find_recordings(tmp_path)


def test_an_envelope_does_not_depend_on_the_blocks() -> None:
    stereo = np.stack((SECOND, SECOND // 2), axis=1)
    whole, parts = Envelope(8000, 2), Envelope(8000, 2)
    whole.receive(stereo)
    for start in range(0, len(stereo), 333):
        parts.receive(stereo[start : start + 333])
    assert np.array_equal(whole.extremes(), parts.extremes())
    assert whole.extremes().shape == (50, 2, 2)
    assert whole.duration_s == parts.duration_s == 1.0
    assert whole.extremes()[:, 1, 0].max() == pytest.approx(SECOND.max() / 32768)
