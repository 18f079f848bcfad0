"""Checks what the leaves say of each session: that none is missing and the counts are right."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from voiceguard.evidence.leaves import Leaf, LeafKind

AUDIO_GRACE_MS: Final = 10 * 60 * 1000
"""How long after `closed`, by the log's own time, a session's audio may be on its way: an hour of
it is coded and sealed in seconds."""

_LIVE_KINDS: Final = frozenset({LeafKind.EVENTS, LeafKind.CLOSED})
"""What comes before the end, or is the end."""


@dataclass(slots=True)
class _OpenSession:
    next_number: int
    events: int = 0


class SessionChecks:
    """Takes the leaves one by one, in their order.

    Of a session that is over, all that is kept is its id and the number of its next leaf: about
    150 bytes for each session that ever was.

    Args:
        report: is given each problem, as a sentence.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._open: dict[bytes, _OpenSession] = {}
        self._over: dict[bytes, int] = {}
        """Next leaf's number by session."""
        self._pending: dict[bytes, int] = {}
        """When each session was closed whose audio is to follow, milliseconds since 1970."""
        self._newest_ms = 0
        self.lost_records = 0
        """Of which the log says that they could not be kept."""

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._open) + len(self._over)

    def open_sessions(self) -> Iterator[str]:
        """Yield the ids of sessions without an end: they go on, or were cut off."""
        return (session.hex() for session in self._open)

    def awaiting_audio(self) -> Iterator[str]:
        """Yield the ids of sessions whose audio is still on its way."""
        return (session.hex() for session in self._pending)

    def take(self, index: int, content: bytes) -> None:
        """Check a leaf against those before it."""
        try:
            leaf = Leaf.from_bytes(content)
            session = _session_of(leaf)
        except (ValueError, RecursionError):  # the latter: brackets within brackets
            self._report(f"Entry {index} is nothing that voiceguard writes.")
            return
        self._newest_ms = max(self._newest_ms, leaf.at_ms)
        if leaf.kind is LeafKind.LOST:
            self.lost_records += _count(leaf, "records")
        if session:
            self._take_of_session(index, session, leaf)

    def finish(self) -> None:
        """Check what can only be known at the end."""
        for session, closed_at_ms in list(self._pending.items()):
            if self._newest_ms - closed_at_ms > AUDIO_GRACE_MS:
                del self._pending[session]
                self._report(f"Session {session.hex()}: its audio is missing.")

    def _take_of_session(self, index: int, session: bytes, leaf: Leaf) -> None:
        where = f"Session {leaf.session}, entry {index}"
        opened = self._open.get(session)
        expected = opened.next_number if opened else self._over.get(session, 0)
        is_known = opened is not None or session in self._over
        if is_known == (leaf.kind is LeafKind.OPENED):
            self._report(
                f"{where}: it was opened a second time."
                if is_known
                else f"{where}: it begins with {leaf.kind}, not with opened."
            )
        if leaf.number != expected:
            self._report(f"{where}: number {leaf.number} follows where {expected} was due.")
        if not is_known:
            self._open[session] = opened = _OpenSession(0)
        if opened is None:
            self._over[session] = leaf.number + 1
            self._take_after_end(where, session, leaf)
        else:
            opened.next_number = leaf.number + 1
            self._take_before_end(where, session, opened, leaf)

    def _take_before_end(
        self, where: str, session: bytes, opened: _OpenSession, leaf: Leaf
    ) -> None:
        match leaf.kind:
            case LeafKind.EVENTS:
                first = leaf.facts.get("first")
                if first != opened.events:
                    self._report(f"{where}: event {first} follows where {opened.events} was due.")
                opened.events += _count(leaf, "count")
            case LeafKind.CLOSED:
                self._compare(where, "events", leaf, opened.events)
                self._compare(where, "leaves", leaf, opened.next_number)
                del self._open[session]
                self._over[session] = opened.next_number
                if leaf.facts.get("audio") is True:
                    self._pending[session] = leaf.at_ms
            case LeafKind.AUDIO:
                self._report(f"{where}: audio before the session was closed.")
            case _:
                pass

    def _take_after_end(self, where: str, session: bytes, leaf: Leaf) -> None:
        if leaf.kind in _LIVE_KINDS:
            self._report(f"{where}: {leaf.kind} after it was closed.")
        elif leaf.kind is LeafKind.AUDIO:
            if self._pending.pop(session, None) is None:
                self._report(f"{where}: audio that was not announced.")
        elif leaf.kind is LeafKind.ERASED:
            self._pending.pop(session, None)

    def _compare(self, where: str, name: str, leaf: Leaf, counted: int) -> None:
        said = leaf.facts.get(name)
        if said != counted:
            self._report(f"{where}: closed with {said} {name}, but {counted} are there.")


def _session_of(leaf: Leaf) -> bytes:
    """Return a leaf's session; 16 bytes take less room than its 32 digits.

    Raises:
        ValueError: what the leaf says of it, or of its time, is of another kind.
    """
    if not all(isinstance(value, int) for value in (leaf.at_ms, leaf.number)):
        raise ValueError("no number")
    if not re.fullmatch(r"(?:[0-9a-f]{32})?", str(leaf.session)):
        raise ValueError("no evidence id")
    return bytes.fromhex(leaf.session)


def _count(leaf: Leaf, name: str) -> int:
    """Return a number that a leaf gives, 0 for what is none."""
    value = leaf.facts.get(name)
    return value if isinstance(value, int) else 0
