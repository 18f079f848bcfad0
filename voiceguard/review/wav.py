"""The head of a WAV file, and which bytes of one a request asks for.

Formats: RIFF WAVE (Multimedia Programming Interface and Data Specifications 1.0, IBM and
Microsoft, 1991); ranges: RFC 9110, section 14.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

__all__ = ["ByteRange", "WavHead", "parse_head", "parse_range", "pcm_head"]

MAX_HEAD_BYTES: Final = 64 * 1024
"""A file whose samples begin later than this is none of ours."""

_NANOS: Final = 1_000_000_000

_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class WavHead:
    """What a WAV file says about itself.

    Attributes:
        head: the bytes before the samples.
        rate_hz: sample frames a second.
        frame_bytes: bytes of one sample frame, all channels together.
        data_bytes: bytes of samples.
    """

    head: bytes
    rate_hz: int
    frame_bytes: int
    data_bytes: int

    @property
    def total_bytes(self) -> int:
        """Bytes of the file."""
        return len(self.head) + self.data_bytes

    def frames(self, part: ByteRange) -> tuple[int, int]:
        """Return the sample frames that some bytes of the file lie in.

        Returns:
            The first frame and the one after the last; both 0 for bytes of the head alone.
        """
        first = max(0, part.first - len(self.head)) // self.frame_bytes
        end = -(-max(0, part.last + 1 - len(self.head)) // self.frame_bytes)
        return first, end

    def first_byte(self, frame: int) -> int:
        """Return where in the file a sample frame begins."""
        return len(self.head) + frame * self.frame_bytes

    def offset(self, frame: int) -> Duration:
        """Return when a sample frame begins: rounded up, so that rounding down finds it again."""
        nanos = -(-frame * _NANOS // self.rate_hz)
        return Duration(seconds=nanos // _NANOS, nanos=nanos % _NANOS)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes of a file: `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


def pcm_head(rate_hz: int, channels: int, frames: int) -> WavHead:
    """Return the head of a WAV file of 16-bit samples.

    Args:
        rate_hz: sample frames a second.
        channels: samples of a frame.
        frames: how many there are.

    Raises:
        ValueError: sizes in a WAV file have 32 bits, and these do not fit.
    """
    frame_bytes = 2 * channels
    size = frames * frame_bytes
    if not (rate_hz > 0 and channels > 0 and 0 <= size <= 2**32 - 1 - 36):
        raise ValueError("no WAV file can be like that")
    layout = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame_bytes, frame_bytes, 16)
    riff = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16)
    return WavHead(riff + layout + b"data" + struct.pack("<I", size), rate_hz, frame_bytes, size)


def parse_head(content: bytes) -> WavHead | None:
    """Return the head of a WAV file; None: more bytes are needed.

    Raises:
        ValueError: this is no WAV file.
    """
    if len(content) >= 12 and (content[:4] != b"RIFF" or content[8:12] != b"WAVE"):
        raise ValueError("no RIFF WAVE file")
    layout, at = b"", 12
    while len(content) >= at + 8:
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        at += 8
        if name == b"data":
            if len(layout) < 16:
                raise ValueError("samples before their format")
            _, _, rate_hz, _, frame_bytes, _ = struct.unpack_from("<HHIIHH", layout)
            if not rate_hz or not frame_bytes:
                raise ValueError("a format that cannot be")
            return WavHead(content[:at], rate_hz, frame_bytes, size)
        if name == b"fmt ":
            layout = content[at : at + size]
        at += size + size % 2
    if at > MAX_HEAD_BYTES or len(content) > MAX_HEAD_BYTES:
        raise ValueError("no samples where they should begin")
    return None


def parse_range(header: str, total: int) -> ByteRange | None:
    """Return the part that a Range header asks for; None: the whole file.

    Several ranges at once, other units and nonsense mean the whole, as RFC 9110 allows.

    Args:
        header: empty when there is none.
        total: bytes of the file.

    Raises:
        ValueError: nothing of the file lies in the range.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        wanted = ByteRange(max(0, total - int(last)), total - 1)
    elif last and int(last) < int(first):
        return None
    else:
        wanted = ByteRange(int(first), min(int(last), total - 1) if last else total - 1)
    if wanted.size <= 0:
        raise ValueError("nothing lies in the range")
    return wanted
