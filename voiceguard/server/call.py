"""`MonitoredCall`: one call on one stream, whatever kind of stream it is.

Monitor and MonitorTrunk are both thin over it, so that a call behaves the same
on either. It takes requests and gives responses, and knows nothing of grpc.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from structlog.typing import FilteringBoundLogger

from voiceguard.core.errors import ClientError
from voiceguard.core.statetable import StateTable
from voiceguard.server.admission import FrontDesk
from voiceguard.server.live import LiveSession
from voiceguard.server.logs import describe_defect
from voiceguard.server.settings import MAX_AUDIO_BYTES
from voiceguard.server.status import (
    INPUT_ERRORS,
    Refusal,
    internal_error,
    invalid,
    refusal_of,
    superseded,
)
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import control_from_proto, handoff_ack_from_proto


class CallState(enum.Enum):
    """How far a call on a stream has got."""

    AWAITING_CONFIG = enum.auto()
    OPEN = enum.auto()
    ENDING = enum.auto()
    """The client has said that the call is over; the summary is being made."""
    ENDED = enum.auto()
    """The summary is there."""
    FAILED = enum.auto()
    """It ends with an error."""
    DETACHED = enum.auto()
    """The stream broke; the session waits to be resumed."""


class CallInput(enum.Enum):
    """What happens to a call."""

    CONFIG = enum.auto()
    AUDIO = enum.auto()
    CONTROL = enum.auto()
    HANDOFF_ACK = enum.auto()
    NOTHING = enum.auto()
    """A request with no member set."""
    HALF_CLOSE = enum.auto()
    SUMMARY = enum.auto()
    """The session has been finished."""
    REFUSED = enum.auto()
    """An input was bad, or the server ends the call."""
    STREAM_BROKE = enum.auto()


_ALL: Final = frozenset(CallInput)

CALL_TABLE: Final[StateTable[CallState, CallInput]] = StateTable(
    name="Call on a stream",
    initial=CallState.AWAITING_CONFIG,
    transitions={
        CallState.AWAITING_CONFIG: {
            CallInput.CONFIG: CallState.OPEN,
            CallInput.AUDIO: CallState.FAILED,
            CallInput.CONTROL: CallState.FAILED,
            CallInput.HANDOFF_ACK: CallState.FAILED,
            CallInput.NOTHING: CallState.FAILED,
            CallInput.HALF_CLOSE: CallState.FAILED,
            CallInput.REFUSED: CallState.FAILED,
            CallInput.STREAM_BROKE: CallState.FAILED,
        },
        CallState.OPEN: {
            CallInput.CONFIG: CallState.FAILED,
            CallInput.NOTHING: CallState.FAILED,
            CallInput.HALF_CLOSE: CallState.ENDING,
            CallInput.SUMMARY: CallState.ENDED,
            CallInput.REFUSED: CallState.FAILED,
            CallInput.STREAM_BROKE: CallState.DETACHED,
        },
        CallState.ENDING: {
            CallInput.CONFIG: CallState.FAILED,
            CallInput.AUDIO: CallState.FAILED,
            CallInput.CONTROL: CallState.FAILED,
            CallInput.NOTHING: CallState.FAILED,
            CallInput.SUMMARY: CallState.ENDED,
            CallInput.REFUSED: CallState.FAILED,
            CallInput.STREAM_BROKE: CallState.ENDED,
        },
        CallState.ENDED: {},
        CallState.FAILED: {},
        CallState.DETACHED: {},
    },
    ignored={
        CallState.AWAITING_CONFIG: {CallInput.SUMMARY},
        CallState.OPEN: {CallInput.AUDIO, CallInput.CONTROL, CallInput.HANDOFF_ACK},
        CallState.ENDING: {CallInput.HANDOFF_ACK, CallInput.HALF_CLOSE},
        CallState.ENDED: _ALL,
        CallState.FAILED: _ALL,
        CallState.DETACHED: _ALL,
    },
)
"""The whole life of a call on a stream. Audio, controls and acknowledgements go to the session
where the table ignores them in an open state, and change nothing here."""

_REQUESTS: Final = {
    "config": CallInput.CONFIG,
    "audio": CallInput.AUDIO,
    "control": CallInput.CONTROL,
    "handoff_ack": CallInput.HANDOFF_ACK,
    None: CallInput.NOTHING,
}

_OUT_OF_ORDER: Final = {
    (CallState.AWAITING_CONFIG, CallInput.AUDIO): ("audio", "came before config"),
    (CallState.AWAITING_CONFIG, CallInput.CONTROL): ("control", "came before config"),
    (CallState.AWAITING_CONFIG, CallInput.HANDOFF_ACK): ("handoff_ack", "came before config"),
    (CallState.AWAITING_CONFIG, CallInput.NOTHING): ("request", "is not set; send config first"),
    (CallState.AWAITING_CONFIG, CallInput.HALF_CLOSE): ("config", "is missing; send it first"),
    (CallState.OPEN, CallInput.CONFIG): ("config", "came a second time; a call has one"),
    (CallState.OPEN, CallInput.NOTHING): ("request", "is not set; send audio, control or an ack"),
    (CallState.ENDING, CallInput.CONFIG): ("config", "came after the end of the call"),
    (CallState.ENDING, CallInput.AUDIO): ("audio", "came after the end of the call"),
    (CallState.ENDING, CallInput.CONTROL): ("control", "came after the end of the call"),
    (CallState.ENDING, CallInput.NOTHING): ("request", "came after the end of the call"),
}
"""Field and problem of each input that the client may not give in a state."""

_OVER: Final = frozenset({CallState.ENDED, CallState.FAILED, CallState.DETACHED})


class MonitoredCall:
    """One call on one stream.

    No input raises: what a client does wrong ends the call with `failure`.

    Args:
        desk: lets it in and out.
        tenant: whose client it is.
        on_change: called when there is something to send, or the call is over, or it
            can be read again.
        log: says what happens.
    """

    def __init__(
        self,
        desk: FrontDesk,
        tenant: str,
        on_change: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.state = CALL_TABLE.initial
        self.failure: Refusal | None = None
        """What the call ends with, after all its responses; None: with nothing but them."""
        self._desk = desk
        self._tenant = tenant
        self._changed = on_change
        self._log = log
        self._session: LiveSession | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing will be added to the responses any more."""
        return self.state in _OVER

    @property
    def has_room(self) -> bool:
        """Whether the next request should be read now."""
        return self._session is None or self.is_over or self._session.has_room

    # ---- in ----

    def receive(self, request: pb.MonitorRequest) -> None:
        """Take the client's next request."""
        kind = request.WhichOneof("request")
        try:
            if kind == "audio" and self.state is CallState.OPEN:
                self._receive_audio(request.audio)
            else:
                self._receive_other(_REQUESTS[kind], request)
        except INPUT_ERRORS as error:
            self.refuse(refusal_of(error))
        except Exception as defect:  # noqa: BLE001 - one call's defect must not end the others
            self._log.error("call_defect", **describe_defect(defect))
            self.refuse(internal_error())

    def half_close(self) -> None:
        """Take note that the client will send nothing more: the call is over."""
        before = self._advance(CallInput.HALF_CLOSE)
        if before is CallState.OPEN and self._session is not None:
            self._session.end_audio(self._desk.clock())

    def refuse(self, refusal: Refusal) -> None:
        """End the call with an error."""
        if self.is_over:
            return
        self.state = CALL_TABLE.next_state(self.state, CallInput.REFUSED)
        self._fail(refusal)

    def break_off(self) -> None:
        """Take note that the stream is gone, without the client having ended the call."""
        before, session = self.state, self._session
        self.state = CALL_TABLE.next_state(before, CallInput.STREAM_BROKE)
        if session is None or before in _OVER:
            return
        if self.state is CallState.DETACHED:
            self._desk.detach(session)
        else:
            self._desk.release(session, "completed")

    # ---- out ----

    def take_responses(self, limit: int) -> list[pb.MonitorResponse]:
        """Return what there is to send now, in order, at most `limit` responses."""
        return [] if self._session is None else self._session.outbox.take(limit)

    def return_responses(self, responses: list[pb.MonitorResponse]) -> None:
        """Take back responses that could not be sent."""
        if self._session is not None:
            self._session.outbox.put_first(responses)

    @property
    def has_responses(self) -> bool:
        """Whether there is something to send."""
        return self._session is not None and len(self._session.outbox) > 0

    # ---- what the session says ----

    def on_change(self) -> None:
        """Take note that the session has something to send, has room, or is finished."""
        session = self._session
        if session is not None and session.finished and not self.is_over:
            self._end(session)
        self._changed()

    def on_superseded(self) -> None:
        """Take note that the client resumed the session on another stream."""
        self._session = None
        self.refuse(superseded())

    # ---- within ----

    def _receive_audio(self, chunk: pb.AudioChunk) -> None:
        content = chunk.content
        if len(content) > MAX_AUDIO_BYTES:
            problem = f"{len(content)} bytes; at most {MAX_AUDIO_BYTES} are accepted in a request"
            raise ClientError("audio.content", problem)
        first_sample = chunk.first_sample if chunk.HasField("first_sample") else None
        session, desk = self._session, self._desk
        if session is not None:
            session.receive_audio(content, first_sample, desk.clock())

    def _receive_other(self, received: CallInput, request: pb.MonitorRequest) -> None:
        before = self._advance(received)
        if self.is_over or before in _OVER:
            return
        match received:
            case CallInput.CONFIG:
                self._session = self._desk.admit(self._tenant, request.config, self)
                self._changed()
            case CallInput.CONTROL:
                action = control_from_proto(request.control)
                self._open_session().receive_control(action, self._desk.clock())
            case CallInput.HANDOFF_ACK:
                answer = handoff_ack_from_proto(request.handoff_ack)
                self._open_session().receive_handoff_answer(answer, self._desk.clock())
            case _:
                pass

    def _open_session(self) -> LiveSession:
        if self._session is None:
            raise ClientError("request", "there is no session")
        return self._session

    def _advance(self, received: CallInput) -> CallState:
        """Follow the table; return the state before. Leads to `_fail` where it says so."""
        before = self.state
        if before in _OVER:
            return before
        self.state = CALL_TABLE.next_state(before, received)
        if self.state is CallState.FAILED:
            field, problem = _OUT_OF_ORDER[before, received]
            self._fail(invalid(field, problem, "OUT_OF_ORDER"))
        return before

    def _fail(self, refusal: Refusal) -> None:
        self.failure = refusal
        self._desk.metrics.count_refusal(refusal.reason)
        self._log.info("call_refused", reason=refusal.reason, field=refusal.field)
        if self._session is not None:
            self._session.fail(refusal)
            self._desk.release(self._session, "failed")
        self._changed()

    def _end(self, session: LiveSession) -> None:
        if session.failure is not None:
            self.state = CALL_TABLE.next_state(self.state, CallInput.REFUSED)
            self._fail(session.failure)
        else:
            self.state = CALL_TABLE.next_state(self.state, CallInput.SUMMARY)
            self._desk.release(session, "completed")
