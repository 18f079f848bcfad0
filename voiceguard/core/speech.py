"""Where speech starts and ends on one channel, and which frames of it are scored.

A voice activity detector says yes or no to each 20 ms frame.  The segmenter turns these into
segments with an onset (speech must last before it counts) and a hangover (a short pause does not
end it); the gatherer cuts the frames that count into hops of `HOP_SAMPLES` for the model.
Everything is decided frame by frame, so how the audio was cut into chunks cannot matter.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.statetable import StateTable
from voiceguard.core.units import FRAME_SAMPLES, HOP_SAMPLES

__all__ = [
    "SEGMENT_TABLE",
    "GatheredEvent",
    "HopGatherer",
    "SegmentEnded",
    "SegmentInput",
    "SegmentStarted",
    "SegmentState",
    "SegmentStep",
    "SegmentTiming",
    "SilenceHeard",
    "SpeechHop",
    "SpeechSegmenter",
    "VoiceActivityDetector",
]

_HOP_FRAMES: Final = HOP_SAMPLES // FRAME_SAMPLES
_SILENCE_EVERY_FRAMES: Final = 5  # the noise of a line changes slowly: 10 looks a second do


class VoiceActivityDetector(Protocol):
    """Says which frames hold a voice.  One detector hears one channel: it keeps state."""

    def decide_frames(self, pcm: bytes) -> list[bool]:
        """Return one decision for each frame of `pcm`, in order.

        Args:
            pcm: a whole number of frames of `FRAME_SAMPLES` signed 16-bit little-endian
                samples at 8 kHz, following those of the call before.  How frames are spread
                over calls does not change a decision.

        """
        ...


class SegmentState(enum.Enum):
    """Where a channel stands between silence and speech."""

    SILENCE = enum.auto()
    ONSET = enum.auto()
    """A voice was heard, but not yet long enough to count."""
    SPEECH = enum.auto()
    HANGOVER = enum.auto()
    """The voice has stopped, but may only be pausing."""


class SegmentInput(enum.Enum):
    """What can happen to a `SegmentState`."""

    VOICED = enum.auto()
    """The detector said yes to a frame."""
    UNVOICED = enum.auto()
    """The detector said no to a frame."""
    CONFIRMED = enum.auto()
    """Enough of the latest frames were voiced."""
    ABANDONED = enum.auto()
    """No voiced frame is left among the latest ones."""
    TIMED_OUT = enum.auto()
    """The pause has lasted as long as the hangover."""
    BROKEN = enum.auto()
    """The audio stops or skips here."""


_S = SegmentState
_I = SegmentInput

SEGMENT_TABLE: Final = StateTable(
    name="speech segment",
    initial=_S.SILENCE,
    transitions={
        _S.SILENCE: {_I.VOICED: _S.ONSET},
        _S.ONSET: {_I.CONFIRMED: _S.SPEECH, _I.ABANDONED: _S.SILENCE, _I.BROKEN: _S.SILENCE},
        _S.SPEECH: {_I.UNVOICED: _S.HANGOVER, _I.BROKEN: _S.SILENCE},
        _S.HANGOVER: {_I.VOICED: _S.SPEECH, _I.TIMED_OUT: _S.SILENCE, _I.BROKEN: _S.SILENCE},
    },
    ignored={
        _S.SILENCE: {_I.UNVOICED, _I.CONFIRMED, _I.ABANDONED, _I.TIMED_OUT, _I.BROKEN},
        _S.ONSET: {_I.VOICED, _I.UNVOICED, _I.TIMED_OUT},
        _S.SPEECH: {_I.VOICED, _I.CONFIRMED, _I.ABANDONED, _I.TIMED_OUT},
        _S.HANGOVER: {_I.UNVOICED, _I.CONFIRMED, _I.ABANDONED},
    },
)
"""The whole behaviour of `SpeechSegmenter`; the documentation's diagram is drawn from it."""


@dataclass(frozen=True, slots=True)
class SegmentTiming:
    """Times of the segmenter, in frames of 20 ms.

    Raises:
        ValueError: the times contradict each other.

    """

    onset_frames: int = 3
    """Voiced frames that make an onset speech: a click of 40 ms does not."""
    onset_window_frames: int = 5
    """The latest frames among which they are counted: 100 ms."""
    lookback_frames: int = 2
    """Frames before the first voiced one that belong to the word: soft consonants, 40 ms."""
    hangover_frames: int = 15
    """Unvoiced frames in a row that end a segment: 300 ms, longer than a stop consonant's
    closure and most pauses within a phrase."""
    scored_hangover_frames: int = 5
    """Those of them that are still scored: 100 ms, the fading end of a word.  The rest is
    silence, which would dilute the speech that the model hears."""

    def __post_init__(self) -> None:
        if not 1 <= self.onset_frames <= self.onset_window_frames:
            message = "onset_frames must lie between 1 and onset_window_frames"
            raise ValueError(message)
        if not 0 <= self.scored_hangover_frames < self.hangover_frames:
            message = "scored_hangover_frames must lie between 0 and hangover_frames - 1"
            raise ValueError(message)
        if self.lookback_frames < 0:
            message = "lookback_frames must not be negative"
            raise ValueError(message)

    @property
    def kept_frames(self) -> int:
        """Frames before the current one that a step may still release."""
        return self.onset_window_frames + self.lookback_frames


@dataclass(frozen=True, slots=True)
class SegmentStep:
    """What one frame decided.  Frame indices count from the channel's first frame."""

    released: range
    """Frames that are now known to be speech, in order; each is released at most once, and
    none lies more than `SegmentTiming.kept_frames` before the current one."""
    started: int | None = None
    """First frame of the segment that starts with this step."""
    ended: int | None = None
    """The frame after the last one of the segment that ends with this step.  A segment ends
    where its scored hangover does."""


_NOTHING: Final = SegmentStep(range(0))


class SpeechSegmenter:
    """Turns a channel's frame decisions into segments.

    Args:
        timing: onset, look-back and hangover.

    """

    def __init__(self, timing: SegmentTiming | None = None) -> None:
        self._timing = timing or SegmentTiming()
        self._state = SEGMENT_TABLE.initial
        self._latest: deque[bool] = deque(maxlen=self._timing.onset_window_frames)
        self._next_frame = 0
        self._next_release = 0
        self._unvoiced_run = 0

    @property
    def state(self) -> SegmentState:
        """Where the channel stands after the latest frame."""
        return self._state

    @property
    def next_frame(self) -> int:
        """Index that the next frame will have."""
        return self._next_frame

    def receive_frame(self, voiced: bool) -> SegmentStep:  # noqa: FBT001 - the frame, in one bit
        """Take the decision on the next frame and return what follows from it."""
        frame = self._next_frame
        self._next_frame = frame + 1
        self._latest.append(voiced)
        self._unvoiced_run = 0 if voiced else self._unvoiced_run + 1
        before = self._state
        self._follow(SegmentInput.VOICED if voiced else SegmentInput.UNVOICED)
        match self._state:
            case SegmentState.SILENCE:
                return _NOTHING
            case SegmentState.ONSET:
                return self._judge_onset(frame)
            case SegmentState.SPEECH:
                first = (
                    frame if before is SegmentState.SPEECH else frame - self._timing.lookback_frames
                )
                return SegmentStep(self._release(first, frame + 1))
            case SegmentState.HANGOVER:
                return self._judge_hangover(frame)

    def receive_gap(self, frames: int) -> SegmentStep:
        """Skip `frames` frames that never arrived; a segment in progress ends before them.

        Zero frames end it too: that is how a channel finishes or goes on hold.
        """
        ended = self._segment_end()
        self._follow(SegmentInput.BROKEN)
        self._next_frame += frames
        self._next_release = self._next_frame
        self._latest.clear()
        self._unvoiced_run = 0
        return _NOTHING if ended is None else SegmentStep(range(0), ended=ended)

    def _judge_onset(self, frame: int) -> SegmentStep:
        """Confirm the onset, abandon it, or wait."""
        voiced = self._latest.count(True)
        if voiced >= self._timing.onset_frames:
            self._follow(SegmentInput.CONFIRMED)
            first_voiced = frame + 1 - len(self._latest) + self._latest.index(True)
            released = self._release(first_voiced - self._timing.lookback_frames, frame + 1)
            return SegmentStep(released, started=released.start)
        if voiced == 0:
            self._follow(SegmentInput.ABANDONED)
        return _NOTHING

    def _judge_hangover(self, frame: int) -> SegmentStep:
        """Release the fading end of a word, then wait for the voice or the end."""
        if self._unvoiced_run <= self._timing.scored_hangover_frames:
            return SegmentStep(self._release(frame, frame + 1))
        if self._unvoiced_run < self._timing.hangover_frames:
            return _NOTHING
        ended = self._segment_end()
        self._follow(SegmentInput.TIMED_OUT)
        self._latest.clear()
        return SegmentStep(range(0), ended=ended)

    def _segment_end(self) -> int | None:
        """Return where the segment in progress would end if it ended now."""
        in_segment = self._state in (SegmentState.SPEECH, SegmentState.HANGOVER)
        return self._next_release if in_segment else None

    def _release(self, first: int, stop: int) -> range:
        """Mark the frames up to `stop` as released; those released before are not again."""
        released = range(max(first, self._next_release), stop)
        self._next_release = stop
        return released

    def _follow(self, received: SegmentInput) -> None:
        self._state = SEGMENT_TABLE.next_state(self._state, received)


@dataclass(frozen=True, slots=True)
class SegmentStarted:
    """Speech started with frame `frame`."""

    frame: int


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """Speech ended before frame `frame`."""

    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class SpeechHop:
    """Half a second of speech, with the pauses left out."""

    samples: NDArray[np.int16]
    """Shape (HOP_SAMPLES,), 8 kHz."""
    first_frame: int
    """Index of the first frame in it."""
    end_frame: int
    """Index after the last frame in it."""
    is_contiguous: bool
    """No frame was left out since the end of the hop before: the sound goes on."""


@dataclass(frozen=True, slots=True, eq=False)
class SilenceHeard:
    """A frame between segments, for what the line sounds like when nobody speaks."""

    samples: NDArray[np.int16]
    """Shape (FRAME_SAMPLES,), 8 kHz."""


GatheredEvent = SegmentStarted | SegmentEnded | SpeechHop | SilenceHeard


class HopGatherer:
    """Cuts the frames of a channel that are speech into hops, whatever pauses lie between.

    A hop that the end of a segment leaves unfinished is completed by the next segment.

    Args:
        timing: onset, look-back and hangover of the segmenter it drives.

    """

    def __init__(self, timing: SegmentTiming | None = None) -> None:
        timing = timing or SegmentTiming()
        self._segmenter = SpeechSegmenter(timing)
        self._kept_frames = timing.kept_frames
        self._kept = np.zeros((0, FRAME_SAMPLES), np.int16)
        self._hop = np.zeros((_HOP_FRAMES, FRAME_SAMPLES), np.int16)
        self._hop_frames = 0
        self._hop_first = 0
        self._hop_contiguous = False
        self._last_end = -1

    @property
    def state(self) -> SegmentState:
        """Where the channel stands after the latest frame."""
        return self._segmenter.state

    @property
    def next_frame(self) -> int:
        """Index that the next frame will have."""
        return self._segmenter.next_frame

    @property
    def waiting_frames(self) -> int:
        """Frames of speech that wait for their hop to fill."""
        return self._hop_frames

    @property
    def waiting_samples(self) -> NDArray[np.int16]:
        """Those frames, joined: shape (waiting_frames * FRAME_SAMPLES,), 8 kHz."""
        return self._hop[: self._hop_frames].reshape(-1).copy()

    def receive_frames(
        self, frames: NDArray[np.int16], voiced: Sequence[bool]
    ) -> list[GatheredEvent]:
        """Take the next frames with the detector's decisions; return what they complete.

        Args:
            frames: shape (n, FRAME_SAMPLES), 8 kHz.
            voiced: n decisions.

        Returns:
            Starts, hops and ends in the order in which they were decided, and of silence one
            frame in five.

        """
        gathered: list[GatheredEvent] = []
        available = np.concatenate((self._kept, frames)) if len(self._kept) else frames
        first_available = self._segmenter.next_frame - len(self._kept)
        for decision in voiced:
            step = self._segmenter.receive_frame(decision)
            if step is _NOTHING:
                self._sample_silence(available, first_available, gathered)
                continue
            if step.started is not None:
                gathered.append(SegmentStarted(step.started))
            for frame in step.released:
                self._add_frame(frame, available[frame - first_available], gathered)
            if step.ended is not None:
                gathered.append(SegmentEnded(step.ended))
        self._kept = available[-self._kept_frames :].copy()
        return gathered

    def receive_gap(self, frames: int) -> list[SegmentEnded]:
        """Skip frames that never arrived (zero: the channel finishes or goes on hold)."""
        self._kept = self._kept[:0]
        step = self._segmenter.receive_gap(frames)
        return [] if step.ended is None else [SegmentEnded(step.ended)]

    def _sample_silence(
        self, available: NDArray[np.int16], first_available: int, gathered: list[GatheredEvent]
    ) -> None:
        """Put the latest frame into `gathered` if it is silence and its turn."""
        frame = self._segmenter.next_frame - 1
        if frame % _SILENCE_EVERY_FRAMES == 0 and self.state is SegmentState.SILENCE:
            gathered.append(SilenceHeard(available[frame - first_available].copy()))

    def _add_frame(
        self, frame: int, samples: NDArray[np.int16], gathered: list[GatheredEvent]
    ) -> None:
        """Put a frame of speech into the hop, and the hop into `gathered` once it is full."""
        if self._hop_frames == 0:
            self._hop_first = frame
            self._hop_contiguous = True
        self._hop_contiguous = self._hop_contiguous and frame == self._last_end
        self._last_end = frame + 1
        self._hop[self._hop_frames] = samples
        self._hop_frames += 1
        if self._hop_frames == _HOP_FRAMES:
            samples_of_hop = self._hop.reshape(-1).copy()
            gathered.append(
                SpeechHop(samples_of_hop, self._hop_first, frame + 1, self._hop_contiguous)
            )
            self._hop_frames = 0
