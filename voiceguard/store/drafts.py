"""Drafts: what the writer's thread is given, before it is numbered, hashed and sealed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from voiceguard.core.events import Event
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.store.ledger import SessionState
from voiceguard.store.payloads import Opening
from voiceguard.store.records import Columns, Record


@dataclass(frozen=True, slots=True)
class Begin:
    """A session begins."""

    state: SessionState
    opening: Opening


@dataclass(frozen=True, slots=True)
class Happened:
    """Events of a running session."""

    state: SessionState
    events: tuple[Event, ...]
    at_ms: int


@dataclass(frozen=True, slots=True)
class End:
    """A session ends."""

    state: SessionState
    ended: str
    at_ms: int
    samples: int
    """Sample frames received, gaps included."""
    has_audio: bool
    """Whether any of them may be kept."""
    is_pinned: bool = False
    """Whether whoever made this has pinned the state."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Something about a session that has ended, or about the log; somebody waits for it."""

    state: SessionState | None
    """Pinned by whoever made this; None: it is about the log itself."""
    kind: LeafKind
    at_ms: int
    payload: bytes | None
    columns: Columns
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)
    future: Future[int] = field(default_factory=Future)
    """Gets the leaf's index once it is durable."""


Draft = Begin | Happened | End | Submission


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record that lacks nothing but its place in the log."""

    state: SessionState | None
    leaf: Leaf
    columns: Columns
    sealed: bytes = field(repr=False)
    future: Future[int] | None = None

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        return len(self.sealed) + 1024

    def at(self, index: int) -> Record:
        """Return the record at its place."""
        return Record(index, self.leaf, self.columns, self.sealed)
