"""What waits to be sent to one call's client, bounded.

A client that reads too slowly must not make the server grow. What only shows
the present moment (pressure updates, speech events) is dropped oldest first;
what somebody must learn (alerts, handoffs, flags, gaps, the summary) never is.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from voiceguard.v1 import monitor_pb2 as pb

DROPPABLE: Final = frozenset({"pressure", "speech"})
"""Members of `MonitorResponse.event` whose loss a client can bear."""


class Outbox:
    """A queue of responses.

    Args:
        limit: responses it holds before it drops what may be dropped.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._responses: deque[pb.MonitorResponse] = deque()
        self.dropped = 0
        """Responses that were dropped so far."""

    def __len__(self) -> int:
        return len(self._responses)

    def __contains__(self, response: pb.MonitorResponse) -> bool:
        return any(waiting is response for waiting in self._responses)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be asked for until the client reads.

        True at half the limit: what was asked for before still finds room.
        """
        return len(self._responses) * 2 >= self._limit

    def put(self, response: pb.MonitorResponse) -> None:
        """Add a response; over the limit, drop the oldest that may be dropped."""
        self._responses.append(response)
        if len(self._responses) > self._limit:
            self._drop_one()

    def put_first(self, responses: list[pb.MonitorResponse]) -> None:
        """Put responses before all others, in their own order."""
        self._responses.extendleft(reversed(responses))

    def take(self, limit: int) -> list[pb.MonitorResponse]:
        """Return what waits, in order, at most `limit` responses."""
        count = min(limit, len(self._responses))
        return [self._responses.popleft() for _ in range(count)]

    def _drop_one(self) -> None:
        for index, response in enumerate(self._responses):
            if response.WhichOneof("event") in DROPPABLE:
                del self._responses[index]
                self.dropped += 1
                return
