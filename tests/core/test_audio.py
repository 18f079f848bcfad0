"""Decoding against an independent decoder; the clock; the frames."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.core.audio import ALAW_TABLE, MULAW_TABLE, AudioClock, FrameAssembler, decode
from voiceguard.core.errors import ClientError
from voiceguard.core.events import AudioFormat, Encoding, Role
from voiceguard.core.units import INPUT_RATES_HZ, input_frame_samples

MONO = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER,))


@pytest.mark.parametrize(
    ("table", "subtype"), [(MULAW_TABLE, "ULAW"), (ALAW_TABLE, "ALAW")], ids=["mulaw", "alaw"]
)
def test_g711_equals_libsndfile(
    table: np.ndarray[object, np.dtype[np.int16]], subtype: str
) -> None:
    codes = io.BytesIO(bytes(range(256)))
    expected, _ = soundfile.read(
        codes, dtype="int16", channels=1, samplerate=8000, format="RAW", subtype=subtype
    )
    assert np.array_equal(table, expected)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_decode_gives_a_column_for_each_channel(encoding: Encoding) -> None:
    audio_format = AudioFormat(encoding, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT, Role.CUSTOMER))
    content = bytes(range(60)) * encoding.sample_bytes
    samples = decode(content, audio_format)
    assert samples.shape == (20, 3)
    assert samples.dtype == np.int16
    if encoding is Encoding.LINEAR16:
        assert samples[0, 1] == int.from_bytes(content[2:4], "little", signed=True)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_silence_in_place_of_lost_audio_is_silent(encoding: Encoding) -> None:
    assembler = FrameAssembler(AudioFormat(encoding, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT)))
    samples = assembler.receive_silence(320)
    assert samples.shape == (320, 2)
    assert np.max(np.abs(samples)) <= 8  # A-law has no zero


@pytest.mark.parametrize("rate_hz", [0, -8000, 7999, 11025, 22050, 96000])
def test_other_rates_are_refused(rate_hz: int) -> None:
    with pytest.raises(ClientError) as refused:
        AudioFormat(Encoding.LINEAR16, rate_hz, (Role.CUSTOMER,))
    assert refused.value.field == "config.audio.sample_rate_hertz"


@pytest.mark.parametrize("count", [0, 9])
def test_no_channel_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(ClientError, match="1 to 8"):
        AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER,) * count)


@pytest.mark.parametrize("rate_hz", INPUT_RATES_HZ)
def test_a_frame_is_whole_at_every_rate(rate_hz: int) -> None:
    assert input_frame_samples(rate_hz) * 50 == rate_hz


@given(st.binary(max_size=4000), st.integers(0, 2**32))
def test_frames_do_not_depend_on_chunks(content: bytes, seed: int) -> None:
    rng, assembler = random.Random(seed), FrameAssembler(MONO)
    parts, position = [], 0
    while position < len(content):
        size = rng.randrange(1, 700)
        parts.append(assembler.receive(memoryview(content)[position : position + size]))
        position += size
    got = b"".join(part.tobytes() for part in parts)
    assert got == content[: len(content) // 320 * 320]


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), max_size=30))
def test_every_sample_counts_once_or_is_a_gap(chunks: list[tuple[int, int]]) -> None:
    clock, heard, reach = AudioClock(MONO), 0, 0
    for first, samples in chunks:
        arrival = clock.receive(bytes(2 * samples), first)
        heard += len(arrival.content) // 2
        reach = max(reach, first + samples) if samples else reach
        assert heard + clock.gap_samples == clock.received_samples == reach


def test_the_part_of_a_chunk_that_is_old_is_cut_off() -> None:
    clock = AudioClock(MONO)
    clock.receive(b"\1\0" * 100, None)
    arrival = clock.receive(b"\2\0" * 40 + b"\3\0" * 60, 60)
    assert bytes(arrival.content) == b"\3\0" * 60
    assert arrival.gap_samples == 0
    assert clock.received_samples == 160
