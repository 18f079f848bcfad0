"""A ReviewService in memory, for tests of the page alone."""

# ruff: noqa: N802 - methods are named by the interface

from __future__ import annotations

import asyncio
import io
import statistics
import time
import wave
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from numpy.typing import NDArray

from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.v1 import review_pb2_grpc

RATE_HZ = 8000
PASSWORD = "correct horse"
ROLES = {"ada": "reviewer", "grace": "compliance"}


@dataclass
class Kept:
    """One session, as the servicer has it."""

    session: rpb.Session
    events: list[pb.MonitorResponse] = field(default_factory=list)
    samples: NDArray[np.int16] | None = None
    access: list[rpb.AccessEntry] = field(default_factory=list)

    @property
    def started_ms(self) -> int:
        return self.session.started_at.ToMilliseconds()

    @property
    def flagged(self) -> bool:
        return self.session.HasField("flagged")

    @property
    def newest_verdict(self) -> int:
        return self.session.verdicts[-1].kind if self.session.verdicts else 0


class MemoryReview(review_pb2_grpc.ReviewServiceServicer):
    """Sessions in a dictionary; every request that came in `requests`."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.requests: list[object] = []
        self.watchers: list[asyncio.Queue[rpb.WatchAlertsResponse]] = []
        self.expires_in_s = 3600.0
        self.revoked: set[str] = set()
        self.breaks_off = False
        self.failing: grpc.StatusCode | None = None

    def add(self, kept: Kept) -> None:
        self.kept[kept.session.session_id] = kept

    def announce(self, session_id: str, event: pb.MonitorResponse) -> None:
        for watcher in self.watchers:
            watcher.put_nowait(rpb.WatchAlertsResponse(session_id=session_id, event=event))

    # ---- who ----

    async def SignIn(self, request, context):
        self.requests.append(request)
        if request.name not in ROLES or request.password != PASSWORD:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the name or password is wrong")
        response = rpb.SignInResponse(
            token=f"token-of-{request.name}",
            name=request.name,
            tenant="acme",
            role=ROLES[request.name],
        )
        response.expires_at.FromMilliseconds(int((time.time() + self.expires_in_s) * 1000))
        return response

    async def _reviewer(self, request, context) -> str:
        self.requests.append(request)
        if self.failing is not None:
            await context.abort(self.failing, "voiceguard: the store is away; try again later")
        metadata = dict(context.invocation_metadata())
        name = metadata.get("authorization", "").removeprefix("Bearer token-of-")
        if name not in ROLES or name in self.revoked:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "sign in")
        return name

    async def _find(self, request, context) -> Kept:
        kept = self.kept.get(request.session_id)
        if kept is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such session")
        return kept

    async def _refuse_field(self, context, name: str, problem: str) -> None:
        violation = error_details_pb2.BadRequest.FieldViolation(field=name, description=problem)
        status = status_pb2.Status(code=3, message=f"{name}: {problem}")
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
        details = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, status.message, details)

    def _write_down(self, kept: Kept, actor: str, action: str, detail: str = "") -> None:
        entry = rpb.AccessEntry(actor=actor, action=action, detail=detail)
        entry.at.GetCurrentTime()
        kept.access.append(entry)

    # ---- find ----

    async def ListSessions(self, request, context):
        await self._reviewer(request, context)
        if not 0 <= request.page_size <= 1000:
            await self._refuse_field(context, "page_size", "give 1 to 1000")
        if request.page_token and not request.page_token.isdigit():
            await self._refuse_field(context, "page_token", "is stale")
        rows = [kept for kept in self.kept.values() if _matches(kept, request)]
        if request.order_by == "peak_pressure_index desc":
            rows.sort(key=lambda kept: kept.session.summary.peak_pressure_index, reverse=True)
        else:
            rows.sort(key=lambda kept: kept.started_ms, reverse=True)
        start, size = int(request.page_token or 0), request.page_size or 50
        end = start + size
        return rpb.ListSessionsResponse(
            sessions=[kept.session for kept in rows[start:end]],
            next_page_token=str(end) if end < len(rows) else "",
            total=len(rows) if request.with_total else 0,
        )

    async def GetStatistics(self, request, context):
        await self._reviewer(request, context)
        days, campaigns = defaultdict(list), defaultdict(list)
        rows = [
            kept
            for kept in self.kept.values()
            if _in_time(kept, request) and request.campaign in {"", kept.session.call.campaign}
        ]
        for kept in rows:
            local = timedelta(minutes=request.utc_offset_minutes)
            day = (datetime.fromtimestamp(kept.started_ms / 1000, UTC) + local).date().isoformat()
            days[day].append(kept)
            campaigns[kept.session.call.campaign].append(kept)
        by_size = sorted(campaigns.items(), key=lambda item: -len(item[1]))
        return rpb.GetStatisticsResponse(
            total=_count("", rows),
            days=[_count(name, days[name]) for name in sorted(days)],
            campaigns=[_count(name, members) for name, members in by_size[:100]],
        )

    async def WatchAlerts(self, request, context):
        await self._reviewer(request, context)
        watcher: asyncio.Queue[rpb.WatchAlertsResponse] = asyncio.Queue()
        self.watchers.append(watcher)
        try:
            while True:
                yield await watcher.get()
        finally:
            self.watchers.remove(watcher)

    # ---- look and listen ----

    async def GetSession(self, request, context):
        name = await self._reviewer(request, context)
        kept = await self._find(request, context)
        self._write_down(kept, name, "viewed")
        return rpb.GetSessionResponse(session=kept.session)

    async def ListEvents(self, request, context):
        await self._reviewer(request, context)
        kept = await self._find(request, context)
        if kept.session.HasField("erased_at"):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the session was erased")
        start, size = int(request.page_token or 0), request.page_size or 50
        end = start + size
        response = rpb.ListEventsResponse(
            events=kept.events[start:end],
            next_page_token=str(end) if end < len(kept.events) else "",
        )
        for _ in response.events:
            response.recorded_at.add().CopyFrom(kept.session.started_at)
        return response

    async def GetWaveform(self, request, context):
        await self._reviewer(request, context)
        kept = await self._find(request, context)
        samples = await self._samples(kept, context)
        spans = min(2000, len(samples))
        edges = np.linspace(0, len(samples), spans, endpoint=False).astype(int)
        response = rpb.GetWaveformResponse()
        for channel in range(samples.shape[1]):
            lowest = np.minimum.reduceat(samples[:, channel], edges) // 258
            highest = np.maximum.reduceat(samples[:, channel], edges) // 258
            response.channels.add(lowest=lowest.tolist(), highest=highest.tolist())
        response.duration.FromNanoseconds(len(samples) * 1_000_000_000 // RATE_HZ)
        return response

    async def _samples(self, kept: Kept, context) -> NDArray[np.int16]:
        if kept.samples is None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no audio is kept")
        return kept.samples

    async def GetAudio(self, request, context):
        name = await self._reviewer(request, context)
        kept = await self._find(request, context)
        samples = await self._samples(kept, context)
        self._write_down(kept, name, "heard")
        start = request.start_offset.ToNanoseconds() * RATE_HZ // 1_000_000_000
        end = len(samples)
        if request.HasField("end_offset"):
            end = -(-request.end_offset.ToNanoseconds() * RATE_HZ // 1_000_000_000)
        content = io.BytesIO()
        with wave.open(content, "wb") as stream:
            stream.setnchannels(samples.shape[1])
            stream.setsampwidth(2)
            stream.setframerate(RATE_HZ)
            stream.writeframes(samples[start:end].astype("<i2").tobytes())
        wav = content.getvalue()
        for first in range(0, len(wav), 64 * 1024):
            yield rpb.GetAudioResponse(wav=wav[first : first + 64 * 1024])
            if self.breaks_off:
                await context.abort(grpc.StatusCode.INTERNAL, f"{request.session_id} went away")

    # ---- judge and keep ----

    async def RecordVerdict(self, request, context):
        name = await self._reviewer(request, context)
        kept = await self._find(request, context)
        if not request.kind:
            await self._refuse_field(context, "kind", "is required")
        if len(request.comment) > 4096:
            await self._refuse_field(context, "comment", "at most 4096 characters")
        verdict = kept.session.verdicts.add(
            verdict_id=f"verdict-{len(kept.session.verdicts) + 1}",
            handoff_id=request.handoff_id,
            kind=request.kind,
            comment=request.comment,
            reviewer=name,
        )
        verdict.recorded_at.GetCurrentTime()
        self._write_down(kept, name, "judged")
        return rpb.RecordVerdictResponse(verdict=verdict)

    async def ExportEvidence(self, request, context):
        name = await self._reviewer(request, context)
        kept = await self._find(request, context)
        self._write_down(kept, name, "exported")
        for _ in range(3):
            yield rpb.ExportEvidenceResponse(bundle=b"PK" + b"\0" * 1000)

    async def _compliance(self, request, context) -> str:
        name = await self._reviewer(request, context)
        if ROLES[name] != "compliance":
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "for the role compliance")
        return name

    async def SetLegalHold(self, request, context):
        name = await self._compliance(request, context)
        kept = await self._find(request, context)
        if not request.reason:
            await self._refuse_field(context, "reason", "is required")
        kept.session.legal_hold = request.hold
        self._write_down(kept, name, "held" if request.hold else "released", request.reason)
        return rpb.SetLegalHoldResponse(session=kept.session)

    async def EraseSession(self, request, context):
        name = await self._compliance(request, context)
        kept = await self._find(request, context)
        if kept.session.legal_hold:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is under legal hold")
        for column in ("call", "flagged", "flagged_at", "summary"):
            kept.session.ClearField(column)
        del kept.session.handoffs[:], kept.session.verdicts[:]
        kept.session.audio_kept = False
        kept.session.erased_at.GetCurrentTime()
        kept.events, kept.samples = [], None
        self._write_down(kept, name, "erased", request.reason)
        return rpb.EraseSessionResponse(session=kept.session)

    async def ListAccess(self, request, context):
        await self._compliance(request, context)
        kept = await self._find(request, context)
        return rpb.ListAccessResponse(entries=kept.access)


def _in_time(kept: Kept, request) -> bool:
    after = request.started_after.ToMilliseconds() if request.HasField("started_after") else 0
    if kept.started_ms < after:
        return False
    return (
        not request.HasField("started_before")
        or kept.started_ms < request.started_before.ToMilliseconds()
    )


def _matches(kept: Kept, request) -> bool:
    call, summary = kept.session.call, kept.session.summary
    return (
        _in_time(kept, request)
        and (kept.flagged or not request.high_sensitivity_only)
        and summary.peak_level >= request.min_level
        and request.campaign in {"", call.campaign}
        and request.agent_id in {"", call.agent_id}
        and request.call_id in {"", call.call_id}
        and request.customer_number in {"", call.labels.get("number", "?")}
        and (not kept.session.verdicts or not request.unreviewed_only)
        and request.verdict in {0, kept.newest_verdict}
        and (kept.session.legal_hold or not request.legal_hold_only)
    )


def _count(name: str, rows: list[Kept]) -> rpb.StatisticsRow:
    reviewed = [kept for kept in rows if kept.flagged and kept.session.verdicts]
    handoffs = [kept for kept in rows for _ in kept.session.handoffs]
    found = [kept.newest_verdict for kept in handoffs]
    row = rpb.StatisticsRow(
        name=name,
        sessions=len(rows),
        flagged=sum(kept.flagged for kept in rows),
        flagged_reviewed=len(reviewed),
        handoffs=len(handoffs),
        confirmed=found.count(rpb.Verdict.KIND_CONFIRMED),
        false_alarms=found.count(rpb.Verdict.KIND_FALSE_ALARM),
        unsure=found.count(rpb.Verdict.KIND_UNSURE),
    )
    waits = [
        kept.session.verdicts[0].recorded_at.ToMilliseconds()
        - kept.session.flagged_at.ToMilliseconds()
        for kept in reviewed
    ]
    if waits:
        row.median_time_to_verdict.FromMilliseconds(int(statistics.median(waits)))
    return row


@asynccontextmanager
async def serving(service: MemoryReview):
    """Serve over gRPC on a free port of this machine; yields the target."""
    server = grpc.aio.server()
    review_pb2_grpc.add_ReviewServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
