"""What `voiceguard train` and `voiceguard evaluate` are given to read, and whether they may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from voiceguard.core.errors import ConfigurationError
from voiceguard.training.corpora import CALM, CORPORA, Clip, Corpus
from voiceguard.training.labels import OWN_RECORDINGS
from voiceguard.training.splits import EVALUATION_ONLY

_REPEATABLE: Final = frozenset({CALM.name})


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus, and where it lies."""

    corpus: Corpus
    path: Path
    """A folder; of the user's own recordings the table of labels."""

    def read(self) -> list[Clip]:
        """Return its clips.

        Raises:
            CorpusError: the folder does not hold the corpus.
            LabelsError: the table of labels cannot be used.
        """
        return self.corpus.read(self.path)


def given_corpora(
    _context: click.Context, _option: click.Parameter, values: Sequence[str]
) -> tuple[Source, ...]:
    """Return what the option `--corpus` names, for click to call.

    Raises:
        click.BadParameter: a value is not NAME=FOLDER, the name or the folder is unknown, or
            a corpus is given twice; only calm recordings may lie in several folders.
    """
    sources = tuple(_source(value) for value in values)
    counts = Counter(source.corpus.name for source in sources)
    for name, count in counts.items():
        if count > 1 and name not in _REPEATABLE:
            raise click.BadParameter(f"{name} is given {count} times; give one folder")
    return sources


def _source(value: str) -> Source:
    name, _, folder = value.partition("=")
    if not folder:
        raise click.BadParameter(f"{value!r} is not NAME=FOLDER, for example crema-d=CREMA-D")
    if name not in CORPORA:
        raise click.BadParameter(f"unknown corpus {name!r}; known: {', '.join(CORPORA)}")
    if not Path(folder).is_dir():
        raise click.BadParameter(f"{name}: {folder} is not a folder")
    return Source(CORPORA[name], Path(folder))


def own_recordings(tables: Iterable[Path]) -> list[Source]:
    """Return tables of labels as sources."""
    return [Source(OWN_RECORDINGS, table) for table in tables]


def check_licences(sources: Iterable[Source]) -> None:
    """Refuse to learn from what may not be used commercially.

    Raises:
        ConfigurationError: the licence of one of them forbids it.
    """
    for source in sources:
        name, licence = source.corpus.name, source.corpus.licence
        if licence.commercial_use:
            continue
        if name in EVALUATION_ONLY:
            raise ConfigurationError(
                f"{name} is for evaluation only ({licence.name}); --allow-noncommercial trains on "
                "it, for a model that you do not pass on or use commercially"
            )
        raise ConfigurationError(
            f"{name} may not be used commercially ({licence.name}); give --allow-noncommercial "
            "if you do not, or if your licence says otherwise"
        )


def corpora_of(sources: Iterable[Source]) -> list[Corpus]:
    """Return the corpora, each once."""
    return list({source.corpus.name: source.corpus for source in sources}.values())


def as_options(sources: Iterable[Source]) -> list[str]:
    """Return the sources as words of a command line, without the machine's paths."""
    return [
        "LABELS.csv"
        if source.corpus is OWN_RECORDINGS
        else f"--corpus {source.corpus.name}={source.corpus.name.upper()}"
        for source in sources
    ]
