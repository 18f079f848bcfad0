"""Which model judges which clips: only one that learnt nothing from their speakers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceguard.core.errors import VoiceguardError
from voiceguard.engine.manifest import TrainingRecord, load_manifest
from voiceguard.training.corpora import Clip
from voiceguard.training.manifest import MANIFEST_FILE
from voiceguard.training.splits import EVALUATION_ONLY


class SpeakerHeardError(VoiceguardError):
    """A model was to be judged by speakers that it learnt from."""


@dataclass(frozen=True, slots=True)
class Part:
    """Clips that one model judges."""

    title: str
    model: Path
    clips: tuple[Clip, ...]


def part_of(title: str, model: Path, clips: Sequence[Clip]) -> Part:
    """Return clips and their judge, after a look into its manifest.

    Raises:
        ModelError: the folder's manifest cannot be read.
        SpeakerHeardError: the model learnt from one of the speakers.
    """
    check_unheard(load_manifest(model / MANIFEST_FILE).training, clips, str(model))
    return Part(title, model, tuple(clips))


def fold_parts(
    folder: Path, clips: Sequence[Clip], fold_of: Callable[[Clip], int | None]
) -> list[Part]:
    """Return the clips of each fold with the model in `folder`/FOLD, which left them out.

    Clips that are in no fold are left out.

    Raises:
        ModelError: a fold's model is missing.
        SpeakerHeardError: a fold's model learnt from the fold's own speakers.
    """
    by_fold: defaultdict[int, list[Clip]] = defaultdict(list)
    for clip in clips:
        fold = fold_of(clip)
        if fold is not None:
            by_fold[fold].append(clip)
    return [part_of(f"fold {fold}", folder / str(fold), by_fold[fold]) for fold in sorted(by_fold)]


def check_unheard(training: TrainingRecord, clips: Sequence[Clip], model: str) -> None:
    """Refuse clips of speakers that a model learnt from.

    Raises:
        SpeakerHeardError: naming the speakers.
    """
    heard = sorted({name_of(clip) for clip in clips if _is_learnt_from(training, clip)})
    if heard:
        names = ", ".join(heard[:5]) + (" ..." if len(heard) > 5 else "")
        raise SpeakerHeardError(
            f"{model}: learnt from {names}, so these cannot judge it; give the model that left "
            "them out"
        )


def _is_learnt_from(training: TrainingRecord, clip: Clip) -> bool:
    """Return whether, by its manifest, a model may have heard this speaker in training."""
    learnt = {corpus.name for corpus in training.corpora}
    held_out: Mapping[str, tuple[str, ...]] = training.held_out_speakers
    if clip.corpus in learnt:
        return clip.corpus in EVALUATION_ONLY or clip.speaker not in held_out.get(clip.corpus, ())
    return False


def name_of(clip: Clip) -> str:
    """Return a speaker's name that is unique among corpora."""
    return f"{clip.corpus}/{clip.speaker}"
