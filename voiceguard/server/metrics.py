"""What an operator's monitoring sees: counts and times, never a call's content.

No label carries an id, a name or a number, so the number of series is fixed.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

import grpc
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from voiceguard.core.errors import ConfigurationError
from voiceguard.core.events import AlertLevel, HandoffOutcome
from voiceguard.server.settings import split_address
from voiceguard.store.health import StoreHealth, StoreState

LAG_BUCKETS_S: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class ServerMetrics:
    """The metrics of one server, in a Prometheus registry of their own."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self.registry = registry
        """For the endpoint, and for tests."""
        self._active = Gauge(
            "voiceguard_active_sessions", "Sessions not finished.", registry=registry
        )
        self._detached = Gauge(
            "voiceguard_detached_sessions",
            "Sessions whose stream broke, waiting to be resumed.",
            registry=registry,
        )
        self._sessions = Counter(
            "voiceguard_sessions", "Sessions ended, by how.", ["ended"], registry=registry
        )
        self._resumes = Counter("voiceguard_resumes", "Sessions resumed.", registry=registry)
        self._refusals = Counter(
            "voiceguard_refusals",
            "Calls refused or ended with an error, by reason.",
            ["reason"],
            registry=registry,
        )
        self._lag = Histogram(
            "voiceguard_event_lag_seconds",
            "From the arrival of the audio that completes a window to its events being queued.",
            buckets=LAG_BUCKETS_S,
            registry=registry,
        )
        self._batch = Histogram(
            "voiceguard_score_batch_size",
            "Windows scored in one run of the model.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._missed = Counter(
            "voiceguard_missed_windows", "Windows left unscored under overload.", registry=registry
        )
        self._alerts = Counter(
            "voiceguard_alerts", "Alert levels entered.", ["level"], registry=registry
        )
        self._handoff_requests = Counter(
            "voiceguard_handoff_requests", "Handoffs requested.", registry=registry
        )
        self._handoffs = Counter(
            "voiceguard_handoffs", "Handoffs settled, by outcome.", ["outcome"], registry=registry
        )
        self._audio = Counter(
            "voiceguard_audio_seconds", "Audio received, on the audio clock.", registry=registry
        )
        self._cpu = Counter(
            "voiceguard_cpu_seconds", "CPU time of this process.", registry=registry
        )
        self._cpu_per_audio = Gauge(
            "voiceguard_cpu_seconds_per_audio_second",
            "CPU time for a second of audio, over the last update interval with audio.",
            registry=registry,
        )
        self._reloads = Counter(
            "voiceguard_reloads",
            "Reloads of policies and tokens, by result.",
            ["result"],
            registry=registry,
        )
        self._review_requests = Counter(
            "voiceguard_review_requests",
            "Requests of reviewers, by method and gRPC status.",
            ["method", "code"],
            registry=registry,
        )
        self._store_state = Gauge(
            "voiceguard_store_state",
            "1 for the state that the store is in: ok, spooling or failing.",
            ["state"],
            registry=registry,
        )
        self._store_spool = Gauge(
            "voiceguard_store_spool_bytes",
            "What waits on the disk for the database.",
            registry=registry,
        )
        self._store_waiting = Gauge(
            "voiceguard_store_waiting_records",
            "Records in memory, not on the disk yet.",
            registry=registry,
        )
        self._store_lost = Gauge(
            "voiceguard_store_lost_records", "Records lost since the start.", registry=registry
        )
        self._store_lost_audio = Gauge(
            "voiceguard_store_lost_audio_pieces",
            "Pieces of audio, of some seconds each, lost since the start.",
            registry=registry,
        )
        self._cpu_then_s = time.process_time()
        self._name_series()

    def _name_series(self) -> None:
        """Make the series whose absence would look like a fault begin at 0."""
        for level in AlertLevel:
            self._alerts.labels(level.name.lower())
        for outcome in HandoffOutcome:
            self._handoffs.labels(outcome.value)

    def count_session(self, ended: str) -> None:
        """Count a session that ended: completed, failed or abandoned."""
        self._sessions.labels(ended).inc()

    def count_resume(self) -> None:
        """Count a session that goes on on a new stream."""
        self._resumes.inc()

    def count_refusal(self, reason: str) -> None:
        """Count a call that ends with an error; `reason` is one of a fixed few."""
        self._refusals.labels(reason).inc()

    def count_missed_window(self) -> None:
        """Count a window that stayed unscored."""
        self._missed.inc()

    def count_alert(self, level: AlertLevel) -> None:
        """Count an alert level that was entered."""
        self._alerts.labels(level.name.lower()).inc()

    def count_handoff_request(self) -> None:
        """Count a handoff that was asked for, once however often it is sent."""
        self._handoff_requests.inc()

    def count_handoff_outcome(self, outcome: HandoffOutcome) -> None:
        """Count what became of a handoff."""
        self._handoffs.labels(outcome.value).inc()

    def count_unanswered_handoffs(self, count: int) -> None:
        """Count handoffs that nobody had answered when their session ended."""
        if count:
            self._handoffs.labels("session_ended").inc(count)

    def count_reload(self, *, succeeded: bool) -> None:
        """Count a reload of policies and tokens."""
        self._reloads.labels("ok" if succeeded else "failed").inc()

    def count_review_request(self, method: str, code: grpc.StatusCode) -> None:
        """Count a request of a reviewer that was answered; `method` is one of the interface's."""
        self._review_requests.labels(method, code.name).inc()

    def observe_event_lag(self, seconds: float) -> None:
        """Record how long a window took from its audio to its events."""
        self._lag.observe(seconds)

    def observe_batch(self, size: int) -> None:
        """Record how many windows one run of the model scored."""
        self._batch.observe(size)

    def show_store(self, health: StoreHealth) -> None:
        """Record how the store is."""
        for state in StoreState:
            self._store_state.labels(state.value).set(state is health.state)
        self._store_spool.set(health.spool_bytes)
        self._store_waiting.set(health.waiting_records)
        self._store_lost.set(health.lost_records)
        self._store_lost_audio.set(health.lost_audio_pieces)

    def update(self, active: int, detached: int, audio_s: float) -> None:
        """Record what is sampled from time to time.

        Args:
            active: sessions not finished.
            detached: of them, those without a stream.
            audio_s: seconds of audio received since the last update.
        """
        self._active.set(active)
        self._detached.set(detached)
        now_s = time.process_time()
        cpu_s, self._cpu_then_s = now_s - self._cpu_then_s, now_s
        self._cpu.inc(max(cpu_s, 0.0))
        if audio_s > 0:
            self._audio.inc(audio_s)
            self._cpu_per_audio.set(cpu_s / audio_s)


class MetricsEndpoint:
    """Serves metrics over HTTP while it is entered, on a thread of its own.

    Args:
        metrics: to serve.
        address: `host:port`.

    Raises:
        ConfigurationError: on entering, when the address cannot be listened on.
    """

    def __init__(self, metrics: ServerMetrics, address: str) -> None:
        self._metrics = metrics
        self._address = address
        self.port = 0
        """The port that was taken, once entered."""

    def __enter__(self) -> Self:
        host, port = split_address("metrics_listen", self._address)
        try:
            self._server, self._thread = start_http_server(
                port, addr=host, registry=self._metrics.registry
            )
        except OSError as error:
            message = f"metrics_listen = {self._address}: {error.strerror}"
            raise ConfigurationError(message) from error
        self.port = self._server.server_port
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
