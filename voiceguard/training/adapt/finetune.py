"""What `voiceguard train --base` does, from tables of labels to a model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceguard.core.errors import ModelError
from voiceguard.training.adapt.base import (
    Base,
    Change,
    calibration_of,
    for_all_outputs,
    on_top,
    read_base,
    write_adapted,
)
from voiceguard.training.adapt.command import (
    calibration_errors,
    fitted_on,
    heard_with_progress,
    refuse_overwriting,
    score_with_progress,
    shipped_policy,
    tell,
)
from voiceguard.training.adapt.figures import measure
from voiceguard.training.adapt.fitting import (
    FALSE_ALARM_SHARE,
    Wish,
    cross_judge,
    fit_adaptation,
    folds_by_speaker,
    judge,
)
from voiceguard.training.adapt.graph import recalibrated
from voiceguard.training.adapt.learning import (
    FOLDS,
    Plan,
    exported,
    learnt_on,
    scores_out_of_fold,
)
from voiceguard.training.adapt.report import Report
from voiceguard.training.adapt.scored import Scored
from voiceguard.training.augment import Sounds
from voiceguard.training.checkpoint import checkpoint_bytes, load_checkpoint
from voiceguard.training.clips import utterances_of
from voiceguard.training.examples import Utterance
from voiceguard.training.labels import OWN_RECORDINGS
from voiceguard.training.network import StressNetwork
from voiceguard.training.progress import read_with_progress
from voiceguard.training.sources import Source, as_options, corpora_of
from voiceguard.training.splits import Split, select


@dataclass(frozen=True, slots=True)
class Request:
    """What the command is given."""

    base: Path
    """Model folder with a checkpoint."""
    labels: Sequence[Path]
    rehearsal: Sequence[Source]
    """Corpora to keep in mind."""
    augmentation: Path | None
    out: Path
    seed: int
    steps: int
    allow_noncommercial: bool


def fine_tune(request: Request, json_path: Path | None) -> None:
    """Learn on from a base, measure that on speakers held out, and write a model folder.

    Raises:
        ModelError: the base is no whole model folder with a checkpoint.
        TrainingDataError: there is too little to learn from.
        LabelsError: a table cannot be used.
    """
    refuse_overwriting(request.base, request.out)
    base = read_base(request.base)
    network = _network_of(request.base, base)
    wish = Wish(shipped_policy().handoff_threshold, FALSE_ALARM_SHARE)
    heard, left_out = heard_with_progress(request.labels)
    plan = Plan(
        network,
        calibration_of(base),
        _rehearsed(request.rehearsal, base.model.manifest.training.held_out_speakers),
        Sounds.from_folder(request.augmentation),
        request.seed,
        request.steps,
    )
    scored = Scored.of(heard, score_with_progress(heard, base.score), base.window_hops)
    before = measure(scored, judge(scored, base.weights), wish)
    folds = folds_by_speaker(scored, FOLDS)
    unheard = Scored.of(heard, scores_out_of_fold(plan, heard, folds), base.window_hops)
    after = measure(unheard, cross_judge(unheard, folds, base.weights, wish), wish)
    adapted = fit_adaptation(unheard, base.weights, wish)
    learnt = learnt_on(plan, heard, "learning from all")
    more = for_all_outputs(adapted.calibration, len(base.model.outputs))
    content = recalibrated(exported(learnt, plan, heard, scored), more)
    change = Change(
        command=_command_line(request),
        fitted_on=fitted_on(scored),
        calibration=on_top(more, plan.calibration),
        calibration_error=calibration_errors(after),
        weights=adapted.weights,
        corpora=[*corpora_of(request.rehearsal), OWN_RECORDINGS],
        seed=request.seed,
    )
    version = write_adapted(request.out, base, content, checkpoint_bytes(learnt), change)
    count = int(folds.max()) + 1
    report = Report(base, version, scored, count, left_out, wish, before, after, adapted)
    tell(request.out, report, json_path)


def _network_of(folder: Path, base: Base) -> StressNetwork:
    named = base.model.manifest.checkpoint
    if named is None:
        raise ModelError(
            f"{folder}: has no checkpoint to learn on from; train a model with `voiceguard train`, "
            "or fit its calibration with `voiceguard calibrate`"
        )
    return load_checkpoint(folder / named.file)


def _rehearsed(sources: Sequence[Source], held_out: Mapping[str, Sequence[str]]) -> list[Utterance]:
    """Return the speech of the corpora without anybody whom the base was not to hear."""
    clips = [clip for source in sources for clip in source.read()]
    allowed = [
        clip
        for clip in select(clips, Split.TRAIN)
        if clip.speaker not in held_out.get(clip.corpus, ())
    ]
    return utterances_of(read_with_progress(allowed, "reading corpora")) if allowed else []


def _command_line(request: Request) -> str:
    """Return the command without the machine's paths, for the manifest."""
    options = [
        *("LABELS.csv" for _ in request.labels),
        *as_options(request.rehearsal),
        *(["--augmentation AUGMENTATION"] if request.augmentation else []),
        f"--seed {request.seed} --steps {request.steps}",
        *(["--allow-noncommercial"] if request.allow_noncommercial else []),
    ]
    return " ".join(["voiceguard train --base BASE", *options])
