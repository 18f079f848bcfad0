"""`SessionWitness`: tells what happens in a session to those who keep it and those who watch.

Nothing here may hold up or break a call: witnesses only take notes, and what they
do about them happens on threads of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from voiceguard.core.events import Event
from voiceguard.core.policy import Policy
from voiceguard.server.terms import SessionKey, SessionTerms
from voiceguard.v1 import monitor_pb2 as pb


class SessionKeeper(Protocol):
    """Keeps what happened in one session. None of its methods waits or raises."""

    def receive_audio(self, content: bytes, start_sample: int) -> None:
        """Take audio that was not there before, whole sample frames as the client sent them."""
        ...

    def receive_events(self, events: Sequence[Event], at_ms: int) -> None:
        """Take what the session said, at a wall time in ms since 1970, UTC."""
        ...

    def close(self, ended: str, at_ms: int) -> None:
        """Take note that the session is over: completed, failed or abandoned."""
        ...


class KeepsNothing:
    """The keeper of a server that keeps no sessions."""

    def receive_audio(self, content: bytes, start_sample: int) -> None:
        """Let it go."""

    def receive_events(self, events: Sequence[Event], at_ms: int) -> None:
        """Let them go."""

    def close(self, ended: str, at_ms: int) -> None:
        """Do nothing."""


class SessionWitness:
    """What a live session talks to besides its client.

    Args:
        keeper: keeps it.
        announce: tells those who watch alerts.
        wall_ms: wall time in ms since 1970, UTC.
        frame_bytes: of one sample frame of the session's audio.
    """

    def __init__(
        self,
        keeper: SessionKeeper,
        announce: Callable[[pb.MonitorResponse], None],
        wall_ms: Callable[[], int],
        frame_bytes: int,
    ) -> None:
        self.announce = announce
        self._keeper = keeper
        self._wall_ms = wall_ms
        self._frame_bytes = frame_bytes

    def receive_audio(self, content: bytes, received_before: int, received_now: int) -> None:
        """Take a chunk, of which only what was not received before is kept.

        Args:
            content: the chunk, whole sample frames.
            received_before: length of the session before it, in sample frames.
            received_now: length after it; a gap before the chunk counts as received.
        """
        new = min(len(content) // self._frame_bytes, received_now - received_before)
        if new > 0:
            piece = content[len(content) - new * self._frame_bytes :]
            self._keeper.receive_audio(piece, received_now - new)

    def receive_events(self, events: Sequence[Event]) -> None:
        """Take what the session said."""
        self._keeper.receive_events(events, self._wall_ms())

    def close(self, ended: str) -> None:
        """Take note that the session is over."""
        self._keeper.close(ended, self._wall_ms())


class Witnesses(Protocol):
    """Gives every new session its witness."""

    def begin(
        self, key: SessionKey, terms: SessionTerms, policy: Policy, call: pb.CallMetadata
    ) -> SessionWitness:
        """Return the witness of a session that opens now."""
        ...
