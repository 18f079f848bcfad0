"""One monitored call without its sockets: what to send next, what a response means.

Every stream that carries the call drives this object the same way; it knows nothing
of gRPC calls, tasks or clocks.
"""

from __future__ import annotations

from typing import Final

import grpc

from voiceguard import wire
from voiceguard.client.errors import CallLostError, ClientUsageError, MonitorError
from voiceguard.client.events import CallEvent, event_of
from voiceguard.client.failures import Failure, Remedy
from voiceguard.client.lifecycle import LINK_TABLE, LinkInput, LinkState
from voiceguard.client.replay import AudioSpan, ReplayBuffer
from voiceguard.core.errors import ClientError
from voiceguard.core.events import ControlAction, HandoffOutcome
from voiceguard.v1 import monitor_pb2 as pb

__all__ = ["MAX_AUDIO_BYTES", "CallProtocol"]

MAX_AUDIO_BYTES: Final = 64 * 1024
"""Most audio in one request (`monitor.proto`)."""

_INPUTS: Final = {
    Remedy.COME_BACK: LinkInput.BROKEN,
    Remedy.SESSION_GONE: LinkInput.SESSION_GONE,
    Remedy.GIVE_UP: LinkInput.GIVEN_UP,
}
_OPEN: Final = frozenset({LinkState.STREAMING, LinkState.FINISHING})
_REOPENING: Final = frozenset({LinkState.REOPENING, LinkState.REOPENING_TO_FINISH})
_OVER: Final = frozenset({LinkState.FINISHED, LinkState.FAILED})


class CallProtocol:
    """What one call has to say, has been told, and still has to repeat.

    Args:
        config: the call's configuration; with a `resume_token`, goes on with that session.

    Raises:
        ClientUsageError: the audio format is not one that voiceguard takes.
    """

    def __init__(self, config: pb.SessionConfig) -> None:
        try:
            self.audio_format = wire.audio_format_from_proto(config.audio)
        except ClientError as error:
            raise ClientUsageError(str(error)) from error
        self.state = LinkState.OPENING
        self.buffer = ReplayBuffer(self.audio_format)
        self.error: MonitorError | None = None
        """Why the call failed, once it has."""
        self.resumes = 0
        self.reopened = 0
        self.replayed_samples = 0
        self._config = pb.SessionConfig()
        self._config.CopyFrom(config)
        self._on_hold = False
        self._config_due = False
        self._orphan_possible = False
        self._half_closed = False
        """On this stream."""
        self._half_close_sent = False
        """In this session, on any stream."""
        self._answers: dict[str, pb.HandoffAck] = {}
        self._answers_due: dict[str, None] = {}
        self._handoffs: set[str] = set()
        self._alerts: set[str] = set()
        self._flagged = False

    @property
    def session_id(self) -> str:
        """The id that the dialer chose."""
        return self._config.session_id

    @property
    def resume_token(self) -> str:
        """Secret with which another process could go on with the session; empty before one."""
        return self._config.resume_token

    def is_over(self) -> bool:
        """Tell whether nothing more can be sent and nothing will come."""
        return self.state in _OVER

    @property
    def finish_due(self) -> bool:
        """Everything has been sent and the stream's half-close is next."""
        return (
            self.state is LinkState.FINISHING
            and not self._half_closed
            and not self._answers_due
            and not self.buffer.unsent_samples
        )

    # ---- from the dialer ----

    def receive_audio(self, content: bytes) -> int:
        """Take the call's next audio: whole sample frames. Return how many fell out unsent.

        Not before the session has opened: where its audio begins is the server's to say.
        """
        return self.buffer.append(content)

    def receive_control(self, action: ControlAction) -> None:
        """Take a hold or the end of one; what changes nothing is not sent."""
        on_hold = action is ControlAction.HOLD
        if on_hold != self._on_hold:
            self._on_hold = on_hold
            self.buffer.mark(action)

    def receive_answer(self, handoff_id: str, outcome: HandoffOutcome, reason: str) -> bool:
        """Take what became of a handoff. Return whether there is still time to say so.

        Raises:
            ClientUsageError: this session asked for no such handoff, or the answer is not one
                that a dialer may give.
        """
        if handoff_id not in self._handoffs:
            asked = ", ".join(sorted(self._handoffs)) or "none yet"
            problem = f"no handoff {handoff_id!r} was asked for; asked for: {asked}"
            raise ClientUsageError(problem)
        number = wire.HANDOFF_OUTCOME_NUMBERS.get(outcome)
        if number is None:
            problem = f"{outcome.name} is the server's to say; answer what the dialer did"
            raise ClientUsageError(problem)
        try:
            wire.check_text(reason, "reason")
        except ClientError as error:
            raise ClientUsageError(str(error)) from error
        self._answers[handoff_id] = pb.HandoffAck(
            handoff_id=handoff_id, outcome=number, reason=reason
        )
        self._answers_due[handoff_id] = None
        return not self._half_closed and not self.is_over()

    def receive_finish(self) -> None:
        """Take the end of the telephone call."""
        self._advance(LinkInput.FINISH_ASKED)
        if self.state is LinkState.FAILED and self.error is None:
            self.error = CallLostError("it was finished before a session was open")

    # ---- to and from the stream ----

    def begin_stream(self) -> None:
        """Start again with a new stream: the configuration is what it carries first."""
        self._config_due = True
        self._half_closed = False

    def next_request(self) -> pb.MonitorRequest | None:
        """Return what to send next and count it as sent; None: nothing now."""
        if self._config_due:
            self._config_due = False
            return pb.MonitorRequest(config=self._config)
        if self.state not in _OPEN or self._half_closed:
            return None
        if self._answers_due:
            handoff_id = next(iter(self._answers_due))
            del self._answers_due[handoff_id]
            return pb.MonitorRequest(handoff_ack=self._answers[handoff_id])
        item = self.buffer.next_item(MAX_AUDIO_BYTES)
        if item is None:
            return None
        if isinstance(item, AudioSpan):
            chunk = pb.AudioChunk(content=item.content, first_sample=item.first_sample)
            return pb.MonitorRequest(audio=chunk)
        action = wire.CONTROL_ACTION_NUMBERS[item.action]
        return pb.MonitorRequest(control=pb.Control(action=action))

    def count_half_close(self) -> None:
        """Note that the half-close has been sent."""
        self._half_closed = self._half_close_sent = True

    def receive_response(self, response: pb.MonitorResponse) -> CallEvent | None:
        """Take a response.

        Returns:
            The event to yield; None for a repetition, and for what this version does not know.
        """
        event = event_of(response)
        match event:
            case pb.SessionOpened():
                return self._receive_opened(event)
            case pb.AlertChanged():
                return self._once(event, event.alert_id, self._alerts)
            case pb.HandoffRequested():
                if event.handoff_id in self._answers:
                    # It crossed our answer on the way, or the answer was lost.
                    self._answers_due[event.handoff_id] = None
                return self._once(event, event.handoff_id, self._handoffs)
            case pb.SessionFlagged():
                known, self._flagged = self._flagged, True
                return None if known else event
            case pb.SessionSummary():
                self._advance(LinkInput.SUMMARISED)
                self._config.resume_token = ""
                return event
            case _:
                return event

    def receive_failure(self, failure: Failure) -> None:
        """Take the end of a stream that brought no summary; `state` says what is next."""
        self._advance(self._input_of(failure))
        if self.state is LinkState.FAILED:
            self.error = self.error or self._error_of(failure)
        elif self.state in _REOPENING:
            self._config.resume_token = ""

    def receive_exhaustion(self, failure: Failure, tries: int) -> None:
        """Take that there is no try left after this failure."""
        self._advance(LinkInput.GIVEN_UP)
        self.error = self.error or failure.to_error(tries)

    def _error_of(self, failure: Failure) -> MonitorError:
        if failure.remedy is Remedy.SESSION_GONE and self._half_close_sent:
            reason = "the session has ended, and its summary was lost with the stream"
            return CallLostError(reason, status=failure.status)
        return failure.to_error()

    def _input_of(self, failure: Failure) -> LinkInput:
        """Tell what a failure means here.

        A stream that broke between our configuration and the server's answer may have left
        a session behind whose token we never saw: then ALREADY_EXISTS is worth another try,
        until the server lets that session go.
        """
        if self._orphan_possible and failure.status is grpc.StatusCode.ALREADY_EXISTS:
            return LinkInput.BROKEN
        if failure.remedy is Remedy.SESSION_GONE and self._half_close_sent:
            # A new session would be a second one for a call that may have been summed up.
            return LinkInput.GIVEN_UP
        unanswered = self.state not in _OPEN and not self._config_due
        if unanswered and failure.remedy is Remedy.COME_BACK:
            self._orphan_possible = True
        return _INPUTS[failure.remedy]

    def _advance(self, received: LinkInput) -> None:
        self.state = LINK_TABLE.next_state(self.state, received)

    def _receive_opened(self, opened: pb.SessionOpened) -> CallEvent | None:
        came_from = self.state
        self._orphan_possible = False
        self._advance(LinkInput.OPENED)
        if came_from is LinkState.OPENING:
            self.buffer.begin_at(opened.accepted_samples)
        elif came_from in _REOPENING:
            self.reopened += 1
            self._forget_session()
            self.replayed_samples += self.buffer.restart()
        else:
            try:
                self.replayed_samples += self.buffer.rewind(opened.accepted_samples)
            except ValueError as error:
                self._advance(LinkInput.GIVEN_UP)
                self.error = CallLostError(f"the server is at fault: {error}")
                return None
        if came_from in {LinkState.RESUMING, LinkState.RESUMING_TO_FINISH}:
            self.resumes += 1
            self._answers_due = dict.fromkeys(self._answers)
        self._config.resume_token = opened.resume_token
        shown = pb.SessionOpened()
        shown.CopyFrom(opened)
        shown.ClearField("resume_token")
        return shown

    def _forget_session(self) -> None:
        """Ids of the session that is gone mean nothing in the new one."""
        self._half_close_sent = False
        self._answers.clear()
        self._answers_due.clear()
        self._handoffs.clear()
        self._alerts.clear()
        self._flagged = False

    @staticmethod
    def _once(event: CallEvent, event_id: str, seen: set[str]) -> CallEvent | None:
        if event_id in seen:
            return None
        seen.add(event_id)
        return event
