"""What a stream carries: one call, or many calls with a number each.

A carrier turns the messages of one stream into the inputs of its calls, and
what the calls have to say into messages. It knows nothing of grpc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger

from voiceguard.server.admission import FrontDesk
from voiceguard.server.call import CallState, MonitoredCall
from voiceguard.server.status import Refusal, invalid
from voiceguard.v1 import monitor_pb2 as pb

MAX_RESPONSES_IN_MESSAGE: Final = 1024
"""Most responses in one trunk message. Each is well under 4 KiB, so the message is under 4 MiB."""

RequestT_contra = TypeVar("RequestT_contra", bound=Message, contravariant=True)
ResponseT = TypeVar("ResponseT", bound=Message)


class Carrier(Protocol, Generic[RequestT_contra, ResponseT]):
    """The calls of one stream."""

    @property
    def failure(self) -> Refusal | None:
        """What the stream is to end with; None: OK."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether the next message should be read now."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether the stream is to end once all messages are sent."""
        ...

    def receive(self, message: RequestT_contra) -> None:
        """Take the client's next message."""
        ...

    def half_close(self) -> None:
        """Take note that the client will send nothing more."""
        ...

    def break_off(self) -> None:
        """Take note that the stream is gone; its sessions wait to be resumed."""
        ...

    def refuse(self, refusal: Refusal) -> None:
        """End the stream with an error."""
        ...

    def take_message(self) -> ResponseT | None:
        """Return the next message to send, None when there is nothing to say."""
        ...

    def return_message(self, message: ResponseT) -> None:
        """Take back a message that could not be sent."""
        ...


class SingleCall:
    """The carrier of Monitor: one call.

    Args:
        desk: lets calls in and out.
        tenant: whose client it is.
        on_change: called when there may be something to send, or room to read.
        log: says what happens.
    """

    def __init__(
        self,
        desk: FrontDesk,
        tenant: str,
        on_change: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._call = MonitoredCall(desk, tenant, on_change, log)
        self.receive = self._call.receive
        self.half_close = self._call.half_close
        self.break_off = self._call.break_off
        self.refuse = self._call.refuse

    @property
    def is_configured(self) -> bool:
        """Whether the configuration has come."""
        return self._call.state is not CallState.AWAITING_CONFIG

    @property
    def failure(self) -> Refusal | None:
        """What the stream is to end with; None: OK."""
        return self._call.failure

    @property
    def has_room(self) -> bool:
        """Whether the next message should be read now."""
        return self._call.has_room

    @property
    def is_over(self) -> bool:
        """Whether the stream is to end once all messages are sent."""
        return self._call.is_over

    def take_message(self) -> pb.MonitorResponse | None:
        """Return the next message to send, None when there is nothing to say."""
        return next(iter(self._call.take_responses(1)), None)

    def return_message(self, message: pb.MonitorResponse) -> None:
        """Take back a message that could not be sent."""
        self._call.return_responses([message])


class Trunk:
    """The carrier of MonitorTrunk: calls by the number that the client gave them.

    Args:
        desk: lets calls in and out.
        tenant: whose client it is.
        on_change: called when there may be something to send, or room to read.
        log: says what happens.
    """

    def __init__(
        self,
        desk: FrontDesk,
        tenant: str,
        on_change: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self.failure: Refusal | None = None
        """What the stream is to end with; None: OK."""
        self._desk = desk
        self._tenant = tenant
        self._changed = on_change
        self._log = log
        self._calls: dict[int, MonitoredCall] = {}
        self._talking: dict[int, MonitoredCall] = {}
        """Calls that may have something to say, in the order in which they came to have it."""
        self._crowded: set[int] = set()
        """Calls that must not be given more for now."""
        self._strays: list[pb.TrunkedResponse] = []
        """Errors for numbers that are no call."""
        self._half_closed = False

    @property
    def has_room(self) -> bool:
        """Whether the next message should be read now."""
        return not self._crowded

    @property
    def is_over(self) -> bool:
        """Whether the stream is to end once all messages are sent."""
        return self.failure is not None or (self._half_closed and not self._calls)

    def receive(self, message: pb.MonitorTrunkRequest) -> None:
        """Take what all calls have at this moment."""
        for item in message.requests:
            self._receive_one(item)

    def half_close(self) -> None:
        """Take note that the client will send nothing more: all its calls are over."""
        self._half_closed = True
        for call in list(self._calls.values()):
            call.half_close()
        self._changed()

    def break_off(self) -> None:
        """Take note that the stream is gone; its sessions wait to be resumed."""
        for call in self._calls.values():
            call.break_off()
        self._calls.clear()
        self._crowded.clear()

    def refuse(self, refusal: Refusal) -> None:
        """End the stream with an error; its sessions wait to be resumed."""
        self._desk.metrics.count_refusal(refusal.reason)
        self.failure = refusal
        self.break_off()
        self._changed()

    def take_message(self) -> pb.MonitorTrunkResponse | None:
        """Return what all calls have to say now, None when there is nothing."""
        message = pb.MonitorTrunkResponse(responses=self._strays)
        self._strays = []
        room = MAX_RESPONSES_IN_MESSAGE
        for number, call in list(self._talking.items()):
            responses = call.take_responses(room)
            for response in responses:
                message.responses.add(call=number, response=response)
            room -= len(responses)
            if call.has_room:
                self._crowded.discard(number)
            if call.has_responses:
                break
            del self._talking[number]
            if call.is_over:
                self._drop(number, call, message)
        return message if message.responses else None

    def return_message(self, message: pb.MonitorTrunkResponse) -> None:
        """Take back a message that could not be sent."""
        returned: dict[int, list[pb.MonitorResponse]] = {}
        for item in message.responses:
            if item.HasField("response"):
                returned.setdefault(item.call, []).append(item.response)
        for number, responses in returned.items():
            if number in self._calls:
                self._calls[number].return_responses(responses)

    def _receive_one(self, item: pb.TrunkedRequest) -> None:
        number = item.call
        call = self._calls.get(number)
        if item.HasField("request"):
            if call is None:
                call = self._begin(number, item.request)
            if call is not None:
                call.receive(item.request)
                if not call.has_room:
                    self._crowded.add(number)
        elif item.HasField("finish") and item.finish:
            if call is not None:
                call.half_close()
        else:
            problem = "false; send true to end the call" if item.HasField("finish") else "is unset"
            self._refuse_one(number, invalid("finish", problem, "OUT_OF_ORDER"))

    def _begin(self, number: int, request: pb.MonitorRequest) -> MonitoredCall | None:
        if request.WhichOneof("request") != "config":
            problem = f"call {number} is not open; its first request must carry config"
            self._refuse_one(number, invalid("request", problem, "OUT_OF_ORDER"))
            return None
        call = MonitoredCall(self._desk, self._tenant, lambda: self._note(number), self._log)
        self._calls[number] = call
        return call

    def _refuse_one(self, number: int, refusal: Refusal) -> None:
        call = self._calls.get(number)
        if call is not None:
            call.refuse(refusal)
            return
        self._desk.metrics.count_refusal(refusal.reason)
        if len(self._strays) < MAX_RESPONSES_IN_MESSAGE:
            self._strays.append(pb.TrunkedResponse(call=number, error=refusal.to_status()))
        self._changed()

    def _note(self, number: int) -> None:
        """Take note that a call has something to say, has room, or is over."""
        call = self._calls.get(number)
        if call is None:
            return
        self._talking[number] = call
        if call.has_room:
            self._crowded.discard(number)
        self._changed()

    def _drop(self, number: int, call: MonitoredCall, message: pb.MonitorTrunkResponse) -> None:
        """Free the number of a call that has said its last word."""
        if call.failure is not None:
            message.responses.add(call=number, error=call.failure.to_status())
        self._calls.pop(number, None)
        self._crowded.discard(number)
