"""What a server does about its store from second to second: health, metrics, timestamps."""

from __future__ import annotations

import asyncio
from typing import Final

from structlog.typing import FilteringBoundLogger

from voiceguard.core.errors import VoiceguardError
from voiceguard.evidence.timestamps import TimestampKeeper
from voiceguard.server.logs import describe_defect
from voiceguard.server.metrics import ServerMetrics
from voiceguard.store.archive import Archive
from voiceguard.store.health import StoreHealth, StoreState

STORE_HEALTH_NAME: Final = "voiceguard.store"
"""Name in `grpc.health.v1` of the store; calls are monitored whatever it says."""


class StoreWatch:
    """Looks after the store of a running server, and says how it is.

    Args:
        archive: the store.
        metrics: shows it.
        log: says when it changes.
    """

    def __init__(self, archive: Archive, metrics: ServerMetrics, log: FilteringBoundLogger) -> None:
        self._archive = archive
        self._metrics = metrics
        self._log = log
        self._state: StoreState | None = None

    def look(self) -> StoreHealth:
        """Return how the store is, having shown it to whoever watches this server."""
        health = self._archive.health
        self._metrics.show_store(health)
        if health.state is not self._state:
            self._state = health.state
            say = self._log.info if health.state is StoreState.OK else self._log.error
            say("store_state", reason=health.state.value, problem=health.problem)
        return health


async def keep_timestamping(
    keeper: TimestampKeeper, interval_s: float, log: FilteringBoundLogger
) -> None:
    """Have the log's checkpoints timestamped until cancelled; what fails is tried again.

    Args:
        keeper: asks the authority.
        interval_s: between two timestamps.
        log: says what went wrong.
    """
    while True:
        problem = await asyncio.to_thread(_timestamp_once, keeper)
        if problem:
            log.error("timestamp_failed", **problem)
        await asyncio.sleep(interval_s)


def _timestamp_once(keeper: TimestampKeeper) -> dict[str, object]:
    """Return what went wrong, fit for a log; nothing: all went well."""
    try:
        keeper.run_once()
    except VoiceguardError as error:
        return {"problem": str(error)}
    except OSError as error:
        return describe_defect(error)
    return {}
