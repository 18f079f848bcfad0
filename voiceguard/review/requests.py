"""What the page asks for, checked and as messages of ReviewService."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.requests import Request

from voiceguard.review.messages import LEVELS, VERDICTS
from voiceguard.review.problems import ApiError
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

__all__ = ["Fields", "list_request", "read_fields", "statistics_request"]

ORDERS: Final = {"worst": "peak_pressure_index desc", "newest": "started_at desc"}

MAX_TIME_MS: Final = 253_402_300_799_999
"""End of the year 9999, as google/protobuf/timestamp.proto allows."""

_Value = TypeVar("_Value", str, int, bool)
_Choice = TypeVar("_Choice")


class Fields:
    """The members of a request's JSON object, asked for by name and kind.

    Args:
        content: the object.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def text(self, name: str, default: str = "") -> str:
        """Return a text. Raises `ApiError` where it is something else."""
        return self._get(name, default, str)

    def flag(self, name: str) -> bool:
        """Return a truth value, False when absent. Raises `ApiError` on anything else."""
        return self._get(name, False, bool)

    def number(self, name: str, default: int = 0) -> int:
        """Return a whole number of 32 bits. Raises `ApiError` on anything else."""
        value = self._get(name, default, int)
        if not -(2**31) <= value < 2**31:
            raise ApiError.invalid(name, "out of range")
        return value

    def time(self, name: str) -> Timestamp | None:
        """Return a time given in milliseconds since 1970, None when absent or null."""
        if self._content.get(name) is None:
            return None
        value = self._get(name, 0, int)
        if not 0 <= value <= MAX_TIME_MS:
            raise ApiError.invalid(name, "give milliseconds since 1970, before the year 10000")
        at = Timestamp()
        at.FromMilliseconds(value)
        return at

    def choice(self, name: str, choices: Mapping[str, _Choice]) -> _Choice | None:
        """Return what a word stands for, None when absent or empty."""
        value = self.text(name)
        if value and value not in choices:
            raise ApiError.invalid(name, f"give one of {', '.join(choices)}")
        return choices.get(value)

    def _get(self, name: str, default: _Value, kind: type[_Value]) -> _Value:
        value = self._content.get(name, default)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ApiError.invalid(name, f"must be {kind.__name__}")
        return value


async def read_fields(request: Request) -> Fields:
    """Return a request's JSON object.

    Raises:
        ApiError: the body is no such thing.
    """
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ApiError.invalid("body", "send JSON") from None
    if not isinstance(content, dict):
        raise ApiError.invalid("body", "send a JSON object")
    return Fields(content)


def list_request(fields: Fields) -> rpb.ListSessionsRequest:
    """Return the request for a page of sessions. Ranges are the server's to check.

    Raises:
        ApiError: a field is of the wrong kind.
    """
    return rpb.ListSessionsRequest(
        high_sensitivity_only=fields.flag("flagged_only"),
        min_level=fields.choice("level", LEVELS) or pb.ALERT_LEVEL_UNSPECIFIED,
        started_after=fields.time("after_ms"),
        started_before=fields.time("before_ms"),
        campaign=fields.text("campaign"),
        agent_id=fields.text("agent"),
        call_id=fields.text("call"),
        customer_number=fields.text("number"),
        unreviewed_only=fields.flag("unreviewed_only"),
        verdict=fields.choice("verdict", VERDICTS) or rpb.Verdict.KIND_UNSPECIFIED,
        legal_hold_only=fields.flag("held_only"),
        order_by=fields.choice("order", ORDERS) or "",
        page_size=fields.number("page_size", 50),
        page_token=fields.text("page_token"),
        with_total=fields.flag("with_total"),
    )


def statistics_request(fields: Fields) -> rpb.GetStatisticsRequest:
    """Return the request for the counts of a time.

    Raises:
        ApiError: a field is of the wrong kind.
    """
    return rpb.GetStatisticsRequest(
        started_after=fields.time("after_ms"),
        started_before=fields.time("before_ms"),
        campaign=fields.text("campaign"),
        utc_offset_minutes=fields.number("utc_offset_minutes"),
    )
