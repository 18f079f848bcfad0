"""A timeline as a PNG: waveforms, pressure index, thresholds, levels and marks.

Needs matplotlib, which the extra ``plots`` installs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voiceguard.core.errors import ConfigurationError
from voiceguard.core.events import AlertLevel
from voiceguard.offline.files import write_atomically
from voiceguard.offline.timeline import (
    LEVEL_COLOURS,
    ROLE_NAMES,
    PressurePoint,
    Timeline,
    clock,
)

if TYPE_CHECKING:  # matplotlib takes a second to import and may be absent
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_PX: Final = 1600

MOST_DOTS: Final = 400
"""Hops that get a dot of their own; more would hide the curve."""

_DPI: Final = 100
_INK: Final = "#22262b"
_QUIET: Final = "#8a929c"
_SCORED: Final = "#2f6690"
_SPEECH: Final = "#b9d3e6"
_MUSIC: Final = "#8e63b5"
_HANDOFF: Final = "#7b1fa2"
_FLAG: Final = "#00707d"
_SCORE_COLOURS: Final = ("#c0392b", "#6c4ab6", "#3a7d44", "#a0740b", "#41658a", "#7a4e2d")
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 11,
    "axes.titlesize": 11,
    "text.color": _INK,
    "axes.edgecolor": _QUIET,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def require_matplotlib() -> None:
    """Refuse early what could not be drawn later.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        message = "pictures need matplotlib: pip install 'voiceguard[plots]'"
        raise ConfigurationError(message)


def write_png(timeline: Timeline, path: Path) -> None:
    """Draw a timeline, `WIDTH_PX` wide, and write it whole or not at all.

    Raises:
        ConfigurationError: matplotlib is not installed.
        OSError: the file cannot be written.
    """
    require_matplotlib()
    import matplotlib as mpl  # noqa: PLC0415 - only who draws pays for it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    with mpl.rc_context(_STYLE), write_atomically(path) as stream:
        figure = _draw(timeline)
        FigureCanvasAgg(figure)
        figure.savefig(stream, format="png")


def _draw(timeline: Timeline) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415

    heights = [*(0.75 for _ in timeline.roles), *_panel_heights(timeline)]
    total = sum(heights) + 2.5
    figure = Figure(figsize=(WIDTH_PX / _DPI, total), dpi=_DPI, facecolor="white")
    grid = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    panels: list[Axes] = list(grid[:, 0])
    figure.subplots_adjust(
        left=0.1, right=0.925, top=1 - 1.25 / total, bottom=1.15 / total, hspace=0.12
    )
    lanes, rest = panels[: len(timeline.roles)], panels[len(timeline.roles) :]
    for channel, axes in enumerate(lanes):
        _draw_waveform(axes, timeline, channel)
    for channel, pair in zip(sorted(timeline.points), _pairs(rest), strict=True):
        _draw_pressure(pair[0], timeline, channel)
        _draw_scores(pair[1], timeline, channel)
    for axes in panels:
        _draw_marks(axes, timeline)
        axes.set_xlim(0, max(timeline.duration_s, 0.1))
        axes.margins(x=0)
    panels[-1].xaxis.set_major_formatter(lambda value, _: clock(value))
    panels[-1].set_xlabel("time in the call")
    _write_header(figure, timeline, total)
    _write_legend(figure, timeline)
    return figure


def _panel_heights(timeline: Timeline) -> list[float]:
    return [3.6, 1.2] * len(timeline.points)


def _pairs(panels: list[Axes]) -> list[tuple[Axes, Axes]]:
    return list(zip(panels[::2], panels[1::2], strict=True))


def _draw_waveform(axes: Axes, timeline: Timeline, channel: int) -> None:
    scored = channel in timeline.points
    for span in timeline.speech.get(channel, ()):
        axes.axvspan(span.start_s, span.end_s, color=_SPEECH, alpha=0.55, lw=0)
    if scored:
        for span in timeline.music(channel):
            axes.axvspan(span.start_s, span.end_s, color=_MUSIC, alpha=0.25, lw=0)
    if timeline.waveform is not None and len(timeline.waveform.extremes):
        times, extremes = _thinned(timeline, channel)
        peak = max(float(np.abs(timeline.waveform.extremes).max()), 0.05)
        axes.fill_between(
            times, extremes[:, 0], extremes[:, 1], color=_SCORED if scored else _QUIET, lw=0.4
        )
        axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    label = f"{ROLE_NAMES[timeline.roles[channel]]}\nchannel {channel}"
    axes.set_ylabel(label, rotation=0, ha="right", va="center", labelpad=10)
    if not scored:
        axes.text(
            1.006, 0.5, "not scored", transform=axes.transAxes, va="center", color=_QUIET, size=10
        )
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)


def _thinned(timeline: Timeline, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """Return times and extremes with no more stretches than the picture has columns."""
    assert timeline.waveform is not None  # noqa: S101 - the caller has looked
    extremes = timeline.waveform.extremes[:, :, channel]
    factor = -(-len(extremes) // WIDTH_PX)
    starts = np.arange(0, len(extremes), factor)
    lowest = np.minimum.reduceat(extremes[:, 0], starts)
    highest = np.maximum.reduceat(extremes[:, 1], starts)
    times = (starts + factor / 2) * timeline.waveform.stretch_s
    return times, np.stack((lowest, highest), axis=1)


def _draw_pressure(axes: Axes, timeline: Timeline, channel: int) -> None:
    for level, low, high in timeline.bands:
        axes.axhspan(low, high, color=LEVEL_COLOURS[level], alpha=0.13, lw=0)
    for level, threshold in timeline.thresholds:
        axes.axhline(threshold, color=LEVEL_COLOURS[level], lw=1.2, ls=(0, (5, 3)))
        axes.text(
            1.006,
            threshold,
            f"{level.name.lower()} {threshold:g}",
            transform=axes.get_yaxis_transform(),
            color=LEVEL_COLOURS[level],
            va="center",
            weight="bold",
        )
    points = timeline.points[channel]
    _draw_curve(axes, points, timeline.duration_s)
    for level, span in timeline.level_spans(channel):
        axes.axvspan(span.start_s, span.end_s, 0.0, 0.035, color=LEVEL_COLOURS[level], lw=0)
    if not points:
        axes.text(
            0.5, 0.5, "no speech to score", transform=axes.transAxes, ha="center", color=_QUIET
        )
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    name = "pressure\nindex" if len(timeline.points) == 1 else f"pressure\nchannel {channel}"
    axes.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=14)
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _draw_curve(axes: Axes, points: tuple[PressurePoint, ...], duration_s: float) -> None:
    """Draw the index as it is known: it stays where it is until the next hop ends."""
    if not points:
        return
    times = [point.end_s for point in points]
    indices = [point.index for point in points]
    axes.plot(
        [0.0, *times, max(duration_s, times[-1])],
        [0.0, *indices, indices[-1]],
        color=_INK,
        lw=2.0,
        drawstyle="steps-post",
        zorder=4,
    )
    if len(points) <= MOST_DOTS:
        colours = [LEVEL_COLOURS[point.level] for point in points]
        axes.scatter(times, indices, c=colours, s=20, zorder=5, edgecolors=_INK, linewidths=0.6)


def _draw_scores(axes: Axes, timeline: Timeline, channel: int) -> None:
    points = [point for point in timeline.points[channel] if point.scores]
    times = [point.end_s for point in points]
    for place, name in enumerate(_score_names(timeline)):
        values = [point.scores[name] for point in points]
        colour = _SCORE_COLOURS[place % len(_SCORE_COLOURS)]
        axes.plot(times, values, color=colour, lw=1.4, label=name)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("model\nscores", rotation=0, ha="right", va="center", labelpad=14)
    if points:
        axes.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=10,
            handlelength=1.2,
            labelspacing=0.25,
            borderaxespad=0.3,
        )


def _score_names(timeline: Timeline) -> list[str]:
    """Return the names of all model outputs, anger and distress first: they make the index."""
    names = {
        name for points in timeline.points.values() for point in points for name in point.scores
    }
    first = [name for name in ("anger", "distress") if name in names]
    return first + sorted(names - set(first))


def _draw_marks(axes: Axes, timeline: Timeline) -> None:
    for span in timeline.gaps:
        axes.axvspan(span.start_s, span.end_s, facecolor="#e6e6e6", hatch="///", ec=_QUIET, lw=0)
    for span in timeline.holds:
        axes.axvspan(span.start_s, span.end_s, facecolor="#f3ead7", hatch="...", ec="#b59b5b", lw=0)
    for flag in timeline.flags:
        axes.axvline(flag.at_s, color=_FLAG, lw=5.0, alpha=0.55, zorder=6)
    for handoff in timeline.handoffs:
        axes.axvline(handoff.at_s, color=_HANDOFF, lw=1.8, zorder=7)


def _write_header(figure: Figure, timeline: Timeline, total: float) -> None:
    figure.text(0.012, 1 - 0.32 / total, timeline.title, size=15, weight="bold", va="center")
    facts = "   ·   ".join(timeline.facts)
    figure.text(0.012, 1 - 0.60 / total, facts, size=11, color="#4a525c")
    axes = figure.axes[0]
    for label, at_s, colour, height in _mark_labels(timeline):
        fraction = at_s / max(timeline.duration_s, 0.1)
        right = fraction > 0.85
        axes.annotate(
            label,
            xy=(at_s, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(-4 if right else 4, height),
            textcoords="offset points",
            ha="right" if right else "left",
            va="bottom",
            color="white",
            weight="bold",
            size=10,
            bbox={"boxstyle": "round,pad=0.25", "fc": colour, "ec": "none"},
            annotation_clip=False,
            zorder=10,
        )


def _mark_labels(timeline: Timeline) -> list[tuple[str, float, str, float]]:
    """Return text, time, colour and height of the label of each mark."""
    labels = [
        (
            f"handoff {clock(mark.at_s)} · {mark.reason.value} · {mark.index:.0f}",
            mark.at_s,
            _HANDOFF,
            2.0,
        )
        for mark in timeline.handoffs
    ]
    flags = [(f"flagged {clock(mark.at_s)}", mark.at_s, _FLAG, 23.0) for mark in timeline.flags]
    return labels + flags


def _write_legend(figure: Figure, timeline: Timeline) -> None:
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles: list[Artist] = [
        Line2D([], [], color=_INK, lw=2.0, marker="o", ms=5, label="pressure index"),
        Line2D([], [], color=_QUIET, lw=1.2, ls=(0, (5, 3)), label="threshold of a level"),
        *(
            Patch(color=LEVEL_COLOURS[level], alpha=0.7, label=level.name.lower())
            for level in AlertLevel
        ),
        Patch(color=_SPEECH, label="customer speech"),
    ]
    if timeline.handoffs:
        handles.append(Line2D([], [], color=_HANDOFF, lw=1.8, label="handoff requested"))
    if timeline.flags:
        handles.append(Line2D([], [], color=_FLAG, lw=5.0, alpha=0.55, label="flagged for QA"))
    if any(timeline.music(channel) for channel in timeline.points):
        handles.append(Patch(color=_MUSIC, alpha=0.4, label="music or tone"))
    if timeline.gaps:
        handles.append(Patch(fc="#e6e6e6", hatch="///", ec=_QUIET, lw=0, label="audio missing"))
    if timeline.holds:
        handles.append(Patch(fc="#f3ead7", hatch="...", ec="#b59b5b", lw=0, label="on hold"))
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=7,
        frameon=False,
        fontsize=10,
        columnspacing=1.3,
        handlelength=1.6,
        bbox_to_anchor=(0.51, 0.0),
    )
