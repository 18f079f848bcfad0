"""The options that choose sessions, and what they ask the server for."""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import click
from google.protobuf.timestamp_pb2 import Timestamp

from voiceguard.core.events import AlertLevel
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import ALERT_LEVEL_NUMBERS

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

LEVELS: Final = tuple(level.name.lower() for level in AlertLevel if level is not AlertLevel.GREEN)

VERDICTS: Final = {
    "confirmed": rpb.Verdict.KIND_CONFIRMED,
    "false-alarm": rpb.Verdict.KIND_FALSE_ALARM,
    "unsure": rpb.Verdict.KIND_UNSURE,
}
"""What may be written for a verdict."""

ORDERS: Final = {"started": "started_at desc", "pressure": "peak_pressure_index desc"}
"""What may be written for an order: newest first, worst first."""

_AGO: Final = re.compile(r"(\d{1,6})([mhdw])")
_AGO_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_moment(text: str, now: dt.datetime) -> dt.datetime:
    """Return the time that a text such as ``7d``, ``2026-11-24`` or ``2026-11-24T09:30`` means.

    Args:
        text: a time ago in minutes, hours, days or weeks; or a date or time of ISO 8601, in
            this machine's time zone unless it says another.
        now: with a time zone.

    Raises:
        ValueError: it means none.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - dt.timedelta(**{_AGO_UNITS[ago[2]]: int(ago[1])})
        moment = dt.datetime.fromisoformat(text)
        # astimezone takes a time without a zone for this machine's.
        return moment if moment.tzinfo is not None else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        message = f"'{text}' is no time: give 12h, 7d, 2026-11-24 or 2026-11-24T09:30+08:00"
        raise ValueError(message) from None


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> Timestamp | None:
    _ = ctx, param
    if value is None:
        return None
    moment = Timestamp()
    try:
        moment.FromDatetime(parse_moment(value, dt.datetime.now(dt.UTC)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return moment


def _number(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Ask for the number where ``-`` stands for it."""
    _ = ctx, param
    return click.prompt("Customer's number", hide_input=True, err=True) if value == "-" else value


_OPTIONS: Final = (
    click.option("--flagged", is_flag=True, help="Only sessions flagged as highly sensitive."),
    click.option("--unreviewed", is_flag=True, help="Only sessions without a verdict."),
    click.option("--min-level", type=click.Choice(LEVELS), help="Only those that reached it."),
    click.option(
        "--since",
        metavar="TIME",
        callback=_moment,
        help="Only sessions that started at this time or later: 7d, 12h, 2026-11-24, "
        "2026-11-24T09:30.",
    ),
    click.option(
        "--until",
        metavar="TIME",
        callback=_moment,
        help="Only sessions that started before this time.",
    ),
    click.option("--campaign", default="", metavar="NAME", help="Exactly this campaign."),
    click.option("--agent", default="", metavar="ID", help="Exactly this agent."),
    click.option("--call", "call_id", default="", metavar="ID", help="Exactly this call."),
    click.option(
        "--number",
        metavar="NUMBER",
        callback=_number,
        help="Exactly this customer; - asks for the number, which keeps it out of the shell's "
        "history.",
    ),
    click.option("--verdict", type=click.Choice(list(VERDICTS)), help="Only those with such one."),
    click.option("--held", is_flag=True, help="Only sessions under legal hold."),
    click.option(
        "--order",
        type=click.Choice(list(ORDERS)),
        default="started",
        show_default=True,
        help="Newest first, or highest peak of the pressure index first.",
    ),
)


def filter_options(command: FunctionT) -> FunctionT:
    """Give a command the options that choose sessions, as the `request` that they make."""

    @functools.wraps(command)
    def filtered(  # noqa: PLR0913 - one for each option
        *,
        flagged: bool,
        unreviewed: bool,
        min_level: str | None,
        since: Timestamp | None,
        until: Timestamp | None,
        campaign: str,
        agent: str,
        call_id: str,
        number: str | None,
        verdict: str | None,
        held: bool,
        order: str,
        **others: Any,  # noqa: ANN401 - the command's own
    ) -> object:
        request = rpb.ListSessionsRequest(
            high_sensitivity_only=flagged,
            unreviewed_only=unreviewed,
            started_after=since,
            started_before=until,
            campaign=campaign,
            agent_id=agent,
            call_id=call_id,
            customer_number=number or "",
            legal_hold_only=held,
            order_by=ORDERS[order],
        )
        if min_level is not None:
            request.min_level = ALERT_LEVEL_NUMBERS[AlertLevel[min_level.upper()]]
        if verdict is not None:
            request.verdict = VERDICTS[verdict]
        return command(request=request, **others)

    decorated: Any = filtered
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return cast("FunctionT", decorated)  # it takes what the command takes, and these options
