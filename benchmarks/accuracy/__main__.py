r"""Measures a model and the baselines on acted corpora, and writes a report.

    python -m benchmarks.accuracy --corpus crema-d=CREMA-D --corpus emo-db=EMO-DB \
        --corpus nemo=NEMO --augmentation AUGMENTATION --folds FOLDS

Writes accuracy.json, accuracy.md and accuracy-*.png into --out.  FOLDS has a model folder for each
fold, FOLDS/1 and so on, as `voiceguard train --fold 1 --out FOLDS/1` makes them; a fold's model
judges the speakers that it left out.  Without --folds, the shipped model judges its own test
speakers.  The baseline needs `pip install -r benchmarks/requirements.txt`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.evaluation import Plan, evaluate
from benchmarks.accuracy.markdown import page
from benchmarks.accuracy.plots import write_pictures
from benchmarks.accuracy.report import Report, as_data
from benchmarks.accuracy.scores import CLEAN
from voiceguard.cli.exits import ExitCode, exit_code_of
from voiceguard.cli.exits import report as report_error
from voiceguard.core.errors import VoiceguardError
from voiceguard.resources import models_dir
from voiceguard.training.corpora import CORPORA, Corpus
from voiceguard.training.lines.conditions import CONDITIONS, condition_named
from voiceguard.training.progress import progress

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_ALL: Final = "all"
_NONE: Final = "none"


class _NamedFolder(click.ParamType[tuple[Corpus, Path]]):
    """NAME=FOLDER, where NAME is a corpus that there is a reader for."""

    name = "name=folder"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Corpus, Path]:
        """Return corpus and folder, or fail with what there is to choose from."""
        name, _, folder = value.partition("=")
        if name not in CORPORA or not folder:
            self.fail(f"{value!r} is not NAME=FOLDER; names: {', '.join(CORPORA)}", param, ctx)
        return CORPORA[name], Path(folder)


@click.command(help=__doc__)
@click.option("--corpus", "corpora", type=_NamedFolder(), multiple=True, required=True)
@click.option("--augmentation", type=_FOLDER, help="Folder with noise/ and impulse-responses/.")
@click.option("--model", type=_FOLDER, help="Model that is shipped; default: models/stress.")
@click.option("--folds", type=_FOLDER, help="Folder of the folds' models.")
@click.option(
    "--conditions", default=_ALL, show_default=True, help="Line conditions, by comma; or none."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("docs/evaluation"))
@click.option("--cache", type=click.Path(path_type=Path), help="Keep scores and features here.")
@click.option("--egemaps/--no-egemaps", default=True, help="The baseline on openSMILE's features.")
@click.option("--limit", type=click.IntRange(1), help="At most so many clips of each corpus.")
@click.option("--draws", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
def main(  # noqa: PLR0913, PLR0917 - one argument for each option
    corpora: tuple[tuple[Corpus, Path], ...],
    augmentation: Path | None,
    model: Path | None,
    folds: Path | None,
    conditions: str,
    out: Path,
    cache: Path | None,
    egemaps: bool,  # noqa: FBT001 - click calls by name
    limit: int | None,
    draws: int,
    seed: int,
    jobs: int,
) -> None:
    """Evaluate and write the report."""
    plan = Plan(
        corpora,
        model or models_dir() / "stress",
        folds,
        _conditions(conditions),
        augmentation,
        egemaps,
        limit,
        draws,
        seed,
        jobs,
        Cache(cache),
    )
    write(evaluate(plan, command_line(plan, conditions), progress), out)
    click.echo(f"wrote {out / 'accuracy.md'}, accuracy.json and pictures")


def _conditions(names: str) -> tuple[str, ...]:
    """Return the names of the conditions that were asked for.

    Raises:
        ConditionError: there is none of that name.
    """
    if names == _ALL:
        return tuple(condition.name for condition in CONDITIONS)
    if names == _NONE:
        return (CLEAN,)
    return tuple(condition_named(name.strip()).name for name in names.split(","))


def command_line(plan: Plan, conditions: str) -> str:
    """Return the command without anything of this machine, for the report."""
    words = ["python -m benchmarks.accuracy"]
    words += [f"--corpus {corpus.name}={corpus.name.upper()}" for corpus, _ in plan.corpora]
    words += ["--augmentation AUGMENTATION"] if plan.augmentation else []
    words += ["--folds FOLDS"] if plan.folds else []
    words += [] if conditions == _ALL else [f"--conditions {conditions}"]
    words += [] if plan.with_egemaps else ["--no-egemaps"]
    words += [f"--limit {plan.limit}"] if plan.limit else []
    return " ".join([*words, f"--draws {plan.draws} --seed {plan.seed}"])


def write(report: Report, out: Path) -> None:
    """Write accuracy.json, accuracy.md and the pictures into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    pictures = write_pictures(report, out)
    data = json.dumps(as_data(report), indent=1, ensure_ascii=False)
    (out / "accuracy.json").write_text(f"{data}\n", encoding="utf-8")
    (out / "accuracy.md").write_text(page(report, pictures), encoding="utf-8")


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; every expected error is one line."""
    try:
        main.main(list(arguments), prog_name="python -m benchmarks.accuracy", standalone_mode=False)
    except click.ClickException as error:
        report_error(error.format_message())
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        report_error("interrupted")
        return ExitCode.INTERRUPTED
    except VoiceguardError as error:
        report_error(error)
        return exit_code_of(error)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
