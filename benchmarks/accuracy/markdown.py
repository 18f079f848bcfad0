"""The report as a page: tables beside the command that makes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from benchmarks.accuracy.groups import FALSE_ALARM_RATE, GROUP_MEASURES, LEAST_SPEAKERS, Dimension
from benchmarks.accuracy.judges import ANGER_AUC, ANGER_OR_FEAR_AUC, MEASURES
from benchmarks.accuracy.measures import Comparison, ConditionFigures, GainShift, worst_conditions
from benchmarks.accuracy.mistakes import Mistakes, WrongClip
from benchmarks.accuracy.report import CorpusReport, Report
from voiceguard.training.corpora import EMOTIONS
from voiceguard.training.statistics import Estimate

PICTURES: Final[Mapping[str, str]] = {
    "judges": "Model, listeners and baselines, with 95 % intervals",
    "conditions": "AUC of anger lost after each line condition",
    "reliability": "Reliability of the probabilities",
    "groups": "Groups of CREMA-D's speakers",
}
"""By file name without ending: what a picture shows."""

_WORST_CONDITIONS: Final = 3


def page(report: Report, pictures: Sequence[str]) -> str:
    """Return the report as Markdown.

    Args:
        report: everything.
        pictures: names out of `PICTURES` that lie beside the page.
    """
    return "\n".join(_lines(report, pictures)) + "\n"


def _lines(report: Report, pictures: Sequence[str]) -> Iterator[str]:
    yield "<!-- Written by python -m benchmarks.accuracy; do not edit. -->"
    yield from ("", "# Accuracy", "", f"**{report.speech}**", "")
    yield from ("```", report.command, "```", "")
    yield (
        "Each clip is the start of a channel over clean G.711 mu-law, gated by the engine's own "
        "detector and segmenter; its score is the mean log-odds of its hops. No model judges a "
        "speaker that it learnt from: its manifest is checked. In brackets: 95 % intervals from "
        f"{report.draws} bootstrap draws of speakers, seed {report.seed}. Differences are paired."
    )
    yield ""
    yield from _table(
        ("model", "version", "sha256"),
        [(each.title, each.version, f"`{each.sha256[:16]}`") for each in report.models],
    )
    yield from _pictures(pictures, "judges")
    for corpus in report.corpora:
        yield from _corpus(corpus)
    yield from ("", "## Line conditions", "")
    yield (
        "Lost is the AUC over clean G.711 less the AUC after the line. Scores (probabilities of "
        "anger and of distress) move against clean G.711, over clips that are not clipped."
    )
    yield from _pictures(pictures, "conditions")
    for corpus in report.corpora:
        yield from _conditions(corpus)
    yield from ("", "## Calibration")
    yield from _pictures(pictures, "reliability")
    yield from _calibration(report.corpora)
    yield from ("", "## Groups of speakers")
    yield from _pictures(pictures, "groups")
    for corpus in report.corpora:
        yield from _groups(corpus)
    yield from ("", "## Errors")
    for corpus in report.corpora:
        yield from _errors(corpus)


def _pictures(pictures: Sequence[str], name: str) -> Iterator[str]:
    if name in pictures:
        yield from ("", f"![{PICTURES[name]}](accuracy-{name}.png)")


def _corpus(corpus: CorpusReport) -> Iterator[str]:
    comparison = corpus.comparison
    measures = [name for name in MEASURES if _is_given(comparison, name)]
    yield from ("", f"## {corpus.title}", "")
    yield (
        f"{corpus.clips} clips, {corpus.speakers} speakers; no speech found in "
        f"{corpus.without_speech}. Judged by: {', '.join(corpus.judged_by)}."
    )
    yield ""
    yield from _table(
        ("", *(MEASURES[name] for name in measures)),
        [
            (title, *(_estimate(comparison.figures[judge].get(name)) for name in measures))
            for judge, title in comparison.titles.items()
        ],
    )
    yield from ("", "The model less the others:", "")
    yield from _table(
        ("", *(MEASURES[name] for name in measures)),
        [
            (comparison.titles[judge], *(_difference(ahead.get(name)) for name in measures))
            for judge, ahead in comparison.model_ahead_by.items()
        ],
    )


def _is_given(comparison: Comparison, measure: str) -> bool:
    return any(measure in figures for figures in comparison.figures.values())


def _conditions(corpus: CorpusReport) -> Iterator[str]:
    if not corpus.conditions:
        return
    worst = worst_conditions([each for each in corpus.conditions if not each.is_extreme], ANGER_AUC)
    yield from ("", f"### {corpus.title}", "")
    if worst:
        named = "; ".join(
            f"{each.title} {each.auc_lost[ANGER_AUC].value:.3f}"
            for each in worst[:_WORST_CONDITIONS]
        )
        yield from (f"Most AUC of anger lost, extreme lines (*) left out: {named}.", "")
    yield from _gain(corpus.gain_shift)
    yield from _table(
        (
            *("line", "anger, AUC", "lost", "anger or fear, AUC", "lost", "no speech"),
            *("clipped", "score moves: mean", "99 %", "most"),
        ),
        [_condition(each) for each in corpus.conditions],
    )


def _gain(shift: GainShift | None) -> Iterator[str]:
    if shift is None:
        return
    chain = "" if shift.of_chain is None else f", with coding and detector by {shift.of_chain:.3f}"
    yield f"The same speech at another level moves a score by at most {shift.of_model:.3f}{chain}."
    yield ""


def _condition(figures: ConditionFigures) -> tuple[str, ...]:
    shift = figures.shift
    return (
        figures.title + (" *" if figures.is_extreme else ""),
        _estimate(figures.auc.get(ANGER_AUC)),
        _difference(figures.auc_lost.get(ANGER_AUC)),
        _estimate(figures.auc.get(ANGER_OR_FEAR_AUC)),
        _difference(figures.auc_lost.get(ANGER_OR_FEAR_AUC)),
        str(figures.without_speech),
        str(figures.clipped),
        *(
            (f"{shift.mean:.3f}", f"{shift.percentile_99:.3f}", f"{shift.largest:.3f}")
            if shift
            else ("-", "-", "-")
        ),
    )


def _calibration(corpora: Sequence[CorpusReport]) -> Iterator[str]:
    yield ""
    yield (
        "Expected calibration error, 10 equal bins. It holds for the share of each emotion in the "
        "corpus, not for that of calls. Distress is held against acted fear."
    )
    yield ""
    yield from _table(
        ("corpus", "output", "calibration error"),
        [
            (corpus.title, each.output, _estimate(each.error))
            for corpus in corpora
            for each in corpus.calibrations
        ],
    )


def _groups(corpus: CorpusReport) -> Iterator[str]:
    if not corpus.groups:
        return
    thresholds = corpus.thresholds
    yield from ("", f"### {corpus.title}", "")
    yield (
        f"False alarms are the share of clips without anger (without anger or fear) that lie above "
        f"one threshold for everybody, {thresholds.anger:.3f} for anger and "
        f"{thresholds.pressure:.3f} for anger or distress, at which {FALSE_ALARM_RATE:.0%} of all "
        f"of them do. Policy: evidence of {thresholds.handoff:.2f}, where the default policy hands "
        f"off, the speaker unknown. The largest difference is among groups of at least "
        f"{LEAST_SPEAKERS} speakers; it was picked for being largest, so chance alone gives some."
    )
    for dimension in corpus.groups:
        yield from _dimension(dimension)


def _dimension(dimension: Dimension) -> Iterator[str]:
    yield ""
    yield from _table(
        (dimension.name, "speakers", "clips", *GROUP_MEASURES.values()),
        [
            (
                group.name,
                str(group.speakers),
                str(group.clips),
                *(_estimate(group.figures.get(name)) for name in GROUP_MEASURES),
            )
            for group in dimension.groups
        ],
    )
    yield ""
    for measure, gap in dimension.gaps.items():
        yield (
            f"- largest difference, {GROUP_MEASURES[measure]}: {gap.highest} over {gap.lowest}, "
            f"{_difference(gap.difference)}"
        )


def _errors(corpus: CorpusReport) -> Iterator[str]:
    yield from ("", f"### {corpus.title}")
    for mistakes in corpus.mistakes:
        yield from _mistakes(mistakes)
    if corpus.confusion is not None:
        yield from ("", "What was meant (row) and what the model names (column):", "")
        yield from _table(
            ("", *EMOTIONS),
            [
                (meant, *(f"{value:.0%}" for value in row))
                for meant, row in zip(EMOTIONS, corpus.confusion.tolist(), strict=True)
            ],
        )


def _mistakes(mistakes: Mistakes) -> Iterator[str]:
    yield ""
    yield (
        f"`{mistakes.output}`, held against acted {mistakes.looked_for}; alarm above "
        f"{mistakes.threshold:.3f}, which {FALSE_ALARM_RATE:.0%} of the other clips reach:"
    )
    yield ""
    yield from _table(
        ("emotion", "alarms", f"AUC of {mistakes.looked_for} against it"),
        [
            (emotion, _estimate(alarms), _estimate(mistakes.told_apart.get(emotion)))
            for emotion, alarms in mistakes.alarms.items()
        ],
    )
    yield ""
    yield f"- surest false alarms: {_clips(mistakes.false_alarms, mistakes.looked_for)}"
    yield f"- surest misses: {_clips(mistakes.misses, mistakes.looked_for)}"


def _clips(clips: Sequence[WrongClip], looked_for: str) -> str:
    """Return clips with what was meant, the model's probability and how many listeners agree."""
    return ", ".join(
        f"`{clip.name}` ({clip.emotion}, {clip.probability:.2f}"
        + (
            f", {clip.listeners:.0%} of listeners heard {looked_for})"
            if clip.listeners is not None
            else ")"
        )
        for clip in clips
    )


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _difference(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
