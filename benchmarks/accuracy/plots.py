"""The report as pictures, each small enough to keep in a repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.accuracy.groups import (
    ANGER_FALSE_ALARMS,
    FALSE_ALARM_RATE,
    GROUP_MEASURES,
    PRESSURE_FALSE_ALARMS,
    Dimension,
)
from benchmarks.accuracy.judges import ANGER_AUC, ANGER_OR_FEAR_AUC, MEASURES
from benchmarks.accuracy.measures import Calibration
from benchmarks.accuracy.report import CorpusReport, Report
from voiceguard.training.statistics import Estimate

_COLOURS: Final = {
    "model": "#1b6ca8",
    "panel": "#e08e0b",
    "single-rater": "#f3c677",
    "egemaps": "#6a994e",
    "loudness": "#a3a3a3",
}
_OTHER_COLOURS: Final = ("#1b6ca8", "#e08e0b", "#6a994e")
_STYLE: Final[dict[Any, Any]] = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9,
    "grid.color": "#e4e4e4",
    "svg.hashsalt": "voiceguard",
}
_DPI: Final = 100
_ACTED: Final = "acted speech, unseen speakers, G.711; bars: 95 % over speakers"


def write_pictures(report: Report, folder: Path) -> list[str]:
    """Write `accuracy-NAME.png` into `folder`; return the names of those there was matter for."""
    groups = next((corpus for corpus in report.corpora if corpus.groups), None)
    with mpl.rc_context(_STYLE):
        pictures: dict[str, Figure] = {"judges": _judges(report.corpora)}
        if any(len(corpus.conditions) > 1 for corpus in report.corpora):
            pictures["conditions"] = _conditions(report.corpora)
        pictures["reliability"] = _reliability(report.corpora)
        if groups is not None:
            pictures["groups"] = _groups(_short(groups), groups.groups)
        for name, figure in pictures.items():
            # No date or version inside, so that the same figures give the same bytes.
            figure.savefig(folder / f"accuracy-{name}.png", dpi=_DPI, metadata={"Software": None})
    return list(pictures)


def _judges(corpora: Sequence[CorpusReport]) -> Figure:
    """Draw a panel for each corpus: bars by measure, one colour for each judge."""
    figure = Figure(figsize=(9.0, 2.8 * len(corpora)), layout="constrained")
    figure.suptitle(_ACTED, fontsize=9)
    for axes, corpus in zip(
        figure.subplots(len(corpora), 1, squeeze=False)[:, 0], corpora, strict=True
    ):
        comparison = corpus.comparison
        given_by_any = set().union(*comparison.figures.values())
        shown = [name for name in MEASURES if name in given_by_any]
        width = 0.8 / len(comparison.titles)
        for place, (judge, title) in enumerate(comparison.titles.items()):
            given = [
                (at, name) for at, name in enumerate(shown) if name in comparison.figures[judge]
            ]
            x = np.array([at for at, _ in given]) + (place + 0.5) * width - 0.4
            estimates = [comparison.figures[judge][name] for _, name in given]
            _bars(axes, x, estimates, width, label=title, color=_COLOURS[judge])
        axes.set_xticks(
            range(len(shown)), [MEASURES[name].replace(", ", "\n", 1) for name in shown]
        )
        axes.set_ylim(0.0, 1.0)
        axes.grid(visible=False, axis="x")
        axes.set_title(
            f"{corpus.title} ({corpus.clips} clips, {corpus.speakers} speakers)", loc="left"
        )
        axes.legend(
            fontsize=7, ncols=1, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False
        )
    return figure


def _short(corpus: CorpusReport) -> str:
    """Return the title up to its colon: the name that people use."""
    return corpus.title.partition(":")[0]


def _bars(
    axes: Any,  # noqa: ANN401 - matplotlib's types are wider than what is needed
    x: np.ndarray[Any, np.dtype[np.float64]],
    estimates: Sequence[Estimate],
    width: float,
    **kwargs: Any,  # noqa: ANN401 - matplotlib's own
) -> None:
    """Draw bars with their intervals."""
    values = np.array([each.value for each in estimates])
    errors = _errors_of(estimates)
    axes.bar(x, values, width * 0.92, yerr=errors, ecolor="#333333", capsize=2, **kwargs)


def _errors_of(estimates: Sequence[Estimate]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return how far the intervals reach below and above, (2, estimates)."""
    reach = [(each.value - each.low, each.high - each.value) for each in estimates]
    return np.asarray(np.maximum(np.nan_to_num(np.array(reach)), 0.0).T)


def _conditions(corpora: Sequence[CorpusReport]) -> Figure:
    """Draw AUC of anger lost by condition, a panel for each corpus, all in one order."""
    shown = [corpus for corpus in corpora if len(corpus.conditions) > 1]
    rows = max(len(corpus.conditions) for corpus in shown)
    figure = Figure(figsize=(2.6 + 3.0 * len(shown), 1.0 + 0.21 * rows), layout="constrained")
    figure.suptitle(
        "AUC of anger lost against clean G.711 (orange: extreme); acted speech", fontsize=9
    )
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, corpus in zip(panels, shown, strict=True):
        figures = [each for each in corpus.conditions if ANGER_AUC in each.auc_lost]
        lost = [each.auc_lost[ANGER_AUC] for each in figures]
        colours = [_OTHER_COLOURS[1] if each.is_extreme else _OTHER_COLOURS[0] for each in figures]
        places = range(len(figures))
        axes.barh(places, [each.value for each in lost], color=colours, xerr=_errors_of(lost))
        axes.axvline(0.03, color="#b00020", linewidth=0.8, linestyle="--")
        axes.set_yticks(places, [each.title for each in figures], fontsize=7)
        axes.set_title(_short(corpus), fontsize=8, loc="left")
        axes.locator_params(axis="x", nbins=4)
        axes.grid(visible=False, axis="y")
    panels[0].set_ylim(rows - 0.4, -0.6)
    return figure


def _reliability(corpora: Sequence[CorpusReport]) -> Figure:
    """Draw share of positives over probability, a panel for each corpus."""
    figure = Figure(figsize=(3.1 * len(corpora), 3.4), layout="constrained")
    figure.suptitle("Reliability (area of a dot: number of clips); acted speech", fontsize=9)
    panels = figure.subplots(1, len(corpora), sharey=True, squeeze=False)[0]
    for axes, corpus in zip(panels, corpora, strict=True):
        axes.plot([0, 1], [0, 1], color="#a3a3a3", linewidth=0.8)
        for colour, calibration in zip(_OTHER_COLOURS, corpus.calibrations, strict=False):
            _reliability_curve(axes, calibration, corpus.clips, colour)
        axes.set_xlabel("probability that the model gives")
        axes.set_title(_short(corpus), fontsize=8, loc="left")
        axes.legend(fontsize=7, frameon=False)
    panels[0].set_ylabel("share of clips with it")
    return figure


def _reliability_curve(
    axes: Any,  # noqa: ANN401 - matplotlib's types are wider than what is needed
    calibration: Calibration,
    clips: int,
    colour: str,
) -> None:
    x = [each.mean_probability for each in calibration.bins]
    y = [each.share_of_positives for each in calibration.bins]
    label = f"{calibration.output} ({calibration.emotion}), error {calibration.error.value:.3f}"
    axes.plot(x, y, color=colour, linewidth=1.2, label=label)
    axes.scatter(x, y, [8 + 160 * each.clips / clips for each in calibration.bins], color=colour)


def _groups(title: str, dimensions: Sequence[Dimension]) -> Figure:
    """Draw AUC and false alarms by group, with intervals."""
    figure = Figure(figsize=(9.0, 5.4), layout="constrained")
    figure.suptitle(f"{title}, by group; {_ACTED}", fontsize=9)
    upper, lower = figure.subplots(2, 1, sharex=True)
    named = [
        (f"{group.name}\n({group.speakers})", group)
        for dimension in dimensions
        for group in dimension.groups
    ]
    x = np.arange(len(named), dtype=np.float64)
    for axes, measures in (
        (upper, (ANGER_AUC, ANGER_OR_FEAR_AUC)),
        (lower, (ANGER_FALSE_ALARMS, PRESSURE_FALSE_ALARMS)),
    ):
        for place, measure in enumerate(measures):
            given = [
                (at, g.figures[measure]) for at, (_, g) in enumerate(named) if measure in g.figures
            ]
            estimates = [estimate for _, estimate in given]
            axes.errorbar(
                x[[at for at, _ in given]] + 0.16 * (place - 0.5),
                [each.value for each in estimates],
                yerr=_errors_of(estimates),
                fmt="o",
                markersize=4,
                capsize=2,
                color=_OTHER_COLOURS[place],
                label=GROUP_MEASURES[measure],
            )
        axes.legend(fontsize=7, frameon=False, loc="best")
        end = -0.5
        for dimension in dimensions[:-1]:
            end += len(dimension.groups)
            axes.axvline(end, color="#a3a3a3", linewidth=0.8)
    lower.axhline(FALSE_ALARM_RATE, color="#a3a3a3", linewidth=0.8, linestyle="--")
    lower.set_xticks(x, [name for name, _ in named], fontsize=7, rotation=35, ha="right")
    return figure
