"""Speech as serving hears it: the engine's detector and segmenter over a whole recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.speech import SpeechSegmenter
from voiceguard.core.units import FRAME_SAMPLES, HOP_SAMPLES
from voiceguard.engine.vad import WebRtcDetector


def speech_of(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the frames that the engine takes for speech, joined.

    Args:
        samples: mono, 8 kHz, any length.

    Returns:
        A whole number of frames of `FRAME_SAMPLES`, perhaps none.
    """
    frames = len(samples) // FRAME_SAMPLES
    framed = samples[: frames * FRAME_SAMPLES].reshape(frames, FRAME_SAMPLES)
    segmenter = SpeechSegmenter()
    released: list[int] = []
    for decision in WebRtcDetector().decide_frames(framed.astype("<i2").tobytes()):
        released.extend(segmenter.receive_frame(decision).released)
    return framed[released].reshape(-1)


def hops_of(speech: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return the complete hops of `speech` as the model takes them.

    Speech shorter than one hop is repeated to fill one, so that the shortest
    clip has a score too; what is left after the last whole hop is dropped.

    Returns:
        Shape (k * HOP_SAMPLES,), k >= 1, in [-1, 1); of no samples at all when
        there is no speech.
    """
    if len(speech) == 0:
        return np.zeros(0, np.float32)
    if len(speech) < HOP_SAMPLES:
        speech = np.resize(speech, HOP_SAMPLES)
    whole = len(speech) // HOP_SAMPLES * HOP_SAMPLES
    return np.asarray(speech[:whole] / 32768.0, np.float32)
