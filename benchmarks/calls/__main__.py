"""Measures handoffs in simulated calls of held-out speakers.

    python -m benchmarks.calls --corpus crema-d=CREMA-D --augmentation AUGMENTATION \
        --split test --calls 480 --seed 1 --out docs/evaluation --baselines

Needs `benchmarks/requirements.txt` for `--baselines`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.calls import plots
from benchmarks.calls.curves import curve, perfect_point, shipped_point
from benchmarks.calls.hearing import HeardCall, Setting, hear_calls
from benchmarks.calls.report import Results, Settings, System, as_json, as_markdown
from voiceguard.core.errors import ConfigurationError, VoiceguardError
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.manifest import MANIFEST_FILE, load_manifest
from voiceguard.training.calls import ScoredCall, default_policy, fit_evidence
from voiceguard.training.clips import Recording, Report, read_recordings
from voiceguard.training.corpora import CREMA_D, EMO_DB, Clip
from voiceguard.training.splits import Split, select

_CORPORA: Final = {corpus.name: corpus for corpus in (CREMA_D, EMO_DB)}
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)
_CONSOLE: Final = Console(stderr=True)
_FITTING_SEED: Final = 7
"""Of the development calls that baselines are fitted to: those of training."""


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is measured, and on what."""

    clips: Sequence[Clip]
    setting: Setting
    calls: int
    seed: int
    jobs: int
    policy: Policy


@click.command()
@click.option("--corpus", "corpora", multiple=True, required=True, help="crema-d=FOLDER.")
@click.option("--augmentation", type=_FOLDER, help="Prompts, music, tones, noise and rooms.")
@click.option("--model", type=_FOLDER, default="models/stress", show_default=True)
@click.option("--split", type=click.Choice(["development", "test"]), default="development")
@click.option("--calls", type=click.IntRange(1), default=480, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default="docs/evaluation")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--baselines", "with_baselines", is_flag=True, help="Loudness and eGeMAPS too.")
def main(  # noqa: PLR0913, PLR0917 - one argument for each option
    corpora: tuple[str, ...],
    augmentation: Path | None,
    model: Path,
    split: str,
    calls: int,
    seed: int,
    out: Path,
    jobs: int,
    with_baselines: bool,  # noqa: FBT001 - click passes a flag so
) -> None:
    """Simulate calls of held-out speakers and measure when a human is asked for."""
    clips = [clip for given in corpora for clip in _clips(given)]
    recordings = _read(select(clips, Split(split)), f"reading {split} clips")
    setting = Setting(recordings, augmentation, model, seed, with_baselines)
    bench = _Bench(clips, setting, calls, seed, jobs, default_policy())
    heard = _hear(bench, setting, "simulating calls")
    scored = [one.call for one in heard]
    weights = EvidenceWeights.from_mapping(load_manifest(model / MANIFEST_FILE).pressure)
    systems = [_measured(bench, "the model", scored, weights)]
    if with_baselines:
        systems += _baselines(bench, heard)
    settings = Settings(
        _command(corpora, augmentation is not None, split, calls, seed, with_baselines),
        split,
        calls,
        seed,
        load_manifest(model / MANIFEST_FILE).version,
        bench.policy.version,
    )
    perfect = perfect_point(scored, weights, bench.policy, seed)
    results = Results(scored, systems, perfect)
    out.mkdir(parents=True, exist_ok=True)
    (out / "calls.json").write_text(as_json(settings, results), encoding="utf-8")
    (out / "calls.md").write_text(as_markdown(settings, results), encoding="utf-8")
    plots.draw_curves(out / "calls-curves.png", systems)
    plots.draw_times(out / "calls-times.png", systems[0])
    plots.draw_example(out / "calls-example.png", scored, weights, bench.policy)
    click.echo((out / "calls.md").read_text(encoding="utf-8"))


def _clips(given: str) -> list[Clip]:
    name, _, folder = given.partition("=")
    if name not in _CORPORA or not folder:
        raise ConfigurationError(f"--corpus {given}: give {'=FOLDER or '.join(_CORPORA)}=FOLDER")
    return _CORPORA[name].read(Path(folder))


def _baselines(bench: _Bench, heard: Sequence[HeardCall]) -> list[System]:
    """Measure loudness and eGeMAPS, fitted to speakers other than those of the calls."""
    from benchmarks.calls import baselines  # noqa: PLC0415 - only these need openSMILE

    recordings = _read(select(bench.clips, Split.DEVELOPMENT), "reading development clips")
    setting = replace(bench.setting, recordings=recordings, seed=_FITTING_SEED)
    fitting = _hear(bench, setting, "simulating calls to fit baselines to")
    learnt = _read(select(bench.clips, Split.TRAIN), "reading training clips")
    with _progress("eGeMAPS of training clips") as report:
        egemaps = baselines.fit_egemaps(learnt, report)
    loudness = baselines.fit_loudness([one.call for one in fitting])

    def by_loudness(one: HeardCall) -> ScoredCall:
        return baselines.scored_by_loudness(one.call, loudness)

    def by_egemaps(one: HeardCall) -> ScoredCall:
        if one.features is None:
            return one.call
        return baselines.scored_by_egemaps(one.call, one.features, egemaps)

    systems = []
    for title, score in (("loudness alone", by_loudness), ("eGeMAPS", by_egemaps)):
        weights = fit_evidence([score(one) for one in fitting])
        systems.append(_measured(bench, title, [score(one) for one in heard], weights))
    return systems


def _measured(
    bench: _Bench, title: str, calls: Sequence[ScoredCall], weights: EvidenceWeights
) -> System:
    at_policy = shipped_point(calls, weights, bench.policy, bench.seed)
    with _progress(f"thresholds, {title}") as report:
        return System(title, at_policy, curve(calls, weights, bench.policy, bench.seed, report))


def _hear(bench: _Bench, setting: Setting, title: str) -> list[HeardCall]:
    with _progress(title) as report:
        return hear_calls(setting, bench.calls, bench.jobs, report)


def _read(clips: Sequence[Clip], title: str) -> list[Recording]:
    with _progress(title) as report:
        return read_recordings(clips, report)


@contextmanager
def _progress(title: str) -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=_CONSOLE) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _command(
    corpora: Sequence[str],
    augmentation: bool,  # noqa: FBT001 - whether it was given
    split: str,
    calls: int,
    seed: int,
    with_baselines: bool,  # noqa: FBT001 - the same
) -> str:
    """Return the command without the machine's paths."""
    parts = ["python -m benchmarks.calls"]
    parts += [f"--corpus {given.partition('=')[0]}=FOLDER" for given in corpora]
    parts += ["--augmentation AUGMENTATION"] * augmentation
    parts += [f"--split {split} --calls {calls} --seed {seed} --out docs/evaluation"]
    parts += ["--baselines"] * with_baselines
    return " ".join(parts)


def _run(command: Callable[[], None]) -> int:
    try:
        command()
    except VoiceguardError as error:
        click.echo(f"error: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_run(main))
