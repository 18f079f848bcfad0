"""From bytes to requests of reviewers and back: who asks, what went wrong, what is counted.

Every method of `ReviewService` is a coroutine that takes a reviewer and a request; what is the
same for all of them is here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from structlog.typing import FilteringBoundLogger

from voiceguard.server.auth import reviewer_of_call
from voiceguard.server.logs import describe_defect
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.reviewing.refusals import STORE_ERRORS, refusal_of_store
from voiceguard.server.reviewing.signin import Reviewer
from voiceguard.server.status import (
    INPUT_ERRORS,
    CallRefusedError,
    Refusal,
    internal_error,
    invalid,
    refusal_of,
    stream_not_read,
)

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
"""A call whose messages are bytes: we parse, so that garbage gets an answer of ours."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # subscripted in its stubs only

RequestT = TypeVar("RequestT", bound=Message)
ResultT = TypeVar("ResultT")

ABORT_S: Final = 1.0
"""How long a call may take to send its error."""


class ReviewEdge:
    """Makes gRPC handlers of methods.

    Args:
        metrics: counts requests by method and status.
        log: says what was refused, and where a defect is.
        unread_timeout_s: a stream whose client reads nothing for this long is ended.
    """

    def __init__(
        self, metrics: ServerMetrics, log: FilteringBoundLogger, unread_timeout_s: float
    ) -> None:
        self._metrics = metrics
        self._unread_timeout_s = unread_timeout_s
        self._log = log

    def unary(
        self,
        request_type: type[RequestT],
        answer: Callable[[Reviewer, RequestT], Awaitable[Message]],
    ) -> Handler:
        """Return the handler of a method of reviewers with one response."""

        async def respond(request: RequestT, _context: Context) -> Message:
            return await answer(reviewer_of_call(), request)

        return self.open_unary(request_type, respond)

    def open_unary(
        self,
        request_type: type[RequestT],
        answer: Callable[[RequestT, Context], Awaitable[Message]],
    ) -> Handler:
        """Return the handler of a method that asks for no credentials."""

        async def respond(content: bytes, context: Context) -> bytes:
            async def send() -> bytes:
                response = await answer(_parse(request_type, content), context)
                return response.SerializeToString()

            return await self._settle(_method_of(request_type), context, send()) or b""

        return grpc.unary_unary_rpc_method_handler(respond)

    def stream(
        self,
        request_type: type[RequestT],
        answer: Callable[[Reviewer, RequestT], AsyncGenerator[Message, None]],
    ) -> Handler:
        """Return the handler of a method of reviewers with a stream of responses."""

        async def respond(content: bytes, context: Context) -> None:
            async def send() -> None:
                responses = answer(reviewer_of_call(), _parse(request_type, content))
                async with contextlib.aclosing(responses):
                    async for response in responses:
                        await self._write(context, response.SerializeToString())

            await self._settle(_method_of(request_type), context, send())

        return grpc.unary_stream_rpc_method_handler(respond)

    async def _write(self, context: Context, content: bytes) -> None:
        try:
            async with asyncio.timeout(self._unread_timeout_s):
                await context.write(content)
        except TimeoutError as error:
            raise CallRefusedError(stream_not_read()) from error

    async def _settle(
        self, method: str, context: Context, work: Awaitable[ResultT]
    ) -> ResultT | None:
        """Do the work of a call; end the call with an error where it fails."""
        try:
            result = await work
        except INPUT_ERRORS as error:
            refusal = refusal_of(error)
        except STORE_ERRORS as error:
            refusal = refusal_of_store(error)
            self._log.warning("store_problem", method=method, problem=str(error))
        except asyncio.CancelledError:
            self._metrics.count_review_request(method, grpc.StatusCode.CANCELLED)
            raise
        except Exception as defect:  # noqa: BLE001 - one request's defect must not end the server
            self._log.error("review_defect", method=method, **describe_defect(defect))
            refusal = internal_error()
        else:
            self._metrics.count_review_request(method, grpc.StatusCode.OK)
            return result
        self._metrics.count_review_request(method, refusal.code)
        self._metrics.count_refusal(refusal.reason)
        self._log.info("review_refused", method=method, reason=refusal.reason, field=refusal.field)
        await _abort(context, refusal)
        return None


async def _abort(context: Context, refusal: Refusal) -> None:
    """End a call with an error; a client that does not read will find it once it does."""
    with contextlib.suppress(TimeoutError, grpc.aio.InternalError):  # or the client is gone
        async with asyncio.timeout(ABORT_S):
            await context.abort(refusal.code, refusal.message, refusal.trailing_metadata())


def _parse(request_type: type[RequestT], content: bytes) -> RequestT:
    try:
        return request_type.FromString(content)
    except DecodeError as error:
        problem = f"the bytes are no {request_type.DESCRIPTOR.name}"
        raise CallRefusedError(invalid("request", problem)) from error


def _method_of(request_type: type[Message]) -> str:
    return request_type.DESCRIPTOR.name.removesuffix("Request")
