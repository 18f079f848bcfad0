# ruff: noqa: INP001 - Alembic runs this by its path
"""The first schema: sessions, their records and what reviewers find them by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and mark the database as voiceguard's."""
    op.create_table(
        "documents",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_documents"),
    )
    op.create_table(
        "logs",
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_logs"),
    )
    op.create_table(
        "store",
        sa.Column("magic", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("magic", name="pk_store"),
    )
    op.create_table(
        "sessions",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("chosen_id", sa.Text(), nullable=False),
        sa.Column("repetition", sa.BigInteger(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("call_started_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.Column("policy_sha256", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("model_sha256", sa.Text(), nullable=False),
        sa.Column("keep_audio", sa.Text(), nullable=False),
        sa.Column("retention_days", sa.Double(), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("opened_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended", sa.Text(), nullable=False),
        sa.Column("leaves", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("peak_pressure_index", sa.Double(), nullable=False),
        sa.Column("peak_level", sa.Integer(), nullable=False),
        sa.Column("high_sensitivity", sa.Boolean(), nullable=False),
        sa.Column("flagged_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("flag_offset_s", sa.Double(), nullable=True),
        sa.Column("flag_pressure_index", sa.Double(), nullable=True),
        sa.Column("flag_reason", sa.Text(), nullable=False),
        sa.Column("audio_s", sa.Double(), nullable=False),
        sa.Column("customer_speech_s", sa.Double(), nullable=False),
        sa.Column("mean_pressure_index", sa.Double(), nullable=False),
        sa.Column("handoff_count", sa.BigInteger(), nullable=False),
        sa.Column("gaps_s", sa.Double(), nullable=False),
        sa.Column("windows_missed", sa.BigInteger(), nullable=False),
        sa.Column("audio", sa.Text(), nullable=False),
        sa.Column("audio_file", sa.Text(), nullable=False),
        sa.Column("audio_bytes", sa.BigInteger(), nullable=False),
        sa.Column("audio_samples", sa.BigInteger(), nullable=False),
        sa.Column("audio_complete", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("first_verdict_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("retain_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("legal_hold", sa.Boolean(), nullable=False),
        sa.Column("erased_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("erased_cause", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["origin"], ["logs.origin"], name="fk_sessions_origin"),
        sa.PrimaryKeyConstraint("uid", name="pk_sessions"),
    )
    op.create_index("ix_sessions_agent", "sessions", ["tenant", "agent_id", "opened_at_ms", "uid"])
    op.create_index("ix_sessions_call", "sessions", ["tenant", "call_id", "opened_at_ms", "uid"])
    op.create_index(
        "ix_sessions_campaign", "sessions", ["tenant", "campaign", "opened_at_ms", "uid"]
    )
    op.create_index(
        "ix_sessions_customer", "sessions", ["tenant", "customer", "opened_at_ms", "uid"]
    )
    op.create_index(
        "ix_sessions_flagged_peak",
        "sessions",
        ["tenant", "peak_pressure_index", "uid", "first_verdict_at_ms"],
        sqlite_where=sa.text("high_sensitivity IS 1"),
        postgresql_where=sa.text("high_sensitivity IS true"),
    )
    op.create_index(
        "ix_sessions_flagged_started",
        "sessions",
        ["tenant", "opened_at_ms", "uid", "first_verdict_at_ms"],
        sqlite_where=sa.text("high_sensitivity IS 1"),
        postgresql_where=sa.text("high_sensitivity IS true"),
    )
    op.create_index(
        "ix_sessions_held",
        "sessions",
        ["tenant", "opened_at_ms", "uid"],
        sqlite_where=sa.text("legal_hold IS 1"),
        postgresql_where=sa.text("legal_hold IS true"),
    )
    op.create_index(
        "ix_sessions_live",
        "sessions",
        ["origin", "uid"],
        sqlite_where=sa.text("closed_at_ms IS NULL"),
        postgresql_where=sa.text("closed_at_ms IS NULL"),
    )
    op.create_index(
        "ix_sessions_peak",
        "sessions",
        [
            "tenant",
            "peak_pressure_index",
            "uid",
            "opened_at_ms",
            "peak_level",
            "high_sensitivity",
            "first_verdict_at_ms",
            "legal_hold",
            "erased_at_ms",
            "campaign",
        ],
    )
    op.create_index(
        "ix_sessions_retention",
        "sessions",
        ["retain_until_ms"],
        sqlite_where=sa.text("retain_until_ms IS NOT NULL"),
        postgresql_where=sa.text("retain_until_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_sessions_reviewed",
        "sessions",
        ["tenant", "opened_at_ms", "uid"],
        sqlite_where=sa.text("first_verdict_at_ms IS NOT NULL"),
        postgresql_where=sa.text("first_verdict_at_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_sessions_started",
        "sessions",
        [
            "tenant",
            "opened_at_ms",
            "uid",
            "peak_pressure_index",
            "peak_level",
            "high_sensitivity",
            "first_verdict_at_ms",
            "legal_hold",
            "erased_at_ms",
            "campaign",
        ],
    )
    op.create_index(
        "uq_sessions_name", "sessions", ["tenant", "chosen_id", "repetition"], unique=True
    )
    op.create_table(
        "accesses",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["sessions.uid"], name="fk_accesses_uid"),
        sa.PrimaryKeyConstraint("uid", "n", name="pk_accesses"),
    )
    op.create_table(
        "handoffs",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("handoff_id", sa.Text(), nullable=False),
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("requested_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("offset_s", sa.Double(), nullable=False),
        sa.Column("pressure_index", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("ack_deadline_s", sa.Double(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["sessions.uid"], name="fk_handoffs_uid"),
        sa.PrimaryKeyConstraint("uid", "n", "position", name="pk_handoffs"),
    )
    op.create_table(
        "records",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("leaf_index", sa.BigInteger(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("first_event", sa.BigInteger(), nullable=True),
        sa.Column("event_count", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["sessions.uid"], name="fk_records_uid"),
        sa.PrimaryKeyConstraint("uid", "n", name="pk_records"),
    )
    op.create_table(
        "settlements",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("handoff_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settled_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["sessions.uid"], name="fk_settlements_uid"),
        sa.PrimaryKeyConstraint("uid", "n", "position", name="pk_settlements"),
    )
    op.create_table(
        "verdicts",
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("verdict_id", sa.Text(), nullable=False),
        sa.Column("handoff_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("recorded_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["sessions.uid"], name="fk_verdicts_uid"),
        sa.PrimaryKeyConstraint("uid", "n", name="pk_verdicts"),
    )
    op.execute(sa.text("INSERT INTO store (magic) VALUES ('voiceguard sessions')"))
