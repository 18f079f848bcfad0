"""Leaves: what the evidence log says of each record, with nothing personal in it.

A leaf commits to a payload that lies elsewhere, under a salt that lies there too. Once payload
and salt are destroyed the leaf is a number that nobody can tie to anything, and the log still
verifies.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from voiceguard.evidence.verify import canonical_json, parse_canonical

FORMAT: Final = 1
"""Version of the leaves that this release writes."""


class LeafKind(enum.StrEnum):
    """What a leaf is about."""

    OPENED = "opened"
    """Payload: session.json. Facts: policy_sha256, model_sha256."""
    EVENTS = "events"
    """Payload: lines of events.jsonl. Facts: first, count."""
    CLOSED = "closed"
    """Payload: closed.json. Facts: ended, events, leaves (of the session, this one included),
    audio (whether an audio leaf follows)."""
    AUDIO = "audio"
    """Payload: audio.json, with the digests of audio.flac."""
    VERDICT = "verdict"
    """Payload: a line of verdicts.jsonl."""
    ACCESSED = "accessed"
    """Payload: a line of access.jsonl."""
    HELD = "held"
    RELEASED = "released"
    """Payload of both: a line of access.jsonl."""
    ERASED = "erased"
    """No payload. Facts: cause."""
    EXPORTED = "exported"
    """Payload: manifest.json of the bundle."""
    STARTED = "started"
    """The recorder started. No session. Facts: version."""
    LOST = "lost"
    """Records could not be kept. No session. Facts: records."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry of the evidence log."""

    kind: LeafKind
    at_ms: int
    """Milliseconds since 1970, UTC, by the server's clock."""
    session: str = ""
    """The session's evidence id, 32 hexadecimal digits; empty: about the log itself."""
    number: int = 0
    """Of this leaf within its session, from 0 without gaps."""
    commitment: str = ""
    """`verify.commitment_of` the payload; empty: there is none."""
    facts: Mapping[str, str | int | bool] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the bytes that are hashed."""
        values: dict[str, object] = {"v": FORMAT, "kind": self.kind.value, "at_ms": self.at_ms}
        if self.session:
            values |= {"session": self.session, "n": self.number}
        if self.commitment:
            values["commitment"] = self.commitment
        return canonical_json(values | dict(self.facts))

    @classmethod
    def from_bytes(cls, content: bytes) -> Leaf:
        """Return the leaf that `to_bytes` wrote.

        Raises:
            ValueError: these bytes are no leaf of this format.
        """
        values = parse_canonical(content)
        if values.pop("v", None) != FORMAT:
            raise ValueError("not a leaf of this format")
        try:
            return cls(
                kind=LeafKind(values.pop("kind")),
                at_ms=values.pop("at_ms"),
                session=values.pop("session", ""),
                number=values.pop("n", 0),
                commitment=values.pop("commitment", ""),
                facts=values,
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a leaf of this format") from error
