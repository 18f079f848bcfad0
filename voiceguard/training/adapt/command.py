"""The command `voiceguard calibrate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import ConfigurationError
from voiceguard.resources import models_dir, policies_dir
from voiceguard.training.adapt.base import (
    Change,
    calibration_of,
    for_all_outputs,
    on_top,
    read_base,
    write_adapted,
)
from voiceguard.training.adapt.figures import PRESSURE, Figures, measure
from voiceguard.training.adapt.fitting import (
    FALSE_ALARM_SHARE,
    Wish,
    cross_judge,
    fit_adaptation,
    folds_by_speaker,
    judge,
)
from voiceguard.training.adapt.graph import recalibrated
from voiceguard.training.adapt.recordings import HeardClip, Scorer, check_enough, hear
from voiceguard.training.adapt.report import Report
from voiceguard.training.adapt.scored import Scored
from voiceguard.training.adapt.thresholds import (
    PolicyFile,
    raise_thresholds,
    read_policy,
    suggested_policy,
)
from voiceguard.training.labels import read_labels
from voiceguard.training.progress import CONSOLE, progress, read_with_progress

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_TABLE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_SHIPPED_MODEL: Final = "stress"
_SHIPPED_POLICY: Final = "default.toml"


@click.command("calibrate", short_help="Fit calibration and thresholds to your own recordings.")
@click.argument("labels", metavar="LABELS.csv...", type=_TABLE, nargs=-1, required=True)
@click.option("--model", type=_FOLDER, help="Model folder; default: the shipped one.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Model folder to write."
)
@click.option(
    "--false-alarms",
    "false_alarm_share",
    type=click.FloatRange(0.0, 0.5),
    default=FALSE_ALARM_SHARE,
    show_default=True,
    help="Share of clips without anger or distress that may reach the threshold of a handoff.",
)
@click.option("--policy", type=_TABLE, help="Policy with that threshold; default: the shipped one.")
@click.option(
    "--policy-out",
    type=click.Path(path_type=Path),
    help="Write that policy with raise thresholds for the wished share.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures too.")
def calibrate(
    *,
    labels: tuple[Path, ...],
    model: Path | None,
    out: Path,
    false_alarm_share: float,
    policy: Path | None,
    policy_out: Path | None,
    json_path: Path | None,
) -> None:
    """Fit what the model's numbers mean to recordings of your own; what it hears stays.

    LABELS.csv names recordings and says what they are. Calibration of anger and
    distress and constants of the pressure index are fitted, and figures before
    and after are printed, of speakers that were not fitted to.

    \b
    Examples:
      voiceguard calibrate LABELS.csv --out models/own
      voiceguard calibrate LABELS.csv --out models/own --policy-out policies/own.toml
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    base_folder = model or models_dir() / _SHIPPED_MODEL
    refuse_overwriting(base_folder, out)
    chosen = shipped_policy() if policy is None else read_policy(policy)
    wish = Wish(chosen.handoff_threshold, false_alarm_share)
    base = read_base(base_folder)
    heard, left_out = heard_with_progress(labels)
    scored = Scored.of(heard, score_with_progress(heard, base.score), base.window_hops)
    before = measure(scored, judge(scored, base.weights), wish)
    folds = folds_by_speaker(scored)
    crossed = cross_judge(scored, folds, base.weights, wish)
    after = measure(scored, crossed, wish)
    adapted = fit_adaptation(scored, base.weights, wish)
    more = for_all_outputs(adapted.calibration, len(base.model.outputs))
    change = Change(
        command=f"voiceguard calibrate LABELS.csv --false-alarms {false_alarm_share:g}",
        fitted_on=fitted_on(scored),
        calibration=on_top(more, calibration_of(base)),
        calibration_error=calibration_errors(after),
        weights=adapted.weights,
    )
    version = write_adapted(out, base, recalibrated(base.content, more), base.checkpoint, change)
    if policy_out is not None:
        thresholds = raise_thresholds(crossed.peaks[scored.is_calm], false_alarm_share)
        policy_out.write_bytes(suggested_policy(chosen, thresholds))
    count = int(folds.max()) + 1
    tell(
        out, Report(base, version, scored, count, left_out, wish, before, after, adapted), json_path
    )
    click.echo("calibration keeps the order of clips: AUC differs only as the folds' models do")


def shipped_policy() -> PolicyFile:
    """Return the policy that comes with voiceguard."""
    return read_policy(policies_dir() / _SHIPPED_POLICY)


def refuse_overwriting(base: Path, out: Path) -> None:
    """Refuse to write over the model that is adapted.

    Raises:
        ConfigurationError: both are one folder.
    """
    if out.resolve() == base.resolve():
        raise ConfigurationError(f"--out {out} is the model itself; give another folder")


def heard_with_progress(labels: Sequence[Path]) -> tuple[list[HeardClip], int]:
    """Return the labelled clips that say whether somebody is pressured, and how many do not.

    Raises:
        LabelsError: a table cannot be used.
        AudioFileError: a recording cannot be read.
        TrainingDataError: there is too little.
    """
    clips = [clip for table in labels for clip in read_labels(table)]
    heard = hear(read_with_progress(clips, "reading your recordings"))
    check_enough(heard)
    known = [one for one in heard if one.is_pressured is not None]
    return known, len(clips) - len(known)


def score_with_progress(heard: Sequence[HeardClip], scorer: Scorer) -> list[NDArray[np.float32]]:
    """Return the scores of each clip, (k, outputs)."""
    scores = []
    with progress("scoring your recordings", len(heard)) as report:
        for one in heard:
            scores.append(scorer(one.hops))
            report(len(scores), "")
    return scores


def fitted_on(scored: Scored) -> str:
    """Return what something was fitted on, for a manifest: counts, and no names."""
    speakers = len(set(scored.speakers.tolist()))
    return f"the user's own recordings ({len(scored.speakers)} clips of {speakers} speakers)"


def calibration_errors(after: Figures) -> dict[str, float]:
    """Return calibration errors as a manifest holds them: of the model's outputs only."""
    return {
        name: round(quality.calibration_error, 4)
        for name, quality in after.outputs.items()
        if name != PRESSURE
    }


def tell(out: Path, report: Report, json_path: Path | None) -> None:
    """Print a report, and write it for scripts where asked to."""
    click.echo(f"{out}: {report.version}, from {report.base.model.manifest.version}")
    for line in report.lines():
        click.echo(line)
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_data(), indent=2) + "\n", encoding="utf-8")
        CONSOLE.print(f"figures: {json_path}")
