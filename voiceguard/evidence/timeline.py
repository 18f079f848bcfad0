"""The pressure index over a call as one SVG: bands of the levels, marks, speech and gaps.

It asks for nothing from outside and has no script. Colours are in `STYLE`, which a page that
takes the drawing in puts into its own style sheet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from voiceguard.evidence.facts import LEVELS, PressurePoint, ReportFacts
from voiceguard.evidence.markup import offset, text
from voiceguard.evidence.words import HTML_LANGUAGES, Language, word, word_or_name

LEVEL_COLOURS: Final[Mapping[str, str]] = {
    "green": "#2f9e61",
    "yellow": "#d9a900",
    "orange": "#ee7a12",
    "red": "#cf2436",
}
"""One colour a level, the same as wherever else a level is shown."""

WIDTH: Final = 900
"""Of the drawing, in its own units; a page scales it."""

_LEFT: Final = 44
_RIGHT: Final = 98
_PLOT: Final = WIDTH - _LEFT - _RIGHT
_PANEL: Final = 210
_TITLE: Final = 24
_LANE: Final = 20
_BELOW: Final = 30
_AXIS: Final = 30
_LEGEND_ROW: Final = 22
_PIN: Final = 17
_MOST_LANES: Final = 4
_LEAST_SPAN: Final = 1.5
"""Width below which a span would not be seen."""

_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

STYLE: Final = (
    """
.vg { --vg-paper: #fff; --vg-ink: #1f252c; --vg-quiet: #66707b; --vg-line: #d5dae0;
  --vg-speech: #5b93c4; --vg-handoff: #7b1fa2; --vg-flag: #00707d; --vg-band: .14; }
.vg text { font: 13px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  fill: var(--vg-ink); font-variant-numeric: tabular-nums; }
.vg .paper { fill: var(--vg-paper); } .vg .quiet { fill: var(--vg-quiet); }
.vg .name { font-weight: 600; } .vg .pin { fill: #fff; font-weight: 600; font-size: 11px; }
.vg .band { fill-opacity: var(--vg-band); } .vg .grid { stroke: var(--vg-line); }
.vg .threshold { stroke-width: 1.3; stroke-dasharray: 6 4; }
.vg .curve { fill: none; stroke: var(--vg-ink); stroke-width: 1.8; stroke-linejoin: round; }
.vg .raised { stroke: var(--vg-paper); stroke-width: 1.5; }
.vg .speech { fill: var(--vg-speech); } .vg .handoff { fill: var(--vg-handoff); }
.vg .flag { fill: var(--vg-flag); } .vg line.handoff { stroke: var(--vg-handoff); }
.vg line.flag { stroke: var(--vg-flag); }
.vg line.handoff, .vg line.flag { stroke-width: 1.6; }
.vg .gap { fill: url(#vg-gap); } .vg .hatch { stroke: var(--vg-quiet); stroke-width: 1.6; }
.vg .hatched { fill: var(--vg-paper); }
@media screen and (prefers-color-scheme: dark) {
  .vg { --vg-paper: #171b20; --vg-ink: #e6eaee; --vg-quiet: #98a3ae; --vg-line: #363d45;
    --vg-speech: #5f9fd8; --vg-handoff: #a44fca; --vg-flag: #12909f; --vg-band: .2; }
}
"""
    + "\n".join(
        f".vg .{level} {{ fill: {colour}; }} .vg .threshold.{level} {{ stroke: {colour}; }}"
        for level, colour in LEVEL_COLOURS.items()
    )
    + "\n"
)
"""Style sheet of the drawing; light on paper whatever the reader's screen prefers."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a moment of the call lies."""

    duration_s: float

    def x(self, at_s: float) -> float:
        return round(_LEFT + _PLOT * min(max(at_s / self.duration_s, 0.0), 1.0), 1)

    def spans(self, spans: Iterable[tuple[float, float]], top: float, height: float) -> str:
        """Return spans as the data of one path; those that touch in the drawing are joined."""
        joined: list[tuple[float, float]] = []
        for start_s, end_s in spans:
            left, right = self.x(start_s), max(self.x(end_s), self.x(start_s) + _LEAST_SPAN)
            if joined and left - joined[-1][1] < 0.5:
                joined[-1] = (joined[-1][0], max(right, joined[-1][1]))
            else:
                joined.append((left, right))
        return "".join(
            f"M{left:g} {top:g}H{right:g}V{top + height:g}H{left:g}Z" for left, right in joined
        )


@dataclass(frozen=True, slots=True)
class _Pin:
    """A mark above a panel, with a line down to it."""

    x: float
    lane: int
    kind: str
    """handoff or flag."""
    label: str


def render_timeline(facts: ReportFacts, language: Language = "en", *, style: bool = True) -> str:
    """Return the drawing of a call.

    Args:
        facts: of the session.
        language: of its words.
        style: put `STYLE` into the drawing, which makes it a document of its own.
    """
    scale = _Scale(max(facts.duration_s, 0.1))
    top = 8.0
    panels: list[str] = []
    for channel in facts.scored_channels:
        pins = _pins(facts, channel, scale)
        top += _TITLE + _LANE * (1 + max((pin.lane for pin in pins), default=-1))
        panels += _panel(facts, channel, scale, pins, top, language)
        top += _PANEL + _BELOW
    axis = list(_axis(scale, top, language))
    legend, height = _legend(facts, top + _AXIS + 14, language)
    title, about = _description(facts, language)
    return "\n".join(
        (
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" class="vg" '
                f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="vg-title vg-about" '
                f'lang="{HTML_LANGUAGES[language]}">'
            ),
            f'<title id="vg-title">{text(title)}</title>',
            f'<desc id="vg-about">{text(about)}</desc>',
            *((f"<style>{STYLE}</style>",) if style else ()),
            (
                '<defs><pattern id="vg-gap" width="7" height="7" patternUnits="userSpaceOnUse" '
                'patternTransform="rotate(45)"><rect class="hatched" width="7" height="7"/>'
                '<line class="hatch" x1="1" x2="1" y1="0" y2="7"/></pattern></defs>'
            ),
            f'<rect class="paper" width="{WIDTH}" height="{height:g}"/>',
            *panels,
            *axis,
            *legend,
            "</svg>\n",
        )
    )


def thinned(
    points: Sequence[PressurePoint], column_of: Callable[[float], int]
) -> list[PressurePoint]:
    """Return points enough for a drawing: of each column the lowest, the highest and the last.

    Args:
        points: of one channel, in order.
        column_of: the drawing's column of a moment of the call.
    """
    columns: dict[int, list[PressurePoint]] = {}
    for point in points:
        columns.setdefault(column_of(point.end_s), []).append(point)
    kept: list[PressurePoint] = []
    for found in columns.values():
        if len(found) > 3:
            wanted = {
                min(range(len(found)), key=lambda n: found[n].index),
                max(range(len(found)), key=lambda n: found[n].index),
                len(found) - 1,
            }
            kept += (found[n] for n in sorted(wanted))
        else:
            kept += found
    return kept


def _description(facts: ReportFacts, language: Language) -> tuple[str, str]:
    level = word_or_name(facts.peak_level, language)
    duration, peak = offset(facts.duration_s), f"{facts.peak_index:.0f}"
    parts = [word("picture_about", language, duration=duration, peak=peak, level=level)]
    if facts.flag is not None:
        parts.append(word("picture_flag", language, at=offset(facts.flag.at_s)))
    for name, moments in (
        ("picture_handoffs", [handoff.at_s for handoff in facts.handoffs]),
        ("picture_gaps", [gap.start_s for gap in facts.gaps]),
    ):
        if moments:
            parts.append(word(name, language, times=", ".join(offset(at_s) for at_s in moments)))
    title = word("picture_title", language, session=facts.session_id)
    return title, ("" if language == "zh" else " ").join(parts)


def _pins(facts: ReportFacts, channel: int, scale: _Scale) -> list[_Pin]:
    """Return a channel's marks, in as many lanes as keep them apart."""
    wanted = [
        (scale.x(handoff.at_s), "handoff", str(number))
        for number, handoff in enumerate(facts.handoffs, 1)
        if handoff.channel == channel
    ]
    if facts.flag is not None and facts.flag.channel == channel:
        wanted.append((scale.x(facts.flag.at_s), "flag", ""))
    pins: list[_Pin] = []
    ends: list[float] = []
    for x, kind, label in sorted(wanted):
        free = next((lane for lane, end in enumerate(ends) if end <= x - _PIN / 2 - 2), None)
        if free is None and len(ends) < _MOST_LANES:
            ends.append(0.0)
            free = len(ends) - 1
        lane = free if free is not None else 0
        ends[lane] = x + _PIN / 2
        pins.append(_Pin(x, lane, kind, label))
    return pins


def _panel(
    facts: ReportFacts,
    channel: int,
    scale: _Scale,
    pins: Sequence[_Pin],
    top: float,
    language: Language,
) -> Iterator[str]:
    def y(index: float) -> float:
        return round(top + _PANEL * (1 - min(max(index, 0.0), 100.0) / 100), 1)

    lanes = 1 + max((pin.lane for pin in pins), default=-1)
    role = word_or_name(facts.roles[channel], language)
    name = f"{role} · {word('channel', language, number=channel)} · "
    heading = name + word("pressure_index", language)
    yield _text(_LEFT, top - lanes * _LANE - 9, heading, "start", "name")
    yield from _bands(facts, y, language)
    points = [point for point in facts.points if point.channel == channel]
    if points:
        yield f'<path class="curve" d="{_curve(points, scale, y)}"/>'
    else:
        yield _text(_LEFT + _PLOT / 2, y(50), word("no_speech", language), "middle", "quiet")
    if facts.gaps:
        spans = scale.spans(((gap.start_s, gap.end_s) for gap in facts.gaps), top, _PANEL)
        yield f'<path class="gap" d="{spans}"/>'
    yield from _below(facts, channel, scale, top + _PANEL)
    heights = [top - _LANE * (lanes - pin.lane) + _LANE / 2 - 2 for pin in pins]
    for pin, height in zip(pins, heights, strict=True):
        yield _line(pin.kind, pin.x, pin.x, height, top + _PANEL)
    for pin, height in zip(pins, heights, strict=True):
        yield _symbol(pin.kind, pin.x, height, pin.label)
    for change in facts.changes:
        if change.channel == channel and _is_rise(change.level, change.previous_level):
            yield (
                f'<circle class="raised {text(change.level)}" cx="{scale.x(change.at_s):g}" '
                f'cy="{y(change.index):g}" r="5"/>'
            )


def _is_rise(level: str, previous: str) -> bool:
    return level in LEVELS and previous in LEVELS and LEVELS.index(level) > LEVELS.index(previous)


def _bands(facts: ReportFacts, y: Callable[[float], float], language: Language) -> Iterator[str]:
    edges = [0.0, *(threshold.raise_at for threshold in facts.policy.thresholds), 100.0]
    for level, low, high in zip(LEVELS, edges[:-1], edges[1:], strict=True):
        yield (
            f'<rect class="band {level}" x="{_LEFT}" y="{y(high):g}" width="{_PLOT}" '
            f'height="{y(low) - y(high):g}"/>'
        )
    for index in range(0, 101, 20):
        yield _text(_LEFT - 7, y(index) + 4.5, str(index), "end", "quiet")
        yield _line("grid", _LEFT, _LEFT + _PLOT, y(index), y(index))
    for threshold in facts.policy.thresholds:
        level, at = threshold.level, y(threshold.raise_at)
        yield _line(f"threshold {level}", _LEFT, _LEFT + _PLOT, at, at)
        label = f"{word(level, language)} {threshold.raise_at:g}"
        yield _text(_LEFT + _PLOT + 8, at + 4.5, label, "start")


def _curve(points: Sequence[PressurePoint], scale: _Scale, y: Callable[[float], float]) -> str:
    """Return steps: the index stays as it is until the next hop."""
    kept = thinned(points, lambda at_s: int(scale.x(at_s)))
    steps = "".join(f"H{scale.x(point.end_s):g}V{y(point.index):g}" for point in kept)
    return f"M{_LEFT} {y(0):g}{steps}H{_LEFT + _PLOT}"


def _below(facts: ReportFacts, channel: int, scale: _Scale, bottom: float) -> Iterator[str]:
    """Draw the strip of levels and the bars of speech below a panel."""
    changes = [change for change in facts.changes if change.channel == channel]
    starts = [0.0, *(change.at_s for change in changes)]
    levels = ["green", *(change.level for change in changes)]
    ends = [*starts[1:], scale.duration_s]
    for level in LEVELS:
        spans = [
            (start_s, end_s)
            for name, start_s, end_s in zip(levels, starts, ends, strict=True)
            if name == level
        ]
        if spans:
            yield f'<path class="{level}" d="{scale.spans(spans, bottom + 3, 6)}"/>'
    speech = [(span.start_s, span.end_s) for span in facts.speech if span.channel == channel]
    if speech:
        yield f'<path class="speech" d="{scale.spans(speech, bottom + 12, 7)}"/>'


def _symbol(kind: str, x: float, y: float, label: str) -> str:
    """Return the head of a mark: a disc with a number, or a flag."""
    if kind == "flag":
        left, top = x - 0.8, y - 8
        return f'<path class="flag" d="M{left:g} {top:g}h13l-4 4.5l4 4.5h-11.4v7h-1.6z"/>'
    disc = f'<circle class="handoff" cx="{x:g}" cy="{y:g}" r="{_PIN / 2:g}"/>'
    return disc + _text(x, y + 4, label, "middle", "pin")


def _axis(scale: _Scale, top: float, language: Language) -> Iterator[str]:
    step = next((step for step in _STEPS_S if scale.duration_s / step <= 12), None)
    if step is None:
        step = 3600 * max(1, round(scale.duration_s / 3600 / 10))
    for at_s in range(0, int(scale.duration_s) + 1, step):
        x = scale.x(at_s)
        yield _line("grid", x, x, top - 6, top)
        yield _text(x, top + 15, offset(at_s).partition(".")[0], "middle", "quiet")
    yield _text(WIDTH - 4, top + 15, word("time_in_call", language), "end", "quiet")


def _legend(facts: ReportFacts, top: float, language: Language) -> tuple[list[str], float]:
    """Return the explanation of what is drawn, and the drawing's height."""
    entries = [
        ("curve", word("pressure_index", language)),
        ("threshold", word("threshold", language)),
        ("speech", word("speech", language)),
    ]
    if any(_is_rise(change.level, change.previous_level) for change in facts.changes):
        entries.append(("raised", word("level_raised", language)))
    if facts.handoffs:
        entries.append(("handoff", word("handoff", language)))
    if facts.flag is not None:
        entries.append(("flag", word("flagged", language)))
    if facts.gaps:
        entries.append(("gap", word("gap", language)))
    drawn: list[str] = []
    x, y = float(_LEFT), top
    for kind, label in entries:
        width = 42 + sum(13.5 if ord(letter) > 0x2E80 else 7.2 for letter in label)
        if x + width > WIDTH:
            x, y = float(_LEFT), y + _LEGEND_ROW
        drawn += (_legend_symbol(kind, x, y), _text(x + 28, y + 4.5, label, "start"))
        x += width
    return drawn, y + _LEGEND_ROW / 2 + 4


def _legend_symbol(kind: str, x: float, y: float) -> str:
    match kind:
        case "handoff" | "flag":
            return _symbol(kind, x + 11, y, "1")
        case "raised":
            return f'<circle class="raised orange" cx="{x + 11:g}" cy="{y:g}" r="5"/>'
        case "speech" | "gap":
            left, top = x, y - 4
            return f'<rect class="{kind}" x="{left:g}" y="{top:g}" width="22" height="8"/>'
        case _:
            level = " orange" if kind == "threshold" else ""
            return f'<path class="{kind}{level}" d="M{x:g} {y:g}h22"/>'


def _line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:g}" x2="{x2:g}" y1="{y1:g}" y2="{y2:g}"/>'


def _text(x: float, y: float, content: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{text(content)}</text>'
