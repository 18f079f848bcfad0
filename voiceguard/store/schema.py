"""The tables that sessions are found in, the same on SQLite and PostgreSQL.

Times are milliseconds since 1970, UTC. What is personal lies sealed in `records.sealed`; the
readable columns are what reviewers filter, sort and count by. A missing text is empty, so only
what may be unknown is nullable.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

MAGIC: Final = "voiceguard sessions"
"""What the one row of `store` says, in a database that is ours."""

METADATA: Final = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


def _whole(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False)


def _real(name: str) -> Column[Any]:
    return Column(name, Double, nullable=False)


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False)


def _session_key() -> Column[Any]:
    return Column("uid", Text, ForeignKey("sessions.uid"), primary_key=True)


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


STORE: Final = Table("store", METADATA, Column("magic", Text, primary_key=True))
"""Marks the database as ours. Whoever writes locks its row, so that there is one writer."""

LOGS: Final = Table(
    "logs",
    METADATA,
    Column("origin", Text, primary_key=True),
    _whole("applied"),  # leaves of that evidence log that are in the database
)

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("uid", Text, primary_key=True),  # evidence id, 32 hexadecimal digits
    Column("origin", Text, ForeignKey("logs.origin"), nullable=False),
    # Identity. A session is called `chosen_id`, and from the second of that id on `chosen_id~2`.
    _text("tenant"),
    _text("chosen_id"),
    _whole("repetition"),
    # The call
    _text("call_id"),
    _text("campaign"),
    _text("agent_id"),
    _text("customer"),  # pseudonym
    Column("call_started_at_ms", BigInteger),
    # How it is judged and kept
    _text("policy_version"),
    _text("policy_sha256"),
    _text("model_version"),
    _text("model_sha256"),
    _text("keep_audio"),
    _real("retention_days"),
    _text("wrapped_key"),  # empty: destroyed
    _text("key_id"),
    # Its course
    _whole("opened_at_ms"),
    Column("closed_at_ms", BigInteger),  # null: live
    _text("ended"),
    _whole("leaves"),
    _whole("events"),
    _real("peak_pressure_index"),
    Column("peak_level", Integer, nullable=False),  # AlertLevel; 0: erased
    _flag("high_sensitivity"),
    Column("flagged_at_ms", BigInteger),
    Column("flag_offset_s", Double),
    Column("flag_pressure_index", Double),
    _text("flag_reason"),
    # What it came to
    _real("audio_s"),
    _real("customer_speech_s"),
    _real("mean_pressure_index"),
    _whole("handoff_count"),
    _real("gaps_s"),
    _whole("windows_missed"),
    # Audio
    _text("audio"),  # empty: live; none, pending or kept
    _text("audio_file"),
    _whole("audio_bytes"),
    _whole("audio_samples"),
    _flag("audio_complete"),
    # Review
    _text("verdict"),  # newest one on the session as a whole
    Column("first_verdict_at_ms", BigInteger),  # null: unreviewed
    # Keeping
    Column("retain_until_ms", BigInteger),
    _flag("legal_hold"),
    Column("erased_at_ms", BigInteger),
    _text("erased_cause"),
)

RECORDS: Final = Table(
    "records",
    METADATA,
    _session_key(),
    _number("n"),  # of the leaf within its session
    _text("kind"),
    _whole("leaf_index"),
    Column("leaf", LargeBinary, nullable=False),
    Column("first_event", BigInteger),  # null: no events
    _whole("event_count"),
    Column("sealed", LargeBinary, nullable=False),  # empty: no payload, or erased
)

HANDOFFS: Final = Table(
    "handoffs",
    METADATA,
    _session_key(),
    _number("n"),  # of the record that told of it
    _number("position"),  # within the record
    _text("handoff_id"),
    _text("alert_id"),
    _whole("requested_at_ms"),
    _real("offset_s"),
    _real("pressure_index"),
    _text("reason"),
    _text("explanation"),
    _real("ack_deadline_s"),
    _text("verdict"),  # newest one on this handoff
)

SETTLEMENTS: Final = Table(
    "settlements",
    METADATA,
    _session_key(),
    _number("n"),
    _number("position"),
    _text("handoff_id"),
    _text("outcome"),
    _text("reason"),
    _whole("settled_at_ms"),
)

VERDICTS: Final = Table(
    "verdicts",
    METADATA,
    _session_key(),
    _number("n"),
    _text("verdict_id"),
    _text("handoff_id"),
    _text("kind"),
    _text("reviewer"),
    _whole("recorded_at_ms"),
)

ACCESSES: Final = Table(
    "accesses",
    METADATA,
    _session_key(),
    _number("n"),
    _text("actor"),
    _text("action"),
    _whole("at_ms"),
    _text("detail"),
)

DOCUMENTS: Final = Table(
    "documents",
    METADATA,
    Column("sha256", Text, primary_key=True),
    _text("kind"),
    Column("content", LargeBinary, nullable=False),
)
"""Policies and manifests of models that sessions name by digest."""


_FILTERED: Final = (
    "peak_level",
    "high_sensitivity",
    "first_verdict_at_ms",
    "legal_hold",
    "erased_at_ms",
    "campaign",
)
"""What the indexes of both orders carry along, and each the other's key: filtering and sorting
then read the index and not the rows."""


def _index(name: str, *columns: str, where: ColumnElement[bool] | None = None) -> None:
    """Index sessions; `where` narrows it to rows that a common filter asks for."""
    Index(
        name,
        *(SESSIONS.c[column] for column in columns),
        sqlite_where=where,
        postgresql_where=where,
    )


Index(
    "uq_sessions_name",
    SESSIONS.c.tenant,
    SESSIONS.c.chosen_id,
    SESSIONS.c.repetition,
    unique=True,
)
_index("ix_sessions_started", "tenant", "opened_at_ms", "uid", "peak_pressure_index", *_FILTERED)
_index("ix_sessions_peak", "tenant", "peak_pressure_index", "uid", "opened_at_ms", *_FILTERED)
_index("ix_sessions_campaign", "tenant", "campaign", "opened_at_ms", "uid")
_index("ix_sessions_agent", "tenant", "agent_id", "opened_at_ms", "uid")
_index("ix_sessions_call", "tenant", "call_id", "opened_at_ms", "uid")
_index("ix_sessions_customer", "tenant", "customer", "opened_at_ms", "uid")
_index(
    "ix_sessions_flagged_started",
    "tenant", "opened_at_ms", "uid", "first_verdict_at_ms",
    where=SESSIONS.c.high_sensitivity.is_(True),
)  # fmt: skip
_index(
    "ix_sessions_flagged_peak",
    "tenant", "peak_pressure_index", "uid", "first_verdict_at_ms",
    where=SESSIONS.c.high_sensitivity.is_(True),
)  # fmt: skip
_index(
    "ix_sessions_reviewed",
    "tenant", "opened_at_ms", "uid",
    where=SESSIONS.c.first_verdict_at_ms.is_not(None),
)  # fmt: skip
_index(
    "ix_sessions_held",
    "tenant", "opened_at_ms", "uid",
    where=SESSIONS.c.legal_hold.is_(True),
)  # fmt: skip
_index("ix_sessions_live", "origin", "uid", where=SESSIONS.c.closed_at_ms.is_(None))
_index("ix_sessions_retention", "retain_until_ms", where=SESSIONS.c.retain_until_ms.is_not(None))
