"""Delivery of handoff requests: again and again until somebody answers.

The session decides once that a human is needed (`voiceguard.core.handoffs`).
Here is the wall clock's part: a request is repeated until it is acknowledged
or its deadline has passed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from voiceguard.v1 import monitor_pb2 as pb


@dataclass(slots=True)
class _OpenHandoff:
    response: pb.MonitorResponse
    deadline_at_s: float
    repeat_at_s: float


@dataclass(frozen=True, slots=True)
class DueHandoffs:
    """What is to be done about the open handoffs of a session at one moment."""

    repeats: list[pb.MonitorResponse]
    """Requests to send again."""
    expired: list[str]
    """Ids of requests that nobody answered in time; they are no longer open."""


class HandoffDelivery:
    """The handoff requests of one session that nobody has answered yet.

    Args:
        repeat_s: time between two sendings of one request, in seconds.
    """

    def __init__(self, repeat_s: float) -> None:
        self._repeat_s = repeat_s
        self._open: dict[str, _OpenHandoff] = {}

    @property
    def next_due_s(self) -> float:
        """When `take_due` has something to say next, on the caller's clock; infinity: never."""
        times = (min(item.deadline_at_s, item.repeat_at_s) for item in self._open.values())
        return min(times, default=math.inf)

    @property
    def unanswered(self) -> list[pb.MonitorResponse]:
        """The open requests, oldest first."""
        return [item.response for item in self._open.values()]

    def receive_request(
        self, handoff_id: str, response: pb.MonitorResponse, ack_deadline_s: float, now_s: float
    ) -> None:
        """Take a request that is being sent for the first time."""
        self._open[handoff_id] = _OpenHandoff(
            response, now_s + ack_deadline_s, now_s + self._repeat_s
        )

    def receive_answer(self, handoff_id: str) -> bool:
        """Stop repeating a request; return whether it was open."""
        return self._open.pop(handoff_id, None) is not None

    def take_due(self, now_s: float) -> DueHandoffs:
        """Return what is due; what is returned as expired is no longer open."""
        expired = [name for name, item in self._open.items() if now_s >= item.deadline_at_s]
        for handoff_id in expired:
            del self._open[handoff_id]
        repeats = []
        for item in self._open.values():
            if now_s >= item.repeat_at_s:
                item.repeat_at_s = now_s + self._repeat_s
                repeats.append(item.response)
        return DueHandoffs(repeats, expired)

    def close(self) -> int:
        """Give up all open requests, because the session is over; return how many."""
        count = len(self._open)
        self._open.clear()
        return count
