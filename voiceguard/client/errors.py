"""What can go wrong between a dialer and the server, and whose turn it is to act."""

from __future__ import annotations

import grpc

from voiceguard.core.errors import VoiceguardError

__all__ = [
    "CallLostError",
    "CallRefusedError",
    "ClientUsageError",
    "MonitorError",
    "ServerUnreachableError",
]


class ClientUsageError(VoiceguardError):
    """The program that uses this library asked for something that cannot be done.

    Nothing was sent and nothing has changed: correct the program.
    """


class MonitorError(VoiceguardError):
    """Base of what ends a call, or a question to the server, against the client's will.

    Attributes:
        status: gRPC status that it ended with; None when no server was reached in time.
        reason: what happened, in a sentence.
    """

    def __init__(self, message: str, *, status: grpc.StatusCode | None, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class CallRefusedError(MonitorError):
    """The server understood, and said no. Sending the same again gets the same answer.

    Attributes:
        field: path from MonitorRequest of what to correct, for example
            ``config.audio.channels``; empty when the refusal is about no field.
        retry_after_s: when it may be worth trying again, in seconds, as the server said;
            None: it is not.
    """

    def __init__(
        self,
        status: grpc.StatusCode,
        reason: str,
        *,
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        place = f" ({field})" if field and field not in reason else ""
        later = "" if retry_after_s is None else f"; try again in {retry_after_s:g} s"
        message = f"the server refused: {status.name}: {reason}{place}{later}"
        super().__init__(message, status=status, reason=reason)
        self.field = field
        self.retry_after_s = retry_after_s


class CallLostError(MonitorError):
    """The connection, or the session on the server, is gone and could not be brought back.

    The telephone call itself goes on; it is no longer monitored.

    Attributes:
        tries: how many times the client tried to come back.
    """

    def __init__(
        self, reason: str, *, status: grpc.StatusCode | None = None, tries: int = 0
    ) -> None:
        last = "" if status is None else f" (last status {status.name})"
        message = f"the monitored call was lost: {reason}{last}"
        super().__init__(message, status=status, reason=reason)
        self.tries = tries


class ServerUnreachableError(MonitorError):
    """A question had no answer, or no whole one: nobody listens there, or the connection broke.

    Where the question was to change something, it may have been changed: look before asking again.
    """

    def __init__(self, status: grpc.StatusCode, reason: str) -> None:
        message = f"the server was not reached, or broke off: {status.name}: {reason}"
        super().__init__(message, status=status, reason=reason)
