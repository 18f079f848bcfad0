"""The commands `voiceguard train` and `voiceguard evaluate`."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import click
import torch

from voiceguard.core.errors import ConfigurationError, ModelError
from voiceguard.engine.manifest import TrainingRecord, load_manifest
from voiceguard.training.adapt.finetune import Request, fine_tune
from voiceguard.training.adapt.learning import STEPS as FINE_TUNING_STEPS
from voiceguard.training.augment import Chances, Sounds
from voiceguard.training.calls import CallSounds
from voiceguard.training.clips import utterances_of
from voiceguard.training.corpora import CORPORA, Clip
from voiceguard.training.evaluate import Accuracy, measure_accuracy
from voiceguard.training.examples import RowSampler
from voiceguard.training.experts import Shape
from voiceguard.training.export import Runner
from voiceguard.training.fit import Schedule, fit
from voiceguard.training.manifest import MANIFEST_FILE, MODEL_FILE
from voiceguard.training.network import StressNetwork
from voiceguard.training.progress import CONSOLE, progress, read_with_progress
from voiceguard.training.ship import CALLS, Shipped, ship
from voiceguard.training.sources import (
    Source,
    as_options,
    check_licences,
    corpora_of,
    given_corpora,
    own_recordings,
)
from voiceguard.training.splits import (
    FOLDS,
    SHIPPED,
    Partition,
    Split,
    fold_partition,
    held_out_speakers,
    select,
)

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_TABLE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLD: Final = click.IntRange(1, FOLDS)
_LOSS_MEMORY: Final = 0.98
_ALL: Final = "all"

_corpus_option = click.option(
    "--corpus",
    "sources",
    metavar="NAME=FOLDER",
    multiple=True,
    callback=given_corpora,
    help=f"A corpus as its publisher ships it; may be repeated. Names: {', '.join(CORPORA)}.",
)


@click.command("train", short_help="Train the stress model.")
@click.argument("labels", metavar="[LABELS.csv]...", type=_TABLE, nargs=-1)
@_corpus_option
@click.option(
    "--base", type=_FOLDER, help="Learn on from this model: LABELS.csv, and corpora as rehearsal."
)
@click.option(
    "--augmentation",
    type=_FOLDER,
    help="Folder with noise/, impulse-responses/, prompts/, music/ and tones/.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Model folder to write."
)
@click.option("--seed", default=7, show_default=True, help="Everything random follows from it.")
@click.option(
    "--steps",
    type=click.IntRange(1),
    help=f"Batches; default: {Schedule().steps}, with --base {FINE_TUNING_STEPS}.",
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Of PyTorch.")
@click.option(
    "--fold", type=_FOLD, help="Cross-validation: the fold of CREMA-D and EMO-DB to leave out."
)
@click.option(
    "--allow-noncommercial",
    is_flag=True,
    help="Learn also from corpora whose licences forbid commercial use; the manifest says so.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures too.")
def train(  # noqa: PLR0913 - one argument for each option
    *,
    labels: tuple[Path, ...],
    sources: tuple[Source, ...],
    base: Path | None,
    augmentation: Path | None,
    out: Path,
    seed: int,
    steps: int | None,
    threads: int,
    fold: int | None,
    allow_noncommercial: bool,
    json_path: Path | None,
) -> None:
    """Train the stress model and write model.onnx and model.toml.

    LABELS.csv names recordings of your own and says what they are. Speakers kept
    for development and test are fixed in voiceguard.training.splits; no test
    speaker is looked at here. With --base a model that is there already learns
    a little more, from your own recordings.

    \b
    Examples:
      voiceguard train --corpus crema-d=CREMA-D --corpus emo-db=EMO-DB \\
          --out models/stress --seed 7
      voiceguard train --base models/stress LABELS.csv --out models/own
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    torch.set_num_threads(threads)
    if not allow_noncommercial:
        check_licences(sources)
    if base is not None:
        if fold is not None or not labels:
            raise ConfigurationError("--base wants LABELS.csv of your own, and no --fold")
        count = steps or FINE_TUNING_STEPS
        options = (augmentation, out, seed, count, allow_noncommercial)
        fine_tune(Request(base, labels, sources, *options), json_path)
        return
    given = [*sources, *own_recordings(labels)]
    if not given:
        raise ConfigurationError("nothing to learn from: give --corpus NAME=FOLDER")
    partition = SHIPPED if fold is None else fold_partition(fold)
    if allow_noncommercial:
        partition = replace(partition, unheard=frozenset())
    schedule = Schedule() if steps is None else Schedule(steps=steps)
    command = _command_line(given, augmentation, seed, schedule.steps, fold, allow_noncommercial)
    made = _train_anew(given, partition, augmentation, schedule, command, out, seed)
    _report_shipped(out, made)
    if json_path is not None:
        json_path.write_text(json.dumps(asdict(made), indent=2) + "\n", encoding="utf-8")


def _train_anew(
    given: Sequence[Source],
    partition: Partition,
    augmentation: Path | None,
    schedule: Schedule,
    command: str,
    out: Path,
    seed: int,
) -> Shipped:
    torch.manual_seed(seed)
    sounds, call_sounds = Sounds.from_folder(augmentation), CallSounds.from_folder(augmentation)
    clips = [clip for source in given for clip in source.read()]
    learnt = utterances_of(
        read_with_progress(select(clips, Split.TRAIN, partition), "reading clips to learn")
    )
    development = read_with_progress(
        select(clips, Split.DEVELOPMENT, partition), "reading development clips"
    )
    network = _fit(RowSampler(learnt, sounds, seed, Chances()), schedule)
    CONSOLE.print("calibrating and exporting ...")
    with progress("simulating calls", CALLS) as report:
        return ship(
            network,
            development,
            sounds,
            out,
            command,
            seed,
            corpora_of(given),
            held_out_speakers(partition),
            call_sounds=call_sounds,
            report=lambda done, _: report(done, ""),
        )


def _command_line(
    sources: Sequence[Source],
    augmentation: Path | None,
    seed: int,
    steps: int,
    fold: int | None,
    allow_noncommercial: bool,  # noqa: FBT001 - in the order of the options
) -> str:
    """Return the command without the machine's paths, for the manifest."""
    options = [
        *as_options(sources),
        *(["--augmentation AUGMENTATION"] if augmentation else []),
        f"--out models/stress --seed {seed} --steps {steps}",
        *([f"--fold {fold}"] if fold is not None else []),
        *(["--allow-noncommercial"] if allow_noncommercial else []),
    ]
    return " ".join(["voiceguard train", *options])


@click.command("evaluate", short_help="Measure a model on speakers that it has not heard.")
@click.option("--model", type=_FOLDER, required=True, help="Model folder.")
@_corpus_option
@click.option(
    "--split",
    type=click.Choice([Split.DEVELOPMENT.value, Split.TEST.value, _ALL]),
    default=Split.TEST.value,
    show_default=True,
    help="Which speakers. Choose on development, look at test once. Of a corpus that the model "
    "has not heard, all are test.",
)
@click.option("--fold", type=_FOLD, help="The fold that the model was trained with.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures too.")
def evaluate(
    *,
    model: Path,
    sources: tuple[Source, ...],
    split: str,
    fold: int | None,
    json_path: Path | None,
) -> None:
    """Measure a model over G.711 on held-out speakers of acted corpora.

    \b
    Example:
      voiceguard evaluate --model models/stress --corpus crema-d=CREMA-D --corpus nemo=NEMO
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    if not sources:
        raise ConfigurationError("nothing to evaluate on: give --corpus NAME=FOLDER")
    training = load_manifest(model / MANIFEST_FILE).training
    heard = frozenset(corpus.name for corpus in training.corpora)
    partition = replace(
        SHIPPED if fold is None else fold_partition(fold), unheard=frozenset(CORPORA) - heard
    )
    runner = Runner(_model_bytes(model))
    figures: dict[str, object] = {}
    for name, clips in _by_corpus(sources).items():
        if split == _ALL:
            chosen = clips
            if name in heard:
                CONSOLE.print(f"{name}: the model was trained on some of these speakers")
        else:
            _check_held_out(name, partition, training)
            chosen = select(clips, Split(split), partition)
        if not chosen:
            CONSOLE.print(f"{name}: no {split} speakers; left out")
            continue
        accuracy = measure_accuracy(runner, read_with_progress(chosen, f"reading {name}"))
        figures[name] = {"split": split, "fold": fold, **accuracy.as_data()}
        _report_accuracy(CORPORA[name].title, split, accuracy)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _by_corpus(sources: Sequence[Source]) -> dict[str, list[Clip]]:
    clips: dict[str, list[Clip]] = defaultdict(list)
    for source in sources:
        clips[source.corpus.name] += source.read()
    return clips


def _check_held_out(name: str, partition: Partition, training: TrainingRecord) -> None:
    """Refuse to call speakers unheard that the model was trained on.

    Raises:
        ConfigurationError: the model was trained with another partition.
    """
    if name in partition.unheard:
        return
    needed = set(held_out_speakers(partition).get(name, ()))
    if not needed <= set(training.held_out_speakers.get(name, ())):
        raise ConfigurationError(
            f"{name}: the model has heard speakers of this split; give --fold as in its training "
            f"({training.command})"
        )


def _model_bytes(folder: Path) -> bytes:
    try:
        return (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder / MODEL_FILE}: {error.strerror}; give a model folder") from error


def _fit(sampler: RowSampler, schedule: Schedule) -> StressNetwork:
    mean = 0.0

    with progress("training", schedule.steps) as report:

        def step_done(step: int, loss: float) -> None:
            nonlocal mean
            memory = min(_LOSS_MEMORY, 1.0 - 1.0 / step)
            mean = memory * mean + (1.0 - memory) * loss
            report(step, f"loss {mean:.3f}")

        return fit(sampler, Shape(), schedule, step_done)


def _report_shipped(out: Path, shipped: Shipped) -> None:
    kind = "int8" if shipped.is_int8 else "fp32"
    click.echo(f"{out}: {kind}, {shipped.size_bytes / 1e6:.2f} MB")
    click.echo(
        "development speakers (acted speech), G.711: "
        f"anger AUC {shipped.auc_fp32:.4f} in fp32, {shipped.auc_int8:.4f} in int8"
    )
    errors = ", ".join(f"{name} {error:.3f}" for name, error in shipped.calibration_error.items())
    click.echo(f"calibration error: {errors}")
    click.echo(
        f"processor time for a second of speech: {shipped.cost.batch_1_ms:.3f} ms alone, "
        f"{shipped.cost.batch_16_ms:.3f} ms in batches of 16"
    )
    if shipped.calls is None:
        click.echo("simulated calls: of one speaker only, so nothing is known of others")
        return
    click.echo(
        "simulated calls, cross-validated, default policy: "
        f"{100 * shipped.calls.detected_within_10_s:.0f} % of pressured ones handed off within "
        f"10 s of speech, {shipped.calls.false_handoffs_per_hour:.1f} false handoffs per hour"
    )


def _report_accuracy(title: str, split: str, accuracy: Accuracy) -> None:
    click.echo(f"{title} (acted): {split}, {accuracy.speakers} speakers, {accuracy.clips} clips")
    click.echo(f"  anger against the rest   AUC {_figure(accuracy.anger_auc)}")
    click.echo(f"  anger or fear            AUC {_figure(accuracy.anger_or_fear_auc)}")
    click.echo(f"  fear                     AUC {_figure(accuracy.fear_auc)}")
    click.echo(f"  calibration error        {accuracy.anger_calibration_error:.4f}")
    against = ", ".join(
        f"{name} {_figure(area)}" for name, area in accuracy.anger_auc_against.items()
    )
    click.echo(f"  anger against            {against}")


def _figure(value: float) -> str:
    """Return a figure, or a dash where the corpus has no clips to measure it on."""
    return "-" if math.isnan(value) else f"{value:.4f}"
