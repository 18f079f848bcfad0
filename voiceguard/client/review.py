"""`ReviewClient`: the sessions that a server keeps, for reviewers' tools and notebooks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from voiceguard.client.carrier import rpc_error_failure
from voiceguard.client.errors import ClientUsageError
from voiceguard.client.security import TlsOptions, channel_credentials, open_channel
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.v1.review_pb2_grpc import ReviewServiceStub
from voiceguard.wire import seconds_to_proto

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from voiceguard.v1.review_pb2_grpc import ReviewServiceAsyncStub

__all__ = ["RecordedEvent", "ReviewClient"]

MAX_PAGE: Final = 1000
"""Most sessions or events in one page. Part of the interface."""

DEFAULT_PAGE: Final = 50
"""Size of a page where none is asked for. Part of the interface."""

TIMEOUT_S: Final = 30.0
"""How long one answer may take unless told otherwise, in seconds. Streams may take longer."""

_OPTIONS: Final = (
    # A connection of its own, so that closing the client closes it.
    ("grpc.use_local_subchannel_pool", 1),
    # A dead network shows within seconds also while nothing is sent.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A page of 1,000 sessions with long explanations is larger than gRPC's own limit of 4 MiB.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
)

RequestT = TypeVar("RequestT", bound=Message)
AnswerT = TypeVar("AnswerT", bound=Message)


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event of a stored session.

    Attributes:
        event: as the dialer got it.
        recorded_at: when, by the server's clock.
    """

    event: pb.MonitorResponse
    recorded_at: Timestamp


class ReviewClient:
    """A connection to one server's `ReviewService`. Used with ``async with``.

    Every method raises `CallRefusedError` where the server says no (``status`` tells why:
    NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED ...), `ServerUnreachableError` where it was not
    reached or broke off, and `ClientUsageError` where the client was not entered. Every look,
    playback and export is written down by the server.

    Args:
        address: gRPC target of the server, ``host:port``.
        tls: how to encrypt. None: plaintext, for servers on this machine only.
        token: of a reviewer, from `sign_in` or from the server's file of reviewers.
        allow_plaintext: let token and audio cross a network in the clear, where something else
            encrypts the way.
        timeout_s: how long one answer may take, in seconds.

    Raises:
        ClientUsageError: plaintext to another machine.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: TlsOptions | None = None,
        token: str | None = None,
        allow_plaintext: bool = False,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._address = address
        self._credentials = channel_credentials(address, tls, allow_plaintext=allow_plaintext)
        self._server_name = tls.server_name if tls is not None else None
        self._token = token
        self._timeout_s = timeout_s
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        """Make the channel; the connection itself is made with the first question."""
        if self._channel is not None:
            raise ClientUsageError("a client is entered once; make a new one")
        self._channel = open_channel(self._address, self._credentials, self._server_name, _OPTIONS)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection; what is still under way ends with it."""
        if self._channel is not None:
            await self._channel.close()

    # ---- who ----

    async def sign_in(self, name: str, password: str) -> rpb.SignInResponse:
        """Get a token for a name and a password, and use it from now on."""
        request = rpb.SignInRequest(name=name, password=password)
        answer = await self._ask(self._stub.SignIn, request)
        self._token = answer.token
        return answer

    # ---- find ----

    async def list_sessions(self, request: rpb.ListSessionsRequest) -> rpb.ListSessionsResponse:
        """Return one page of the sessions that match; `sessions` goes through all pages."""
        return await self._ask(self._stub.ListSessions, request)

    async def session_pages(
        self, request: rpb.ListSessionsRequest, *, limit: int | None = None
    ) -> AsyncGenerator[rpb.ListSessionsResponse, None]:
        """Yield all pages of the sessions that match, the next one fetched while one is used.

        Args:
            request: filters, order and size of a page. `with_total` is asked for the first
                page alone, as counting costs the server as much as finding.
            limit: most sessions to yield; None: all.
        """
        left = limit

        def fetch(token: str) -> asyncio.Future[rpb.ListSessionsResponse]:
            page = rpb.ListSessionsRequest()
            page.CopyFrom(request)
            page.page_token = token
            page.with_total = request.with_total and token == request.page_token
            if left is not None:
                page.page_size = min(left, request.page_size or DEFAULT_PAGE)
            return asyncio.ensure_future(self.list_sessions(page))

        following = fetch(request.page_token)
        try:
            while True:
                page = await following
                if left is not None:
                    left -= len(page.sessions)
                if not page.next_page_token or left == 0:
                    yield page
                    return
                following = fetch(page.next_page_token)
                yield page
        finally:
            await _drop(following)

    async def sessions(
        self, request: rpb.ListSessionsRequest, *, limit: int | None = None
    ) -> AsyncGenerator[rpb.Session, None]:
        """Yield all sessions that match, whatever the size of a page; at most `limit`."""
        async with contextlib.aclosing(self.session_pages(request, limit=limit)) as pages:
            async for page in pages:
                for session in page.sessions:
                    yield session

    async def get_session(self, session_id: str) -> rpb.Session:
        """Return one session with its handoffs and verdicts."""
        request = rpb.GetSessionRequest(session_id=session_id)
        answer = await self._ask(self._stub.GetSession, request)
        return answer.session

    async def list_events(self, request: rpb.ListEventsRequest) -> rpb.ListEventsResponse:
        """Return one page of a session's events; `events` goes through all pages."""
        return await self._ask(self._stub.ListEvents, request)

    async def events(self, session_id: str) -> AsyncGenerator[RecordedEvent, None]:
        """Yield all events of a session, in order."""
        request = rpb.ListEventsRequest(session_id=session_id, page_size=MAX_PAGE)
        while True:
            page = await self.list_events(request)
            for event, recorded_at in zip(page.events, page.recorded_at, strict=True):
                yield RecordedEvent(event, recorded_at)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def watch_alerts(
        self, min_level: pb.AlertLevel.ValueType = pb.ALERT_LEVEL_UNSPECIFIED
    ) -> AsyncGenerator[rpb.WatchAlertsResponse, None]:
        """Yield alerts, handoffs and flags of all sessions as they happen, until left.

        Args:
            min_level: only alerts of this level and above; flags and handoffs are always sent.
        """
        request = rpb.WatchAlertsRequest(min_level=min_level)
        async with contextlib.aclosing(self._stream(self._stub.WatchAlerts, request)) as answers:
            async for answer in answers:
                yield answer

    async def get_statistics(self, request: rpb.GetStatisticsRequest) -> rpb.GetStatisticsResponse:
        """Return what the sessions of a time came to, by day and by campaign."""
        return await self._ask(self._stub.GetStatistics, request)

    # ---- hear, take away ----

    async def get_audio(
        self, session_id: str, *, start_s: float | None = None, end_s: float | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield a session's audio, or a part of it, as the pieces of one WAV file.

        Args:
            session_id: of the session.
            start_s: where to begin, in seconds on the audio clock; None: at the start.
            end_s: where to end; None: at the end.
        """
        request = rpb.GetAudioRequest(
            session_id=session_id,
            start_offset=None if start_s is None else seconds_to_proto(start_s),
            end_offset=None if end_s is None else seconds_to_proto(end_s),
        )
        async with contextlib.aclosing(self._stream(self._stub.GetAudio, request)) as answers:
            async for answer in answers:
                yield answer.wav

    async def get_waveform(self, session_id: str) -> rpb.GetWaveformResponse:
        """Return the outline of a session's audio."""
        request = rpb.GetWaveformRequest(session_id=session_id)
        return await self._ask(self._stub.GetWaveform, request)

    async def export_evidence(self, session_id: str) -> AsyncGenerator[bytes, None]:
        """Yield a session's evidence bundle as the pieces of one zip file."""
        request = rpb.ExportEvidenceRequest(session_id=session_id)
        async with contextlib.aclosing(self._stream(self._stub.ExportEvidence, request)) as answers:
            async for answer in answers:
                yield answer.bundle

    # ---- judge, hold, erase ----

    async def record_verdict(
        self,
        session_id: str,
        kind: rpb.Verdict.Kind.ValueType,
        *,
        handoff_id: str = "",
        comment: str = "",
    ) -> rpb.Verdict:
        """Add a verdict to a session, or to one of its handoffs, for good."""
        request = rpb.RecordVerdictRequest(
            session_id=session_id, handoff_id=handoff_id, kind=kind, comment=comment
        )
        answer = await self._ask(self._stub.RecordVerdict, request)
        return answer.verdict

    async def set_legal_hold(self, session_id: str, *, hold: bool, reason: str) -> rpb.Session:
        """Keep a session whatever the retention says, or stop doing so."""
        request = rpb.SetLegalHoldRequest(session_id=session_id, hold=hold, reason=reason)
        answer = await self._ask(self._stub.SetLegalHold, request)
        return answer.session

    async def erase_session(self, session_id: str, *, reason: str) -> rpb.Session:
        """Destroy a session for good; return what is left of it."""
        request = rpb.EraseSessionRequest(session_id=session_id, reason=reason)
        answer = await self._ask(self._stub.EraseSession, request)
        return answer.session

    async def list_access(self, session_id: str) -> Sequence[rpb.AccessEntry]:
        """Return who had to do with a session, oldest first."""
        request = rpb.ListAccessRequest(session_id=session_id)
        answer = await self._ask(self._stub.ListAccess, request)
        return answer.entries

    # ---- on the wire ----

    @property
    def _stub(self) -> ReviewServiceAsyncStub:
        if self._channel is None:
            raise ClientUsageError("use the client with `async with`")
        return ReviewServiceStub(self._channel)

    @property
    def _metadata(self) -> grpc.aio.Metadata:
        if self._token is None:
            return grpc.aio.Metadata()
        return grpc.aio.Metadata(("authorization", f"Bearer {self._token}"))

    async def _ask(
        self, method: grpc.aio.UnaryUnaryMultiCallable[RequestT, AnswerT], request: RequestT
    ) -> AnswerT:
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise rpc_error_failure(error).to_question_error() from error

    async def _stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[RequestT, AnswerT], request: RequestT
    ) -> AsyncGenerator[AnswerT, None]:
        call = method(request, metadata=self._metadata)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as error:
            raise rpc_error_failure(error).to_question_error() from error
        finally:
            call.cancel()  # does nothing to a call that has ended


async def _drop(task: asyncio.Future[rpb.ListSessionsResponse]) -> None:
    """End what nobody waits for any more."""
    if task.done():
        return
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
