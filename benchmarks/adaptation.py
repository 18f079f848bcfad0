"""What a user's own labelled recordings are worth: nEMO adapted on four speakers, tested on five.

    python benchmarks/adaptation.py --nemo NEMO --out docs/evaluation

Four speakers play the user's callers: their clips go into a table of labels, and the real commands
`voiceguard calibrate` and `voiceguard train --base` adapt a model to it. Five others, whom neither
has heard, say what that came to. Writes adaptation.json and adaptation.md.

nEMO (Polish, acted) is CC BY-NC-SA 4.0: the adapted weights lie in a temporary folder, are deleted
at the end, and are not part of voiceguard.
"""

from __future__ import annotations

import argparse
import csv
import json
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import soundfile

from voiceguard.core.errors import VoiceguardError
from voiceguard.core.units import SAMPLE_RATE_HZ
from voiceguard.engine.manifest import load_manifest
from voiceguard.resources import models_dir
from voiceguard.training.clips import Recording
from voiceguard.training.corpora import (
    NEMO,
    Clip,
    Demographics,
    read_nemo,
    read_nemo_demographics,
)
from voiceguard.training.evaluate import measure_accuracy
from voiceguard.training.export import Runner
from voiceguard.training.folder import MANIFEST_FILE, MODEL_FILE
from voiceguard.training.progress import read_with_progress

ADAPTED_OF_EACH_SEX: Final = 2
"""Two women and two men are adapted to, the first by name; the others are tested on."""

FIGURES: Final = {
    "anger_auc": "anger against the rest, AUC",
    "anger_or_fear_auc": "anger or fear against the rest, AUC",
    "fear_auc": "fear against the rest, AUC",
    "anger_calibration_error": "expected calibration error of anger",
}
"""Of `Accuracy`, those that are shown."""

MODELS: Final = {
    "before": "as shipped",
    "calibrated": "`voiceguard calibrate`",
    "fine_tuned": "`voiceguard train --base`",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the benchmark is given."""

    nemo: Path
    model: Path
    out: Path
    augmentation: Path | None
    rehearsal: Sequence[str]
    steps: int | None
    limit: int | None
    seed: int

    @classmethod
    def parse(cls) -> Options:
        """Read the command line."""
        parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
        parser.add_argument("--nemo", type=Path, required=True, help="folder of the corpus")
        parser.add_argument("--model", type=Path, default=models_dir() / "stress")
        parser.add_argument("--out", type=Path, required=True, help="folder for the two files")
        parser.add_argument("--augmentation", type=Path, help="as voiceguard train has it")
        parser.add_argument(
            "--rehearse",
            dest="rehearsal",
            action="append",
            default=[],
            metavar="NAME=FOLDER",
            help="a corpus that the model has learnt from, to keep it in mind; may be repeated",
        )
        parser.add_argument("--steps", type=int, help="of voiceguard train; default: its own")
        parser.add_argument("--limit", type=int, help="clips of each speaker; to try it out")
        parser.add_argument("--seed", type=int, default=7)
        return cls(**vars(parser.parse_args()))

    def command(self) -> str:
        """Return how to run this again, without the machine's paths."""
        words = ["python benchmarks/adaptation.py --nemo NEMO --out docs/evaluation"]
        words += ["--augmentation AUGMENTATION"] if self.augmentation else []
        names = [given.partition("=")[0] for given in self.rehearsal]
        words += [f"--rehearse {name}={name.upper()}" for name in names]
        words += [f"--steps {self.steps}"] if self.steps else []
        words += [f"--limit {self.limit}"] if self.limit else []
        return " ".join([*words, f"--seed {self.seed}"])


def adapted_speakers(people: Mapping[str, Demographics]) -> list[str]:
    """Return whom to adapt to; nothing but names and sexes decides."""
    by_sex: dict[str | None, list[str]] = defaultdict(list)
    for name in sorted(people):
        by_sex[people[name].sex].append(name)
    return sorted(name for names in by_sex.values() for name in names[:ADAPTED_OF_EACH_SEX])


def limited(clips: Sequence[Clip], limit: int | None) -> list[Clip]:
    """Return at most `limit` clips of each speaker, spread over the emotions."""
    if limit is None:
        return list(clips)
    by_speaker: dict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (clip.sentence or "", clip.emotion)):
        by_speaker[clip.speaker].append(clip)
    return [clip for own in by_speaker.values() for clip in own[:limit]]


def write_labels(recordings: Sequence[Recording], folder: Path) -> Path:
    """Write recordings as they come from a telephone line (G.711 mu-law), and their table."""
    folder.mkdir()
    table = folder / "LABELS.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "speaker", "emotion", "language"])
        for number, one in enumerate(recordings):
            name = f"{number:05}.wav"
            soundfile.write(folder / name, one.samples, SAMPLE_RATE_HZ, subtype="ULAW")
            rows.writerow([name, one.clip.speaker, one.clip.emotion, one.clip.language])
    return table


def run_command(*words: str | Path) -> None:
    """Run a command of voiceguard; end with its exit code if it fails."""
    command = [sys.executable, "-m", "voiceguard", *map(str, words)]
    print(f"$ {shlex.join(['voiceguard', *command[3:]])}", file=sys.stderr, flush=True)
    ended = subprocess.run(command, stdout=sys.stderr, check=False)  # noqa: S603 - our own program
    if ended.returncode:
        sys.exit(ended.returncode)


def adapt(options: Options, table: Path, folder: Path) -> dict[str, Path]:
    """Adapt the model in both ways; return the folders of all three models, by name."""
    calibrated, tuned = folder / "calibrated", folder / "fine_tuned"
    run_command(
        *("calibrate", table, "--model", options.model, "--out", calibrated),
        *("--json", folder / "calibrated.json"),
    )
    optional: list[str | Path] = []
    for given in options.rehearsal:
        optional += ["--corpus", given]
    if options.augmentation is not None:
        optional += ["--augmentation", options.augmentation]
    if options.steps is not None:
        optional += ["--steps", str(options.steps)]
    run_command(
        *("train", table, "--base", options.model, "--out", tuned, "--seed", str(options.seed)),
        *("--json", folder / "fine_tuned.json", *optional),
    )
    return {"before": options.model, "calibrated": calibrated, "fine_tuned": tuned}


def measured(model: Path, recordings: Sequence[Recording]) -> dict[str, Any]:
    """Return the accuracy of a model folder on clips, and of each speaker alone."""
    runner = Runner((model / MODEL_FILE).read_bytes())
    by_speaker: dict[str, list[Recording]] = defaultdict(list)
    for one in recordings:
        by_speaker[one.clip.speaker].append(one)
    return {
        **measure_accuracy(runner, recordings).as_data(),
        "anger_auc_by_speaker": {
            name: measure_accuracy(runner, own).as_data()["anger_auc"]
            for name, own in sorted(by_speaker.items())
        },
    }


INTRODUCTION: Final = """\
# Adaptation, shown on nEMO

Written by `{command}`; the same figures are in adaptation.json.
Model: {version}, SHA-256 `{digest}`.

nEMO is acted speech in Polish. {adapted_count} speakers ({adapted}; {adapted_clips} clips) play a
user's callers; {tested_count} others ({tested}; {tested_clips} clips) are tested on, over G.711
mu-law. The two never meet. With so few speakers the figures show a direction, not a size.

nEMO's licence is {licence} ({attribution}): adapted weights are deleted at the end and not shipped,
and nothing in the shipped model was chosen by it.

On the test speakers:
"""

BETWEEN_TABLES: Final = """
Calibration cannot change the order of clips by one output, so anger alone and fear alone keep
their AUC; it changes what the numbers mean.

What the commands reported themselves, by cross-validation within the adapted speakers:

| | before | after |
|---|---|---|"""


def page(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of adaptation.md."""
    data, models = figures["data"], figures["models"]
    yield INTRODUCTION.format(
        command=figures["command"],
        version=figures["model"]["version"],
        digest=figures["model"]["sha256"][:16],
        adapted_count=len(data["adapted"]),
        adapted=", ".join(data["adapted"]),
        adapted_clips=data["adapted_clips"],
        tested_count=len(data["tested"]),
        tested=", ".join(data["tested"]),
        tested_clips=data["tested_clips"],
        licence=NEMO.licence.name,
        attribution=NEMO.licence.attribution,
    )
    yield f"| | {' | '.join(MODELS.values())} |"
    yield f"|---{'|---' * len(MODELS)}|"
    for name, meaning in FIGURES.items():
        yield _row(meaning, [models[model][name] for model in MODELS])
    for speaker in data["tested"]:
        areas = [models[model]["anger_auc_by_speaker"][speaker] for model in MODELS]
        yield _row(f"anger, {speaker} alone, AUC", areas)
    yield BETWEEN_TABLES
    for model, report in figures["reported"].items():
        yield from _reported(MODELS[model], report)


def _reported(title: str, report: Mapping[str, Any]) -> Iterator[str]:
    before, after = report["before"], report["after"]
    for field, meaning in (("calibration_error", "calibration error"), ("auc", "AUC")):
        values = [when["outputs"]["pressure"][field] for when in (before, after)]
        yield _row(f"{title}: {meaning} of anger or fear", values)
    for field, meaning in (
        ("false_alarm_share", "clips with a false alarm"),
        ("detected_share", "clips of anger or fear found"),
    ):
        yield _row(
            f"{title}: {meaning}, share at index {report['threshold']:g}",
            [before[field], after[field]],
        )


def _row(label: str, values: Sequence[float | None]) -> str:
    cells = ("-" if value is None else f"{value:.3f}" for value in values)
    return f"| {label} | {' | '.join(cells)} |"


def collect(options: Options, folder: Path) -> dict[str, Any]:
    """Adapt, measure and return all figures."""
    chosen = adapted_speakers(read_nemo_demographics(options.nemo))
    clips = limited(read_nemo(options.nemo), options.limit)
    recordings = read_with_progress(clips, "reading nEMO")
    own = [one for one in recordings if one.clip.speaker in chosen]
    others = [one for one in recordings if one.clip.speaker not in chosen]
    models = adapt(options, write_labels(own, folder / "own"), folder)
    manifest = load_manifest(options.model / MANIFEST_FILE)
    return {
        "command": options.command(),
        "model": {"version": manifest.version, "sha256": manifest.sha256},
        "data": {
            "corpus": NEMO.title,
            "licence": NEMO.licence.name,
            "adapted": chosen,
            "adapted_clips": len(own),
            "tested": sorted({one.clip.speaker for one in others}),
            "tested_clips": len(others),
        },
        "models": {name: measured(path, others) for name, path in models.items()},
        "reported": {
            name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            for name in ("calibrated", "fine_tuned")
        },
    }


def main() -> int:
    """Write adaptation.json and adaptation.md."""
    options = Options.parse()
    try:
        with tempfile.TemporaryDirectory() as made:
            figures = collect(options, Path(made))
    except VoiceguardError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=2) + "\n"
    (options.out / "adaptation.json").write_text(text, encoding="utf-8")
    lines = "\n".join(page(figures)) + "\n"
    (options.out / "adaptation.md").write_text(lines, encoding="utf-8")
    print(lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
