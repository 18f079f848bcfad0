"""A call's result in a few lines."""

from __future__ import annotations

import click
from rich.console import Console
from rich.text import Text

from voiceguard.core.events import AlertLevel
from voiceguard.offline.timeline import LEVEL_COLOURS, Timeline, clock


def print_summary(name: str, timeline: Timeline) -> None:
    """Print what a call came to and what happened in it, on standard output."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        for line in summary_lines(name, timeline):
            click.echo(line.plain)
        return
    for line in summary_lines(name, timeline):
        console.print(line)


def summary_lines(name: str, timeline: Timeline) -> list[Text]:
    """Return what a call came to, then its alerts, handoffs, flags and gaps in order."""
    summary = timeline.summary
    handoffs = "1 handoff" if summary.handoffs == 1 else f"{summary.handoffs} handoffs"
    facts = Text.assemble(
        f"  {clock(summary.duration_s)} long, {summary.speech_s:.1f} s customer speech; "
        f"pressure peak {summary.peak_index:.0f}, mean {summary.mean_index:.0f}; highest level ",
        level_text(summary.peak_level),
        f"; {handoffs}; ",
        ("flagged", "bold") if summary.flagged else "not flagged",
    )
    return [
        Text(name, style="bold"),
        facts,
        *(line for _, line in sorted(_lines(timeline), key=lambda item: item[0])),
    ]


def level_text(level: AlertLevel) -> Text:
    """Return the name of a level in its colour."""
    return Text(level.name.lower(), style=f"bold {LEVEL_COLOURS[level]}")


def _lines(timeline: Timeline) -> list[tuple[tuple[float, int], Text]]:
    lines: list[tuple[tuple[float, int], Text]] = []
    for alert in timeline.alerts:
        text = Text.assemble(
            f"  {clock(alert.at_s):>7}  ",
            level_text(alert.level),
            f" on channel {alert.channel}, index {alert.index:.1f}, threshold {alert.threshold:g}",
        )
        lines.append(((alert.at_s, 0), text))
    for flag in timeline.flags:
        text = Text(f"  {clock(flag.at_s):>7}  flagged for quality assurance: {flag.reason}")
        lines.append(((flag.at_s, 1), text))
    for handoff in timeline.handoffs:
        text = Text.assemble(
            f"  {clock(handoff.at_s):>7}  ",
            (f"{handoff.handoff_id} requested", "bold"),
            f": {handoff.explanation}",
        )
        lines.append(((handoff.at_s, 2), text))
    for gap in timeline.gaps:
        text = Text(f"  {clock(gap.start_s):>7}  {gap.end_s - gap.start_s:.1f} s of audio missing")
        lines.append(((gap.start_s, 3), text))
    return lines
