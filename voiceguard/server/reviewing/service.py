"""`ReviewService` over grpc.aio: what reviewers find, see, hear and watch.

What they add to a session is in `reviewactions`, the way in and out in `reviewedge`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Final

import grpc
from google.protobuf.message import Message
from structlog.typing import FilteringBoundLogger

from voiceguard.core.errors import ClientError
from voiceguard.server.auth import REVIEW_SERVICE
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.reviewing.accessbook import AccessBook
from voiceguard.server.reviewing.actions import ReviewActions
from voiceguard.server.reviewing.alerts import AlertHub
from voiceguard.server.reviewing.audio import WavReader, range_from_proto
from voiceguard.server.reviewing.edge import Context, ReviewEdge
from voiceguard.server.reviewing.evidencesource import BundleBinder, EvidenceExporter
from voiceguard.server.reviewing.filters import (
    cursor_after,
    filter_from_proto,
    fitting,
    order_from_proto,
    span_from_proto,
    statistics_to_proto,
)
from voiceguard.server.reviewing.pagetokens import PageTokens
from voiceguard.server.reviewing.refusals import erased, no_audio
from voiceguard.server.reviewing.reviewers import ReviewersFile
from voiceguard.server.reviewing.sessionreader import SessionReader
from voiceguard.server.reviewing.signin import Reviewer, ReviewGate, SignInTokens
from voiceguard.server.reviewing.signindesk import SignInDesk, peer_address
from voiceguard.server.reviewing.threads import StoreThreads
from voiceguard.server.reviewing.wire import (
    check_filter,
    outline_to_proto,
    page_size_from_proto,
    timestamp,
)
from voiceguard.server.settings import ServerSettings
from voiceguard.server.status import CallRefusedError, unauthenticated
from voiceguard.store.archive import Archive, wall_ms
from voiceguard.store.rows import Cursor, SessionRow
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import ALERT_LEVELS

RECHECK_S: Final = 30.0
"""How often a watch looks whether its reviewer may still watch."""


class ReviewService:
    """The methods of `voiceguard.v1.ReviewService`.

    Args:
        archive: keeps the sessions.
        binder: makes evidence bundles.
        threads: where the archive is asked; closed with the service.
        gate: tells reviewers from strangers.
        desk: checks passwords; closed with the service.
        hub: passes on alerts.
        edge: the way in and out.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(  # noqa: PLR0913 - the parts of a service, put together in one place
        self,
        *,
        archive: Archive,
        binder: BundleBinder,
        threads: StoreThreads,
        gate: ReviewGate,
        desk: SignInDesk,
        hub: AlertHub,
        edge: ReviewEdge,
        now_ms: Callable[[], int],
    ) -> None:
        self._archive = archive
        self._threads = threads
        self.gate = gate
        """Tells reviewers from strangers; the doorkeeper asks it."""
        self._desk = desk
        self._hub = hub
        self._edge = edge
        self._reader = SessionReader(archive)
        self._book = AccessBook(archive, threads, now_ms)
        self._pages = PageTokens(archive.keys.token_key, now_ms)
        self._actions = ReviewActions(archive, threads, self._reader, self._book, now_ms)
        self._exporter = EvidenceExporter(archive, binder, threads, self._book, now_ms)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a grpc.aio server is given."""
        unary, stream = self._edge.unary, self._edge.stream
        actions = self._actions
        return grpc.method_handlers_generic_handler(
            REVIEW_SERVICE,
            {
                "SignIn": self._edge.open_unary(rpb.SignInRequest, self._sign_in),
                "ListSessions": unary(rpb.ListSessionsRequest, self._list_sessions),
                "GetSession": unary(rpb.GetSessionRequest, self._get_session),
                "ListEvents": unary(rpb.ListEventsRequest, self._list_events),
                "WatchAlerts": stream(rpb.WatchAlertsRequest, self._watch_alerts),
                "GetAudio": stream(rpb.GetAudioRequest, self._get_audio),
                "GetWaveform": unary(rpb.GetWaveformRequest, self._get_waveform),
                "GetStatistics": unary(rpb.GetStatisticsRequest, self._get_statistics),
                "RecordVerdict": unary(rpb.RecordVerdictRequest, actions.record_verdict),
                "SetLegalHold": unary(rpb.SetLegalHoldRequest, actions.set_legal_hold),
                "EraseSession": unary(rpb.EraseSessionRequest, actions.erase_session),
                "ListAccess": unary(rpb.ListAccessRequest, actions.list_access),
                "ExportEvidence": stream(rpb.ExportEvidenceRequest, self._export_evidence),
            },
        )

    def reload(self) -> None:
        """Read the reviewers again.

        Raises:
            ConfigurationError: something is wrong with them; they stay as they were.
        """
        self.gate.accounts.reload()

    def drain(self) -> None:
        """End all watches: the server is about to go away. Everything else goes on."""
        self._hub.close()

    def close(self) -> None:
        """End what goes on for reviewers: the server goes away. Idempotent."""
        self.drain()
        self._desk.close()
        self._threads.close()

    # ---- who ----

    async def _sign_in(self, request: rpb.SignInRequest, context: Context) -> Message:
        peer = peer_address(context.peer())
        token, reviewer = await self._desk.sign_in(request.name, request.password, peer)
        return rpb.SignInResponse(
            token=token,
            expires_at=timestamp(reviewer.expires_at_ms or 0),
            name=reviewer.name,
            tenant=reviewer.tenant,
            role=reviewer.role.value,
        )

    # ---- find ----

    async def _list_sessions(self, reviewer: Reviewer, request: rpb.ListSessionsRequest) -> Message:
        tenant = reviewer.tenant
        size = page_size_from_proto(request.page_size)
        order = order_from_proto(request.order_by)
        wanted = filter_from_proto(request, lambda number: self._pseudonym(tenant, number))
        after = None
        if request.page_token:
            after = Cursor(**self._pages.read(tenant, request, request.page_token))
        page = await self._threads.run(
            self._archive.finder.page, tenant, wanted, order, size,
            after=after, with_total=request.with_total,
        )  # fmt: skip
        sessions = fitting(await self._threads.run(self._reader.sessions, page.rows))
        following = page.next
        if len(sessions) < len(page.rows):
            following = cursor_after(page.rows[len(sessions) - 1], order)
        response = rpb.ListSessionsResponse(sessions=sessions, total=page.total or 0)
        if following is not None:
            place = dataclasses.asdict(following)
            response.next_page_token = self._pages.write(tenant, request, place)
        return response

    def _pseudonym(self, tenant: str, number: str) -> str:
        return self._archive.keys.pseudonym(tenant, number)

    async def _get_statistics(
        self, reviewer: Reviewer, request: rpb.GetStatisticsRequest
    ) -> Message:
        after_ms, before_ms = span_from_proto(request)
        statistics = await self._threads.run(
            self._archive.finder.statistics,
            reviewer.tenant,
            after_ms=after_ms,
            before_ms=before_ms,
            campaign=check_filter(request.campaign, "campaign"),
            utc_offset_minutes=request.utc_offset_minutes,
        )
        return statistics_to_proto(statistics)

    # ---- see ----

    async def _find(self, reviewer: Reviewer, session_id: str) -> SessionRow:
        return await self._threads.run(self._reader.find, reviewer.tenant, session_id)

    async def _look_at(self, reviewer: Reviewer, session_id: str) -> SessionRow:
        """Return a session that a reviewer is about to see; that they do is written down."""
        row = await self._find(reviewer, session_id)
        if row.erased_at_ms is None:  # of an erased one nothing is left to be seen
            await self._book.look(reviewer, row.uid)
        return row

    async def _get_session(self, reviewer: Reviewer, request: rpb.GetSessionRequest) -> Message:
        row = await self._look_at(reviewer, request.session_id)
        session = await self._threads.run(self._reader.session, row)
        return rpb.GetSessionResponse(session=session)

    async def _list_events(self, reviewer: Reviewer, request: rpb.ListEventsRequest) -> Message:
        size = page_size_from_proto(request.page_size)
        first = 0
        if request.page_token:
            first = self._pages.read(reviewer.tenant, request, request.page_token)["first"]
        row = await self._look_at(reviewer, request.session_id)
        page = await self._threads.run(self._reader.events, row, first, size)
        response = rpb.ListEventsResponse(events=page.events, recorded_at=page.recorded_at)
        if page.following is not None:
            following = {"first": page.following}
            response.next_page_token = self._pages.write(reviewer.tenant, request, following)
        return response

    async def _watch_alerts(
        self, reviewer: Reviewer, request: rpb.WatchAlertsRequest
    ) -> AsyncGenerator[Message, None]:
        if request.min_level and request.min_level not in ALERT_LEVELS:
            raise ClientError("min_level", f"{request.min_level} is no level")
        watcher = self._hub.watch(reviewer.tenant, request.min_level)
        try:
            while True:
                alert = None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RECHECK_S):
                        alert = await watcher.next()
                if not self.gate.is_still_good(reviewer):
                    raise CallRefusedError(unauthenticated("the sign-in has ended; sign in again"))
                if alert is not None:
                    yield alert
        finally:
            self._hub.leave(watcher)

    # ---- hear ----

    async def _with_audio(self, reviewer: Reviewer, session_id: str) -> SessionRow:
        row = await self._find(reviewer, session_id)
        check_audio(row)
        return row

    async def _get_audio(
        self, reviewer: Reviewer, request: rpb.GetAudioRequest
    ) -> AsyncGenerator[Message, None]:
        part = range_from_proto(
            request.start_offset if request.HasField("start_offset") else None,
            request.end_offset if request.HasField("end_offset") else None,
        )
        row = await self._with_audio(reviewer, request.session_id)
        await self._book.hear(reviewer, row.uid, part)
        audio = await self._threads.run(self._archive.open_audio, row)
        reader = WavReader(audio, part)
        try:
            while chunk := await self._threads.run(reader.read):
                yield rpb.GetAudioResponse(wav=chunk)
        finally:
            self._threads.run_later(reader.close)

    async def _get_waveform(self, reviewer: Reviewer, request: rpb.GetWaveformRequest) -> Message:
        row = await self._with_audio(reviewer, request.session_id)
        await self._book.look(reviewer, row.uid)
        rate_hz = (await self._threads.run(self._reader.details, row)).audio_format.sample_rate_hz
        return outline_to_proto(await self._threads.run(self._archive.waveform, row), rate_hz)

    # ---- take away ----

    async def _export_evidence(
        self, reviewer: Reviewer, request: rpb.ExportEvidenceRequest
    ) -> AsyncGenerator[Message, None]:
        row = await self._find(reviewer, request.session_id)
        async with contextlib.aclosing(self._exporter.export(reviewer, row)) as chunks:
            async for chunk in chunks:
                yield rpb.ExportEvidenceResponse(bundle=chunk)


def check_audio(row: SessionRow) -> None:
    """Refuse a session that has no audio to give.

    Raises:
        CallRefusedError: and why there is none.
    """
    if row.erased_at_ms is not None:
        raise CallRefusedError(erased())
    if row.closed_at_ms is None:
        raise CallRefusedError(no_audio("the session is live; its audio comes when it has ended"))
    if row.audio == "pending":
        raise CallRefusedError(no_audio("the audio is being stored; try again in a moment"))
    if row.audio != "kept":
        raise CallRefusedError(no_audio("no audio is kept of this session"))


def review_service(
    settings: ServerSettings,
    reviewers: ReviewersFile,
    archive: Archive,
    hub: AlertHub,
    *,
    binder: BundleBinder,
    metrics: ServerMetrics,
    log: FilteringBoundLogger,
) -> ReviewService:
    """Return the service for reviewers.

    The server gives its `gate` to the `Doorkeeper` and its `handlers()` to grpc, and calls
    `reload` on SIGHUP, `drain` when it drains, and `close` once grpc has stopped.

    Args:
        settings: of the server.
        reviewers: who may come in.
        archive: keeps the sessions, started.
        hub: that live sessions tell of alerts.
        binder: makes evidence bundles.
        metrics: counts requests.
        log: says what was refused.
    """
    gate = ReviewGate(reviewers, SignInTokens(archive.keys.token_key), wall_ms)
    return ReviewService(
        archive=archive,
        binder=binder,
        threads=StoreThreads(),
        gate=gate,
        desk=SignInDesk(
            gate,
            lifetime=timedelta(hours=settings.sign_in_hours),
            clock=time.monotonic,
            now_ms=wall_ms,
        ),
        hub=hub,
        edge=ReviewEdge(metrics, log, settings.unread_timeout_s),
        now_ms=wall_ms,
    )
