"""A review service over a real archive, reviewers, and sessions to review."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc

from tests.server.support import CUSTOMER, as_stream_error, default_policy, eventually
from voiceguard.core.events import AudioFormat, Consent, ConsentState, Event
from voiceguard.core.policy import AudioKeeping
from voiceguard.resources import models_dir
from voiceguard.server.auth import Doorkeeper
from voiceguard.server.lifecycle import channel_options
from voiceguard.server.logs import new_log
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.reviewing.accounts import Role
from voiceguard.server.reviewing.alerts import AlertHub
from voiceguard.server.reviewing.evidencebinder import EvidenceBinder
from voiceguard.server.reviewing.reviewers import ReviewersFile, add_password, add_token
from voiceguard.server.reviewing.service import ReviewService, review_service
from voiceguard.server.settings import ServerSettings
from voiceguard.server.tokens import TokenFile
from voiceguard.store.archive import Archive
from voiceguard.store.payloads import Opening
from voiceguard.store.settings import ArchiveSettings
from voiceguard.v1 import review_pb2_grpc

REVIEWERS = {
    "ada": ("acme", Role.REVIEWER),
    "carol": ("acme", Role.COMPLIANCE),
    "gus": ("globex", Role.COMPLIANCE),
}
PASSWORD = "correct horse battery"
NUMBER = "+86 138 0013 8000"
FOR_EVER_DAYS = 365_000
"""Sessions of tests may have begun in 1970."""


class Asking:
    """A reviewer's client: errors come with their details."""

    def __init__(self, channel: grpc.aio.Channel, token: str | None) -> None:
        self._stub = review_pb2_grpc.ReviewServiceStub(channel)
        self.metadata = () if token is None else (("authorization", f"Bearer {token}"),)

    def __getattr__(self, method):
        begin = getattr(self._stub, method)

        async def ask(request, **options):
            try:
                return await begin(request, metadata=self.metadata, **options)
            except grpc.aio.AioRpcError as error:
                raise as_stream_error(error) from None

        return ask

    def stream(self, method, request):
        return getattr(self._stub, method)(request, metadata=self.metadata)

    async def all_of(self, method, request):
        """Return all responses of a stream."""
        try:
            return [item async for item in self.stream(method, request)]
        except grpc.aio.AioRpcError as error:
            raise as_stream_error(error) from None


class PlainBinder:
    """Binds payloads and audio one after the other, so that tests see what a bundle is made of."""

    def manifest(self, parts, exported_by, exported_at_ms):
        names = [record.kind.value for record in parts.records]
        values = {"by": exported_by, "at_ms": exported_at_ms, "records": names}
        return json.dumps(values).encode()

    def write(self, target, parts):
        for content in (parts.policy, parts.model, *(item.payload for item in parts.records)):
            target.write(len(content).to_bytes(4, "big") + content)
        while parts.audio is not None and (piece := parts.audio.read(100_000)):
            target.write(piece)


class Rig:
    """A running review service."""

    def __init__(
        self,
        *,
        service: ReviewService,
        archive: Archive,
        hub: AlertHub,
        metrics: ServerMetrics,
        channel: grpc.aio.Channel,
        tokens: dict[str, str],
        logged: io.StringIO,
        target: str,
    ) -> None:
        self.service = service
        self.archive = archive
        self.hub = hub
        self.metrics = metrics
        self.channel = channel
        self.tokens = tokens
        self.logged = logged
        self.target = target

    def asking(self, token: str | None) -> Asking:
        return Asking(self.channel, token)

    @property
    def ada(self) -> Asking:
        return self.asking(self.tokens["ada"])

    @property
    def carol(self) -> Asking:
        return self.asking(self.tokens["carol"])

    @property
    def gus(self) -> Asking:
        return self.asking(self.tokens["gus"])

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def begin(self, session_id="call-1", **changes):
        """Open a session; return its record."""
        return self.archive.begin(opening(self.archive, session_id, **changes))

    async def keep(
        self,
        session_id: str = "call-1",
        *,
        events: Sequence[Event] = (),
        audio: bytes = b"",
        **changes,
    ) -> str:
        """Keep a session that has ended; return its evidence id."""
        begun = opening(self.archive, session_id, **changes)
        record = self.archive.begin(begun)
        piece = begun.audio_format.frame_bytes * 800
        for start in range(0, len(audio), piece):
            sample = start // begun.audio_format.frame_bytes
            record.receive_audio(audio[start : start + piece], sample)
        for number, event in enumerate(events):
            record.receive_events([event], begun.opened_at_ms + number)
        record.close("completed", begun.opened_at_ms + 60_000)
        await self.settled(record.evidence_id)
        return record.evidence_id

    async def settled(self, uid: str) -> None:
        """Wait until the database has a session and its audio."""

        def is_settled():
            row = self.archive.finder.find_uid(uid)
            return row is not None and row.audio in {"none", "kept"}

        await eventually(is_settled, 10)

    async def shown(self, uid: str) -> None:
        """Wait until the database has a session."""
        await eventually(lambda: self.archive.finder.find_uid(uid) is not None, 10)


def opening(archive: Archive, session_id: str, **changes) -> Opening:
    """Return what a session is opened with."""
    policy = default_policy()
    model = (models_dir() / "stress" / "model.toml").read_bytes()
    begun = Opening(
        tenant="acme",
        session_id=session_id,
        audio_format=CUSTOMER,
        policy_version=policy.version,
        policy_sha256=archive.put_document("policy", policy.content),
        model_version="stress@1",
        model_sha256=archive.put_document("model", model),
        keep_audio=AudioKeeping.ALL,
        retention_days=FOR_EVER_DAYS,
        opened_at_ms=time.time_ns() // 1_000_000,
        consent=Consent(ConsentState.GIVEN, True, "contract"),
        call_id="dialer-7",
        campaign="spring",
        agent_id="agent-3",
        customer_number=NUMBER,
        call_started_at_ms=1_700_000_000_000,
        customer_time_zone="Asia/Shanghai",
        labels={"product": "loan"},
    )
    return dataclasses.replace(begun, **changes)


def write_reviewers(path: Path) -> dict[str, str]:
    """Write a file of reviewers; return their tokens. Ada has a password, too."""
    add_password(path, "acme", "ada", Role.REVIEWER, PASSWORD)
    return {name: add_token(path, tenant, name, role) for name, (tenant, role) in REVIEWERS.items()}


def evidence_binder(archive: Archive, data_dir: Path) -> EvidenceBinder:
    """Return the binder that a server has."""
    return EvidenceBinder(archive.log, data_dir / "log")


@asynccontextmanager
async def reviewing(folder: Path, new_binder=None, **changes) -> AsyncIterator[Rig]:
    """Run a review service over an archive in a folder, with the plain binder or another."""
    reviewers = folder / "reviewers"
    tokens = write_reviewers(reviewers)
    settings = ServerSettings(listen="127.0.0.1:0", reviewers_file=reviewers, **changes)
    metrics, hub, logged = ServerMetrics(), AlertHub(), io.StringIO()
    log = new_log("info", "json", logged)
    archive = await asyncio.to_thread(Archive.open, ArchiveSettings(data_dir=folder / "data"))
    archive.start()
    binder = PlainBinder() if new_binder is None else new_binder(archive, folder / "data")
    service = review_service(
        settings,
        ReviewersFile(reviewers),
        archive,
        hub,
        binder=binder,
        metrics=metrics,
        log=log,
    )
    tokens_file = settings.tokens_file
    callers = None if tokens_file is None else TokenFile(tokens_file)
    door = Doorkeeper(
        callers, health_is_open=False, reviewers=service.gate, metrics=metrics, log=log
    )
    server = grpc.aio.server(interceptors=[door], options=channel_options(settings))
    server.add_generic_rpc_handlers((service.handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        target = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(target) as channel:
            yield Rig(
                service=service,
                archive=archive,
                hub=hub,
                metrics=metrics,
                channel=channel,
                tokens=tokens,
                logged=logged,
                target=target,
            )
    finally:
        service.close()
        await server.stop(0)
        with suppress(TimeoutError):
            await asyncio.to_thread(archive.close, 5)


def cheap_passwords(monkeypatch) -> None:
    """Make new passwords quick to check."""
    monkeypatch.setattr("voiceguard.server.reviewing.accounts.SCRYPT_N", 16)


def audio_format(*roles) -> AudioFormat:
    """Return a format of several channels."""
    return dataclasses.replace(CUSTOMER, channels=roles)
