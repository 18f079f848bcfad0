"""Streaming resampling to the rate of the analysis path (the ``soxr`` binding of libsoxr)."""

from __future__ import annotations

from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from voiceguard.core.units import INPUT_RATES_HZ, SAMPLE_RATE_HZ, input_frame_samples

__all__ = ["StreamResampler"]

_QUALITY: Final = "MQ"
"""Flat to 3.7 kHz, aliases below -100 dB, and no more than 120 ms late.

The telephone band ends at 3.4 kHz (ITU-T G.712), where "LQ" has lost 8 dB already. "HQ" gains
nothing that 16 bits could hold, and comes up to 160 ms late.
"""

_INT16: Final = np.iinfo(np.int16)


class StreamResampler:
    """Resamples one channel to `SAMPLE_RATE_HZ`; a `voiceguard.core.audio.Resampler`.

    Output sample `m` stands for the input at ``m * rate_in_hz / SAMPLE_RATE_HZ``: the filter has
    linear phase and its delay is taken out, so that it shows only in when a sample comes out, not
    in its index.  What comes in is cut into blocks of `FRAME_MS` before it meets the filter, so
    the output is the same whatever the lengths of the calls.

    It works in float32 and rounds once, without dither: the same input gives the same output.

    Args:
        rate_in_hz: rate of the input, one of `INPUT_RATES_HZ` other than `SAMPLE_RATE_HZ`.

    Raises:
        ValueError: `rate_in_hz` is another.

    """

    def __init__(self, rate_in_hz: int) -> None:
        """Start a resampler that has heard nothing."""
        if rate_in_hz not in INPUT_RATES_HZ or rate_in_hz == SAMPLE_RATE_HZ:
            rates = ", ".join(str(rate) for rate in INPUT_RATES_HZ if rate != SAMPLE_RATE_HZ)
            message = f"{rate_in_hz} Hz cannot be resampled; give one of {rates}"
            raise ValueError(message)
        self._rate_in_hz = rate_in_hz
        self._block_samples = input_frame_samples(rate_in_hz)
        self._stream = soxr.ResampleStream(
            rate_in_hz, SAMPLE_RATE_HZ, num_channels=1, dtype="float32", quality=_QUALITY
        )
        self._rest = np.empty(0, dtype=np.int16)
        self._received_samples = 0
        self._returned_samples = 0

    @property
    def delay_samples(self) -> float:
        """How far the output is behind the input now, in samples at `SAMPLE_RATE_HZ`.

        It varies, since libsoxr filters in blocks of its own, and stays below 120 ms plus what a
        call leaves short of a whole block.
        """
        due = self._received_samples * SAMPLE_RATE_HZ / self._rate_in_hz
        return due - self._returned_samples

    def receive(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples that follow those of the call before, and return what is ready.

        Args:
            samples: shape (n,), any n, at `rate_in_hz`.

        Returns:
            Shape (m,), at `SAMPLE_RATE_HZ`; m is 0 while the filter fills.

        """
        self._received_samples += len(samples)
        waiting = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        whole = len(waiting) - len(waiting) % self._block_samples
        self._rest = waiting[whole:].copy()
        starts = range(0, whole, self._block_samples)
        blocks = [self._filter(waiting[start : start + self._block_samples]) for start in starts]
        return self._return(blocks)

    def flush(self) -> NDArray[np.int16]:
        """Return the rest; the next samples begin a new signal.

        Returns:
            Shape (m,), at `SAMPLE_RATE_HZ`: with what came before it as long as the input was,
            to the sample.

        """
        samples = self._return([self._filter(self._rest, last=True)])
        self.reset()
        return samples

    def reset(self) -> None:
        """Forget everything; the next samples begin a new signal."""
        self._stream.clear()
        self._rest = self._rest[:0]
        self._received_samples = 0
        self._returned_samples = 0

    def _filter(self, block: NDArray[np.int16], *, last: bool = False) -> NDArray[np.float32]:
        filtered: NDArray[np.float32] = self._stream.resample_chunk(
            block.astype(np.float32), last=last
        )
        return filtered

    def _return(self, blocks: list[NDArray[np.float32]]) -> NDArray[np.int16]:
        if not blocks:
            return np.empty(0, dtype=np.int16)
        filtered = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        self._returned_samples += len(filtered)
        return np.clip(np.rint(filtered), _INT16.min, _INT16.max).astype(np.int16)
