"""A timeline as one HTML file that asks the network for nothing.

The drawing is SVG; a few lines of script read the value under the pointer out of
the page's own data. A content security policy forbids every request.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from voiceguard.core.events import AlertLevel
from voiceguard.offline.files import write_atomically
from voiceguard.offline.timeline import LEVEL_COLOURS, ROLE_NAMES, Span, Timeline, clock

WIDTH: Final = 1200
_LEFT: Final = 130
_RIGHT: Final = 110
_PLOT: Final = WIDTH - _LEFT - _RIGHT
_LANE: Final = 70
_PANEL: Final = 300
_SPACE: Final = 14
_TOP: Final = 34

_STYLE: Final = """
:root { color-scheme: light; --ink: #22262b; --quiet: #66707b; }
body { margin: 2rem auto; max-width: 1240px; padding: 0 1rem; color: var(--ink);
       font: 15px/1.45 system-ui, sans-serif; background: #fff; }
h1 { font-size: 1.4rem; margin: 0 0 .2rem; overflow-wrap: anywhere; }
p { margin: .2rem 0 1rem; color: var(--quiet); }
svg { width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--ink); }
svg text.mark { fill: #fff; font-weight: 600; } svg text.quiet { fill: var(--quiet); }
#cursor { stroke: var(--ink); stroke-dasharray: 2 3; visibility: hidden; }
#reading { min-height: 1.5em; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; margin-top: 1rem; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde1e6;
         vertical-align: top; }
td:first-child { font-variant-numeric: tabular-nums; white-space: nowrap; }
.dot { display: inline-block; width: .75em; height: .75em; border-radius: 50%;
       margin-right: .4em; }
"""

_SCRIPT: Final = """
const call = JSON.parse(document.getElementById("data").textContent);
const svg = document.querySelector("svg"), cursor = document.getElementById("cursor");
const reading = document.getElementById("reading");
const clock = s => Math.floor(s / 60) + ":" + (s % 60).toFixed(1).padStart(4, "0");
svg.addEventListener("pointermove", event => {
  const box = svg.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width * call.width;
  const at = (x - call.left) / call.plot * call.duration_s;
  if (at < 0 || at > call.duration_s) { return; }
  cursor.setAttribute("x1", x); cursor.setAttribute("x2", x);
  cursor.style.visibility = "visible";
  const parts = call.channels.map(channel => {
    let last = null;
    for (const point of channel.points) { if (point.at_s > at) { break; } last = point; }
    if (last === null) { return channel.name + ": nothing scored yet"; }
    const scores = Object.entries(last.scores).map(([k, v]) => k + " " + v.toFixed(2));
    return channel.name + ": index " + last.index.toFixed(1) + ", " + last.level +
      (scores.length ? " (" + scores.join(", ") + ")" : "");
  });
  reading.textContent = clock(at) + "   " + parts.join("   ");
});
"""


def write_html(timeline: Timeline, path: Path) -> None:
    """Write a timeline as a page, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    page = _page(timeline).encode("utf-8")
    with write_atomically(path) as stream:
        stream.write(page)


def _page(timeline: Timeline) -> str:
    title = html.escape(timeline.title)
    data = json.dumps(_data(timeline)).replace("<", "\\u003c")
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title} · voiceguard</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title}</h1><p>{html.escape(' · '.join(timeline.facts))}</p>",
            *_drawing(timeline),
            '<p id="reading">Move the pointer over the drawing to read values.</p>',
            *_table(timeline),
            (
                "<p>The index is a reason to bring in a human, not a judgement of a person. "
                "The model was trained and measured on acted speech.</p>"
            ),
            f'<script type="application/json" id="data">{data}</script>',
            f"<script>{_SCRIPT}</script></body></html>",
            "",
        )
    )


def _data(timeline: Timeline) -> dict[str, object]:
    channels = [
        {
            "name": f"{ROLE_NAMES[timeline.roles[channel]]} (channel {channel})",
            "points": [
                {
                    "at_s": round(point.end_s, 3),
                    "index": round(point.index, 2),
                    "level": point.level.name.lower(),
                    "scores": {name: round(value, 4) for name, value in point.scores.items()},
                }
                for point in points
            ],
        }
        for channel, points in sorted(timeline.points.items())
    ]
    return {
        "width": WIDTH,
        "left": _LEFT,
        "plot": _PLOT,
        "duration_s": max(timeline.duration_s, 0.1),
        "channels": channels,
    }


def _x(timeline: Timeline, at_s: float) -> float:
    return round(_LEFT + _PLOT * at_s / max(timeline.duration_s, 0.1), 2)


def _drawing(timeline: Timeline) -> Iterator[str]:
    lanes = len(timeline.roles)
    bottom = _TOP + lanes * (_LANE + _SPACE) + len(timeline.points) * (_PANEL + _SPACE)
    yield f'<svg viewBox="0 0 {WIDTH} {bottom + 28}" role="img" aria-label="timeline of the call">'
    for channel in range(lanes):
        yield from _lane(timeline, channel, _TOP + channel * (_LANE + _SPACE))
    top = _TOP + lanes * (_LANE + _SPACE)
    for place, channel in enumerate(sorted(timeline.points)):
        yield from _pressure(timeline, channel, top + place * (_PANEL + _SPACE))
    yield from _spans(timeline, bottom - _SPACE)
    yield from _axis(timeline, bottom - _SPACE)
    yield from _marks(timeline, bottom - _SPACE)
    yield f'<line id="cursor" x1="0" x2="0" y1="{_TOP}" y2="{bottom - _SPACE}"/></svg>'


def _rect(timeline: Timeline, span: Span, top: float, height: float, style: str) -> str:
    left, right = _x(timeline, span.start_s), _x(timeline, span.end_s)
    width = max(right - left, 0.5)
    return f'<rect x="{left}" y="{top}" width="{width:.2f}" height="{height}" {style}/>'


def _label(x: float, y: float, text: str, anchor: str = "end", style: str = "") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" {style}>{html.escape(text)}</text>'


def _lane(timeline: Timeline, channel: int, top: float) -> Iterator[str]:
    scored = channel in timeline.points
    yield _label(_LEFT - 10, top + 30, ROLE_NAMES[timeline.roles[channel]])
    yield _label(_LEFT - 10, top + 46, f"channel {channel}", style='class="quiet"')
    for span in timeline.speech.get(channel, ()):
        yield _rect(timeline, span, top, _LANE, 'fill="#dcebf5"')
    if scored:
        for span in timeline.music(channel):
            yield _rect(timeline, span, top, _LANE, 'fill="#8e63b5" fill-opacity=".25"')
    else:
        yield _label(WIDTH - _RIGHT + 8, top + 40, "not scored", "start", 'class="quiet"')
    if timeline.waveform is not None and len(timeline.waveform.extremes):
        colour = "#2f6690" if scored else "#8a929c"
        yield f'<path d="{_wave(timeline, channel, top)}" fill="{colour}"/>'


def _wave(timeline: Timeline, channel: int, top: float) -> str:
    """Return the outline of a waveform, one step for each unit of the drawing's width."""
    waveform = timeline.waveform
    if waveform is None:
        return ""
    extremes = waveform.extremes[:, :, channel]
    peak = max(float(np.abs(waveform.extremes).max()), 0.05)
    starts = np.arange(0, len(extremes), -(-len(extremes) // _PLOT))
    lowest = np.minimum.reduceat(extremes[:, 0], starts) / peak
    highest = np.maximum.reduceat(extremes[:, 1], starts) / peak
    middle, half = top + _LANE / 2, _LANE / 2 - 1
    xs = [_x(timeline, float(start) * waveform.stretch_s) for start in starts]
    upper = [f"{x:.1f} {middle - half * y - 0.3:.1f}" for x, y in zip(xs, highest, strict=True)]
    lower = [f"{x:.1f} {middle - half * y + 0.3:.1f}" for x, y in zip(xs, lowest, strict=True)]
    return "M" + "L".join(upper + lower[::-1]) + "Z"


def _pressure(timeline: Timeline, channel: int, top: float) -> Iterator[str]:
    def y(index: float) -> float:
        return round(top + _PANEL * (1 - index / 100), 2)

    whole = Span(0.0, timeline.duration_s)
    for level, low, high in timeline.bands:
        style = f'fill="{LEVEL_COLOURS[level]}" fill-opacity=".13"'
        yield _rect(timeline, whole, y(high), round(y(low) - y(high), 2), style)
    for level, threshold in timeline.thresholds:
        colour = LEVEL_COLOURS[level]
        yield (
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(threshold)}" y2="{y(threshold)}" '
            f'stroke="{colour}" stroke-dasharray="6 4"/>'
        )
        text = f"{level.name.lower()} {threshold:g}"
        yield _label(WIDTH - _RIGHT + 8, y(threshold) + 4, text, "start")
    for index in range(0, 101, 20):
        yield _label(_LEFT - 8, y(index) + 4, str(index), style='class="quiet"')
    for line, word in enumerate(("pressure", "index")):
        yield _label(_LEFT - 45, top + _PANEL / 2 + 16 * line, word)
    for level, span in timeline.level_spans(channel):
        yield _rect(timeline, span, y(3), round(y(0) - y(3), 2), f'fill="{LEVEL_COLOURS[level]}"')
    points = timeline.points[channel]
    if not points:
        yield _label(_LEFT + _PLOT / 2, y(50), "no speech to score", "middle", 'class="quiet"')
        return
    path = f"M{_LEFT} {y(0)}" + "".join(
        f"H{_x(timeline, point.end_s)}V{y(point.index)}" for point in points
    )
    end = WIDTH - _RIGHT
    yield f'<path d="{path}H{end}" fill="none" stroke="#22262b" stroke-width="2"/>'


def _spans(timeline: Timeline, bottom: float) -> Iterator[str]:
    height = bottom - _TOP
    for span in timeline.gaps:
        yield _rect(timeline, span, _TOP, height, 'fill="#888" fill-opacity=".3"')
        yield _label(_x(timeline, span.start_s) + 3, bottom - 14, "audio missing", "start")
    for span in timeline.holds:
        yield _rect(timeline, span, _TOP, height, 'fill="#b59b5b" fill-opacity=".3"')
        yield _label(_x(timeline, span.start_s) + 3, bottom - 14, "on hold", "start")


def _axis(timeline: Timeline, bottom: float) -> Iterator[str]:
    duration_s = max(timeline.duration_s, 0.1)
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
    step = next((step for step in steps if duration_s / step <= 14), 14400)
    for at_s in range(0, int(duration_s) + 1, step):
        x = _x(timeline, at_s)
        yield f'<line x1="{x}" x2="{x}" y1="{bottom}" y2="{bottom + 5}" stroke="#8a929c"/>'
        yield _label(x, bottom + 19, clock(at_s), "middle")


def _marks(timeline: Timeline, bottom: float) -> Iterator[str]:
    marks = [(mark.at_s, f"flagged {clock(mark.at_s)}", "#00707d", 0) for mark in timeline.flags]
    marks += [
        (mark.at_s, f"handoff {clock(mark.at_s)} · {mark.reason.value}", "#7b1fa2", 17)
        for mark in timeline.handoffs
    ]
    for at_s, text, colour, top in marks:
        x, width = _x(timeline, at_s), 7 * len(text) + 8
        left = min(x, WIDTH - width)
        yield (
            f'<line x1="{x}" x2="{x}" y1="{top}" y2="{bottom}" stroke="{colour}" '
            'stroke-width="2"/>'
            f'<rect x="{left}" y="{top}" width="{width}" height="16" rx="3" fill="{colour}"/>'
        )
        yield _label(left + 5, top + 12, text, "start", 'class="mark"')


def _table(timeline: Timeline) -> Iterator[str]:
    rows: list[tuple[float, AlertLevel | None, str]] = [
        (
            mark.at_s,
            mark.level,
            (
                f"channel {mark.channel} is {mark.level.name.lower()} "
                f"(was {mark.previous_level.name.lower()}), index {mark.index:.1f}, "
                f"threshold {mark.threshold:g}"
            ),
        )
        for mark in timeline.alerts
    ]
    rows += [
        (mark.at_s, None, f"{mark.handoff_id}: {mark.explanation}") for mark in timeline.handoffs
    ]
    rows += [
        (mark.at_s, None, f"flagged for quality assurance: {mark.reason}")
        for mark in timeline.flags
    ]
    rows += [
        (gap.start_s, None, f"{gap.end_s - gap.start_s:.1f} s of audio missing")
        for gap in timeline.gaps
    ]
    yield "<table><thead><tr><th>time</th><th>event</th></tr></thead><tbody>"
    for at_s, level, text in sorted(rows, key=lambda row: row[0]):
        colour = LEVEL_COLOURS[level] if level is not None else ""
        dot = f'<span class="dot" style="background:{colour}"></span>' if colour else ""
        yield f"<tr><td>{clock(at_s)}</td><td>{dot}{html.escape(text)}</td></tr>"
    if not rows:
        yield "<tr><td></td><td>nothing above green</td></tr>"
    yield "</tbody></table>"
