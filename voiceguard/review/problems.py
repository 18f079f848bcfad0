"""What goes wrong between a browser and the server, as HTTP status and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from starlette.responses import JSONResponse

from voiceguard.core.errors import VoiceguardError

__all__ = ["DEFECT", "ApiError", "Problem", "problem_of_rpc", "problem_response"]

DETAILS_KEY: Final = "grpc-status-details-bin"
"""Trailing metadata in which gRPC carries a `google.rpc.Status`."""

_STATUSES: Final = {
    grpc.StatusCode.UNAUTHENTICATED: (401, "signed_out"),
    grpc.StatusCode.PERMISSION_DENIED: (403, "forbidden"),
    grpc.StatusCode.NOT_FOUND: (404, "not_found"),
    grpc.StatusCode.INVALID_ARGUMENT: (400, "invalid"),
    grpc.StatusCode.OUT_OF_RANGE: (400, "invalid"),
    grpc.StatusCode.FAILED_PRECONDITION: (409, "conflict"),
    grpc.StatusCode.ALREADY_EXISTS: (409, "conflict"),
    grpc.StatusCode.ABORTED: (409, "conflict"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (429, "too_many"),
    grpc.StatusCode.UNAVAILABLE: (503, "unavailable"),
    grpc.StatusCode.DEADLINE_EXCEEDED: (503, "unavailable"),
    grpc.StatusCode.UNIMPLEMENTED: (501, "unsupported"),
}
"""HTTP status and our code for each gRPC status (google/rpc/code.proto); others are faults."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer other than what was asked for.

    Attributes:
        status: of HTTP.
        code: for the page, which says it in the reviewer's language.
        message: the server's or our own words, in English.
        field: path of the guilty field, as ReviewService names it; may be empty.
        retry_after_s: when trying again may help; None: unknown.
    """

    status: int
    code: str
    message: str
    field: str = ""
    retry_after_s: float | None = None


DEFECT: Final = Problem(500, "defect", "a defect of the reviewers' page")
"""What a browser is told when we are at fault."""


class ApiError(VoiceguardError):
    """A request of the page cannot be answered; `problem` is what the browser is told."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem

    @classmethod
    def invalid(cls, name: str, message: str) -> ApiError:
        """Return the error of a request whose field `name` makes no sense."""
        return cls(Problem(400, "invalid", f"{name}: {message}", name))


def problem_of_rpc(error: grpc.aio.AioRpcError) -> Problem:
    """Return what a failed call to the server means for the browser."""
    code = error.code()
    status, name = _STATUSES.get(code, (502, "server_fault"))
    message = error.details() or code.name
    if code is grpc.StatusCode.UNAVAILABLE and "voiceguard" not in message.lower():
        message = _without_addresses(message)
    field_path, retry_after_s = _details(error)
    return Problem(status, name, message, field_path, retry_after_s)


def problem_response(problem: Problem) -> JSONResponse:
    """Return a problem as the page reads it."""
    body = {
        "error": {
            "code": problem.code,
            "message": problem.message,
            "field": problem.field,
            "retry_after_s": problem.retry_after_s,
        }
    }
    headers = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(problem.retry_after_s)))
    return JSONResponse(body, problem.status, headers)


def _without_addresses(message: str) -> str:
    """Hide where the server is from browsers: gRPC puts its addresses into such messages."""
    return "the voiceguard server cannot be reached" if ":" in message else message


def _details(error: grpc.aio.AioRpcError) -> tuple[str, float | None]:
    field_path, retry_after_s = "", None
    for key, value in error.trailing_metadata() or ():
        if key != DETAILS_KEY or not isinstance(value, bytes):
            continue
        try:
            status = status_pb2.Status.FromString(value)
        except DecodeError:
            continue
        for detail in status.details:
            bad_request = error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(bad_request) and bad_request.field_violations:
                field_path = str(bad_request.field_violations[0].field)
            elif detail.Unpack(retry):
                retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    return field_path, retry_after_s
