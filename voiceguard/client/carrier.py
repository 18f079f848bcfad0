"""What carries a call to the server: a stream of its own, or a place on a trunk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import grpc
import grpc.aio

from voiceguard.client.failures import Failure, failure_from_rpc
from voiceguard.client.protocol import CallProtocol
from voiceguard.v1 import monitor_pb2 as pb

if TYPE_CHECKING:
    from voiceguard.v1.monitor_pb2_grpc import MonitorServiceAsyncStub

__all__ = ["Attempt", "Carrier", "StreamCarrier", "rpc_failure"]

CLOSING_S = 2.0
"""How long to wait for the server to close a stream after its last word, in seconds."""


class Attempt(Protocol):
    """One try to carry a call, until it breaks or the summary has come."""

    def notify(self) -> None:
        """Say that the call has something to send."""
        ...

    async def receive(self) -> pb.MonitorResponse | Failure:
        """Wait for the next response, or for the end."""
        ...

    async def close(self) -> None:
        """Leave the stream, whatever its state. Never raises."""
        ...


class Carrier(Protocol):
    """Starts attempts."""

    def open(self, call: CallProtocol, on_sent: Callable[[], None]) -> Attempt:
        """Start to carry a call.

        Args:
            call: asked for what to send, beginning with its configuration.
            on_sent: called after something has been sent.
        """
        ...


class StreamCarrier:
    """Carries each call on a `Monitor` stream of its own.

    Args:
        stub: of the channel to use.
        metadata: sent with each stream, for example the bearer token.
    """

    def __init__(
        self, stub: MonitorServiceAsyncStub, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        self._stub = stub
        self._metadata = metadata

    def open(self, call: CallProtocol, on_sent: Callable[[], None]) -> Attempt:
        """Open a stream for a call."""
        rpc = self._stub.Monitor(metadata=grpc.aio.Metadata(*self._metadata))
        return _StreamAttempt(rpc, call, on_sent)


class _StreamAttempt:
    def __init__(
        self,
        rpc: grpc.aio.StreamStreamCall[pb.MonitorRequest, pb.MonitorResponse],
        call: CallProtocol,
        on_sent: Callable[[], None],
    ) -> None:
        self._rpc = rpc
        self._call = call
        self._on_sent = on_sent
        self._wake = asyncio.Event()
        self._wake.set()
        self._writer = asyncio.create_task(self._write())
        cancel_on_defect(self._writer, rpc)

    def notify(self) -> None:
        self._wake.set()

    async def receive(self) -> pb.MonitorResponse | Failure:
        try:
            response = await self._rpc.read()
        except grpc.aio.AioRpcError as error:
            return rpc_error_failure(error)
        except asyncio.CancelledError:
            defect = defect_of(self._writer)
            if defect is not None:
                raise defect from None
            raise
        if isinstance(response, pb.MonitorResponse):
            return response
        return await rpc_failure(self._rpc)

    async def close(self) -> None:
        if self._call.is_over() and self._call.error is None:
            # The server closes after its summary: a stream that ends by itself costs it less
            # than one that is cancelled.
            await asyncio.wait({asyncio.ensure_future(self._rpc.code())}, timeout=CLOSING_S)
        self._rpc.cancel()
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while (request := self._call.next_request()) is not None:
                    await self._rpc.write(request)
                    self._on_sent()
                if self._call.finish_due:
                    self._call.count_half_close()
                    await self._rpc.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The stream is over; the reader learns how it ended.
            return


def cancel_on_defect(writer: asyncio.Task[None], rpc: grpc.aio.Call) -> None:
    """Let a defect in writing end the RPC, so that its reader wakes and finds `defect_of` it."""

    def end(writer: asyncio.Task[None]) -> None:
        if defect_of(writer) is not None:
            rpc.cancel()

    writer.add_done_callback(end)


def defect_of(task: asyncio.Task[Any]) -> BaseException | None:
    """Return what a task has raised; None while it runs, and when it ended or was cancelled."""
    return task.exception() if task.done() and not task.cancelled() else None


async def rpc_failure(rpc: grpc.aio.Call) -> Failure:
    """Return how an RPC ended, waiting for it."""
    trailers = cast("Mapping[str, str | bytes]", await rpc.trailing_metadata() or {})
    return failure_from_rpc(await rpc.code(), await rpc.details(), trailers)


def rpc_error_failure(error: grpc.aio.AioRpcError) -> Failure:
    """Return the failure that an RPC raised."""
    trailers = cast("Mapping[str, str | bytes]", error.trailing_metadata() or {})
    return failure_from_rpc(error.code(), error.details(), trailers)
