"""From corpora and models to a report: what is scored by whom, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.accuracy.baseline import Asked, ask_egemaps
from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.egemaps import Answers
from benchmarks.accuracy.parts import Part, fold_parts, part_of
from benchmarks.accuracy.pool import Progress, counting
from benchmarks.accuracy.report import (
    ACTED,
    ConditionName,
    CorpusFacts,
    CorpusReport,
    JudgedModel,
    Report,
    report_corpus,
)
from benchmarks.accuracy.scores import CLEAN, ScoredCorpus
from benchmarks.accuracy.scoring import Line, model_bytes, score_parts
from voiceguard.core.errors import ConfigurationError
from voiceguard.core.policy import Policy
from voiceguard.engine.manifest import load_manifest
from voiceguard.resources import policies_dir
from voiceguard.training.corpora import Clip, Corpus
from voiceguard.training.lines.conditions import condition_named
from voiceguard.training.manifest import MANIFEST_FILE
from voiceguard.training.splits import TEST_SPEAKERS, Split, fold_of, select
from voiceguard.training.statistics import SpeakerBootstrap

_POLICY: Final = "default"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate.

    Attributes:
        corpora: each with the folder that it lies in.
        model: folder of the model that is shipped; judges corpora that it learnt nothing from,
            and its own test speakers where there are no folds.
        folds: folder of the folds' models, `folds`/1 and so on; None: there are none.
        conditions: names of line conditions; `CLEAN` is always among them.
        augmentation: folder of recorded noises; None: synthetic noise only.
        with_egemaps: whether the baseline on eGeMAPS is asked too.
        limit: most clips of each corpus, drawn at random; None: all.
        draws: of the bootstrap.
        jobs: processes.

    """

    corpora: Sequence[tuple[Corpus, Path]]
    model: Path
    folds: Path | None
    conditions: Sequence[str]
    augmentation: Path | None
    with_egemaps: bool
    limit: int | None
    draws: int
    seed: int
    jobs: int
    cache: Cache


@dataclass(frozen=True, slots=True)
class _Share:
    """One corpus of the plan, as it was read."""

    corpus: Corpus
    folder: Path
    clips: Sequence[Clip]
    parts: Sequence[Part]


def evaluate(plan: Plan, command: str, progress: Progress) -> Report:
    """Score all clips, ask all judges, and return their figures.

    Args:
        plan: what to evaluate.
        command: as the report is to name it, without anything of this machine.
        progress: shows how far it is.

    Raises:
        VoiceguardError: corpora, models or conditions are not what they should be.
    """
    shares = [_share(plan, corpus, folder) for corpus, folder in plan.corpora]
    answers = _answers(plan, shares, progress) if plan.with_egemaps else {}
    handoff = handoff_evidence()
    corpora = [
        _report(plan, share, answers.get(share.corpus.name), handoff, progress)
        for share in shares
        if share.parts
    ]
    if not corpora:
        raise ConfigurationError("no clips of speakers that the models have not heard; give more")
    folders = {part.model: part.title for share in shares for part in share.parts}
    models = [_judged(title, folder) for folder, title in folders.items()]
    return Report(ACTED, command, plan.seed, plan.draws, models, corpora)


def _answers(plan: Plan, shares: Sequence[_Share], progress: Progress) -> dict[str, Answers]:
    asked = [Asked(share.corpus.name, share.clips, share.parts) for share in shares]
    return ask_egemaps(asked, plan.jobs, plan.cache, plan.seed, progress)


def _share(plan: Plan, corpus: Corpus, folder: Path) -> _Share:
    """Read a corpus and say who judges what of it."""
    clips = limited(corpus.read(folder), plan.limit, plan.seed)
    return _Share(corpus, folder, clips, parts_of(plan, corpus.name, clips))


def parts_of(plan: Plan, corpus: str, clips: Sequence[Clip]) -> list[Part]:
    """Return the clips by the model that judges them: by folds where there are any.

    Raises:
        ModelError: a model is missing.
        SpeakerHeardError: a model learnt from speakers that it would judge.
    """
    has_folds = any(fold_of(clip.corpus, clip.speaker) is not None for clip in clips)
    if plan.folds is not None and has_folds:
        return fold_parts(plan.folds, clips, lambda clip: fold_of(clip.corpus, clip.speaker))
    unheard = select(clips, Split.TEST) if corpus in TEST_SPEAKERS else list(clips)
    return [part_of("shipped", plan.model, unheard)] if unheard else []


def limited(clips: Sequence[Clip], limit: int | None, seed: int) -> list[Clip]:
    """Return at most `limit` clips, drawn at random, in their order."""
    if limit is None or len(clips) <= limit:
        return list(clips)
    drawn = np.random.default_rng(seed).choice(len(clips), limit, replace=False)
    return [clips[index] for index in sorted(drawn.tolist())]


def handoff_evidence() -> float:
    """Return the evidence, 0 to 1, at which the default policy asks for a human."""
    path = policies_dir() / f"{_POLICY}.toml"
    policy = Policy.from_toml(path.read_bytes(), str(path))
    if policy.handoff_level is None:
        raise ConfigurationError(f"{path}: hands nothing off, so it has no threshold to report")
    return policy.alerts[policy.handoff_level].raise_threshold / 100.0


def _judged(title: str, folder: Path) -> JudgedModel:
    manifest = load_manifest(folder / MANIFEST_FILE)
    model_bytes(folder, manifest)
    return JudgedModel(title, f"{manifest.name} {manifest.version}", manifest.sha256)


def _report(
    plan: Plan, share: _Share, answers: Answers | None, handoff: float, progress: Progress
) -> CorpusReport:
    clips = [clip for part in share.parts for clip in part.clips]
    line = Line(tuple(dict.fromkeys((CLEAN, *plan.conditions))), plan.augmentation)
    total = len(clips) * len(line.conditions)
    with progress(f"scoring {share.corpus.name}", total) as show:
        by_part = score_parts(share.parts, line, plan.jobs, plan.cache, counting(show))
    scored = ScoredCorpus.of_parts(share.corpus.name, clips, by_part)
    facts = CorpusFacts(
        share.corpus.title,
        [part.title for part in share.parts],
        share.corpus.demographics(share.folder),
        answers,
    )
    bootstrap = SpeakerBootstrap.draw(scored.speakers, plan.draws, plan.seed)
    with progress(f"figures of {share.corpus.name}", 1) as show:
        report = report_corpus(scored, facts, _names(line.conditions), handoff, bootstrap)
        show(1, "")
    return report


def _names(conditions: Sequence[str]) -> list[ConditionName]:
    named = [condition_named(name) for name in conditions]
    return [ConditionName(each.name, each.title, each.extreme) for each in named]
