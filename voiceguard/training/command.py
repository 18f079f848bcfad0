"""The commands `voiceguard train` and `voiceguard evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from voiceguard.core.errors import ConfigurationError, ModelError
from voiceguard.training.augment import Chances, Sounds
from voiceguard.training.calls import CallSounds
from voiceguard.training.clips import Recording, read_recordings, utterances_of
from voiceguard.training.corpora import CALM, CREMA_D, EMO_DB, EMOGATOR, NEMO, Clip, Corpus
from voiceguard.training.evaluate import Accuracy, measure_accuracy
from voiceguard.training.examples import RowSampler
from voiceguard.training.export import Runner
from voiceguard.training.fit import Schedule, fit
from voiceguard.training.manifest import MODEL_FILE
from voiceguard.training.network import Shape, StressNetwork
from voiceguard.training.ship import CALLS, Shipped, ship
from voiceguard.training.splits import Split, select

_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_CONSOLE: Final = Console(stderr=True)
_LOSS_MEMORY: Final = 0.98


@click.command("train", short_help="Train the stress model.")
@click.option("--crema-d", type=_FOLDER, required=True, help="CREMA-D.")
@click.option("--emo-db", type=_FOLDER, help="EMO-DB.")
@click.option("--emogator", type=_FOLDER, help="EmoGator's vocal bursts, at a low weight.")
@click.option("--calm", type=_FOLDER, multiple=True, help="Calm recordings; may be repeated.")
@click.option(
    "--augmentation",
    type=_FOLDER,
    help="Folder with noise/, impulse-responses/, prompts/, music/ and tones/.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Model folder to write."
)
@click.option("--seed", default=7, show_default=True, help="Everything random follows from it.")
@click.option("--steps", default=1900, show_default=True, type=click.IntRange(1), help="Batches.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="Of PyTorch.")
def train(  # noqa: PLR0913, PLR0917 - one argument for each option
    crema_d: Path,
    emo_db: Path | None,
    emogator: Path | None,
    calm: tuple[Path, ...],
    augmentation: Path | None,
    out: Path,
    seed: int,
    steps: int,
    threads: int,
) -> None:
    """Train the stress model and write model.onnx and model.toml.

    Corpora are folders as their publishers ship them. Speakers kept for
    development and test are fixed in voiceguard.training.splits; no test speaker
    is looked at here.

    \b
    Example:
      voiceguard train --crema-d CREMA-D --emo-db EMO-DB --out models/stress --seed 7
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    given = [(CREMA_D, crema_d), (EMO_DB, emo_db), (EMOGATOR, emogator)]
    folders = [(corpus, folder) for corpus, folder in given if folder is not None]
    folders += [(CALM, folder) for folder in calm]
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    clips = [clip for corpus, folder in folders for clip in corpus.read(folder)]
    sounds = Sounds.from_folder(augmentation)
    learnt = utterances_of(_read(select(clips, Split.TRAIN), "reading clips to learn"))
    development = _read(select(clips, Split.DEVELOPMENT), "reading development clips")
    network = _fit(RowSampler(learnt, sounds, seed, Chances()), Schedule(steps=steps))
    call_sounds = CallSounds.from_folder(augmentation)
    corpora = _unique(corpus for corpus, _ in folders)
    command = _command_line(folders, augmentation, seed, steps)
    _CONSOLE.print("calibrating and exporting ...")
    with _progress("simulating calls", CALLS) as report:
        shipped = ship(
            network,
            development,
            sounds,
            out,
            command,
            seed,
            corpora,
            call_sounds=call_sounds,
            report=lambda done, _: report(done, ""),
        )
    _report_shipped(out, shipped)


@click.command("evaluate", short_help="Measure a model on speakers that it has not heard.")
@click.option("--model", type=_FOLDER, required=True, help="Model folder.")
@click.option("--crema-d", type=_FOLDER, help="CREMA-D.")
@click.option("--emo-db", type=_FOLDER, help="EMO-DB.")
@click.option("--nemo", type=_FOLDER, help="nEMO, of which nothing is ever learnt.")
@click.option(
    "--split",
    type=click.Choice([Split.DEVELOPMENT.value, Split.TEST.value]),
    default=Split.TEST.value,
    show_default=True,
    help="Which held-out speakers. Choose on development, look at test once.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures too.")
def evaluate(
    model: Path,
    crema_d: Path | None,
    emo_db: Path | None,
    nemo: Path | None,
    split: str,
    json_path: Path | None,
) -> None:
    """Measure a model over G.711 on held-out speakers of acted corpora.

    \b
    Example:
      voiceguard evaluate --model models/stress --crema-d CREMA-D --emo-db EMO-DB
    """  # noqa: D301 - click takes the backspace for "keep these lines"
    pairs = ((CREMA_D, crema_d), (EMO_DB, emo_db), (NEMO, nemo))
    folders = [(corpus, folder) for corpus, folder in pairs if folder is not None]
    if not folders:
        raise ConfigurationError("nothing to evaluate on: give --crema-d, --emo-db or --nemo")
    runner = Runner(_model_bytes(model))
    figures: dict[str, object] = {}
    for corpus, folder in folders:
        clips = select(corpus.read(folder), Split(split))
        if not clips:
            _CONSOLE.print(f"{corpus.name}: no {split} speakers; left out")
            continue
        accuracy = measure_accuracy(runner, _read(clips, f"reading {corpus.name}"))
        figures[corpus.name] = {"split": split, **accuracy.as_data()}
        _report_accuracy(corpus.title, split, accuracy)
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _model_bytes(folder: Path) -> bytes:
    try:
        return (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder / MODEL_FILE}: {error.strerror}; give a model folder") from error


def _read(clips: Sequence[Clip], title: str) -> list[Recording]:
    with _progress(title, len(clips)) as report:
        return read_recordings(clips, lambda done, _: report(done, ""))


def _fit(sampler: RowSampler, schedule: Schedule) -> StressNetwork:
    mean = 0.0

    with _progress("training", schedule.steps) as report:

        def step_done(step: int, loss: float) -> None:
            nonlocal mean
            memory = min(_LOSS_MEMORY, 1.0 - 1.0 / step)
            mean = memory * mean + (1.0 - memory) * loss
            report(step, f"loss {mean:.3f}")

        return fit(sampler, Shape(), schedule, step_done)


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Show a progress bar; yield what moves it to a count, with a note."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} {task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_CONSOLE) as progress:
        task = progress.add_task(title, total=total, note="")

        def show(done: int, note: str) -> None:
            progress.update(task, completed=done, note=note)

        yield show


def _unique(corpora: Iterable[Corpus]) -> list[Corpus]:
    return list({corpus.name: corpus for corpus in corpora}.values())


def _command_line(
    folders: Sequence[tuple[Corpus, Path]], augmentation: Path | None, seed: int, steps: int
) -> str:
    """Return the command without the machine's paths, for the manifest."""
    options = " ".join(f"--{corpus.name} {corpus.name.upper()}" for corpus, _ in folders)
    sounds = " --augmentation AUGMENTATION" if augmentation else ""
    return f"voiceguard train {options}{sounds} --out models/stress --seed {seed} --steps {steps}"


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
    click.echo(f"{title}: {split}, {accuracy.speakers} speakers, {accuracy.clips} clips")
    click.echo(f"  anger against the rest   AUC {accuracy.anger_auc:.4f}")
    click.echo(f"  anger or fear            AUC {accuracy.anger_or_fear_auc:.4f}")
    click.echo(f"  fear                     AUC {accuracy.fear_auc:.4f}")
    click.echo(f"  calibration error        {accuracy.anger_calibration_error:.4f}")
    against = ", ".join(f"{name} {area:.3f}" for name, area in accuracy.anger_auc_against.items())
    click.echo(f"  anger against            {against}")
