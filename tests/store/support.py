"""Records as a recorder would make them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter

from sqlalchemy import select

from voiceguard.evidence.leaves import Leaf, LeafKind
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
from voiceguard.store.schema import METADATA

ORIGIN = "voiceguard.test/log"
START_MS = 1_790_000_000_000  # 2026-09-21

OPENED = Opened(
    tenant="acme",
    session_id="call-1",
    call_id="c-1",
    campaign="spring",
    agent_id="a-7",
    customer="pseudonym-1",
    call_started_at_ms=START_MS - 900,
    opened_at_ms=START_MS,
    policy_version="default@sha256:0011",
    policy_sha256="00" * 32,
    model_version="2026.11.2",
    model_sha256="11" * 32,
    keep_audio="flagged",
    retention_days=180.0,
    wrapped_key="d3JhcHBlZA==",
    key_id="k1",
)
CLOSED = Closed(
    closed_at_ms=START_MS + 60_000,
    ended="completed",
    events=10,
    audio="none",
    retain_until_ms=START_MS + 1_000_000,
    audio_s=59.5,
    customer_speech_s=21.25,
    peak_pressure_index=71.5,
    mean_pressure_index=30.25,
    peak_level=3,
    high_sensitivity=True,
    handoffs=1,
    gaps_s=0.5,
    windows_missed=2,
)
HANDOFF = HandoffColumns("h-1", "al-1", START_MS + 20_000, 19.5, 70.5, "anger", "Shouting.", 10.0)
SETTLEMENT = SettlementColumns("h-1", "accepted", "on my way", START_MS + 23_000)
FLAGGED = EventBatch(
    first=0,
    count=4,
    peak_pressure_index=70.5,
    peak_level=3,
    flagged_at_ms=START_MS + 20_000,
    flag_offset_s=19.5,
    flag_pressure_index=70.5,
    flag_reason="orange for 5 s",
    handoffs=(HANDOFF,),
    settlements=(SETTLEMENT,),
)
CALM = EventBatch(first=0, count=4, peak_pressure_index=20.0, peak_level=1)
VERDICT = VerdictGiven("v-1", "", "confirmed", "rita", START_MS + 90_000)
ERASED = Erased("request", "carl", "asked for by letter", START_MS + 200_000)

_KINDS = {
    Opened: LeafKind.OPENED,
    EventBatch: LeafKind.EVENTS,
    Closed: LeafKind.CLOSED,
    AudioKept: LeafKind.AUDIO,
    VerdictGiven: LeafKind.VERDICT,
    Accessed: LeafKind.ACCESSED,
    Erased: LeafKind.ERASED,
    Noted: LeafKind.STARTED,
}


class Log:
    """Numbers records as an evidence log does."""

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self._leaves: Counter[str] = Counter()

    def record(self, uid: str, columns: Columns) -> Record:
        match columns:
            case HoldSet():
                kind = LeafKind.HELD if columns.hold else LeafKind.RELEASED
            case _:
                kind = _KINDS[type(columns)]
        leaf = Leaf(kind, START_MS, uid, self._leaves[uid] if uid else 0)
        payload = isinstance(columns, Erased | Noted)
        record = Record(self.size, leaf, columns, b"" if payload else f"sealed {uid}".encode())
        self.size += 1
        self._leaves[uid] += 1
        return record

    def records(self, uid: str, *several: Columns) -> list[Record]:
        return [self.record(uid, columns) for columns in several]


def uid_of(number: int) -> str:
    return hashlib.md5(str(number).encode()).hexdigest()


def opened(**changes) -> Opened:
    return dataclasses.replace(OPENED, **changes)


def closed(**changes) -> Closed:
    return dataclasses.replace(CLOSED, **changes)


def whole_content(database) -> dict[str, list[tuple]]:
    """Return every row of every table of ours."""
    with database.reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in METADATA.sorted_tables
        }
