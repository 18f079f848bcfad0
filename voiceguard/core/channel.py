"""One scored channel: from its samples to hops of speech that are worth scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.assessment import HopAudio
from voiceguard.core.audio import Resampler
from voiceguard.core.events import SignalQuality, SpeechEnded, SpeechStarted
from voiceguard.core.quality import QualityMeter
from voiceguard.core.speech import (
    HopGatherer,
    SegmentEnded,
    SegmentStarted,
    SilenceHeard,
    SpeechHop,
    VoiceActivityDetector,
)
from voiceguard.core.tones import ToneMusicGate
from voiceguard.core.units import (
    FRAME_MS,
    FRAME_SAMPLES,
    FULL_SCALE,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    input_frame_samples,
)


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """What a shell lends to the core: things bound to compiled libraries."""

    new_vad: Callable[[], VoiceActivityDetector]
    """Makes a detector for one channel."""
    new_resampler: Callable[[int], Resampler]
    """Makes a resampler of one channel from the rate given, in Hz, to `SAMPLE_RATE_HZ`."""


@dataclass(frozen=True, slots=True, eq=False)
class HeardHop:
    """A hop of speech, judged."""

    audio: HopAudio
    pcm: NDArray[np.float32] | None
    """Shape (HOP_SAMPLES,), in [-1, 1); None when it must not be scored."""


Heard = SpeechStarted | SpeechEnded | HeardHop
"""What a channel tells its session, in the order of the audio clock."""


class ScoredChannel:
    """Listens to one channel.

    Args:
        channel: its index in the session.
        rate_hz: rate of the session.
        front_end: detector and resampler to use.
    """

    def __init__(self, channel: int, rate_hz: int, front_end: FrontEnd) -> None:
        self._channel = channel
        self._input_frame = input_frame_samples(rate_hz)
        self._vad = front_end.new_vad()
        native = rate_hz == SAMPLE_RATE_HZ
        self._resampler = None if native else front_end.new_resampler(rate_hz)
        self._gate = ToneMusicGate()
        self._meter = QualityMeter()
        self._gatherer = HopGatherer()
        self._origin_sample = 0
        self._rest = np.empty(0, dtype=np.int16)
        self._speech_frames = 0

    @property
    def speech_s(self) -> float:
        """Speech heard so far, in seconds, music and tones not counted."""
        return (self._speech_frames + self._gatherer.waiting_frames) * FRAME_MS / 1000

    def receive_samples(self, samples: NDArray[np.int16]) -> list[Heard]:
        """Take whole frames at the session's rate, following those of the call before."""
        if self._resampler is None:
            return self._receive_native(samples)
        heard: list[Heard] = []
        for start in range(0, len(samples), self._input_frame):
            block = samples[start : start + self._input_frame]
            heard += self._receive_native(self._resampler.receive(block))
        return heard

    def interrupt(self, next_sample: int) -> list[Heard]:
        """End what is going on: the audio that follows, from `next_sample`, does not join."""
        heard = self._flush()
        self._speech_frames += self._gatherer.waiting_frames
        self._gatherer = HopGatherer()
        self._origin_sample = next_sample
        return heard

    def _flush(self) -> list[Heard]:
        heard = self._receive_native(self._resampler.flush()) if self._resampler else []
        self._rest = self._rest[:0]
        return heard + [self._tell(item) for item in self._gatherer.receive_gap(0)]

    def _receive_native(self, samples: NDArray[np.int16]) -> list[Heard]:
        if len(self._rest):
            samples = np.concatenate((self._rest, samples))
        count = len(samples) // FRAME_SAMPLES
        whole, self._rest = samples[: count * FRAME_SAMPLES], samples[count * FRAME_SAMPLES :]
        if not count:
            return []
        voiced = self._vad.decide_frames(whole.tobytes())
        frames = whole.reshape(count, FRAME_SAMPLES)
        heard: list[Heard] = []
        for item in self._gatherer.receive_frames(frames, voiced):
            if isinstance(item, SilenceHeard):
                self._meter.receive_silence(item.samples)
            else:
                heard.append(self._tell(item))
        return heard

    def _tell(self, item: SegmentStarted | SegmentEnded | SpeechHop) -> Heard:
        match item:
            case SegmentStarted(frame):
                return SpeechStarted(self._channel, self._sample(frame))
            case SegmentEnded(frame):
                return SpeechEnded(self._channel, self._sample(frame))
            case SpeechHop():
                return self._judge(item)

    def _judge(self, hop: SpeechHop) -> HeardHop:
        judged = self._meter.judge_hop(hop.samples)
        gated = self._gate.receive_hop(hop.samples).is_tone_or_music
        if not gated:
            self._speech_frames += HOP_SAMPLES // FRAME_SAMPLES
        audio = HopAudio(
            channel=self._channel,
            start_sample=self._sample(hop.first_frame),
            end_sample=self._sample(hop.end_frame),
            level_db=judged.level_dbfs,
            confidence=0.0 if gated else judged.confidence,
            quality=SignalQuality.MUSIC_OR_TONE if gated else judged.quality,
        )
        pcm = None if gated else hop.samples.astype(np.float32) / np.float32(FULL_SCALE)
        return HeardHop(audio, pcm)

    def _sample(self, frame: int) -> int:
        """Return where a frame begins on the session's clock."""
        return self._origin_sample + frame * self._input_frame
