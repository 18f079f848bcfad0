"""The page's way to ReviewService: one channel, the reviewer's token with every call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import grpc
import grpc.aio

from voiceguard.core.errors import ConfigurationError
from voiceguard.review.problems import ApiError, problem_of_rpc
from voiceguard.review.settings import ReviewPageSettings
from voiceguard.v1 import review_pb2_grpc

if TYPE_CHECKING:
    from voiceguard.v1.review_pb2_grpc import ReviewServiceAsyncStub

__all__ = ["ReviewGateway", "open_gateway"]

CALL_TIMEOUT_S: Final = 30.0
"""Longest wait for one answer, in seconds."""

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""A page of 1000 events, or the outline of a day of audio, is far smaller."""

_Answer = TypeVar("_Answer")


class ReviewGateway:
    """Asks the server on behalf of reviewers.

    Args:
        channel: to the server; closed with the gateway.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.stub: ReviewServiceAsyncStub = review_pb2_grpc.ReviewServiceStub(channel)

    async def ask(
        self, method: Callable[..., Awaitable[_Answer]], request: object, token: str = ""
    ) -> _Answer:
        """Return the answer to one request.

        Args:
            method: of `stub`.
            request: its message.
            token: the reviewer's; empty for SignIn alone.

        Raises:
            ApiError: the server refused, or was not reached.
        """
        try:
            return await method(request, metadata=_credentials(token), timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise ApiError(problem_of_rpc(error)) from None

    async def stream(
        self, method: Callable[..., Any], request: object, token: str
    ) -> AsyncIterator[Any]:
        """Yield the messages of a streamed answer; leaving early cancels the call.

        Raises:
            ApiError: the server refused, was not reached, or broke off.
        """
        call = method(request, metadata=_credentials(token))
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            raise ApiError(problem_of_rpc(error)) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        """Close the channel; calls still open are cancelled."""
        await self._channel.close()


def open_gateway(settings: ReviewPageSettings) -> ReviewGateway:
    """Return a way to the server; it connects with the first call.

    Raises:
        ConfigurationError: a PEM file cannot be read.
    """
    options: list[tuple[str, object]] = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    if settings.server_name:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    if not settings.uses_server_tls:
        return ReviewGateway(grpc.aio.insecure_channel(settings.server, options))
    credentials = grpc.ssl_channel_credentials(
        _read("server_ca", settings.server_ca),
        _read("client_key", settings.client_key),
        _read("client_certificate", settings.client_certificate),
    )
    return ReviewGateway(grpc.aio.secure_channel(settings.server, credentials, options))


def _credentials(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),) if token else ()


def _read(setting: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{setting} = {path}: {error.strerror}") from error
