"""`voiceguard sessions show`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from voiceguard.cli.connection import Connection, ask_server, review_options
from voiceguard.cli.session_words import (
    handoff_words,
    level_text,
    level_word,
    local_time,
    outcome_word,
    pressure_points,
    session_marks,
    sparkline,
    verdict_word,
)
from voiceguard.cli.terminal import printable_text, results_console
from voiceguard.client import RecordedEvent, ReviewClient
from voiceguard.offline.timeline import clock
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import CONSENT_STATES, ROLES, seconds_from_proto

CURVE_WIDTH: Final = 60
"""Characters of the pressure curve."""

_Line = tuple[float, Text]
"""Where on the audio clock, and what happened."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """All that was asked for about one session."""

    session: rpb.Session
    events: Sequence[RecordedEvent] = field(default_factory=list)
    accesses: Sequence[rpb.AccessEntry] = field(default_factory=list)


@click.command()
@click.argument("session_id", metavar="SESSION")
@click.option("--events", "with_events", is_flag=True, help="Also print the event log.")
@click.option(
    "--access",
    "with_access",
    is_flag=True,
    help="Also print who had to do with it. For the role compliance.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@review_options
def show(
    *,
    session_id: str,
    with_events: bool,
    with_access: bool,
    as_json: bool,
    connection: Connection,
) -> None:
    """Look into one session: call, curve, alerts, handoffs and what became of them, verdicts.

    \b
    Examples:
      voiceguard sessions show call-4711
      voiceguard sessions show call-4711 --events --json
      voiceguard sessions show call-4711 --access
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    needs_events = with_events or not as_json

    async def look(client: ReviewClient) -> _Facts:
        session = await client.get_session(session_id)
        has_events = needs_events and not session.HasField("erased_at")
        events = [event async for event in client.events(session_id)] if has_events else []
        return _Facts(session, events, await client.list_access(session_id) if with_access else [])

    facts = ask_server(connection, look)
    if as_json:
        click.echo(json.dumps(_plain(facts, with_events, with_access), ensure_ascii=False))
        return
    console = results_console()
    for line in _lines(facts, with_events=with_events, with_access=with_access):
        console.print(line, soft_wrap=True)


def _plain(facts: _Facts, with_events: bool, with_access: bool) -> dict[str, Any]:  # noqa: FBT001 - flags of the command line
    """Return the facts as plain data, in protobuf's JSON."""
    plain: dict[str, Any] = {"session": MessageToDict(facts.session)}
    if with_events:
        plain["events"] = [
            {"recordedAt": item.recorded_at.ToJsonString(), "event": MessageToDict(item.event)}
            for item in facts.events
        ]
    if with_access:
        plain["access"] = [MessageToDict(entry) for entry in facts.accesses]
    return plain


def _lines(facts: _Facts, *, with_events: bool, with_access: bool) -> Iterator[Text]:
    session = facts.session
    yield Text.assemble((printable_text(session.session_id), "bold"), "  ", session_marks(session))
    for name, value in _facts_of(session):
        yield Text.assemble((f"  {name:<9}", "dim"), value)
    yield from _curves(facts)
    yield from (line for _, line in _happened(facts))
    yield from map(_verdict_line, session.verdicts)
    if with_events:
        yield Text("events", style="bold")
        yield from map(_event_line, facts.events)
    if with_access:
        yield Text("access", style="bold")
        yield from map(_access_line, facts.accesses)


def _facts_of(session: rpb.Session) -> Iterator[tuple[str, str | Text]]:
    """Yield what is known of a session, by name; what is not known is left out."""
    yield "started", f"{_moment(session.started_at)}, {_end_words(session)}"
    call = session.call
    named = (
        ("call", call.call_id),
        ("campaign", call.campaign),
        ("agent", call.agent_id),
        ("customer", call.customer_number),
        ("labels", ", ".join(f"{key}={call.labels[key]}" for key in sorted(call.labels))),
    )
    yield from ((name, printable_text(value)) for name, value in named if value)
    roles = (ROLES[role].name.lower() for role in session.audio.channels if role in ROLES)
    if session.audio.channels:
        yield "channels", f"{', '.join(roles)}; {session.audio.sample_rate_hertz} Hz"
    yield "policy", printable_text(session.policy_version)
    yield "model", printable_text(session.model_version)
    yield "consent", _consent_words(session.consent)
    if session.HasField("summary"):
        yield "pressure", _pressure_text(session)
    if session.HasField("flagged"):
        at = clock(seconds_from_proto(session.flagged.offset))
        yield "flagged", f"at {at}: {printable_text(session.flagged.reason)}"
    if session.HasField("erased_at"):
        yield "erased", _moment(session.erased_at)
    elif session.legal_hold:
        yield "kept", "under legal hold"
    elif session.HasField("retain_until"):
        yield "kept", f"until {_moment(session.retain_until)}"
    yield "evidence", session.evidence_id


def _end_words(session: rpb.Session) -> str:
    if not session.HasField("ended_at"):
        return "live"
    length = clock(seconds_from_proto(session.summary.audio_duration))
    return f"{length} long, {session.ended or 'ended'}"


def _consent_words(consent: pb.Consent) -> str:
    state = CONSENT_STATES.get(consent.state)
    words = "not known" if state is None else state.name.lower().replace("_", " ")
    words = words.replace("unspecified", "not known")
    notice = "notice given" if consent.notice_given else "no notice given"
    basis = f", {printable_text(consent.lawful_basis)}" if consent.lawful_basis else ""
    return f"{words}, {notice}{basis}"


def _pressure_text(session: rpb.Session) -> Text:
    summary = session.summary
    handoffs = handoff_words(session) or "none"
    return Text.assemble(
        f"peak {summary.peak_pressure_index:.0f}, mean {summary.mean_pressure_index:.0f}; level ",
        level_text(summary.peak_level),
        f"; {seconds_from_proto(summary.customer_speech):.1f} s customer speech; "
        f"handoffs: {handoffs}",
    )


def _curves(facts: _Facts) -> Iterator[Text]:
    """Yield the pressure curve of each channel that was scored."""
    points = pressure_points([item.event for item in facts.events])
    duration_s = seconds_from_proto(facts.session.summary.audio_duration)
    for channel in sorted(points):
        last_s = max(point.at_s for point in points[channel])
        length_s = max(duration_s, last_s)
        curve = sparkline(points[channel], length_s, CURVE_WIDTH)
        yield Text.assemble((f"  curve {channel}  ", "dim"), curve, (f" {clock(length_s)}", "dim"))


def _happened(facts: _Facts) -> list[_Line]:
    """Return alerts, handoffs and their outcomes, in order of the audio clock."""
    lines = [_alert_line(item.event.alert) for item in facts.events if item.event.HasField("alert")]
    for handoff in facts.session.handoffs:
        at_s = seconds_from_proto(handoff.offset)
        what = Text.assemble(
            f"  {clock(at_s):>7}  ",
            (f"{printable_text(handoff.handoff_id)} requested", "bold"),
            f": {printable_text(handoff.explanation)}",
        )
        lines.append((at_s, what))
        lines += [
            (at_s, _settlement_line(settlement))
            for settlement in facts.session.settlements
            if settlement.handoff_id == handoff.handoff_id
        ]
    return sorted(lines, key=lambda line: line[0])


def _alert_line(alert: pb.AlertChanged) -> _Line:
    at_s = seconds_from_proto(alert.offset)
    text = Text.assemble(
        f"  {clock(at_s):>7}  ",
        level_text(alert.level),
        f" on channel {alert.channel}, index {alert.pressure_index:.1f}, "
        f"threshold {alert.threshold:g}",
    )
    return at_s, text


def _settlement_line(settlement: rpb.HandoffSettlement) -> Text:
    reason = f": {printable_text(settlement.reason)}" if settlement.reason else ""
    return Text.assemble(
        f"           {printable_text(settlement.handoff_id)} ",
        (outcome_word(settlement), "bold"),
        f"{reason}, {_moment(settlement.settled_at)}",
    )


def _verdict_line(verdict: rpb.Verdict) -> Text:
    about = f" on {printable_text(verdict.handoff_id)}" if verdict.handoff_id else ""
    comment = f": {printable_text(verdict.comment)}" if verdict.comment else ""
    return Text.assemble(
        ("  verdict  ", "dim"),
        (verdict_word(verdict.kind), "bold"),
        f"{about} by {printable_text(verdict.reviewer)}, {_moment(verdict.recorded_at)}{comment}",
    )


def _access_line(entry: rpb.AccessEntry) -> Text:
    detail = f": {printable_text(entry.detail)}" if entry.detail else ""
    return Text(f"  {_moment(entry.at)}  {printable_text(entry.actor)} {entry.action}{detail}")


def _event_line(item: RecordedEvent) -> Text:
    """Return an event in one line: when it was recorded, where on the audio clock, what."""
    kind = item.event.WhichOneof("event") or "unknown"
    body = MessageToDict(getattr(item.event, kind)) if kind != "unknown" else {}
    if "level" in body:
        body["level"] = level_word(getattr(item.event, kind).level)
    words = " ".join(f"{name}={_word(value)}" for name, value in body.items())
    return Text.assemble(
        (f"  {item.recorded_at.ToJsonString()}  ", "dim"), (f"{kind:<8} ", "bold"), words
    )


def _word(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return printable_text(json.dumps(value, ensure_ascii=False) if value != str(value) else value)


def _moment(moment: Timestamp) -> str:
    return local_time(moment)
