"""Brings score requests of sessions to the scorer, and its answers back."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from voiceguard.core.events import ScoreRequest
from voiceguard.engine.asyncscoring import AsyncScorer
from voiceguard.engine.scoring import Answer, Track
from voiceguard.server.live import LiveSession
from voiceguard.server.logs import describe_defect
from voiceguard.server.metrics import ServerMetrics
from voiceguard.server.status import internal_error


class SessionScoring:
    """A `voiceguard.server.live.Scoring` by an `AsyncScorer`.

    Args:
        scorer: of all calls of this server; started and stopped by its owner.
        metrics: told how large the batches were.
        log: told of defects.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        scorer: AsyncScorer,
        metrics: ServerMetrics,
        log: FilteringBoundLogger,
        clock: Callable[[], float],
    ) -> None:
        self._scorer = scorer
        self._metrics = metrics
        self._log = log
        self._clock = clock
        self._tracks: dict[LiveSession, dict[int, Track]] = {}
        self._runs_counted: dict[int, int] = {}

    def submit(self, session: LiveSession, requests: list[ScoreRequest]) -> None:
        """Take the next requests of a session; the answers come later."""
        tracks = self._tracks.setdefault(session, {})
        for request in requests:
            track = tracks.get(request.channel)
            if track is None:
                track = self._open_track(session)
                tracks[request.channel] = track
            self._scorer.submit(track, request)

    def forget(self, session: LiveSession) -> None:
        """Drop what waits for a session, and the model's state of its channels."""
        for track in self._tracks.pop(session, {}).values():
            self._scorer.close_track(track)

    def update_metrics(self) -> None:
        """Record the sizes of the batches since the last call."""
        for rows, runs in self._scorer.statistics.runs_by_rows.items():
            for _ in range(runs - self._runs_counted.get(rows, 0)):
                self._metrics.observe_batch(rows)
            self._runs_counted[rows] = runs

    def _open_track(self, session: LiveSession) -> Track:
        def receive(answer: Answer) -> None:
            try:
                session.receive_score(answer, self._clock())
            except Exception as defect:  # noqa: BLE001 - one call's defect must not end the others
                self._log.error("call_defect", **describe_defect(defect))
                session.fail(internal_error())

        return self._scorer.open_track(receive)
