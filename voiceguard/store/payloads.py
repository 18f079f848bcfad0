"""Payloads: the bytes that leaves commit to, as they lie in an evidence bundle.

The one place that knows how each kind of record is written; docs/evidence.md describes the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from voiceguard.core.events import (
    AlertLevel,
    AudioFormat,
    Consent,
    ConsentState,
    Encoding,
    Event,
    Role,
)
from voiceguard.core.policy import AudioKeeping
from voiceguard.evidence.verify import canonical_json, parse_canonical
from voiceguard.store.eventcodec import event_from_line, event_to_line
from voiceguard.store.records import Accessed, Closed, HoldSet, Opened, VerdictGiven

CHUNK_BYTES: Final = 1024 * 1024
"""Of the FLAC file, for each digest in audio.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a session is opened with, as the store needs it. Times are ms since 1970, UTC."""

    tenant: str
    session_id: str
    audio_format: AudioFormat
    policy_version: str
    policy_sha256: str
    """Of the policy's file, 64 hexadecimal digits."""
    model_version: str
    model_sha256: str
    """Of the model's manifest."""
    keep_audio: AudioKeeping
    retention_days: float
    opened_at_ms: int
    consent: Consent = field(default_factory=Consent)
    call_id: str = ""
    campaign: str = ""
    agent_id: str = ""
    customer_number: str = ""
    """As the client sent it. It goes no further than its pseudonym."""
    call_started_at_ms: int | None = None
    customer_time_zone: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What audio.json says of the FLAC file of a session."""

    bytes_: int
    sha256: str
    chunks: tuple[str, ...]
    """SHA-256 of each MiB of it."""
    samples: int
    sample_rate_hz: int
    channels: int
    complete: bool
    """Whether it is all that was received."""
    missing_samples: int
    """Sample frames of silence filled in where nothing was received or kept."""


def opened_columns(opening: Opening, customer: str, wrapped_key: str, key_id: str) -> Opened:
    """Return what the database shows of a session's beginning.

    Args:
        opening: of the session.
        customer: pseudonym of the customer's number.
        wrapped_key: the session's key.
        key_id: of the master key it is wrapped with.
    """
    return Opened(
        tenant=opening.tenant,
        session_id=opening.session_id,
        call_id=opening.call_id,
        campaign=opening.campaign,
        agent_id=opening.agent_id,
        customer=customer,
        call_started_at_ms=opening.call_started_at_ms,
        opened_at_ms=opening.opened_at_ms,
        policy_version=opening.policy_version,
        policy_sha256=opening.policy_sha256,
        model_version=opening.model_version,
        model_sha256=opening.model_sha256,
        keep_audio=opening.keep_audio.value,
        retention_days=opening.retention_days,
        wrapped_key=wrapped_key,
        key_id=key_id,
    )


def session_payload(uid: str, opening: Opening, customer: str) -> bytes:
    """Return session.json.

    Args:
        uid: the session's evidence id.
        opening: of the session.
        customer: pseudonym of the customer's number.
    """
    audio = opening.audio_format
    return canonical_json(
        {
            "tenant": opening.tenant,
            "session_id": opening.session_id,
            "evidence_id": uid,
            "call": {
                "call_id": opening.call_id,
                "campaign": opening.campaign,
                "agent_id": opening.agent_id,
                "customer": customer,
                "started_at_ms": opening.call_started_at_ms,
                "customer_time_zone": opening.customer_time_zone,
                "labels": dict(opening.labels),
            },
            "consent": {
                "state": opening.consent.state.value,
                "notice_given": opening.consent.notice_given,
                "lawful_basis": opening.consent.lawful_basis,
            },
            "audio": {
                "encoding": audio.encoding.value,
                "sample_rate_hz": audio.sample_rate_hz,
                "channels": [role.value for role in audio.channels],
            },
            "policy_version": opening.policy_version,
            "policy_sha256": opening.policy_sha256,
            "model_version": opening.model_version,
            "model_sha256": opening.model_sha256,
            "keep_audio": opening.keep_audio.value,
            "retention_days": opening.retention_days,
            "opened_at_ms": opening.opened_at_ms,
        }
    )


def opening_from_payload(payload: bytes) -> Opening:
    """Return what a session was opened with, from session.json. The number stays unknown.

    Raises:
        ValueError, KeyError, TypeError: it was something else that wrote it.
    """
    values = parse_canonical(payload)
    call, consent, audio = values["call"], values["consent"], values["audio"]
    return Opening(
        tenant=values["tenant"],
        session_id=values["session_id"],
        audio_format=AudioFormat(
            Encoding(audio["encoding"]),
            audio["sample_rate_hz"],
            tuple(Role(name) for name in audio["channels"]),
        ),
        policy_version=values["policy_version"],
        policy_sha256=values["policy_sha256"],
        model_version=values["model_version"],
        model_sha256=values["model_sha256"],
        keep_audio=AudioKeeping(values["keep_audio"]),
        retention_days=values["retention_days"],
        opened_at_ms=values["opened_at_ms"],
        consent=Consent(
            ConsentState(consent["state"]), consent["notice_given"], consent["lawful_basis"]
        ),
        call_id=call["call_id"],
        campaign=call["campaign"],
        agent_id=call["agent_id"],
        call_started_at_ms=call["started_at_ms"],
        customer_time_zone=call["customer_time_zone"],
        labels=call["labels"],
    )


def events_payload(events: Iterable[tuple[Event, int]], first: int) -> bytes:
    """Return lines of events.jsonl.

    Args:
        events: with the wall time of each, ms since 1970, UTC.
        first: index of the first within its session.
    """
    return "".join(
        event_to_line(event, sequence, at_ms) + "\n"
        for sequence, (event, at_ms) in enumerate(events, start=first)
    ).encode()


def events_from_payload(payload: bytes) -> Iterator[tuple[Event, int, int]]:
    """Yield the events of lines of events.jsonl: event, index within the session, wall time (ms).

    Raises:
        ValueError, KeyError, TypeError: it was something else that wrote them.
    """
    for line in payload.decode().split("\n"):
        if line:
            yield event_from_line(line)


def closed_payload(closed: Closed) -> bytes:
    """Return closed.json."""
    return canonical_json(
        {
            "ended": closed.ended,
            "closed_at_ms": closed.closed_at_ms,
            "events": closed.events,
            "summary": {
                "audio_s": closed.audio_s,
                "customer_speech_s": closed.customer_speech_s,
                "peak_pressure_index": closed.peak_pressure_index,
                "mean_pressure_index": closed.mean_pressure_index,
                "peak_level": AlertLevel(closed.peak_level).name.lower(),
                "high_sensitivity": closed.high_sensitivity,
                "handoffs": closed.handoffs,
                "gaps_s": closed.gaps_s,
                "windows_missed": closed.windows_missed,
            },
        }
    )


def audio_payload(facts: AudioFacts) -> bytes:
    """Return audio.json."""
    return canonical_json(
        {
            "file": "audio.flac",
            "bytes": facts.bytes_,
            "sha256": facts.sha256,
            "chunk_bytes": CHUNK_BYTES,
            "chunks": list(facts.chunks),
            "samples": facts.samples,
            "sample_rate_hz": facts.sample_rate_hz,
            "channels": facts.channels,
            "complete": facts.complete,
            "missing_samples": facts.missing_samples,
        }
    )


def verdict_payload(verdict: VerdictGiven, comment: str) -> bytes:
    """Return a line of verdicts.jsonl."""
    values = {
        "verdict_id": verdict.verdict_id,
        "handoff_id": verdict.handoff_id,
        "kind": verdict.kind,
        "comment": comment,
        "reviewer": verdict.reviewer,
        "recorded_at_ms": verdict.recorded_at_ms,
    }
    return canonical_json(values) + b"\n"


def access_payload(access: Accessed | HoldSet) -> bytes:
    """Return a line of access.jsonl."""
    match access:
        case Accessed(actor, action, at_ms, detail):
            pass
        case HoldSet(hold, actor, detail, at_ms):
            action = "held" if hold else "released"
    values = {"actor": actor, "action": action, "at_ms": at_ms, "detail": detail}
    return canonical_json(values) + b"\n"
