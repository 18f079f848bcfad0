"""Sample rates, frame and hop sizes that every part agrees on."""

from __future__ import annotations

from typing import Final

SAMPLE_RATE_HZ: Final = 8000
"""Rate of the analysis path: the telephone network's own (ITU-T G.711)."""

FRAME_MS: Final = 20
"""Unit of voice activity detection; also the usual RTP packet time (RFC 3551)."""

FRAME_SAMPLES: Final = SAMPLE_RATE_HZ * FRAME_MS // 1000
"""Samples in one frame on the analysis path."""

HOP_SAMPLES: Final = 4000
"""Samples of speech between two scores: 0.5 s at `SAMPLE_RATE_HZ`."""

HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE_HZ
"""Seconds of speech between two scores."""

INPUT_RATES_HZ: Final = (8000, 16000, 24000, 32000, 44100, 48000)
"""Rates a session may arrive at."""

MAX_CHANNELS: Final = 8
"""Most channels one session may interleave."""

FULL_SCALE: Final = 32768.0
"""Magnitude that int16 samples are divided by to lie in [-1, 1)."""


def input_frame_samples(rate_hz: int) -> int:
    """Return how many samples one frame of `FRAME_MS` holds at `rate_hz`.

    Every rate in `INPUT_RATES_HZ` gives a whole number (44.1 kHz: 882).
    """
    return rate_hz * FRAME_MS // 1000
