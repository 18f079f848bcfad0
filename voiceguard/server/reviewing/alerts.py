"""`AlertHub`: what happens in sessions, to the reviewers who watch."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from voiceguard.server.status import (
    CallRefusedError,
    Refusal,
    draining,
    review_busy,
    stream_not_read,
)
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

MAX_WAITING: Final = 1000
"""Alerts that may wait for one watcher; each is well under 1 KiB."""

MAX_WATCHERS: Final = 200

RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """Whose alerts a watcher wants, and which."""

    tenant: str
    min_level: pb.AlertLevel.ValueType

    def covers(self, tenant: str, event: pb.MonitorResponse) -> bool:
        if tenant != self.tenant:
            return False
        match event.WhichOneof("event"):
            case "alert":
                return event.alert.level >= self.min_level
            case "handoff" | "flagged":
                return True
            case _:
                return False


class Watcher:
    """One watcher's alerts, in order. Made by `AlertHub.watch`."""

    def __init__(self, wish: _Wish) -> None:
        self.wish = wish
        self._waiting: deque[rpb.WatchAlertsResponse] = deque()
        self._changed = asyncio.Event()
        self._refusal: Refusal | None = None

    async def next(self) -> rpb.WatchAlertsResponse:
        """Wait for the next alert.

        Raises:
            CallRefusedError: the watch is over.
        """
        while not self._waiting:
            if self._refusal is not None:
                raise CallRefusedError(self._refusal)
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    def put(self, alert: rpb.WatchAlertsResponse) -> None:
        """Add an alert; one that has too many already is ended."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.clear()
            self.end(stream_not_read())
        elif self._refusal is None:
            self._waiting.append(alert)
            self._changed.set()

    def end(self, refusal: Refusal) -> None:
        """End the watch, after what waits."""
        self._refusal = self._refusal or refusal
        self._changed.set()


class AlertHub:
    """Passes on alerts, handoffs and flags. For the event loop's thread alone."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    def publish(self, tenant: str, session_id: str, event: pb.MonitorResponse) -> None:
        """Pass on what a session says, if it is an alert, a handoff or a flag.

        Never waits and never fails: it stands in the way of a call.

        Args:
            tenant: whose session it is.
            session_id: the client's own.
            event: as its client is told it; not changed, and must not be afterwards.
        """
        interested = [item for item in self._watchers if item.wish.covers(tenant, event)]
        if interested:
            alert = rpb.WatchAlertsResponse(session_id=session_id, event=event)
            for watcher in interested:
                watcher.put(alert)

    def watch(
        self, tenant: str, min_level: pb.AlertLevel.ValueType = pb.ALERT_LEVEL_UNSPECIFIED
    ) -> Watcher:
        """Begin to watch; `leave` must follow.

        Args:
            tenant: whose sessions.
            min_level: of alerts; handoffs and flags come whatever it is.

        Raises:
            CallRefusedError: too many watch already.
        """
        if len(self._watchers) >= MAX_WATCHERS:
            raise CallRefusedError(review_busy(RETRY_S))
        watcher = Watcher(_Wish(tenant, min_level))
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """End a watch. Idempotent."""
        self._watchers.discard(watcher)

    def close(self) -> None:
        """End all watches: the server goes away."""
        for watcher in self._watchers:
            watcher.end(draining(RETRY_S))
