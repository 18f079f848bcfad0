"""Counts of sessions by day and campaign, and how right the handoffs were."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from voiceguard.store.rows import Statistics, StatisticsRow
from voiceguard.store.schema import HANDOFFS, SESSIONS
from voiceguard.store.storable import indexed_text

MAX_CAMPAIGNS: Final = 100
"""Most campaigns that are listed."""

_DAY_MS: Final = 24 * 60 * 60 * 1000


@dataclass(slots=True)
class _Tally:
    sessions: int = 0
    flagged: int = 0
    reviewed: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    """Handoffs by verdict; empty: none."""
    waits_ms: list[int] = field(default_factory=list)

    def row(self, name: str) -> StatisticsRow:
        median = statistics.median(self.waits_ms) / 1000 if self.waits_ms else None
        return StatisticsRow(
            name=name,
            sessions=self.sessions,
            flagged=self.flagged,
            flagged_reviewed=self.reviewed,
            handoffs=self.verdicts.total(),
            confirmed=self.verdicts["confirmed"],
            false_alarms=self.verdicts["false_alarm"],
            unsure=self.verdicts["unsure"],
            median_time_to_verdict_s=median,
        )


class _Tallies:
    """Of all sessions, and of each day and campaign."""

    def __init__(self) -> None:
        self.total = _Tally()
        self.days: defaultdict[int, _Tally] = defaultdict(_Tally)
        self.campaigns: defaultdict[str, _Tally] = defaultdict(_Tally)

    def of(self, day: int, campaign: str) -> Iterable[_Tally]:
        yield self.total
        yield self.days[day]
        if campaign:
            yield self.campaigns[campaign]

    def statistics(self) -> Statistics:
        campaigns = sorted(self.campaigns.items(), key=lambda item: (-item[1].sessions, item[0]))
        return Statistics(
            total=self.total.row(""),
            days=tuple(tally.row(_date(day)) for day, tally in sorted(self.days.items())),
            campaigns=tuple(tally.row(name) for name, tally in campaigns[:MAX_CAMPAIGNS]),
        )


def count_sessions(
    connection: Connection,
    tenant: str,
    *,
    after_ms: int | None,
    before_ms: int | None,
    campaign: str,
    utc_offset_minutes: int,
) -> Statistics:
    """Return what a tenant's sessions came to.

    Args:
        connection: to read with.
        tenant: whose.
        after_ms: opened at this time or later; None: all before.
        before_ms: opened before this time; None: all after.
        campaign: exactly this one; empty: all.
        utc_offset_minutes: where a day begins, east of UTC.
    """
    of = SESSIONS.c
    matching: list[ColumnElement[bool]] = [of.tenant == tenant, of.erased_at_ms.is_(None)]
    if after_ms is not None:
        matching.append(of.opened_at_ms >= after_ms)
    if before_ms is not None:
        matching.append(of.opened_at_ms < before_ms)
    if campaign:
        matching.append(of.campaign == indexed_text(campaign))
    day = ((of.opened_at_ms + utc_offset_minutes * 60_000) // _DAY_MS).label("day")
    tallies = _Tallies()
    _count_sessions(connection, day, matching, tallies)
    _count_handoffs(connection, day, matching, tallies)
    _gather_waits(connection, day, matching, tallies)
    return tallies.statistics()


def _count_sessions(
    connection: Connection,
    day: ColumnElement[Any],
    matching: list[ColumnElement[bool]],
    tallies: _Tallies,
) -> None:
    of = SESSIONS.c
    statement = (
        select(
            day, of.campaign, of.high_sensitivity, func.count(), func.count(of.first_verdict_at_ms)
        )
        .where(*matching)
        .group_by("day", of.campaign, of.high_sensitivity)
    )
    for row_day, campaign, flagged, sessions, reviewed in connection.execute(statement):
        for tally in tallies.of(row_day, campaign):
            tally.sessions += sessions
            if flagged:
                tally.flagged += sessions
                tally.reviewed += reviewed


def _count_handoffs(
    connection: Connection,
    day: ColumnElement[Any],
    matching: list[ColumnElement[bool]],
    tallies: _Tallies,
) -> None:
    """A verdict on the handoff itself counts before one on its session."""
    of = SESSIONS.c
    verdict = func.coalesce(func.nullif(HANDOFFS.c.verdict, ""), of.verdict).label("found")
    statement = (
        select(day, of.campaign, verdict, func.count())
        .select_from(SESSIONS.join(HANDOFFS))
        .where(*matching)
        .group_by("day", of.campaign, "found")
    )
    for row_day, campaign, found, handoffs in connection.execute(statement):
        for tally in tallies.of(row_day, campaign):
            tally.verdicts[found] += handoffs


def _gather_waits(
    connection: Connection,
    day: ColumnElement[Any],
    matching: list[ColumnElement[bool]],
    tallies: _Tallies,
) -> None:
    """SQLite knows no median, so it is taken here, of the few sessions that were flagged."""
    of = SESSIONS.c
    statement = select(day, of.campaign, of.first_verdict_at_ms - of.flagged_at_ms).where(
        *matching,
        of.high_sensitivity.is_(True),
        of.flagged_at_ms.is_not(None),
        of.first_verdict_at_ms.is_not(None),
    )
    for row_day, campaign, wait_ms in connection.execute(statement):
        for tally in tallies.of(row_day, campaign):
            # A reviewer may have judged a live call before it was flagged.
            tally.waits_ms.append(max(wait_ms, 0))


def _date(day: int) -> str:
    """Return the date of a day, counted from 1970."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()
