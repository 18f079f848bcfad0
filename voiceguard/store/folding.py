"""What records change in the tables, worked out without a database.

A session's row is folded over its records, in the order of the evidence log. However the records
are cut into batches, the tables come out the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

from voiceguard.evidence.leaves import Leaf
from voiceguard.store.errors import ProjectionError
from voiceguard.store.records import (
    Accessed,
    AudioKept,
    Closed,
    Columns,
    Erased,
    EventBatch,
    HandoffColumns,
    HoldSet,
    Noted,
    Opened,
    Record,
    SettlementColumns,
    VerdictGiven,
)
from voiceguard.store.storable import indexed_text, storable, storable_text

Row = dict[str, Any]
"""A row of a table, by the names of its columns."""

_FRESH: Final[Mapping[str, Any]] = {
    "closed_at_ms": None,
    "ended": "",
    "leaves": 0,
    "events": 0,
    "peak_pressure_index": 0.0,
    "peak_level": 1,
    "high_sensitivity": False,
    "flagged_at_ms": None,
    "flag_offset_s": None,
    "flag_pressure_index": None,
    "flag_reason": "",
    "audio_s": 0.0,
    "customer_speech_s": 0.0,
    "mean_pressure_index": 0.0,
    "handoff_count": 0,
    "gaps_s": 0.0,
    "windows_missed": 0,
    "audio": "",
    "audio_file": "",
    "audio_bytes": 0,
    "audio_samples": 0,
    "audio_complete": False,
    "verdict": "",
    "first_verdict_at_ms": None,
    "retain_until_ms": None,
    "legal_hold": False,
    "erased_at_ms": None,
    "erased_cause": "",
}
"""A session of which nothing is known but that it opened."""

_KEPT_OF_ERASED: Final = frozenset(
    {"closed_at_ms", "ended", "leaves", "events", "audio_file", "legal_hold"}
)
"""Of what changes as a session goes on: what stays on its tombstone."""

_TOMBSTONE: Final[Mapping[str, Any]] = {
    **{name: value for name, value in _FRESH.items() if name not in _KEPT_OF_ERASED},
    "call_id": "",
    "campaign": "",
    "agent_id": "",
    "customer": "",
    "call_started_at_ms": None,
    "wrapped_key": "",
    "key_id": "",
    "peak_level": 0,
    "audio": "none",
}
"""What an erased session's columns become. What it came to says how a person felt, so it goes
with the rest; ids, times, versions and the name of the audio file that is to be deleted stay."""


@dataclass(slots=True)
class Changes:
    """What a batch of records changes.

    Attributes:
        sessions: every session of the batch as it is afterwards, by uid.
        opened: uids of those that are new.
        records, handoffs, settlements, verdicts, accesses: rows to be added.
        erased: number of the `erased` record of each session that was erased. What was added
            of it before, in this batch or earlier, is to be erased.
    """

    sessions: dict[str, Row]
    opened: list[str] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)
    handoffs: list[Row] = field(default_factory=list)
    settlements: list[Row] = field(default_factory=list)
    verdicts: list[Row] = field(default_factory=list)
    accesses: list[Row] = field(default_factory=list)
    erased: dict[str, int] = field(default_factory=dict)


def fold(
    records: Iterable[Record],
    known: Mapping[str, Row],
    repetitions: Mapping[tuple[str, str], int],
    origin: str,
) -> Changes:
    """Return what records change.

    Args:
        records: in the order of the log.
        known: row of every session that they belong to and that did not open among them.
        repetitions: how many sessions of a tenant and chosen id there are already.
        origin: of the evidence log.

    Raises:
        ProjectionError: a record does not follow from what is known.
    """
    changes = Changes({uid: dict(row) for uid, row in known.items()})
    taken = dict(repetitions)
    for record in records:
        if isinstance(record.columns, Noted):
            continue
        if isinstance(record.columns, Opened):
            _open(changes, record, record.columns, taken, origin)
        _add(changes, record)
    return changes


def chosen_key(columns: Opened) -> tuple[str, str]:
    """Return tenant and chosen id as they are stored."""
    return storable_text(columns.tenant), indexed_text(columns.session_id)


def _open(
    changes: Changes,
    record: Record,
    opened: Opened,
    taken: dict[tuple[str, str], int],
    origin: str,
) -> None:
    uid = record.leaf.session
    if uid in changes.sessions:
        raise ProjectionError(f"record {record.leaf_index}: session {uid} opens a second time")
    key = chosen_key(opened)
    taken[key] = taken.get(key, 0) + 1
    tenant, chosen_id = key
    changes.opened.append(uid)
    changes.sessions[uid] = {
        **_FRESH,
        "uid": uid,
        "origin": origin,
        "tenant": tenant,
        "chosen_id": chosen_id,
        "repetition": taken[key],
        "call_id": indexed_text(opened.call_id),
        "campaign": indexed_text(opened.campaign),
        "agent_id": indexed_text(opened.agent_id),
        "customer": indexed_text(opened.customer),
        **storable(
            {
                "call_started_at_ms": opened.call_started_at_ms,
                "opened_at_ms": opened.opened_at_ms,
                "policy_version": opened.policy_version,
                "policy_sha256": opened.policy_sha256,
                "model_version": opened.model_version,
                "model_sha256": opened.model_sha256,
                "keep_audio": opened.keep_audio,
                "retention_days": opened.retention_days,
                "wrapped_key": opened.wrapped_key,
                "key_id": opened.key_id,
            }
        ),
    }


def _add(changes: Changes, record: Record) -> None:
    """Add one record, and what it changes about its session."""
    leaf, columns = record.leaf, record.columns
    row = changes.sessions.get(leaf.session)
    if row is None:
        message = (
            f"record {record.leaf_index} ({leaf.kind}) is of session {leaf.session!r}, which the "
            "database does not know; the evidence log belongs to another database"
        )
        raise ProjectionError(message)
    if leaf.number != row["leaves"]:
        message = (
            f"record {record.leaf_index} is number {leaf.number} of session {leaf.session}, of "
            f"which the database holds {row['leaves']}; the evidence log belongs to another "
            "database"
        )
        raise ProjectionError(message)
    row["leaves"] += 1
    was_erased = row["erased_at_ms"] is not None
    news = _news(columns, row)
    if was_erased:
        news = {name: value for name, value in news.items() if name in _KEPT_OF_ERASED}
    row |= storable(news)
    if isinstance(columns, Erased) and not was_erased:
        _erase(changes, leaf)
    changes.records.append(_record_row(record, sealed=row["erased_at_ms"] is None))
    _add_access(changes, leaf, columns)
    if not was_erased:
        _add_children(changes, leaf, columns)


def _news(columns: Columns, row: Row) -> Row:
    """Return the columns of a session that a record changes."""
    news: Row = {}
    match columns:
        case EventBatch():
            news = _event_columns(columns, row)
        case Closed():
            news = _closed_columns(columns, row)
        case AudioKept():
            news = _audio_columns(columns)
        case VerdictGiven():
            first = row["first_verdict_at_ms"]
            news["first_verdict_at_ms"] = columns.recorded_at_ms if first is None else first
            news["verdict"] = row["verdict"] if columns.handoff_id else columns.kind
        case HoldSet():
            news["legal_hold"] = columns.hold
        case Erased():
            news = {**_TOMBSTONE, "erased_at_ms": columns.at_ms, "erased_cause": columns.cause}
        case Opened() | Accessed() | Noted():
            pass
        case _:
            assert_never(columns)
    return news


def _event_columns(batch: EventBatch, row: Row) -> Row:
    news: Row = {
        "events": batch.first + batch.count,
        "peak_pressure_index": batch.peak_pressure_index,
        "peak_level": batch.peak_level,
        "handoff_count": row["handoff_count"] + len(batch.handoffs),
    }
    if batch.flagged_at_ms is not None:
        news |= {
            "high_sensitivity": True,
            "flagged_at_ms": batch.flagged_at_ms,
            "flag_offset_s": batch.flag_offset_s,
            "flag_pressure_index": batch.flag_pressure_index,
            "flag_reason": batch.flag_reason,
        }
    return news


def _closed_columns(closed: Closed, row: Row) -> Row:
    return {
        "closed_at_ms": closed.closed_at_ms,
        "ended": closed.ended,
        "events": closed.events,
        "audio": closed.audio,
        "retain_until_ms": closed.retain_until_ms,
        "audio_s": closed.audio_s,
        "customer_speech_s": closed.customer_speech_s,
        "peak_pressure_index": closed.peak_pressure_index,
        "mean_pressure_index": closed.mean_pressure_index,
        "peak_level": closed.peak_level,
        # A flag stays, also where a session broke off before its summary.
        "high_sensitivity": closed.high_sensitivity or row["high_sensitivity"],
        "handoff_count": closed.handoffs,
        "gaps_s": closed.gaps_s,
        "windows_missed": closed.windows_missed,
    }


def _audio_columns(kept: AudioKept) -> Row:
    return {
        "audio": "kept" if kept.file else "none",
        "audio_file": kept.file,
        "audio_bytes": kept.bytes_,
        "audio_samples": kept.samples,
        "audio_complete": kept.complete,
    }


def _record_row(record: Record, *, sealed: bool) -> Row:
    columns = record.columns
    batch = columns if isinstance(columns, EventBatch) else None
    return {
        "uid": record.leaf.session,
        "n": record.leaf.number,
        "kind": record.leaf.kind.value,
        "leaf_index": record.leaf_index,
        "leaf": record.leaf.to_bytes(),
        "first_event": batch.first if batch else None,
        "event_count": batch.count if batch else 0,
        "sealed": record.sealed if sealed else b"",
    }


def _add_access(changes: Changes, leaf: Leaf, columns: Columns) -> None:
    """Add who did what with the session, where the record is about that."""
    match columns:
        case Accessed():
            access = (columns.actor, columns.action, columns.at_ms, columns.detail)
        case VerdictGiven():
            access = (columns.reviewer, "judged", columns.recorded_at_ms, columns.kind)
        case HoldSet():
            action = "held" if columns.hold else "released"
            access = (columns.actor, action, columns.at_ms, columns.reason)
        case Erased():
            access = (columns.actor, "erased", columns.at_ms, columns.reason)
        case Opened() | EventBatch() | Closed() | AudioKept() | Noted():
            return
        case _:
            assert_never(columns)
    names = ("actor", "action", "at_ms", "detail")
    row = dict(zip(names, access, strict=True))
    changes.accesses.append(storable({"uid": leaf.session, "n": leaf.number} | row))


def _add_children(changes: Changes, leaf: Leaf, columns: Columns) -> None:
    """Add handoffs, settlements and verdicts."""
    uid = leaf.session
    if isinstance(columns, EventBatch):
        changes.handoffs += _numbered(leaf, columns.handoffs, {"verdict": ""})
        changes.settlements += _numbered(leaf, columns.settlements, {})
    elif isinstance(columns, VerdictGiven):
        row = {"uid": uid, "n": leaf.number, **dataclasses.asdict(columns)}
        changes.verdicts.append(storable(row))


def _numbered(
    leaf: Leaf, items: Sequence[HandoffColumns | SettlementColumns], more: Row
) -> list[Row]:
    return [
        storable(
            {
                "uid": leaf.session,
                "n": leaf.number,
                "position": position,
                **dataclasses.asdict(item),
                **more,
            }
        )
        for position, item in enumerate(items)
    ]


def _erase(changes: Changes, leaf: Leaf) -> None:
    """Take back what this batch was to add of a session, and say that it is to be erased."""
    uid = leaf.session
    changes.erased[uid] = leaf.number
    for rows in (changes.handoffs, changes.settlements, changes.verdicts):
        rows[:] = [row for row in rows if row["uid"] != uid]
    for row in changes.records:
        if row["uid"] == uid:
            row["sealed"] = b""
    for row in changes.accesses:
        if row["uid"] == uid:
            row["detail"] = ""
