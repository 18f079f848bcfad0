"""How a stream ended, and what that asks of the client. Pure: a table, no I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from voiceguard.client.errors import (
    CallLostError,
    CallRefusedError,
    MonitorError,
    ServerUnreachableError,
)

__all__ = ["CONNECTION_STATUSES", "Failure", "Remedy", "failure_from_rpc", "failure_from_status"]

_DETAILS_KEY: Final = "grpc-status-details-bin"
_CODES: Final[Mapping[int, grpc.StatusCode]] = {code.value[0]: code for code in grpc.StatusCode}

CONNECTION_STATUSES: Final = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""Statuses of a broken stream: a proxy's reset, a restart, a drain. OK is among them: it ends
a stream well only behind a summary."""

FINAL_CAUSES: Final = frozenset({"RESUMED_ELSEWHERE", "SESSION_IDLE"})
"""Reason codes (google.rpc.ErrorInfo) of streams to leave alone whatever their status: another
process goes on with the session, or nobody sends it audio."""


class Remedy(enum.Enum):
    """What to do about a failure."""

    COME_BACK = enum.auto()
    """Try again, after a wait."""
    SESSION_GONE = enum.auto()
    """The server does not know the session: there is nothing to come back to."""
    GIVE_UP = enum.auto()
    """The server said no."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a stream, or one call of a trunk, ended without a summary."""

    status: grpc.StatusCode
    reason: str
    cause: str = ""
    field: str = ""
    retry_after_s: float | None = None

    @property
    def remedy(self) -> Remedy:
        """What it asks of the client."""
        if self.cause in FINAL_CAUSES:
            return Remedy.GIVE_UP
        if self.status in CONNECTION_STATUSES or self.retry_after_s is not None:
            return Remedy.COME_BACK
        if self.status is grpc.StatusCode.NOT_FOUND:
            return Remedy.SESSION_GONE
        return Remedy.GIVE_UP

    def to_error(self, tries: int = 0) -> MonitorError:
        """Return it as what the program that uses this library sees, after `tries` tries."""
        if self.status in CONNECTION_STATUSES:
            return CallLostError(self.reason, status=self.status, tries=tries)
        return self._to_refusal()

    def to_question_error(self) -> MonitorError:
        """Return it as what asking something outside of a call raises.

        A status with a cause is the server's own word, whatever its number; one without is
        gRPC's, or a proxy's.
        """
        if self.status in CONNECTION_STATUSES and not self.cause:
            return ServerUnreachableError(self.status, self.reason)
        return self._to_refusal()

    def _to_refusal(self) -> CallRefusedError:
        return CallRefusedError(
            self.status, self.reason, field=self.field, retry_after_s=self.retry_after_s
        )


def failure_from_status(status: status_pb2.Status) -> Failure:
    """Return the failure that a `google.rpc.Status` tells of."""
    cause, field, retry_after_s = "", "", None
    for packed in status.details:
        error_info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry_info = error_details_pb2.RetryInfo()
        if packed.Unpack(error_info):
            cause = error_info.reason
        elif packed.Unpack(bad_request) and bad_request.field_violations:
            field = bad_request.field_violations[0].field
        elif packed.Unpack(retry_info):
            delay = retry_info.retry_delay
            retry_after_s = max(delay.seconds + delay.nanos / 1e9, 0.0)
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return Failure(code, status.message or code.name, cause, field, retry_after_s)


def failure_from_rpc(
    code: grpc.StatusCode, message: str | None, trailers: Mapping[str, str | bytes]
) -> Failure:
    """Return the failure that an RPC ended with.

    Args:
        code: its status.
        message: its text.
        trailers: its trailing metadata, which may hold a `google.rpc.Status`.
    """
    details = trailers.get(_DETAILS_KEY)
    if isinstance(details, bytes):
        try:
            rich = failure_from_status(status_pb2.Status.FromString(details))
        except DecodeError:
            # A proxy's own trailer: the plain status says enough.
            rich = None
        if rich is not None and rich.status is code:
            return rich
    return Failure(code, message or code.name)
