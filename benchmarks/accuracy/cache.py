"""Arrays kept from run to run, under the digest of all that they follow from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voiceguard.training.corpora import Clip

Arrays = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of arrays; without a folder nothing is kept."""

    folder: Path | None

    def find(self, key: str) -> Arrays | None:
        """Return what was kept under `key`."""
        if self.folder is None or not self._path(self.folder, key).is_file():
            return None
        with np.load(self._path(self.folder, key), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def keep(self, key: str, arrays: Arrays) -> None:
        """Keep `arrays` under `key`; a run that is interrupted leaves nothing half written."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(self.folder, key)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **dict(arrays))
        partial.replace(path)

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{key}.npz"


def key_of(kind: str, parts: Iterable[str]) -> str:
    """Return a name for arrays that follow from `parts` and nothing else."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{kind}-{digest[:24]}"


def clip_keys(clips: Sequence[Clip]) -> list[str]:
    """Return what tells these recordings from others: names, and sizes of their files."""
    return [f"{clip.corpus}/{clip.path.stem}/{clip.path.stat().st_size}" for clip in clips]


def file_digest(*paths: Path) -> str:
    """Return one digest of the contents of files, in this order; a missing one counts as empty."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{len(content)}\0".encode() + content)
    return digest.hexdigest()
