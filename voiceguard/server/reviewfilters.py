"""What reviewers search by, from their requests; and what statistics say, to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from google.protobuf.message import Message

from voiceguard.core.errors import ClientError
from voiceguard.server.reviewwire import (
    check_filter,
    milliseconds_from_proto,
    verdict_kind_from_proto,
)
from voiceguard.store.rows import Order, SessionFilter, Statistics, StatisticsRow
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import ALERT_LEVELS, seconds_to_proto

ORDERS: Final = {
    "": Order.STARTED,
    "started_at desc": Order.STARTED,
    "peak_pressure_index desc": Order.PEAK,
}
"""Values of `ListSessionsRequest.order_by`."""

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
    number = check_filter(request.customer_number, "customer_number")
    return SessionFilter(
        high_sensitivity_only=request.high_sensitivity_only,
        min_level=ALERT_LEVELS[request.min_level] if request.min_level else 0,
        started_after_ms=_time(request, "started_after"),
        started_before_ms=_time(request, "started_before"),
        campaign=check_filter(request.campaign, "campaign"),
        agent_id=check_filter(request.agent_id, "agent_id"),
        call_id=check_filter(request.call_id, "call_id"),
        customer=pseudonym(number) if number else "",
        unreviewed_only=request.unreviewed_only,
        verdict=verdict_kind_from_proto(request.verdict, "verdict") if request.verdict else "",
        legal_hold_only=request.legal_hold_only,
    )


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
