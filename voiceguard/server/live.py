"""`LiveSession`: a session and what is owed to its client.

It outlives the stream that it came on: when that breaks, it waits here, with
what was not delivered, for the client to resume. It reads a clock, which the
core must not, and knows nothing of grpc.
"""

from __future__ import annotations

import math
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from voiceguard.core.events import (
    AlertChanged,
    ControlAction,
    Event,
    GapDetected,
    HandoffOutcome,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    ScoreMissed,
    ScoreRequest,
    ScoreResult,
    SessionFinished,
    SessionFlagged,
    SpeechEnded,
    SpeechStarted,
    WindowMissed,
)
from voiceguard.core.policy import Policy
from voiceguard.core.session import CallSession
from voiceguard.server.flow import FlowWatch
from voiceguard.server.handoffs import HandoffDelivery
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.outbox import Outbox
from voiceguard.server.status import Refusal, idle
from voiceguard.server.terms import SessionKey, SessionLimits, SessionTerms, Wishes
from voiceguard.server.witness import SessionWitness
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import HandoffAnswer, event_to_proto


class SessionStream(Protocol):
    """The stream that a session's client is reached by."""

    def on_change(self) -> None:
        """Take note: the outbox, `has_room` or `finished` of the session has changed."""
        ...

    def on_superseded(self) -> None:
        """Take note: the session goes on on another stream."""
        ...


class Scoring(Protocol):
    """Whoever answers score requests, later, by `LiveSession.receive_score`."""

    def submit(self, session: LiveSession, requests: list[ScoreRequest]) -> None:
        """Take the next requests of a session."""
        ...

    def forget(self, session: LiveSession) -> None:
        """Drop what waits for a session, and what is kept for its channels."""
        ...


class LiveSession:
    """One session on this server, with or without a stream.

    Args:
        key: its name.
        terms: what it was opened with.
        policy: the one that decides it.
        core: the session proper.
        limits: times and sizes.
        scoring: answers its score requests.
        witness: told of all that happens.
        metrics: counts what happens.
        log: says what was decided, and what became of it.
        now_s: monotonic seconds at this moment.
    """

    def __init__(  # noqa: PLR0913 - the parts of a session, put together in one place
        self,
        key: SessionKey,
        terms: SessionTerms,
        policy: Policy,
        core: CallSession,
        *,
        limits: SessionLimits,
        scoring: Scoring,
        witness: SessionWitness,
        metrics: ServerMetrics,
        log: FilteringBoundLogger,
        now_s: float,
    ) -> None:
        self.key = key
        self.terms = terms
        self.policy = policy
        self.token = ""
        """The newest resume token; a secret."""
        self._token_before = ""
        self.detached_at_s: float | None = None
        """When its stream broke; None while it has one."""
        self.next_check_s = now_s
        """When `check` must be called next."""
        self.outbox = Outbox(limits.max_undelivered)
        self.finished = False
        """Whether the summary has been made; nothing follows it."""
        self.failure: Refusal | None = None
        """Why it was finished before its time; None: it was not."""
        self._core = core
        self._limits = limits
        self._scoring = scoring
        self._witness = witness
        self._metrics = metrics
        self._log = log
        self._wishes = Wishes(pressure_updates=False, speech_events=False)
        self._stream: SessionStream | None = None
        self._handoffs = HandoffDelivery(limits.handoff_repeat_s)
        self._alerts: dict[int, pb.MonitorResponse] = {}
        self._flag: pb.MonitorResponse | None = None
        self._flow = FlowWatch(limits, now_s)
        self._replay_sample: int | None = None
        """Where the next chunk of a replay begins; None: where the session is."""
        self._finish_by_s = math.inf

    @property
    def received_samples(self) -> int:
        """Sample frames received so far, gaps included."""
        return self._core.received_samples

    @property
    def audio_s(self) -> float:
        """Length so far in seconds, gaps included."""
        return self.terms.audio_format.seconds(self._core.received_samples)

    @property
    def has_room(self) -> bool:
        """Whether more of the client's audio should be read now."""
        return (
            self._core.pending_scores < self._limits.max_pending_scores and not self.outbox.is_full
        )

    @property
    def is_ending(self) -> bool:
        """Whether no more audio is expected."""
        return self._finish_by_s < math.inf

    # ---- the stream ----

    @property
    def tokens(self) -> tuple[str, ...]:
        """The tokens that this session may be resumed with."""
        return (self.token, self._token_before) if self._token_before else (self.token,)

    def offer_token(self, token: str, used_token: str) -> None:
        """Take a new token; the one just used is good until the client speaks."""
        self._token_before = used_token
        self.token = token

    def attach(self, stream: SessionStream, wishes: Wishes, now_s: float) -> None:
        """Give the session a stream; one that it still has is superseded.

        What the client may have missed goes to the head of the outbox: the newest
        alert of each channel, the flag, and the handoffs that nobody has answered.

        Args:
            stream: the new one.
            wishes: which events the client wants.
            now_s: monotonic seconds.
        """
        if self._stream is not None:
            self._stream.on_superseded()
        self._stream = stream
        self._wishes = wishes
        self._replay_sample = None
        self._flow.receive_sign_of_life(now_s)
        self.detached_at_s = None
        repeats = list(self._alerts.values())
        if self._flag is not None:
            repeats.append(self._flag)
        repeats += self._handoffs.unanswered
        self.outbox.put_first([item for item in repeats if item not in self.outbox])

    def detach(self, now_s: float) -> None:
        """Take its stream away; the session waits."""
        self._stream = None
        self.detached_at_s = now_s

    # ---- what the client says ----

    def receive_audio(self, content: bytes, first_sample: int | None, now_s: float) -> None:
        """Take audio; without `first_sample` it follows the chunk before, replayed or not.

        Raises:
            ClientError: as `CallSession.receive_audio`.
        """
        self._token_before = ""
        first = self._replay_sample if first_sample is None else first_sample
        before = self._core.received_samples
        self._core.receive_audio(content, first)
        self._witness.receive_audio(content, before, self._core.received_samples)
        if first is not None:
            self._follow(first + len(content) // self.terms.audio_format.frame_bytes)
        self._flow.receive_sign_of_life(now_s)
        self._ask(now_s)
        self._publish(now_s)

    def receive_control(self, action: ControlAction, now_s: float) -> None:
        """Take a control."""
        self._token_before = ""
        self._core.receive_control(action)
        self._flow.receive_control(now_s, on_hold=action is ControlAction.HOLD)
        self._ask(now_s)
        self._publish(now_s)

    def receive_handoff_answer(self, answer: HandoffAnswer, now_s: float) -> None:
        """Take the answer to a handoff.

        Raises:
            ClientError: no handoff of this session has this id.
        """
        self._token_before = ""
        self._core.receive_handoff_outcome(answer.handoff_id, answer.outcome, answer.reason)
        self._handoffs.receive_answer(answer.handoff_id)
        self._publish(now_s)

    def end_audio(self, now_s: float, timeout_s: float | None = None) -> None:
        """Say that the call is over: the summary follows, at the latest after `timeout_s`."""
        if self.finished or self.is_ending:
            return
        limit_s = self._limits.finish_timeout_s if timeout_s is None else timeout_s
        self._finish_by_s = now_s + limit_s
        self.next_check_s = min(self.next_check_s, self._finish_by_s)
        self._core.end_audio()
        self._ask(now_s)
        self._publish(now_s)
        self._finish_if_settled(now_s)

    def finish(self, now_s: float) -> None:
        """End the session now; scores still pending count as missed. Idempotent."""
        if self.finished:
            return
        self.finished = True
        self._core.finish()
        self._publish(now_s)
        self._metrics.count_unanswered_handoffs(self._handoffs.close())
        self._scoring.forget(self)
        self._tell_stream()

    def fail(self, refusal: Refusal) -> None:
        """End the session now, without a summary. Does nothing to one that is finished."""
        if self.finished:
            return
        self.failure = refusal
        self.finished = True
        self._metrics.count_unanswered_handoffs(self._handoffs.close())
        self._scoring.forget(self)
        self._tell_stream()

    def close_record(self, ended: str) -> None:
        """Say how the session ended; nothing of it is kept that comes later."""
        self._witness.close(ended)

    # ---- what the scorer says ----

    def receive_score(self, answer: ScoreResult | ScoreMissed, now_s: float) -> None:
        """Take the answer to a score request."""
        if self.finished:
            return
        waited_s = self._flow.receive_answer(answer, now_s)
        self._core.receive_score(answer)
        if waited_s is not None:
            self._metrics.observe_event_lag(waited_s)
        self._publish(now_s)
        self._finish_if_settled(now_s)
        self._tell_stream()

    # ---- what the clock says ----

    def check(self, now_s: float) -> None:
        """Do what has become due; call it when `next_check_s` has come."""
        self.next_check_s = now_s + self._limits.check_interval_s
        if self.finished:
            return
        self._check_handoffs(now_s)
        if now_s >= self._finish_by_s:
            self.finish(now_s)
            return
        self._check_audio(now_s)
        self._notice(self._flow.check_scores(now_s))
        due_s = min(self._handoffs.next_due_s, self._finish_by_s)
        self.next_check_s = min(self.next_check_s, due_s)

    def notice_draining(self) -> None:
        """Tell the client that this server is going away."""
        self._notice([pb.FlowNotice(kind=pb.FlowNotice.KIND_DRAINING)])

    def _check_handoffs(self, now_s: float) -> None:
        due = self._handoffs.take_due(now_s)
        for handoff_id in due.expired:
            self._core.receive_handoff_outcome(handoff_id, HandoffOutcome.EXPIRED)
        waiting = [response for response in due.repeats if response not in self.outbox]
        for response in waiting:
            self.outbox.put(response)
        if due.expired:
            self._publish(now_s)
        if waiting:
            self._tell_stream()

    def _check_audio(self, now_s: float) -> None:
        if self.detached_at_s is not None or self.is_ending or not self.has_room:
            return
        silent_s = self._flow.silent_s(now_s)
        if silent_s >= self._limits.idle_timeout_s:
            self.fail(idle(silent_s))
        else:
            self._notice(self._flow.check_audio(now_s))

    # ---- out ----

    def _follow(self, next_sample: int) -> None:
        """Take note where the chunk after this one begins, if its client does not say."""
        replaying = next_sample < self._core.received_samples
        self._replay_sample = next_sample if replaying else None

    def _ask(self, now_s: float) -> None:
        requests = self._core.take_score_requests()
        if requests:
            self._flow.receive_requests(requests, now_s)
            self._scoring.submit(self, requests)

    def _finish_if_settled(self, now_s: float) -> None:
        if self.is_ending and not self._core.pending_scores:
            self.finish(now_s)

    def _publish(self, now_s: float) -> None:
        events = self._core.take_events()
        if not events:
            return
        self._witness.receive_events(events)
        waiting = len(self.outbox)
        for event in events:
            self._tell(event, now_s)
        if len(self.outbox) != waiting:
            self._tell_stream()

    def _tell(self, event: Event, now_s: float) -> None:
        match event:
            case PressureUpdated():
                if not self._wishes.pressure_updates:
                    return
            case SpeechStarted() | SpeechEnded():
                if not self._wishes.speech_events:
                    return
            case WindowMissed():
                self._flow.receive_missed_window()
                self._metrics.count_missed_window()
            case HandoffSettled():
                self._metrics.count_handoff_outcome(event.outcome)
                self._log.info(
                    "handoff_settled", handoff=event.handoff_id, outcome=event.outcome.value
                )
            case SessionFinished():
                self._notice(self._flow.take_missed(now_s))
            case AlertChanged() | HandoffRequested() | SessionFlagged() | GapDetected():
                pass
        response = event_to_proto(event, self.terms.audio_format, self.key.session_id)
        if response is not None:
            self._remember(event, response, now_s)
            self.outbox.put(response)

    def _remember(self, event: Event, response: pb.MonitorResponse, now_s: float) -> None:
        """Keep what a client that resumes must be told again."""
        match event:
            case AlertChanged():
                self._alerts[event.channel] = response
                self._witness.announce(response)
                self._metrics.count_alert(event.level)
            case HandoffRequested():
                self._witness.announce(response)
                self._handoffs.receive_request(
                    event.handoff_id, response, event.ack_deadline_s, now_s
                )
                self.next_check_s = min(self.next_check_s, self._handoffs.next_due_s)
                self._metrics.count_handoff_request()
                self._log.info(
                    "handoff_requested", handoff=event.handoff_id, reason=event.reason.value
                )
            case SessionFlagged():
                self._flag = response
                self._witness.announce(response)
                self._log.info("session_flagged")
            case _:
                pass

    def _notice(self, notices: list[pb.FlowNotice]) -> None:
        for notice in notices:
            self.outbox.put(pb.MonitorResponse(flow=notice))
        if notices:
            self._tell_stream()

    def _tell_stream(self) -> None:
        if self._stream is not None:
            self._stream.on_change()
