"""Voice activity detection by WebRTC's detector (the ``webrtcvad`` binding)."""

from __future__ import annotations

from typing import Final

import webrtcvad

from voiceguard.core.units import FRAME_SAMPLES, SAMPLE_RATE_HZ

__all__ = ["DEFAULT_AGGRESSIVENESS", "WebRtcDetector"]

DEFAULT_AGGRESSIVENESS: Final = 2
"""Measured with ``python -m benchmarks.gate detector`` on acted speech over G.711: shares of
frames let through of clean speech, of speech 10 dB over recorded noise, and of that noise alone.

== ====== ====== ======
   clean  10 dB  noise
0  99.5 % 99.9 % 91.7 %
1  98.9 % 99.6 % 85.0 %
2  98.3 % 98.1 % 66.8 %
3  97.7 % 96.7 % 58.0 %
== ====== ====== ======

Of these, 2 keeps nearly all speech and rejects a third of what is loud noise (voices and clatter
in it included); 3 loses as much again of the speech for a small gain.
"""

_FRAME_BYTES: Final = 2 * FRAME_SAMPLES


class WebRtcDetector:
    """WebRTC's Gaussian-mixture detector for one channel.

    It adapts to the channel's noise, so each channel gets a detector of its own.  It takes about
    1.7 us for a frame.

    Args:
        aggressiveness: 0 (lets most through) to 3 (rejects most).

    Raises:
        ValueError: `aggressiveness` is not 0, 1, 2 or 3.

    """

    def __init__(self, aggressiveness: int = DEFAULT_AGGRESSIVENESS) -> None:
        self._detector = webrtcvad.Vad(aggressiveness)

    def decide_frames(self, pcm: bytes) -> list[bool]:
        """Return one decision for each 20 ms frame of `pcm`, in order.

        Args:
            pcm: a whole number of frames of `FRAME_SAMPLES` signed 16-bit little-endian
                samples at 8 kHz.

        Raises:
            ValueError: `pcm` is not a whole number of frames.

        """
        if len(pcm) % _FRAME_BYTES:
            message = f"{len(pcm)} bytes are not a whole number of {_FRAME_BYTES}-byte frames"
            raise ValueError(message)
        is_speech = self._detector.is_speech
        return [
            is_speech(pcm[start : start + _FRAME_BYTES], SAMPLE_RATE_HZ, FRAME_SAMPLES)
            for start in range(0, len(pcm), _FRAME_BYTES)
        ]
