"""The outline of a session's audio: extremes of equal spans, for a picture of its waveform."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_SPANS: Final = 2000
"""For each channel: more than a screen has columns."""

FIRST_SPAN_SAMPLES: Final = 64

_HEADER: Final = struct.Struct("<4sQQHI")
_MAGIC: Final = b"VGO1"


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Extremes of equal spans of audio."""

    span_samples: int
    """Sample frames in each span but the last, which may be shorter."""
    samples: int
    """Sample frames in all."""
    lowest: NDArray[np.int8]
    """Shape (spans, channels); -128 to 127 for full scale."""
    highest: NDArray[np.int8]
    """The same shape."""

    def to_bytes(self) -> bytes:
        """Return the outline as `from_bytes` reads it."""
        spans, channels = self.lowest.shape
        header = _HEADER.pack(_MAGIC, self.span_samples, self.samples, channels, spans)
        return header + self.lowest.tobytes() + self.highest.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> Outline:
        """Return the outline that `to_bytes` wrote.

        Raises:
            ValueError: it was something else that wrote it.
        """
        try:
            magic, span_samples, samples, channels, spans = _HEADER.unpack_from(content)
        except struct.error as error:
            raise ValueError("not an outline") from error
        if magic != _MAGIC or len(content) != _HEADER.size + 2 * spans * channels:
            raise ValueError("not an outline")
        values = np.frombuffer(content, np.int8, offset=_HEADER.size)
        lowest, highest = values.reshape(2, spans, channels)
        return cls(span_samples, samples, lowest, highest)


class OutlineMaker:
    """Makes an outline of audio whose length is not known beforehand.

    Spans double in length whenever there are too many of them.

    Args:
        channels: of the audio.
    """

    def __init__(self, channels: int) -> None:
        self._span = FIRST_SPAN_SAMPLES
        self._samples = 0
        self._rest = np.empty((0, channels), np.int16)
        self._lowest = np.empty((0, channels), np.int16)
        self._highest = np.empty((0, channels), np.int16)

    def receive(self, samples: NDArray[np.int16]) -> None:
        """Take the next samples, of shape (n, channels)."""
        self._samples += len(samples)
        waiting = np.concatenate((self._rest, samples))
        whole = len(waiting) // self._span * self._span
        if whole:
            spans = waiting[:whole].reshape(-1, self._span, waiting.shape[1])
            self._lowest = np.concatenate((self._lowest, spans.min(axis=1)))
            self._highest = np.concatenate((self._highest, spans.max(axis=1)))
        self._rest = waiting[whole:]
        while len(self._lowest) > MAX_SPANS - 1:
            self._double()

    def outline(self) -> Outline:
        """Return the outline of what came so far."""
        lowest, highest = self._lowest, self._highest
        if len(self._rest):
            lowest = np.concatenate((lowest, self._rest.min(axis=0, keepdims=True)))
            highest = np.concatenate((highest, self._rest.max(axis=0, keepdims=True)))
        return Outline(self._span, self._samples, _eighth(lowest), _eighth(highest))

    def _double(self) -> None:
        odd = len(self._lowest) % 2
        if odd:
            # The last span is not whole any more: its extremes stand for it in the rest.
            last = np.stack((self._lowest[-1], self._highest[-1]))
            filler = np.repeat(last[:1], self._span - 2, axis=0)
            self._rest = np.concatenate((last, filler, self._rest))
            self._lowest, self._highest = self._lowest[:-1], self._highest[:-1]
        channels = self._lowest.shape[1]
        self._lowest = self._lowest.reshape(-1, 2, channels).min(axis=1)
        self._highest = self._highest.reshape(-1, 2, channels).max(axis=1)
        self._span *= 2


def _eighth(values: NDArray[np.int16]) -> NDArray[np.int8]:
    """Return the upper 8 of 16 bits."""
    return (values >> 8).astype(np.int8)
