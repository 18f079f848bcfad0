"""Puts the parts of the server together and runs it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from structlog.typing import FilteringBoundLogger

from voiceguard import resources
from voiceguard.core.errors import VoiceguardError
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.asyncscoring import AsyncScorer
from voiceguard.engine.local import FRONT_END
from voiceguard.engine.manifest import MANIFEST_FILE
from voiceguard.engine.model import StressModel
from voiceguard.engine.scoring import ScoringLimits
from voiceguard.evidence.timestamps import TimestampKeeper
from voiceguard.server.admission import Ear, FrontDesk
from voiceguard.server.archiving import archive_settings
from voiceguard.server.housekeeping import StoreWatch, keep_timestamping
from voiceguard.server.keeping import ForgottenSessions, KeptSessions, ModelIdentity
from voiceguard.server.lifecycle import BoundAddress, Keeping, MonitorServer
from voiceguard.server.logs import describe_defect, new_log
from voiceguard.server.metrics import MetricsEndpoint, ServerMetrics
from voiceguard.server.policies import PolicyShelf
from voiceguard.server.registry import SessionRegistry
from voiceguard.server.reviewing.alerts import AlertHub
from voiceguard.server.reviewing.evidencebinder import EvidenceBinder
from voiceguard.server.reviewing.reviewers import ReviewersFile
from voiceguard.server.reviewing.service import review_service
from voiceguard.server.scoring import SessionScoring
from voiceguard.server.settings import ServerSettings
from voiceguard.server.terms import SessionLimits
from voiceguard.server.tokens import TokenFile
from voiceguard.server.witness import Witnesses
from voiceguard.store.archive import Archive, wall_ms

__all__ = ["BoundAddress", "open_server", "running_server", "serve"]

DEFAULT_MODEL: Final = "stress"
"""Name of the model that comes with voiceguard."""

LOG_FOLDER: Final = "log"
"""Of the evidence log, within a server's data."""

CLOSE_STORE_S: Final = 10.0
"""How long the store may take at the end; what the database has not taken waits on the disk."""

END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: ServerSettings, *, on_ready: Callable[[BoundAddress], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second one ends at once.

    SIGHUP reads policies and tokens again.

    Args:
        settings: of the server.
        on_ready: called once calls are taken, with where.

    Raises:
        VoiceguardError: the server cannot start; the message says what to correct.
    """
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[str] = asyncio.Queue()
    async with open_server(settings) as (server, address):
        for number in END_SIGNALS:
            loop.add_signal_handler(number, signals.put_nowait, number.name)
        loop.add_signal_handler(signal.SIGHUP, server.reload)
        try:
            on_ready(address)
            await signals.get()
            await _drain_or_leave(server, signals)
        finally:
            for number in (*END_SIGNALS, signal.SIGHUP):
                loop.remove_signal_handler(number)


@asynccontextmanager
async def running_server(settings: ServerSettings) -> AsyncIterator[BoundAddress]:
    """Run a server within the caller's program, without taking its signals.

    On leaving it stops at once: streams still open are broken off.

    Raises:
        VoiceguardError: the server cannot start; the message says what to correct.
    """
    async with open_server(settings) as (_, address):
        yield address


@asynccontextmanager
async def open_server(
    settings: ServerSettings,
) -> AsyncIterator[tuple[MonitorServer, BoundAddress]]:
    """Run a server and give it into the caller's hands, to reload and to drain.

    Raises:
        VoiceguardError: the server cannot start; the message says what to correct.
    """
    log = new_log(settings.log_level, settings.log_format)
    metrics = ServerMetrics()
    async with AsyncExitStack() as parts:
        server = await _build(settings, metrics, log, parts)
        metrics_port = None
        if settings.metrics_listen:
            endpoint = parts.enter_context(MetricsEndpoint(metrics, settings.metrics_listen))
            metrics_port = endpoint.port
        try:
            address = await server.start()
            yield server, replace(address, metrics_port=metrics_port)
        finally:
            await server.stop(None)


async def _drain_or_leave(server: MonitorServer, signals: asyncio.Queue[str]) -> None:
    """Drain and stop; at the next signal, stop at once."""
    leave = asyncio.create_task(signals.get())
    drained = asyncio.create_task(_drain(server))
    await asyncio.wait({leave, drained}, return_when=asyncio.FIRST_COMPLETED)
    for task in (leave, drained):
        task.cancel()
    await asyncio.gather(leave, drained, return_exceptions=True)


async def _drain(server: MonitorServer) -> None:
    await server.drain()
    await server.stop()


async def _build(
    settings: ServerSettings,
    metrics: ServerMetrics,
    log: FilteringBoundLogger,
    parts: AsyncExitStack,
) -> MonitorServer:
    tokens = None if settings.tokens_file is None else TokenFile(settings.tokens_file)
    shelf = PolicyShelf(settings.policies_dir or resources.policies_dir(), settings.default_policy)
    model = await asyncio.to_thread(StressModel.load, _model_dir(settings))
    manifest = model.manifest
    version = f"{manifest.name}@{manifest.version}"
    keeping: Keeping | None = None
    witnesses: Witnesses = ForgottenSessions(wall_ms)
    if settings.keep_sessions:
        hub = AlertHub()
        # Before the store is opened, which takes note of every start.
        reviewers = _reviewers(settings)
        archive = await parts.enter_async_context(_open_archive(settings, log))
        identity = ModelIdentity(version, (_model_dir(settings) / MANIFEST_FILE).read_bytes())
        witnesses = KeptSessions(archive, hub, identity, wall_ms)
        keeping = Keeping(StoreWatch(archive, metrics, log), None)
        if reviewers is not None:
            review = review_service(
                settings,
                reviewers,
                archive,
                hub,
                binder=EvidenceBinder(archive.log, _log_folder(settings)),
                metrics=metrics,
                log=log,
            )
            keeping = replace(keeping, review=review)
    scorer = AsyncScorer(
        model,
        ScoringLimits(deadline_s=settings.score_deadline_s),
        on_error=lambda error: log.error("scoring_failed", **describe_defect(error)),
    )
    clock = time.monotonic
    scoring = SessionScoring(scorer, metrics, log, clock)
    desk = FrontDesk(
        ear=Ear(FRONT_END, EvidenceWeights.from_mapping(manifest.pressure), version),
        shelf=shelf,
        registry=SessionRegistry(settings.max_sessions, settings.resume_grace_s),
        scoring=scoring,
        witnesses=witnesses,
        limits=_session_limits(settings),
        metrics=metrics,
        log=log,
        clock=clock,
    )
    return MonitorServer(
        settings,
        desk=desk,
        scorer=scorer,
        scoring=scoring,
        tokens=tokens,
        keeping=keeping,
        log=log,
    )


@asynccontextmanager
async def _open_archive(
    settings: ServerSettings, log: FilteringBoundLogger
) -> AsyncIterator[Archive]:
    """Open the store, look after its timestamps, and close it when all sessions have ended."""

    def report(what: str, error: BaseException) -> None:
        """Log what nobody waits for; messages are ours only where the error is."""
        details = {"problem": str(error)} if isinstance(error, VoiceguardError) else {}
        log.error("store_problem", reason=what, **describe_defect(error), **details)

    where = archive_settings(settings)
    archive = await asyncio.to_thread(Archive.open, where, report)
    try:
        if archive.made_master_key is not None:
            log.warning("master_key_made", problem="keep a copy of master.key elsewhere")
        keeper = None
        if settings.timestamp_url:
            keeper = TimestampKeeper(
                _log_folder(settings), settings.timestamp_url, archive.log.checkpoint
            )
        archive.start()
        timestamping = None
        if keeper is not None:
            timestamping = asyncio.create_task(
                keep_timestamping(keeper, settings.timestamp_interval_s, log)
            )
        yield archive
        if timestamping is not None:
            timestamping.cancel()
            await asyncio.gather(timestamping, return_exceptions=True)
    finally:
        await asyncio.to_thread(archive.close, CLOSE_STORE_S)


def _reviewers(settings: ServerSettings) -> ReviewersFile | None:
    return None if settings.reviewers_file is None else ReviewersFile(settings.reviewers_file)


def _log_folder(settings: ServerSettings) -> Path:
    return archive_settings(settings).data_dir / LOG_FOLDER


def _model_dir(settings: ServerSettings) -> Path:
    return settings.model_dir or resources.models_dir() / DEFAULT_MODEL


def _session_limits(settings: ServerSettings) -> SessionLimits:
    return SessionLimits(
        handoff_repeat_s=settings.handoff_repeat_s,
        stall_after_s=settings.stall_after_s,
        idle_timeout_s=settings.idle_timeout_s,
        finish_timeout_s=settings.finish_timeout_s,
        lag_notice_s=settings.lag_notice_s,
        max_pending_scores=settings.max_pending_scores,
        max_undelivered=settings.max_undelivered,
    )
