"""What reviewers search by, from their requests; and what statistics say, to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from google.protobuf.message import Message

from voiceguard.core.errors import ClientError
from voiceguard.server.reviewing.wire import (
    check_filter,
    milliseconds_from_proto,
    verdict_kind_from_proto,
)
from voiceguard.store.rows import (
    Cursor,
    Order,
    SessionFilter,
    SessionRow,
    Statistics,
    StatisticsRow,
)
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import ALERT_LEVELS, seconds_to_proto

ORDERS: Final = {
    "": Order.STARTED,
    "started_at desc": Order.STARTED,
    "peak_pressure_index desc": Order.PEAK,
}
"""Values of `ListSessionsRequest.order_by`."""

MAX_PAGE_BYTES: Final = 3 * 1024 * 1024
"""Of the sessions on one page. A message has at most 4 MiB, so a page of sessions with many long
comments has fewer of them."""

MAX_OFFSET_MINUTES: Final = 840
"""14 hours: no time zone is further from UTC."""


def order_from_proto(order_by: str) -> Order:
    """Return the order that sessions are asked for in.

    Raises:
        ClientError: it is none that the interface names.
    """
    order = ORDERS.get(order_by)
    if order is None:
        known = ", ".join(f"`{name}`" for name in ORDERS if name)
        raise ClientError("order_by", f"not an order; give one of {known}")
    return order


def filter_from_proto(
    request: rpb.ListSessionsRequest, pseudonym: Callable[[str], str]
) -> SessionFilter:
    """Return what is asked for.

    Args:
        request: with the filters.
        pseudonym: returns what stands for a customer's number.

    Raises:
        ClientError: a filter is out of range.
    """
    if request.min_level and request.min_level not in ALERT_LEVELS:
        raise ClientError("min_level", f"{request.min_level} is no level")
    return SessionFilter(
        high_sensitivity_only=request.high_sensitivity_only,
        min_level=ALERT_LEVELS[request.min_level] if request.min_level else 0,
        started_after_ms=_time(request, "started_after"),
        started_before_ms=_time(request, "started_before"),
        campaign=check_filter(request.campaign, "campaign"),
        agent_id=check_filter(request.agent_id, "agent_id"),
        call_id=check_filter(request.call_id, "call_id"),
        customer=_customer(request.customer_number, pseudonym),
        unreviewed_only=request.unreviewed_only,
        verdict=verdict_kind_from_proto(request.verdict, "verdict") if request.verdict else "",
        legal_hold_only=request.legal_hold_only,
    )


def fitting(sessions: Sequence[rpb.Session]) -> list[rpb.Session]:
    """Return the first of some sessions that one message has room for; at least one."""
    taken: list[rpb.Session] = []
    size = 0
    for session in sessions:
        size += session.ByteSize()
        if taken and size > MAX_PAGE_BYTES:
            break
        taken.append(session)
    return taken


def cursor_after(row: SessionRow, order: Order) -> Cursor:
    """Return where the page after a session begins."""
    match order:
        case Order.STARTED:
            return Cursor(row.opened_at_ms, row.uid)
        case Order.PEAK:
            return Cursor(row.peak_pressure_index, row.uid)


def _customer(number: str, pseudonym: Callable[[str], str]) -> str:
    """Return the pseudonym of a number; empty where none is asked for."""
    if not number:
        return ""
    found = pseudonym(check_filter(number, "customer_number"))
    if not found:  # an empty one would match every session
        raise ClientError("customer_number", "is no number")
    return found


def span_from_proto(request: rpb.GetStatisticsRequest) -> tuple[int | None, int | None]:
    """Return between which times sessions are counted, ms since 1970, UTC; None: open.

    Raises:
        ClientError: a time or the offset is out of range.
    """
    offset = request.utc_offset_minutes
    if abs(offset) > MAX_OFFSET_MINUTES:
        problem = f"{offset}; give {-MAX_OFFSET_MINUTES} to {MAX_OFFSET_MINUTES}"
        raise ClientError("utc_offset_minutes", problem)
    return _time(request, "started_after"), _time(request, "started_before")


def statistics_to_proto(statistics: Statistics) -> rpb.GetStatisticsResponse:
    """Return statistics as reviewers see them."""
    return rpb.GetStatisticsResponse(
        total=_row(statistics.total),
        days=map(_row, statistics.days),
        campaigns=map(_row, statistics.campaigns),
    )


def _row(row: StatisticsRow) -> rpb.StatisticsRow:
    median_s = row.median_time_to_verdict_s
    return rpb.StatisticsRow(
        name=row.name,
        sessions=row.sessions,
        flagged=row.flagged,
        flagged_reviewed=row.flagged_reviewed,
        handoffs=row.handoffs,
        confirmed=row.confirmed,
        false_alarms=row.false_alarms,
        unsure=row.unsure,
        median_time_to_verdict=None if median_s is None else seconds_to_proto(median_s),
    )


def _time(request: Message, field: str) -> int | None:
    if not request.HasField(field):
        return None
    return milliseconds_from_proto(getattr(request, field), field)
