"""`TrunkClient`: many calls over one stream, for gateways that hold hundreds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias

import grpc
import grpc.aio

from voiceguard.client.call import MonitoredCall
from voiceguard.client.carrier import (
    CLOSING_S,
    Attempt,
    cancel_on_defect,
    defect_of,
    rpc_error_failure,
    rpc_failure,
)
from voiceguard.client.client import MonitorClient
from voiceguard.client.errors import ClientUsageError
from voiceguard.client.failures import Failure, failure_from_status
from voiceguard.client.protocol import CallProtocol
from voiceguard.v1 import monitor_pb2 as pb

__all__ = ["TrunkClient"]

INTERVALS_MS: Final = (20.0, 100.0)
"""Shortest and longest time to collect what calls have to say, in milliseconds."""

MESSAGE_BYTES: Final = 1024 * 1024
"""Where a trunk message is cut; the server takes four times as much."""


_End: TypeAlias = Failure | BaseException
"""How a call's place on a trunk ended; an exception is a defect of ours, to be raised."""


class TrunkClient:
    """Carries many calls on one stream. Used with ``async with``, inside a `MonitorClient`'s.

    What all calls have to say is collected for `interval_ms` and sent as one message, which
    costs the server a tenth of a stream for each call. The calls behave as those of
    `MonitorClient.call`; one call's error ends that call alone. A broken trunk is made anew
    by the first call that comes back.

    Args:
        client: the connection to use.
        interval_ms: how long to collect, 20 to 100 ms; it adds to the time that an alert takes.

    Raises:
        ClientUsageError: an interval out of range.
    """

    def __init__(self, client: MonitorClient, *, interval_ms: float = 50.0) -> None:
        shortest, longest = INTERVALS_MS
        if not shortest <= interval_ms <= longest:
            problem = f"interval_ms is {shortest:g} to {longest:g}, not {interval_ms:g}"
            raise ClientUsageError(problem)
        self._client = client
        self._interval_s = interval_ms / 1000
        self._stream: _TrunkStream | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        """Get ready; the stream opens with the first call."""
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the stream; leave the calls first, those still open lose their connection."""
        self._is_open = False
        if self._stream is not None:
            await self._stream.close()

    def call(self, config: pb.SessionConfig) -> MonitoredCall:
        """Return a call on the trunk; enter it to open the session.

        Args:
            config: as for `MonitorClient.call`.

        Raises:
            ClientUsageError: the audio format is not one that voiceguard takes.
        """
        client = self._client
        return MonitoredCall(config, self, opening=client.opening, resuming=client.resuming)

    def open(self, call: CallProtocol, on_sent: Callable[[], None]) -> Attempt:
        """Give a call a place on the trunk; the calls themselves ask for it.

        Raises:
            ClientUsageError: the trunk was not entered, or has been left.
        """
        if not self._is_open:
            raise ClientUsageError("use the trunk with `async with`, and its calls inside")
        if self._stream is None or self._stream.ended:
            self._stream = _TrunkStream(self._client, self._interval_s)
        return self._stream.add(call, on_sent)


class _TrunkAttempt:
    """One call's place on one trunk stream."""

    def __init__(
        self, number: int, call: CallProtocol, on_sent: Callable[[], None], stream: _TrunkStream
    ) -> None:
        self.number = number
        self.received: asyncio.Queue[pb.MonitorResponse | _End] = asyncio.Queue()
        self._call = call
        self._on_sent = on_sent
        self._stream = stream

    def notify(self) -> None:
        self._stream.notify(self)

    async def receive(self) -> pb.MonitorResponse | Failure:
        received = await self.received.get()
        if isinstance(received, BaseException):
            raise received
        return received

    async def close(self) -> None:
        self._stream.remove(self)

    def next_request(self) -> pb.TrunkedRequest | None:
        """Return what the call says next on the trunk; None: nothing now."""
        request = self._call.next_request()
        if request is not None:
            self._on_sent()
            return pb.TrunkedRequest(call=self.number, request=request)
        if self._call.finish_due:
            self._call.count_half_close()
            return pb.TrunkedRequest(call=self.number, finish=True)
        return None


class _TrunkStream:
    """One `MonitorTrunk` stream, until it breaks."""

    def __init__(self, client: MonitorClient, interval_s: float) -> None:
        self._rpc = client.stub.MonitorTrunk(metadata=grpc.aio.Metadata(*client.metadata))
        self._interval_s = interval_s
        self._numbers = 0
        self._attempts: dict[int, _TrunkAttempt] = {}
        self._talkative: dict[_TrunkAttempt, None] = {}
        self._wake = asyncio.Event()
        self._writer = asyncio.create_task(self._write())
        cancel_on_defect(self._writer, self._rpc)
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(self._end)
        self.ended = False

    def add(self, call: CallProtocol, on_sent: Callable[[], None]) -> _TrunkAttempt:
        self._numbers += 1
        attempt = _TrunkAttempt(self._numbers, call, on_sent, self)
        self._attempts[attempt.number] = attempt
        attempt.notify()
        return attempt

    def remove(self, attempt: _TrunkAttempt) -> None:
        self._attempts.pop(attempt.number, None)
        self._talkative.pop(attempt, None)

    def notify(self, attempt: _TrunkAttempt) -> None:
        if attempt.number in self._attempts:
            self._talkative[attempt] = None
            self._wake.set()

    async def close(self) -> None:
        """Half-close, wait a little for the server to do the same, and leave."""
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)
        if not self.ended:
            await asyncio.gather(self._rpc.done_writing(), return_exceptions=True)
        await asyncio.wait({self._reader}, timeout=CLOSING_S)
        self._rpc.cancel()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._interval_s)
                self._wake.clear()
                while self._talkative:
                    message = self._collect()
                    if message.requests:
                        await self._rpc.write(message)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The stream is over; the reader learns how it ended.
            return

    def _collect(self) -> pb.MonitorTrunkRequest:
        """Return what the calls have to say, as much as fits; each whose turn ends waits."""
        message, size_bytes = pb.MonitorTrunkRequest(), 0
        while self._talkative and size_bytes < MESSAGE_BYTES:
            attempt = next(iter(self._talkative))
            request = attempt.next_request()
            if request is None:
                del self._talkative[attempt]
                continue
            message.requests.append(request)
            size_bytes += request.ByteSize()
        return message

    async def _read(self) -> Failure:
        """Give the calls what comes for them; return how the stream ended."""
        try:
            while True:
                message = await self._rpc.read()
                if not isinstance(message, pb.MonitorTrunkResponse):
                    return await rpc_failure(self._rpc)
                for response in message.responses:
                    self._deliver(response)
        except grpc.aio.AioRpcError as error:
            return rpc_error_failure(error)

    def _deliver(self, response: pb.TrunkedResponse) -> None:
        attempt = self._attempts.get(response.call)
        if attempt is None:
            # A call that has been left.
            return
        match response.WhichOneof("kind"):
            case "response":
                attempt.received.put_nowait(response.response)
            case "error":
                attempt.received.put_nowait(failure_from_status(response.error))
            case _:
                pass

    def _end(self, reader: asyncio.Task[Failure]) -> None:
        """Tell the calls how it ended: by a defect of ours, by a failure, or by being left."""
        left = Failure(grpc.StatusCode.CANCELLED, "the trunk was left")
        end: _End | None = defect_of(self._writer) or defect_of(reader)
        if end is None:
            end = left if reader.cancelled() else reader.result()
        self.ended = True
        self._writer.cancel()
        for attempt in self._attempts.values():
            attempt.received.put_nowait(end)
        self._attempts.clear()
        self._talkative.clear()
