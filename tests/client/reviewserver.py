# ruff: noqa: N802 - gRPC gives the methods their names
"""A ReviewService that answers from lists, and fails where a test wants it to."""

from __future__ import annotations

import asyncio
import io
import threading
import wave
from contextlib import asynccontextmanager, contextmanager

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.v1 import review_pb2_grpc

TOKEN = "vgr1.test"


def session(number: int = 1, **changes) -> rpb.Session:
    """Return a session with everything in it."""
    values = {
        "session_id": f"call-{number}",
        "call": pb.CallMetadata(
            call_id=f"dialer-{number}",
            campaign="spring",
            agent_id="agent-3",
            customer_number="hmac",
            started_at=Timestamp(seconds=1_700_000_000),
            customer_time_zone="Asia/Shanghai",
            labels={"product": "loan"},
        ),
        "started_at": Timestamp(seconds=1_700_000_001, nanos=500_000_000),
        "ended_at": Timestamp(seconds=1_700_000_076),
        "ended": "completed",
        "summary": pb.SessionSummary(
            session_id=f"call-{number}",
            audio_duration=Duration(seconds=75),
            customer_speech=Duration(seconds=30),
            peak_pressure_index=83.25,
            mean_pressure_index=41.5,
            peak_level=pb.ALERT_LEVEL_RED,
            high_sensitivity=True,
            handoffs=1,
        ),
        "handoffs": [
            pb.HandoffRequested(
                handoff_id="handoff-1",
                alert_id="alert-1",
                offset=Duration(seconds=40),
                pressure_index=80.5,
                reason=pb.HandoffRequested.REASON_ANGER,
                explanation="The customer sounds angry",
            )
        ],
        "settlements": [
            rpb.HandoffSettlement(
                handoff_id="handoff-1",
                outcome=pb.HandoffAck.OUTCOME_ACCEPTED,
                settled_at=Timestamp(seconds=1_700_000_045),
            )
        ],
        "verdicts": [
            rpb.Verdict(
                verdict_id="verdict-1",
                kind=rpb.Verdict.KIND_FALSE_ALARM,
                comment="laughter",
                reviewer="ada",
                recorded_at=Timestamp(seconds=1_700_001_000),
            )
        ],
        "policy_version": "default@4f1d2c3b",
        "model_version": "stress@1",
        "audio_kept": True,
        "flagged": pb.SessionFlagged(offset=Duration(seconds=40), reason="orange was reached"),
        "flagged_at": Timestamp(seconds=1_700_000_041),
        "audio": pb.AudioFormat(
            encoding=pb.AUDIO_ENCODING_MULAW,
            sample_rate_hertz=8000,
            channels=[pb.PARTICIPANT_ROLE_CUSTOMER, pb.PARTICIPANT_ROLE_HUMAN_AGENT],
        ),
        "consent": pb.Consent(state=pb.Consent.STATE_GIVEN, notice_given=True),
        "evidence_id": f"{number:032x}",
    }
    return rpb.Session(**(values | changes))


def events(count: int = 3) -> list[pb.MonitorResponse]:
    """Return an opening, `count` points of the pressure curve, an alert and a summary."""
    points = [
        pb.MonitorResponse(
            pressure=pb.PressureUpdate(
                start_offset=Duration(seconds=place),
                end_offset=Duration(seconds=place + 1),
                pressure_index=100.0 * place / count,
                scores={"anger": 0.25, "arousal": 0.5},
                baseline_deviation=-1.5,
                confidence=0.75,
                quality=pb.SIGNAL_QUALITY_OK,
                level=pb.ALERT_LEVEL_YELLOW,
            )
        )
        for place in range(count)
    ]
    return [
        pb.MonitorResponse(opened=pb.SessionOpened(policy_version="default@4f1d2c3b")),
        *points,
        pb.MonitorResponse(
            alert=pb.AlertChanged(
                alert_id="alert-1",
                level=pb.ALERT_LEVEL_RED,
                previous_level=pb.ALERT_LEVEL_ORANGE,
                offset=Duration(seconds=2),
                pressure_index=81.5,
                threshold=80,
            )
        ),
        pb.MonitorResponse(summary=session().summary),
    ]


def silence(seconds: float) -> bytes:
    """Return a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(int(16_000 * seconds)))
    return file.getvalue()


class ListedReview(review_pb2_grpc.ReviewServiceServicer):
    """Sessions in a list; requests as they came in `requests`."""

    def __init__(self, sessions=(), logs=None, wav=b"", bundle=b"", page_limit=1000) -> None:
        self.sessions = list(sessions)
        self.logs = logs or {}
        self.pieces = [wav[start : start + 4096] for start in range(0, len(wav), 4096)]
        self.bundle = bundle
        self.page_limit = page_limit
        self.requests = []
        self.fail_at: int | None = None
        """The request that breaks the connection, counted from 0; of streams: the piece."""
        self.role = "compliance"

    async def _enter(self, request, context) -> None:
        token = dict(context.invocation_metadata()).get("authorization", "")
        if token != f"Bearer {TOKEN}":
            await refuse(
                context, grpc.StatusCode.UNAUTHENTICATED, "no reviewer's token", "NO_TOKEN"
            )
        if self.fail_at is not None and len(self.requests) >= self.fail_at:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        self.requests.append(request)

    async def _find(self, session_id, context) -> rpb.Session:
        for one in self.sessions:
            if one.session_id == session_id:
                return one
        await refuse(context, grpc.StatusCode.NOT_FOUND, f"no session {session_id}", "NO_SESSION")
        raise AssertionError

    async def ListSessions(self, request, context):
        await self._enter(request, context)
        start, size = int(request.page_token or 0), min(request.page_size or 50, self.page_limit)
        end = start + size
        return rpb.ListSessionsResponse(
            sessions=self.sessions[start:end],
            next_page_token=str(end) if end < len(self.sessions) else "",
            total=len(self.sessions) if request.with_total else 0,
        )

    async def GetSession(self, request, context):
        await self._enter(request, context)
        return rpb.GetSessionResponse(session=await self._find(request.session_id, context))

    async def ListEvents(self, request, context):
        await self._enter(request, context)
        if request.session_id not in self.logs:
            await refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "erased", "ERASED")
        log = self.logs[request.session_id]
        start = int(request.page_token or 0)
        end = start + min(request.page_size or 50, self.page_limit)
        page = log[start:end]
        return rpb.ListEventsResponse(
            events=page,
            recorded_at=[Timestamp(seconds=1_700_000_000 + start + at) for at in range(len(page))],
            next_page_token=str(end) if end < len(log) else "",
        )

    async def WatchAlerts(self, request, context):
        await self._enter(request, context)
        for log in self.logs.values():
            for event in log:
                yield rpb.WatchAlertsResponse(session_id="call-1", event=event)
        await asyncio.Event().wait()

    async def GetAudio(self, request, context):
        self.requests.append(request)
        await self._find(request.session_id, context)
        for place, piece in enumerate(self.pieces):
            if place == self.fail_at:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            yield rpb.GetAudioResponse(wav=piece)

    async def ExportEvidence(self, request, context):
        await self._enter(request, context)
        await self._find(request.session_id, context)
        for start in range(0, len(self.bundle), 10):
            yield rpb.ExportEvidenceResponse(bundle=self.bundle[start : start + 10])

    async def RecordVerdict(self, request, context):
        await self._enter(request, context)
        found = await self._find(request.session_id, context)
        verdict = rpb.Verdict(
            verdict_id="verdict-2",
            handoff_id=request.handoff_id,
            kind=request.kind,
            comment=request.comment,
            reviewer="ada",
        )
        found.verdicts.append(verdict)
        return rpb.RecordVerdictResponse(verdict=verdict)

    async def SignIn(self, request, _context):
        return rpb.SignInResponse(token=TOKEN, name=request.name, role="reviewer")

    async def _compliance(self, request, context) -> None:
        await self._enter(request, context)
        if self.role != "compliance":
            status = grpc.StatusCode.PERMISSION_DENIED
            await refuse(context, status, "the role reviewer may not", "ROLE")

    async def SetLegalHold(self, request, context):
        await self._compliance(request, context)
        found = await self._find(request.session_id, context)
        found.legal_hold = request.hold
        return rpb.SetLegalHoldResponse(session=found)

    async def EraseSession(self, request, context):
        await self._compliance(request, context)
        found = await self._find(request.session_id, context)
        found.erased_at.FromSeconds(1_700_002_000)
        return rpb.EraseSessionResponse(session=found)

    async def GetWaveform(self, request, context):
        await self._enter(request, context)
        outline = rpb.Outline(lowest=[-1], highest=[1])
        return rpb.GetWaveformResponse(channels=[outline], duration=Duration(seconds=75))

    async def GetStatistics(self, request, context):
        await self._enter(request, context)
        return rpb.GetStatisticsResponse(total=rpb.StatisticsRow(sessions=len(self.sessions)))

    async def ListAccess(self, request, context):
        await self._compliance(request, context)
        entry = rpb.AccessEntry(actor="ada", action="heard", at=Timestamp(seconds=1_700_000_500))
        return rpb.ListAccessResponse(entries=[entry])


async def refuse(context, code, message, reason) -> None:
    """End a call as the server does: with its own words in the status."""
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="voiceguard"))
    trailer = ("grpc-status-details-bin", status.SerializeToString())
    context.set_trailing_metadata((trailer,))
    await context.abort(code, message, (trailer,))


@asynccontextmanager
async def serving_review(servicer):
    """Run a server of this loop; give its address."""
    server = grpc.aio.server()
    review_pb2_grpc.add_ReviewServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@contextmanager
def review_beside(servicer):
    """Run a server in a thread of its own, for commands that have a loop of their own."""
    started, address = threading.Event(), []
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with serving_review(servicer) as target:
            address.append(target)
            started.set()
            await ended.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(10)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
