"""The tables that publishers put beside their recordings."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from voiceguard.training.corpora.clip import CorpusError


def one_file(folder: Path, name: str) -> Path:
    """Return the file of this name anywhere below `folder`.

    Raises:
        CorpusError: there is none.
    """
    found = sorted(folder.rglob(name))
    if not found:
        raise CorpusError(f"{folder}: {name} is missing; it comes with the corpus")
    return found[0]


def rows(path: Path, *columns: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield the rows of a table with a header line.

    Raises:
        CorpusError: it is not UTF-8, or lacks one of `columns`.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, delimiter=delimiter)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise CorpusError(f"{path}: no column {missing[0]!r}; take the publisher's file")
            yield from reader
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8; take the publisher's file") from error
