"""Moves the messages of one gRPC stream to and from its carrier.

Two coroutines for a stream, none for a message: one reads while there is room,
one writes what there is to say.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from structlog.typing import FilteringBoundLogger

from voiceguard.server.carriers import Carrier
from voiceguard.server.logs import describe_defect
from voiceguard.server.status import Refusal, internal_error, invalid, not_reading

HALF_CLOSE_DOUBT_S: Final = 0.05
"""How long an end of requests is taken for a break. grpc.aio reports both as end of file, and
the cancellation that tells them apart comes a moment later."""

ABORT_S: Final = 1.0
"""How long a stream may take to send its error."""

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)


class ClientStream(Generic[RequestT, ResponseT]):
    """One stream of one client.

    Args:
        context: the stream, whose messages are bytes.
        request_type: class of the messages that come.
        clock: monotonic seconds.
        log: says so when a defect of ours ends the stream.
    """

    def __init__(
        self,
        context: grpc.aio.ServicerContext[bytes, bytes],
        request_type: type[RequestT],
        clock: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        self._context = context
        self._request_type = request_type
        self._clock = clock
        self._log = log
        self._may_write = asyncio.Event()
        self._may_read = asyncio.Event()
        self._writing_since_s: float | None = None
        self._writer: asyncio.Task[None] | None = None
        self._unread: Refusal | None = None

    def on_change(self) -> None:
        """Take note that the carrier may have something to send, or room."""
        self._may_write.set()
        self._may_read.set()

    async def run(self, carrier: Carrier[RequestT, ResponseT]) -> None:
        """Serve the stream until it ends.

        When the client is gone, `carrier.break_off` has been called.
        """
        reader = asyncio.create_task(self._read(carrier))
        self._writer = writer = asyncio.create_task(self._write(carrier))
        # Without its reader a stream would hang until its client gave up.
        reader.add_done_callback(lambda reader: writer.cancel() if _defect_of(reader) else None)
        try:
            await asyncio.wait({writer})
        except asyncio.CancelledError:
            await _end(reader, writer)
            carrier.break_off()
            raise
        await _end(reader, writer)
        failure = self._settle(carrier, writer, _defect_of(reader) or _defect_of(writer))
        if failure is not None:
            await self._abort(failure)

    def check(self, timeout_s: float) -> None:
        """Close the stream when its client has not read for `timeout_s` seconds."""
        since_s = self._writing_since_s
        if since_s is not None and self._writer is not None:
            waited_s = self._clock() - since_s
            if waited_s >= timeout_s:
                self._unread = not_reading(waited_s)
                self._writer.cancel()

    async def _abort(self, failure: Refusal) -> None:
        """End the stream with an error.

        A client that does not read will find it once it does; nobody waits for that.
        """
        context = self._context
        with contextlib.suppress(TimeoutError, grpc.aio.InternalError):  # or the client is gone
            async with asyncio.timeout(ABORT_S):
                await context.abort(failure.code, failure.message, failure.trailing_metadata())

    def _settle(
        self,
        carrier: Carrier[RequestT, ResponseT],
        writer: asyncio.Task[None],
        defect: BaseException | None,
    ) -> Refusal | None:
        """Return what the stream ends with, now that nothing more is written."""
        if defect is not None:
            self._log.error("call_defect", **describe_defect(defect))
            carrier.break_off()
            return internal_error()
        if self._unread is not None:
            carrier.break_off()
            return self._unread
        if writer.cancelled() or writer.exception() is not None:
            carrier.break_off()
            return None
        return carrier.failure

    async def _read(self, carrier: Carrier[RequestT, ResponseT]) -> None:
        read, parse = self._context.read, self._request_type.FromString
        while not carrier.is_over:
            content: bytes | object = await read()  # the stubs leave out the end of file
            if not isinstance(content, bytes):
                await asyncio.sleep(HALF_CLOSE_DOUBT_S)
                carrier.half_close()
                return
            try:
                message = parse(content)
            except DecodeError:
                name = self._request_type.DESCRIPTOR.name
                carrier.refuse(invalid("request", f"the bytes are no {name}", "GARBAGE"))
                return
            carrier.receive(message)
            while not carrier.has_room:
                self._may_read.clear()
                await self._may_read.wait()

    async def _write(self, carrier: Carrier[RequestT, ResponseT]) -> None:
        write = self._context.write
        while True:
            self._may_write.clear()
            message = carrier.take_message()
            if message is None:
                if carrier.is_over:
                    return
                await self._may_write.wait()
                continue
            self._writing_since_s = self._clock()
            try:
                await write(message.SerializeToString())
            except BaseException:
                carrier.return_message(message)
                raise
            self._writing_since_s = None
            self._may_read.set()  # what has been sent may have made room


def _defect_of(task: asyncio.Task[None]) -> BaseException | None:
    """Return what a task has raised, unless it only found the client gone; else None."""
    raised = task.exception() if task.done() and not task.cancelled() else None
    return None if isinstance(raised, grpc.aio.BaseError | asyncio.InvalidStateError) else raised


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks and wait until they are through: what was not sent is back by then."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
