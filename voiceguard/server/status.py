"""Why a call was refused or ended, as a gRPC status that a program can read.

Every error carries `google.rpc.ErrorInfo` with a reason code, and what its kind
calls for besides: the field of a bad request, when to try again, which
precondition failed (https://google.aip.dev/193).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from voiceguard.core.errors import (
    ClientError,
    ConsentError,
    SessionFinishedError,
    VoiceguardError,
)

ERROR_DOMAIN: Final = "voiceguard"
"""`google.rpc.ErrorInfo.domain` of every error of ours."""

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata in which gRPC carries a `google.rpc.Status`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call ends, or does not begin, with this status.

    Attributes:
        code: the gRPC status.
        reason: code for programs and metrics, in capitals; one of a fixed few.
        message: for people: what is wrong and what to do.
        field: path of the guilty field, for INVALID_ARGUMENT.
        retry_after_s: when trying again may help; None: it will not.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    field: str = ""
    retry_after_s: float | None = None
    details: tuple[Message, ...] = ()

    def to_status(self) -> status_pb2.Status:
        """Return the status with its details."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in self._details():
            status.details.add().Pack(detail)
        return status

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        """Return what a stream that ends with this status sends last."""
        return ((DETAILS_KEY, self.to_status().SerializeToString()),)

    def _details(self) -> list[Message]:
        details: list[Message] = [
            error_details_pb2.ErrorInfo(reason=self.reason, domain=ERROR_DOMAIN)
        ]
        if self.code is grpc.StatusCode.INVALID_ARGUMENT and self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.message
            )
            details.append(error_details_pb2.BadRequest(field_violations=[violation]))
        if self.retry_after_s is not None:
            delay = Duration()
            delay.FromMilliseconds(int(self.retry_after_s * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        return [*details, *self.details]


class CallRefusedError(VoiceguardError):
    """A call cannot begin, or go on; `refusal` is what its client is told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def invalid(field_path: str, problem: str, reason: str = "INVALID_FIELD") -> Refusal:
    """Return the refusal of a request that breaks the interface's rules."""
    return Refusal(
        grpc.StatusCode.INVALID_ARGUMENT, reason, f"{field_path}: {problem}", field=field_path
    )


def consent_missing(problem: str) -> Refusal:
    """Return the refusal of a session that must not be analysed."""
    violation = error_details_pb2.PreconditionFailure.Violation(
        type="CONSENT", subject="config.consent", description=problem
    )
    return Refusal(
        grpc.StatusCode.FAILED_PRECONDITION,
        "CONSENT_MISSING",
        problem,
        details=(error_details_pb2.PreconditionFailure(violations=[violation]),),
    )


def already_exists() -> Refusal:
    """Return the refusal of a second session with a live one's id."""
    return Refusal(
        grpc.StatusCode.ALREADY_EXISTS,
        "SESSION_EXISTS",
        "config.session_id: a live session has this id; "
        "give its resume token to go on with it, or choose another id",
        field="config.session_id",
    )


def unknown_token() -> Refusal:
    """Return the one answer to every resume that fails, whatever the cause.

    Saying more would tell a stranger which sessions exist.
    """
    return Refusal(
        grpc.StatusCode.NOT_FOUND,
        "RESUME_TOKEN_UNKNOWN",
        "config.resume_token: stale, unknown or another session's; open a new session",
        field="config.resume_token",
    )


def server_full(max_sessions: int, retry_after_s: float) -> Refusal:
    """Return the refusal of one session too many."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_SESSIONS",
        f"this server takes {max_sessions} sessions at once; try again later or elsewhere",
        retry_after_s=retry_after_s,
    )


def draining(retry_after_s: float) -> Refusal:
    """Return the refusal of a server that is going away."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "DRAINING",
        "this server is going away; connect again to reach another",
        retry_after_s=retry_after_s,
    )


def superseded() -> Refusal:
    """Return the end of a stream whose session was resumed on another one."""
    return Refusal(
        grpc.StatusCode.ABORTED, "RESUMED_ELSEWHERE", "the session goes on on a newer stream"
    )


def not_reading(seconds: float) -> Refusal:
    """Return the end of a stream whose client does not read."""
    return Refusal(
        grpc.StatusCode.ABORTED,
        "CLIENT_NOT_READING",
        f"nothing was read from this stream for {seconds:.0f} s; resume the session and read",
    )


def idle(seconds: float) -> Refusal:
    """Return the end of a session that no audio came for."""
    return Refusal(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "SESSION_IDLE",
        f"no audio for {seconds:.0f} s; the session has been ended",
    )


def no_config(seconds: float) -> Refusal:
    """Return the end of a stream that never said what it is about."""
    return Refusal(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "NO_CONFIG",
        f"no configuration came within {seconds:.0f} s",
    )


def unauthenticated(problem: str) -> Refusal:
    """Return the refusal of a caller who did not show who they are."""
    return Refusal(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", problem)


def permission_denied(problem: str) -> Refusal:
    """Return the refusal of what a caller may not do, whoever they are."""
    return Refusal(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", problem)


def sign_in_failed() -> Refusal:
    """Return the one answer to every wrong sign-in; which part was wrong is not told."""
    return Refusal(
        grpc.StatusCode.UNAUTHENTICATED, "SIGN_IN_FAILED", "the name or the password is wrong"
    )


def too_many_tries(retry_after_s: float) -> Refusal:
    """Return the refusal of one sign-in too many."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "TOO_MANY_TRIES",
        f"too many sign-ins; try again in {math.ceil(retry_after_s)} s",
        retry_after_s=retry_after_s,
    )


def unknown_session() -> Refusal:
    """Return the one answer for a session that is not, or is another tenant's."""
    return Refusal(
        grpc.StatusCode.NOT_FOUND,
        "SESSION_UNKNOWN",
        "session_id: there is no such session, or none that you may see",
        field="session_id",
    )


def unknown_handoff() -> Refusal:
    """Return the refusal of a verdict on a handoff that the session did not have."""
    return Refusal(
        grpc.StatusCode.NOT_FOUND,
        "HANDOFF_UNKNOWN",
        "handoff_id: the session has no such handoff",
        field="handoff_id",
    )


def session_state(reason: str, problem: str) -> Refusal:
    """Return the refusal of what a session's state does not allow.

    Args:
        reason: NO_AUDIO, SESSION_LIVE, SESSION_HELD, SESSION_ERASED or TOO_MANY_VERDICTS.
        problem: the same for people.
    """
    violation = error_details_pb2.PreconditionFailure.Violation(
        type=reason, subject="session_id", description=problem
    )
    return Refusal(
        grpc.StatusCode.FAILED_PRECONDITION,
        reason,
        problem,
        details=(error_details_pb2.PreconditionFailure(violations=[violation]),),
    )


def store_unavailable(retry_after_s: float) -> Refusal:
    """Return the refusal of what needs the store while it is away."""
    return Refusal(
        grpc.StatusCode.UNAVAILABLE,
        "STORE_UNAVAILABLE",
        "the store cannot be reached; nothing is lost, try again later",
        retry_after_s=retry_after_s,
    )


def store_damaged() -> Refusal:
    """Return the refusal of what cannot be opened any more."""
    return Refusal(
        grpc.StatusCode.DATA_LOSS,
        "STORE_DAMAGED",
        "what is kept of the session was changed, or is sealed with another master key; "
        "the server's log says which",
    )


def review_busy(retry_after_s: float) -> Refusal:
    """Return the refusal of one request of a reviewer too many at once."""
    return Refusal(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "REVIEW_BUSY",
        "too many requests of reviewers at once; try again in a moment",
        retry_after_s=retry_after_s,
    )


def stream_not_read() -> Refusal:
    """Return the end of a stream to a reviewer whose client does not keep up."""
    return Refusal(
        grpc.StatusCode.ABORTED,
        "CLIENT_NOT_READING",
        "this stream was not read in time; ask again, and read on",
    )


def internal_error() -> Refusal:
    """Return the end of a call that met a defect of ours; the log says more."""
    return Refusal(
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "a defect in the server ended this call; its log says where",
    )


InputError = CallRefusedError | ClientError | SessionFinishedError
"""What a request may raise when its client is the guilty side, or the server cannot serve it."""

INPUT_ERRORS: Final = (CallRefusedError, ClientError, SessionFinishedError)


def refusal_of(error: InputError) -> Refusal:
    """Return the status for an error that input was refused with."""
    match error:
        case CallRefusedError():
            return error.refusal
        case ConsentError():
            return consent_missing(error.problem)
        case ClientError():
            return invalid(error.field, error.problem)
        case SessionFinishedError():
            return invalid("request", str(error), "OUT_OF_ORDER")
