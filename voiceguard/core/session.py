"""`CallSession`: one call's audio in, its events out.

The session asks for scores and is given them; it never runs a model. Events
leave it in the order of the audio clock whatever the order and the time that
scores arrive in: an event waits for the scores of all speech before it. So the
same audio gives the same events, however it was cut into chunks and however
busy the scorer was.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.assessment import CallAssessment, HopAudio
from voiceguard.core.audio import AudioClock, FrameAssembler
from voiceguard.core.channel import FrontEnd, Heard, HeardHop, ScoredChannel
from voiceguard.core.errors import ClientError, ConsentError, SessionFinishedError
from voiceguard.core.events import (
    AudioFormat,
    Consent,
    ConsentState,
    ControlAction,
    Event,
    GapDetected,
    HandoffOutcome,
    Role,
    ScoreMissed,
    ScoreRequest,
    ScoreResult,
    SessionFinished,
    SpeechEnded,
    SpeechStarted,
)
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import REQUIRED_SCORES, EvidenceWeights

SHORT_GAP_S: Final = 0.2
"""Gaps up to this are filled with silence, as a telephone does with lost packets; a longer
one ends the speech before it."""


def check_consent(consent: Consent, policy: Policy) -> None:
    """Refuse a session that must not be analysed.

    Raises:
        ConsentError: the customer refused, or the policy needs a consent that is not there.
    """
    if consent.state is ConsentState.REFUSED:
        raise ConsentError("config.consent", "the customer refused; do not send this call")
    complete = consent.state is ConsentState.GIVEN and consent.notice_given
    if policy.require_consent and not complete:
        problem = "this policy needs consent given and notice given"
        raise ConsentError("config.consent", problem)


def scored_channels(audio_format: AudioFormat, policy: Policy) -> tuple[int, ...]:
    """Return the indices of the channels to score.

    Raises:
        ClientError: there is no customer, or a mixed channel that the policy does not allow.
    """
    roles = audio_format.channels
    if Role.MIXED in roles and not policy.allow_mixed_channel:
        problem = "a mixed channel would analyse the agent too; send the customer's own channel"
        raise ClientError("config.audio.channels", problem)
    scored = tuple(i for i, role in enumerate(roles) if role in {Role.CUSTOMER, Role.MIXED})
    if not scored:
        raise ClientError("config.audio.channels", "no channel has the role customer")
    return scored


@dataclass(slots=True, eq=False)
class _PendingHop:
    """A hop whose place in the order is kept until its scores are there."""

    hop: HopAudio
    sequence: int
    resolved: bool = False
    scores: Mapping[str, float] | None = None


class CallSession:
    """One call, from its first sample to its summary.

    Args:
        policy: thresholds to judge by.
        audio_format: encoding, rate and the role of each channel.
        front_end: voice activity detector and resampler, lent by the shell.
        weights: constants of the pressure index, from the model's manifest.
        consent: what the customer agreed to.

    Raises:
        ClientError: the format names no channel that may be scored.
        ConsentError: the customer's consent is refused, or missing under this policy.
    """

    def __init__(
        self,
        policy: Policy,
        audio_format: AudioFormat,
        *,
        front_end: FrontEnd,
        weights: EvidenceWeights,
        consent: Consent | None = None,
    ) -> None:
        check_consent(consent or Consent(), policy)
        rate_hz = audio_format.sample_rate_hz
        self._format = audio_format
        self._channels = {
            index: ScoredChannel(index, rate_hz, front_end)
            for index in scored_channels(audio_format, policy)
        }
        self._clock = AudioClock(audio_format)
        self._assembler = FrameAssembler(audio_format)
        self._assessment = CallAssessment(policy, weights, rate_hz)
        self._on_hold = False
        self._audio_ended = False
        self._finished = False
        self._sequences = dict.fromkeys(self._channels, 0)
        self._timeline: deque[Event | _PendingHop] = deque()
        self._pending: dict[tuple[int, int], _PendingHop] = {}
        self._requests: list[ScoreRequest] = []
        self._events: list[Event] = []

    @property
    def audio_format(self) -> AudioFormat:
        """The format that the session was opened with."""
        return self._format

    @property
    def received_samples(self) -> int:
        """Length of the session so far, gaps included."""
        return self._clock.received_samples

    @property
    def pending_scores(self) -> int:
        """Score requests that have not been answered yet."""
        return len(self._pending)

    def receive_audio(self, content: bytes, first_sample: int | None = None) -> None:
        """Take the next chunk.

        Args:
            content: a whole number of sample frames in the session's format.
            first_sample: index of the first of them; None: it follows the last chunk.
                What was received before is dropped, what is missing becomes a gap.

        Raises:
            ClientError: a broken sample frame or an impossible index; nothing has changed.
            SessionFinishedError: the session's audio has ended.
        """
        if self._audio_ended:
            raise SessionFinishedError("audio came after the end of the session's audio")
        start = self._clock.received_samples
        arrival = self._clock.receive(content, first_sample)
        if arrival.gap_samples:
            self._receive_gap(start, arrival.gap_samples)
        if len(arrival.content) and not self._on_hold:
            self._hear(self._assembler.receive(arrival.content))
        self._release()

    def receive_score(self, answer: ScoreResult | ScoreMissed) -> None:
        """Take the answer to a score request, early or late.

        An answer to a request that was never made, or was answered before, is
        ignored; one without usable numbers counts as missed.
        """
        pending = self._pending.pop((answer.channel, answer.sequence), None)
        if pending is None:
            return
        pending.resolved = True
        if isinstance(answer, ScoreResult) and _usable(answer.scores):
            pending.scores = answer.scores
        self._release()

    def receive_control(self, action: ControlAction) -> None:
        """Stop scoring for a hold, or go on, from the audio received so far.

        Raises:
            SessionFinishedError: the session's audio has ended.
        """
        if self._audio_ended:
            raise SessionFinishedError("a control came after the end of the session's audio")
        match action:
            case ControlAction.HOLD:
                self._interrupt()
                self._on_hold = True
            case ControlAction.RESUME:
                if self._on_hold:
                    self._interrupt()
                self._on_hold = False
        self._release()

    def receive_handoff_outcome(
        self, handoff_id: str, outcome: HandoffOutcome, reason: str = ""
    ) -> None:
        """Record what the dialer did about a handoff; saying it twice changes nothing.

        Raises:
            ClientError: no handoff of this session has this id.
        """
        self._events += self._assessment.receive_handoff_outcome(handoff_id, outcome, reason)

    def end_audio(self) -> None:
        """Say that no more audio will come; scores may still be pending. Idempotent."""
        if self._audio_ended:
            return
        self._interrupt()
        self._audio_ended = True
        self._release()

    def finish(self) -> None:
        """End the session: scores still pending count as missed. Idempotent."""
        if self._finished:
            return
        self.end_audio()
        self._finished = True
        for pending in self._pending.values():
            pending.resolved = True
        self._pending.clear()
        self._release()
        self._events.append(self._summary())

    def take_score_requests(self) -> list[ScoreRequest]:
        """Return the requests made since the last call, in order."""
        requests, self._requests = self._requests, []
        return requests

    def take_events(self) -> list[Event]:
        """Return the events released since the last call, in order."""
        events, self._events = self._events, []
        return events

    def _receive_gap(self, start: int, gap_samples: int) -> None:
        self._timeline.append(GapDetected(start, start + gap_samples))
        if self._on_hold:
            return
        if gap_samples <= SHORT_GAP_S * self._format.sample_rate_hz:
            self._hear(self._assembler.receive_silence(gap_samples))
        else:
            self._interrupt(start + gap_samples)

    def _interrupt(self, next_sample: int | None = None) -> None:
        """Let what follows, from `next_sample` (default: what was received), not join."""
        following = self._clock.received_samples if next_sample is None else next_sample
        self._assembler.discard()
        for channel in self._channels.values():
            self._record(channel.interrupt(following))

    def _hear(self, samples: NDArray[np.int16]) -> None:
        """Let the scored channels hear whole frames; several of them frame by frame in turn."""
        step = self._assembler.frame_samples if len(self._channels) > 1 else len(samples)
        for start in range(0, len(samples), max(step, 1)):
            for index, channel in self._channels.items():
                self._record(channel.receive_samples(samples[start : start + step, index]))

    def _record(self, heard: Iterable[Heard]) -> None:
        for item in heard:
            match item:
                case SpeechStarted() | SpeechEnded():
                    self._timeline.append(item)
                case HeardHop():
                    self._record_hop(item)

    def _record_hop(self, heard: HeardHop) -> None:
        hop = heard.audio
        if heard.pcm is None:
            self._timeline.append(_PendingHop(hop, sequence=-1, resolved=True))
            return
        sequence = self._sequences[hop.channel]
        self._sequences[hop.channel] = sequence + 1
        pending = _PendingHop(hop, sequence)
        self._timeline.append(pending)
        self._pending[hop.channel, sequence] = pending
        self._requests.append(
            ScoreRequest(hop.channel, sequence, hop.start_sample, hop.end_sample, heard.pcm)
        )

    def _release(self) -> None:
        """Move what no longer waits from the timeline to the events."""
        while self._timeline:
            head = self._timeline[0]
            if not isinstance(head, _PendingHop):
                self._events.append(head)
            elif head.resolved:
                self._events += self._assess(head)
            else:
                return
            self._timeline.popleft()

    def _assess(self, pending: _PendingHop) -> list[Event]:
        if pending.sequence < 0:
            return self._assessment.receive_unscorable(pending.hop)
        if pending.scores is None:
            return self._assessment.receive_missed(pending.hop)
        return self._assessment.receive_scores(pending.hop, pending.scores)

    def _summary(self) -> SessionFinished:
        assessment = self._assessment
        return SessionFinished(
            audio_samples=self._clock.received_samples,
            gap_samples=self._clock.gap_samples,
            customer_speech_s=sum(channel.speech_s for channel in self._channels.values()),
            peak_pressure_index=assessment.peak_pressure_index,
            mean_pressure_index=assessment.mean_pressure_index,
            peak_level=assessment.peak_level,
            high_sensitivity=assessment.high_sensitivity,
            handoffs=assessment.handoffs,
            windows_missed=assessment.windows_missed,
        )


def _usable(scores: Mapping[str, float]) -> bool:
    return all(name in scores for name in REQUIRED_SCORES) and all(
        math.isfinite(value) and 0.0 <= value <= 1.0 for value in scores.values()
    )
