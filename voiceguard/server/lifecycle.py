"""A server from its start to its end: health, ticks, reload, drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from structlog.typing import FilteringBoundLogger

from voiceguard.core.errors import ConfigurationError, PolicyError
from voiceguard.engine.asyncscoring import AsyncScorer
from voiceguard.server.admission import FrontDesk
from voiceguard.server.auth import (
    HEALTH_SERVICE,
    MONITOR_SERVICE,
    REFLECTION_SERVICE,
    REVIEW_SERVICE,
    Doorkeeper,
    server_credentials,
)
from voiceguard.server.housekeeping import STORE_HEALTH_NAME, StoreWatch
from voiceguard.server.reviewing.service import ReviewService
from voiceguard.server.scoring import SessionScoring
from voiceguard.server.service import MonitorService
from voiceguard.server.settings import (
    MAX_MESSAGE_BYTES,
    UNIX_PREFIX,
    ServerSettings,
    split_address,
)
from voiceguard.server.tokens import TokenFile
from voiceguard.store.health import StoreState

TICK_S: Final = 0.05
"""How often the server looks at the clock, for all sessions together."""

UPDATE_TICKS: Final = 20
"""Ticks between two updates of sampled metrics."""

LAST_SCORES_S: Final = 2.0
"""How long sessions that a drain ends may wait for their last scores."""

CLOSE_S: Final = 3.0
"""How long the last responses may take to leave."""

SPARE_STREAMS: Final = 512
"""Streams beyond `max_sessions`: those without configuration yet, health, and reviewers'."""

MIN_PING_INTERVAL_MS: Final = 10_000
"""How often a client may ping; one that keeps a connection alive does every 30 s."""


@dataclass(frozen=True, slots=True)
class BoundAddress:
    """Where a server is reached."""

    target: str
    """For a client: `host:port` or `unix:/path`."""
    uses_tls: bool
    metrics_port: int | None = None
    """Port of the Prometheus endpoint; None: there is none."""


def channel_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Return the options of the grpc server.

    With gRPC's own, a client runs 130 s of audio ahead of a stalled handler; the
    three sizes here make that half a second (docs/architecture.md).
    """
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 16 * 1024),
        ("grpc.http2.write_buffer_size", 16 * 1024),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    if settings.max_connection_age_s:
        grace_ms = int(settings.resume_grace_s * 1000)
        options += [
            ("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)),
            ("grpc.max_connection_age_grace_ms", grace_ms),
        ]
    return options


@dataclass(frozen=True, slots=True)
class Keeping:
    """What a server that keeps sessions has besides."""

    watch: StoreWatch
    review: ReviewService | None
    """None: nobody can review."""


class MonitorServer:
    """The running server.

    Args:
        settings: what the operator set.
        desk: lets calls in and out.
        scorer: scores hops; started and stopped here.
        scoring: between the two.
        tokens: who may come in; None: no token is asked for.
        keeping: for reviewers; None: no sessions are kept.
        log: says what happens.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        desk: FrontDesk,
        scorer: AsyncScorer,
        scoring: SessionScoring,
        tokens: TokenFile | None,
        keeping: Keeping | None,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._desk = desk
        self._scorer = scorer
        self._scoring = scoring
        self._tokens = tokens
        self._keeping = keeping
        self._review = None if keeping is None else keeping.review
        self._log = log
        self._health = health.aio.HealthServicer()
        self._service = MonitorService(desk, settings, log)
        self._server: grpc.aio.Server | None = None
        self._ticker: asyncio.Task[None] | None = None
        self._audio_counted_s = 0.0

    async def start(self) -> BoundAddress:
        """Begin to serve; the model is loaded already, so health says so.

        Raises:
            ConfigurationError: the address cannot be listened on, or TLS cannot be set up.
        """
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._server = self._new_server()
        address = self._listen(self._server)
        await self._scorer.start()
        await self._server.start()
        self._ticker = asyncio.create_task(self._tick(), name="voiceguard-ticker")
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        await self._show_store()
        self._log.info(
            "server_started",
            address=address.target,
            model=self._desk.model_version,
            policies=self._desk.shelf.versions,
        )
        return address

    def reload(self) -> bool:
        """Read policies, tokens and reviewers again; what is wrong leaves them as they were.

        Returns:
            Whether everything was read.
        """
        succeeded = True
        for read_again in (self._desk.shelf.reload, *self._credential_reloads()):
            try:
                read_again()
            except (PolicyError, ConfigurationError) as error:
                succeeded = False
                self._log.error("reload_failed", problem=str(error))
        self._desk.metrics.count_reload(succeeded=succeeded)
        self._log.info("reloaded", policies=self._desk.shelf.versions)
        return succeeded

    async def drain(self) -> None:
        """Turn new calls away, give open ones their grace, then finish them."""
        desk, grace_s = self._desk, self._settings.drain_grace_s
        self._log.info("draining", sessions=len(desk.registry), grace_s=grace_s)
        desk.is_draining = True
        await self._health.enter_graceful_shutdown()
        if self._review is not None:
            self._review.drain()
        for session in desk.registry:
            session.notice_draining()
        await self._wait_until_empty(grace_s)
        for session in desk.registry:
            if session.detached_at_s is None:
                session.end_audio(desk.clock(), LAST_SCORES_S)
            else:
                desk.release(session, "abandoned")
        await self._wait_until_empty(LAST_SCORES_S + CLOSE_S, with_detached=True)

    async def stop(self, grace_s: float | None = CLOSE_S) -> None:
        """Stop serving; streams still open get `grace_s` seconds, with None nothing. Idempotent."""
        if self._server is not None:
            await self._server.stop(grace_s)
            self._server = None
            self._log.info("server_stopped")
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        for session in self._desk.registry:
            self._desk.release(session, "abandoned")
        await self._scorer.stop()
        if self._review is not None:
            self._review.close()

    def _credential_reloads(self) -> list[Callable[[], None]]:
        return [item.reload for item in (self._tokens, self._review) if item is not None]

    def _new_server(self) -> grpc.aio.Server:
        settings = self._settings
        doorkeeper = Doorkeeper(
            self._tokens,
            health_is_open=settings.health_without_credentials,
            reviewers=None if self._review is None else self._review.gate,
            metrics=self._desk.metrics,
            log=self._log,
        )
        server = grpc.aio.server(
            interceptors=[doorkeeper],
            options=channel_options(settings),
            maximum_concurrent_rpcs=settings.max_sessions + SPARE_STREAMS,
        )
        server.add_generic_rpc_handlers((self._service.handlers(),))
        if self._review is not None:
            server.add_generic_rpc_handlers((self._review.handlers(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if settings.reflection:
            review = () if self._review is None else (REVIEW_SERVICE,)
            names = (MONITOR_SERVICE, *review, HEALTH_SERVICE, REFLECTION_SERVICE)
            reflection.enable_server_reflection(names, server)
        return server

    def _listen(self, server: grpc.aio.Server) -> BoundAddress:
        settings = self._settings
        credentials = server_credentials(settings)
        host, _ = split_address("listen", settings.listen)
        try:
            if credentials is None:
                port = server.add_insecure_port(settings.listen)
            else:
                port = server.add_secure_port(settings.listen, credentials)
        except RuntimeError as error:
            message = f"listen = {settings.listen}: the address is taken, or is not this machine's"
            raise ConfigurationError(message) from error
        shown = f"[{host}]" if ":" in host else host
        target = host if host.startswith(UNIX_PREFIX) else f"{shown}:{port}"
        return BoundAddress(target, uses_tls=settings.uses_tls)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", MONITOR_SERVICE):
            await self._health.set(name, status)

    async def _wait_until_empty(self, timeout_s: float, *, with_detached: bool = False) -> None:
        registry, until_s = self._desk.registry, self._desk.clock() + timeout_s
        while self._desk.clock() < until_s:
            waiting = len(registry) if with_detached else len(registry) - registry.detached
            if not waiting:
                return
            await asyncio.sleep(TICK_S)

    async def _tick(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(TICK_S)
            self._desk.check_sessions()
            self._service.check_streams()
            ticks += 1
            if ticks % UPDATE_TICKS == 0:
                self._update_metrics()
                await self._show_store()

    async def _show_store(self) -> None:
        """Say how the store is; calls are monitored whatever it says."""
        if self._keeping is None or self._desk.is_draining:
            return
        states = health_pb2.HealthCheckResponse
        is_ok = self._keeping.watch.look().state is StoreState.OK
        status = states.SERVING if is_ok else states.NOT_SERVING
        await self._health.set(STORE_HEALTH_NAME, status)
        if self._review is not None:
            await self._health.set(REVIEW_SERVICE, status)

    def _update_metrics(self) -> None:
        desk = self._desk
        audio_s = desk.audio_s
        desk.metrics.update(
            len(desk.registry), desk.registry.detached, audio_s - self._audio_counted_s
        )
        self._audio_counted_s = audio_s
        self._scoring.update_metrics()
