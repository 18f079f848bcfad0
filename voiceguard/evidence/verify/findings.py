"""What comes out of a check, and how people are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a bundle says. It is true only as far as the verdict is good.

    Times are in milliseconds since 1970, UTC, by the clock of the server that recorded.
    """

    log: str = ""
    """Origin of the log that signed."""
    tree_size: int = 0
    """Leaves of the log that are signed."""
    evidence_id: str = ""
    session_id: str = ""
    opened_at_ms: int | None = None
    closed_at_ms: int | None = None
    exported_at_ms: int | None = None
    leaves: int = 0
    events: int = 0
    verdicts: int = 0
    accesses: int = 0
    audio_bytes: int = 0
    timestamped_leaves: int = 0
    """The session's leaves that an outside timestamp is about, the first so many."""
    timestamp_checked: bool = False
    """Whether the authority's signature was checked."""
    timestamp_at_ms: int | None = None
    """By the authority's clock; None: not checked."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a bundle is what the log recorded."""

    ok: bool
    problems: tuple[str, ...]
    """Sentences; empty when all is well."""
    facts: Facts


def describe(verdict: Verdict) -> list[str]:
    """Return a verdict as lines for people: OK or REFUSED first, then why, then what it is."""
    facts = verdict.facts
    if not verdict.ok:
        lines = ["REFUSED: this is not what the log recorded.", ""]
        lines += [f"  - {problem}" for problem in verdict.problems]
        if facts.evidence_id:
            lines += ["", f"It claims to be session {facts.session_id} ({facts.evidence_id})."]
        return lines
    audio = f"{facts.audio_bytes} bytes, each MiB checked" if facts.audio_bytes else "none"
    held = (
        f"{facts.events} events, {facts.verdicts} verdicts, {facts.accesses} accesses, "
        f"in {facts.leaves} leaves"
    )
    return [
        "OK: all of this is what the log recorded, and nothing up to its export is missing.",
        "",
        f"  signed by    {facts.log}, a log of {facts.tree_size} leaves",
        f"  session      {facts.session_id} ({facts.evidence_id})",
        f"  recorded     {_time(facts.opened_at_ms)} to {_time(facts.closed_at_ms)}",
        f"  exported     {_time(facts.exported_at_ms)}",
        f"  holds        {held}",
        f"  audio        {audio}",
        f"  timestamp    {_timestamp(facts)}",
        "",
        "The times are the recording server's own. That its log was not made anew as a whole only",
        "an outside timestamp or witness can show; that it was fed the real call, nothing here.",
    ]


def _timestamp(facts: Facts) -> str:
    if not facts.timestamped_leaves:
        return "none of an outside authority"
    about = f"about the first {facts.timestamped_leaves} of these leaves"
    if facts.timestamp_checked:
        return f"{_time(facts.timestamp_at_ms)} by a trusted authority, {about}"
    return f"there, but not checked (give the authority's certificate), {about}"


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "unknown"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
