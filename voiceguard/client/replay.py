"""The last seconds of a call, kept until they need no sending again. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from voiceguard.core.audio import MAX_REPLAY_S
from voiceguard.core.events import AudioFormat, ControlAction

__all__ = ["AudioSpan", "ControlMark", "ReplayBuffer"]

_JUMPS_REMEMBERED = 1024
"""Jumps that a rewind can still take back from the count of lost audio; it is a statistic."""


@dataclass(frozen=True, slots=True)
class AudioSpan:
    """Audio to send: whole sample frames from `first_sample` on."""

    first_sample: int
    content: bytes


@dataclass(frozen=True, slots=True)
class ControlMark:
    """A hold, or the end of one, at its place among the audio."""

    at_sample: int
    action: ControlAction


class ReplayBuffer:
    """A ring of audio with the place up to which it has been sent.

    Audio stays after it was sent, because a broken stream loses what was under way. The
    oldest falls out once there is more than the capacity, sent or not; what falls out
    unsent is a gap, and `next_item` then jumps over it. Indices are sample frames of the
    session, from 0.

    Args:
        audio_format: what a sample frame is.
        capacity_s: how much to keep, in seconds; more than 10 s would be refused.
    """

    def __init__(self, audio_format: AudioFormat, capacity_s: float = MAX_REPLAY_S) -> None:
        self._frame_bytes = audio_format.frame_bytes
        self._capacity_samples = int(capacity_s * audio_format.sample_rate_hz)
        self._content = bytearray()
        self._marks: deque[ControlMark] = deque()
        self._marks_sent = 0
        self._settled: ControlMark | None = None
        self._jumps: deque[tuple[int, int]] = deque(maxlen=_JUMPS_REMEMBERED)
        self.start_sample = 0
        """First sample still here."""
        self.end_sample = 0
        """Where the next audio goes."""
        self.next_sample = 0
        """What is to be sent next; may lie before `start_sample` after a rewind."""
        self.lost_samples = 0
        """How much `next_item` jumped over, as far as the server has not got it after all."""

    @property
    def unsent_samples(self) -> int:
        """Samples here that are to be sent, again or for the first time."""
        return self.end_sample - max(self.next_sample, self.start_sample)

    def append(self, content: bytes) -> int:
        """Take the next audio.

        Args:
            content: a whole number of sample frames, the caller has made sure.

        Returns:
            How many samples fell out that had not been sent.
        """
        unsent = self.unsent_samples
        self._content += content
        self.end_sample += len(content) // self._frame_bytes
        excess = self.end_sample - self.start_sample - self._capacity_samples
        if excess > 0:
            self._drop_before(self.start_sample + excess)
        return unsent + len(content) // self._frame_bytes - self.unsent_samples

    def mark(self, action: ControlAction) -> None:
        """Take a hold or the end of one, after the audio so far."""
        mark = ControlMark(self.end_sample, action)
        if [m.at_sample for m in list(self._marks)[-2:]] == [mark.at_sample] * 2:
            self._marks.pop()
            self._marks.pop()
            self._marks_sent = min(self._marks_sent, len(self._marks))
        self._marks.append(mark)

    def next_item(self, max_bytes: int) -> AudioSpan | ControlMark | None:
        """Return what is to be sent next and count it as sent; None: all has been sent.

        Args:
            max_bytes: most audio to return at once.
        """
        if self.next_sample < self.start_sample:
            self._jumps.append((self.next_sample, self.start_sample))
            self.lost_samples += self.start_sample - self.next_sample
            self.next_sample = self.start_sample
        stop = self.end_sample
        if self._marks_sent < len(self._marks):
            mark = self._marks[self._marks_sent]
            if mark.at_sample <= self.next_sample:
                self._marks_sent += 1
                return mark
            stop = mark.at_sample
        first = self.next_sample
        self.next_sample = min(stop, first + max_bytes // self._frame_bytes)
        if self.next_sample == first:
            return None
        begin = (first - self.start_sample) * self._frame_bytes
        end = (self.next_sample - self.start_sample) * self._frame_bytes
        return AudioSpan(first, bytes(self._content[begin:end]))

    def begin_at(self, sample: int) -> None:
        """Begin with `sample`, to go on with a session that another process began."""
        self.start_sample = self.end_sample = self.next_sample = sample

    def rewind(self, accepted_samples: int) -> int:
        """Go back to where the server is: it has everything before `accepted_samples`.

        Returns:
            How many samples will be sent that have been sent before.

        Raises:
            ValueError: the server claims audio that never was.
        """
        if not 0 <= accepted_samples <= self.end_sample:
            claim = f"the server claims {accepted_samples} samples of {self.end_sample}"
            raise ValueError(claim)
        while self._jumps and self._jumps[-1][0] >= accepted_samples:
            first, following = self._jumps.pop()
            self.lost_samples -= following - first
        again = max(self.next_sample - max(accepted_samples, self.start_sample), 0)
        self.next_sample = accepted_samples
        if accepted_samples > self.start_sample:
            self._discard(accepted_samples)
        while self._marks and self._marks[0].at_sample < accepted_samples:
            self._settled = self._marks.popleft()
        self._marks_sent = 0
        return again

    def restart(self) -> int:
        """Go back to the oldest audio here, for a new session that knows nothing of the call.

        The audio keeps its indices, so that the audio clock stays the call's own; what is
        before them is the new session's gap.

        Returns:
            How many samples will be sent that have been sent before.
        """
        again = max(self.next_sample - self.start_sample, 0)
        self.next_sample = self.start_sample
        self._jumps.clear()
        if self._settled is not None and self._settled.action is ControlAction.HOLD:
            self._marks.appendleft(self._settled)
        self._settled = None
        self._marks_sent = 0
        return again

    def _drop_before(self, sample: int) -> None:
        """Let audio fall out; of the marks before it only the last still means anything."""
        self._discard(sample)
        while len(self._marks) > 1 and self._marks[1].at_sample < sample:
            self._marks.popleft()
            self._marks_sent = max(self._marks_sent - 1, 0)

    def _discard(self, before_sample: int) -> None:
        del self._content[: (before_sample - self.start_sample) * self._frame_bytes]
        self.start_sample = before_sample
