"""Events on their way from a stream to whoever iterates over the call."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from voiceguard.client.events import CallEvent
from voiceguard.v1 import monitor_pb2 as pb

__all__ = ["EventInbox"]

_INTERIM: Final = (pb.PressureUpdate, pb.SpeechEvent, pb.FlowNotice)


class EventInbox:
    """A queue that never loses an alert, a handoff, a flag or the summary.

    Interim events are dropped, oldest first, while nobody reads: a dialer that only
    sends must not fill its memory.

    Args:
        capacity: most events to hold before interim ones are dropped.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._events: deque[CallEvent] = deque()
        self._arrival = asyncio.Event()
        self._closed = False
        self.dropped = 0
        """Interim events that nobody read in time."""

    def put(self, event: CallEvent) -> None:
        """Add an event."""
        if len(self._events) >= self._capacity:
            self._drop_interim()
        self._events.append(event)
        self._arrival.set()

    def close(self) -> None:
        """Say that nothing more will come."""
        self._closed = True
        self._arrival.set()

    async def get(self) -> CallEvent | None:
        """Return the next event, waiting for it; None: there will be none."""
        while not self._events:
            if self._closed:
                return None
            self._arrival.clear()
            await self._arrival.wait()
        return self._events.popleft()

    def _drop_interim(self) -> None:
        for index, event in enumerate(self._events):
            if isinstance(event, _INTERIM):
                del self._events[index]
                self.dropped += 1
                return
