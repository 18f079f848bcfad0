"""From bytes on the wire to samples on the session's audio clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import ClientError
from voiceguard.core.events import AudioFormat, Encoding
from voiceguard.core.units import input_frame_samples

MAX_GAP_S: Final = 6 * 3600
"""Longest jump forward that is believed; more is a wrong sample index."""

MAX_REPLAY_S: Final = 10
"""How far back a client may begin to replay audio after a broken stream."""


class Resampler(Protocol):
    """A streaming resampler of one channel to `SAMPLE_RATE_HZ`, given by the shell.

    Output sample `m` stands for the input at `m * input_rate / SAMPLE_RATE_HZ`:
    the filter's delay shows only in when a sample comes out, not in its index.
    """

    def receive(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take the next block, of one frame's length, and return what is ready."""
        ...

    def flush(self) -> NDArray[np.int16]:
        """Return the rest; the next block begins a new signal."""
        ...

    def reset(self) -> None:
        """Forget everything; the next block begins a new signal."""
        ...


def _mulaw_table() -> NDArray[np.int16]:
    """Return the 256 values of mu-law, ITU-T G.711 (11/88), table 2a, scaled to 16 bits."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4) & 0x07
    mantissa = (code & 0x0F).astype(np.int32)
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_table() -> NDArray[np.int16]:
    """Return the 256 values of A-law, ITU-T G.711 (11/88), table 1a, scaled to 16 bits."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 0x07).astype(np.int32)
    mantissa = (code & 0x0F).astype(np.int32) << 4
    linear = mantissa + 8
    scaled = (mantissa + 0x108) << np.maximum(exponent - 1, 0)
    magnitude = np.where(exponent == 0, linear, scaled)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


MULAW_TABLE: Final = _mulaw_table()
ALAW_TABLE: Final = _alaw_table()


def decode(content: bytes | memoryview, audio_format: AudioFormat) -> NDArray[np.int16]:
    """Decode whole sample frames.

    Args:
        content: a whole number of sample frames in `audio_format`.
        audio_format: encoding and channels.

    Returns:
        Samples of shape (frames, channels).
    """
    match audio_format.encoding:
        case Encoding.LINEAR16:
            flat = np.frombuffer(content, dtype="<i2").astype(np.int16, copy=False)
        case Encoding.MULAW:
            flat = MULAW_TABLE[np.frombuffer(content, dtype=np.uint8)]
        case Encoding.ALAW:
            flat = ALAW_TABLE[np.frombuffer(content, dtype=np.uint8)]
    return flat.reshape(-1, len(audio_format.channels))


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a chunk brings once what is old has been cut off."""

    content: memoryview
    """Sample frames not seen before, perhaps none."""
    gap_samples: int
    """Sample frames missing between what came before and `content`."""


class AudioClock:
    """Counts sample frames, and tells old audio and gaps from new audio."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self.received_samples = 0
        """Length of the session so far, gaps included."""
        self.gap_samples = 0
        """How much of it never came."""

    def receive(self, content: bytes, first_sample: int | None) -> Arrival:
        """Place a chunk on the clock.

        Args:
            content: the chunk.
            first_sample: index of its first sample frame; None: it follows the last.

        Raises:
            ClientError: for a broken sample frame or an impossible index. The
                clock is as it was.
        """
        frame_bytes = self._format.frame_bytes
        if len(content) % frame_bytes:
            problem = (
                f"{len(content)} bytes are not a whole number of sample frames "
                f"of {frame_bytes} bytes"
            )
            raise ClientError("audio.content", problem)
        samples = len(content) // frame_bytes
        first = self.received_samples if first_sample is None else first_sample
        self._check_index(first)
        old_samples = min(max(self.received_samples - first, 0), samples)
        gap_samples = max(first - self.received_samples, 0) if samples else 0
        self.received_samples = max(self.received_samples, first + samples if samples else 0)
        self.gap_samples += gap_samples
        return Arrival(memoryview(content)[old_samples * frame_bytes :], gap_samples)

    def _check_index(self, first: int) -> None:
        rate_hz = self._format.sample_rate_hz
        if first < max(self.received_samples - MAX_REPLAY_S * rate_hz, 0):
            problem = (
                f"{first} is more than {MAX_REPLAY_S} s before {self.received_samples}, "
                "where the session is"
            )
            raise ClientError("audio.first_sample", problem)
        if first - self.received_samples > MAX_GAP_S * rate_hz:
            problem = f"{first} jumps more than {MAX_GAP_S} s past {self.received_samples}"
            raise ClientError("audio.first_sample", problem)


class FrameAssembler:
    """Cuts a byte stream into whole frames of `FRAME_MS`, whatever the chunks were."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._rest = bytearray()
        self.frame_samples = input_frame_samples(audio_format.sample_rate_hz)
        """Sample frames in one frame, at the session's rate."""

    def receive(self, content: memoryview) -> NDArray[np.int16]:
        """Take a chunk; return the samples of all frames now whole.

        Returns:
            Shape (frames * `frame_samples`, channels); at most one frame is kept back.
        """
        self._rest += content
        frame_bytes = self.frame_samples * self._format.frame_bytes
        whole_bytes = len(self._rest) // frame_bytes * frame_bytes
        if not whole_bytes:
            return np.empty((0, len(self._format.channels)), dtype=np.int16)
        samples = decode(bytes(self._rest[:whole_bytes]), self._format)
        del self._rest[:whole_bytes]
        return samples

    def receive_silence(self, samples: int) -> NDArray[np.int16]:
        """Take `samples` sample frames of silence in place of audio that was lost."""
        match self._format.encoding:
            case Encoding.LINEAR16:
                code = 0x00
            case Encoding.MULAW:
                code = 0xFF
            case Encoding.ALAW:
                code = 0xD5
        return self.receive(memoryview(bytes([code]) * (samples * self._format.frame_bytes)))

    def discard(self) -> None:
        """Drop the frame that is not yet whole: what follows does not continue it."""
        self._rest.clear()
