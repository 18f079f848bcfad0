"""Small pieces of HTML and SVG. Whatever comes from outside is text here, never markup."""

from __future__ import annotations

import datetime as dt
import html
import re
import zoneinfo
from collections.abc import Iterable, Sequence
from typing import Final

_NOT_TEXT: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What no XML document may contain (XML 1.0, section 2.2): controls, halves of surrogates."""


def text(value: object) -> str:
    """Return something as text of HTML or SVG, also within an attribute's double quotes."""
    return html.escape(_NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", str(value)))


def foreign(value: object) -> str:
    """Return text from outside, with a direction of its own so that it reorders nothing else."""
    return f"<bdi>{text(value)}</bdi>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    """Return a table, or a line that says it is empty.

    Args:
        headings: plain text of each column.
        rows: HTML of each cell.
        empty: plain text in place of a table without rows.
    """
    body = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return f'<p class="quiet">{text(empty)}</p>'
    head = "".join(f'<th scope="col">{text(heading)}</th>' for heading in headings)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody>'
        "</table></div>"
    )


def definitions(entries: Iterable[tuple[str, str]]) -> str:
    """Return names and their values, given as plain text and as HTML."""
    pairs = (f"<div><dt>{text(name)}</dt><dd>{value}</dd></div>" for name, value in entries)
    return f"<dl>{''.join(pairs)}</dl>"


def offset(seconds: float) -> str:
    """Return a moment of the call as people read it: 1:07.3, 1:02:09.0."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"


def zone_of(name: str) -> zoneinfo.ZoneInfo | None:
    """Return a time zone by its IANA name; None where it is unknown or none was given."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def moment(at_ms: int, zone: zoneinfo.ZoneInfo | None) -> str:
    """Return a time as HTML: in UTC, and by the customer's clock where the zone is known.

    Args:
        at_ms: milliseconds since 1970, UTC.
        zone: of the customer.

    Raises:
        OverflowError, ValueError: no calendar has that time.
    """
    utc = dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC)
    shown = f"{utc:%Y-%m-%d %H:%M:%S}.{at_ms % 1000 // 100} UTC"
    machine = f"{utc:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"
    first = f'<time datetime="{machine}">{shown}</time>'
    if zone is None:
        return first
    local = utc.astimezone(zone)
    return f'{first}<span class="local">{local:%Y-%m-%d %H:%M:%S} {_east(local)}</span>'


def _east(local: dt.datetime) -> str:
    """Return how far a clock is ahead of UTC: +08:00 (Python 3.11 has no `%:z`)."""
    hours_minutes = f"{local:%z}"
    return f"{hours_minutes[:3]}:{hours_minutes[3:5]}"
