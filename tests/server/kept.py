"""A whole server with its store, a dialer and reviewers, for the tests of what is kept."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import soundfile
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.server.reviewing import Asking
from tests.server.support import RunningServer, StreamError, eventually, kinds, make_config, running
from voiceguard.evidence.verify import Verdict, VerifierKey, verify_bundle
from voiceguard.server.auth import LOCAL_TENANT
from voiceguard.server.reviewing.accounts import Role
from voiceguard.server.reviewing.alerts import AlertHub
from voiceguard.server.reviewing.reviewers import add_token
from voiceguard.server.settings import ServerSettings
from voiceguard.store.archive import Archive
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

NUMBER = "+86 139 1234 5678"
"""The customer's; nothing that is kept may hold it."""

PAGE = 7
"""Events in a page, so that there are many."""


class KeepingServer(RunningServer):
    """A server in this process that keeps sessions, and a reviewer's questions to it."""

    archive: Archive
    review: Asking
    hub: AlertHub

    async def session(self, session_id: str) -> rpb.Session:
        answer = await self.review.GetSession(rpb.GetSessionRequest(session_id=session_id))
        return answer.session

    async def ended(self, session_id: str, timeout_s: float = 10.0) -> rpb.Session:
        """Wait until the store has a session's end and its audio; return it."""

        async def is_there() -> bool:
            try:
                session = await self.session(session_id)
            except StreamError as error:
                if error.reason not in {"SESSION_UNKNOWN", "STORE_UNAVAILABLE"}:
                    raise
                return False
            row = self.archive.finder.find_uid(session.evidence_id)
            return bool(session.ended) and row is not None and row.audio != "pending"

        await eventually(is_there, timeout_s)
        return await self.session(session_id)

    async def events(self, session_id: str) -> list[pb.MonitorResponse]:
        """Return all that is kept of what was said, page by page."""
        request = rpb.ListEventsRequest(session_id=session_id, page_size=PAGE)
        events: list[pb.MonitorResponse] = []
        while True:
            page = await self.review.ListEvents(request)
            assert len(page.events) == len(page.recorded_at) <= PAGE
            events += page.events
            if not page.next_page_token:
                return events
            request.page_token = page.next_page_token

    async def audio(self, session_id: str) -> np.ndarray:
        """Return the kept audio, 16 bit."""
        request = rpb.GetAudioRequest(session_id=session_id)
        wav = b"".join(item.wav for item in await self.review.all_of("GetAudio", request))
        return soundfile.read(io.BytesIO(wav), dtype="int16")[0]

    async def bundle(self, session_id: str) -> bytes:
        """Return a session's evidence."""
        request = rpb.ExportEvidenceRequest(session_id=session_id)
        return b"".join(item.bundle for item in await self.review.all_of("ExportEvidence", request))

    def verify(self, bundle: bytes) -> Verdict:
        """Return what the verifier says of evidence."""
        return verify_bundle(io.BytesIO(bundle), VerifierKey.parse(self.archive.log.verifier_key))


def keeping_settings(settings: ServerSettings, folder: Path, **changes: object) -> ServerSettings:
    """Return the settings of a server that keeps its sessions under a folder."""
    folder.mkdir(exist_ok=True)
    kept = dataclasses.replace(
        settings,
        keep_sessions=True,
        data_dir=folder / "data",
        reviewers_file=folder / "reviewers",
    )
    return dataclasses.replace(kept, **changes)


@asynccontextmanager
async def keeping(settings: ServerSettings) -> AsyncIterator[KeepingServer]:
    """Run a server, and ask as a reviewer who may do everything."""
    assert settings.reviewers_file is not None
    token = add_token(settings.reviewers_file, LOCAL_TENANT, "ada", Role.COMPLIANCE)
    async with running(settings) as server:
        kept = KeepingServer(server.server, server.address, server.channel)
        kept.archive = server.server._keeping.watch._archive
        kept.hub = server.server._review._hub
        kept.review = Asking(server.channel, token)
        yield kept


def call_config(session_id: str = "call-1", **changes: object) -> pb.SessionConfig:
    """Return the configuration of a call with all that a dialer says of it."""
    config = make_config(session_id, **changes)
    config.call.CopyFrom(
        pb.CallMetadata(
            call_id="dialer-7",
            campaign="spring",
            agent_id="agent-3",
            customer_number=NUMBER,
            customer_time_zone="Asia/Shanghai",
            labels={"product": "loan"},
        )
    )
    config.call.started_at.FromMilliseconds(1_700_000_000_000)
    return config


def find_text(folder: Path, *texts: str) -> list[Path]:
    """Return the files below a folder that hold one of some texts."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(text.encode() in path.read_bytes() for text in texts)
    ]


KEPT_TO = 0.5e-5
"""Scores and indices are kept to five decimals."""


def assert_kept(kept: Sequence[pb.MonitorResponse], heard: Sequence[pb.MonitorResponse]) -> None:
    """Assert that what is kept is what was heard, numbers up to their decimals."""
    assert kinds(kept) == kinds(heard)
    kept_numbers: list[float] = []
    heard_numbers: list[float] = []
    for one, other in zip(kept, heard, strict=True):
        assert _without_numbers(one, kept_numbers) == _without_numbers(other, heard_numbers)
    np.testing.assert_allclose(kept_numbers, heard_numbers, rtol=1e-6, atol=KEPT_TO)


def _without_numbers(message: pb.MonitorResponse, numbers: list[float]) -> object:
    def strip(value: object) -> object:
        match value:
            case float():
                numbers.append(value)
                return None
            case dict():
                return {name: strip(item) for name, item in sorted(value.items())}
            case list():
                return [strip(item) for item in value]
            case _:
                return value

    return strip(MessageToDict(message))


async def store_health(channel: grpc.aio.Channel) -> dict[str, str]:
    """Return what health says of each service, by name."""
    stub = health_pb2_grpc.HealthStub(channel)
    states = health_pb2.HealthCheckResponse.ServingStatus
    names = {
        "": "server",
        "voiceguard.v1.MonitorService": "monitor",
        "voiceguard.v1.ReviewService": "review",
        "voiceguard.store": "store",
    }
    answers = {
        short: await stub.Check(health_pb2.HealthCheckRequest(service=name))
        for name, short in names.items()
    }
    return {short: states.Name(answer.status) for short, answer in answers.items()}
