"""Policies and model manifests that sessions name by digest, kept until the database has them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from voiceguard.evidence.files import PRIVATE_MODE, replace_durably
from voiceguard.store.recorder import Reporter


class DocumentTray:
    """Documents on their way to the database, each a file named by its kind and digest.

    Args:
        folder: of the files; made when it is not there.
        report: is told when a document cannot be written; it stays in memory.

    Raises:
        OSError: the folder cannot be read or made.
    """

    def __init__(self, folder: Path, report: Reporter) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._report = report
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[str, bytes]] = {}
        self._stored: set[str] = set()
        for path in folder.glob("*-*"):
            kind, _, digest = path.name.rpartition("-")
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                self._waiting[digest] = (kind, content)

    def put(self, kind: str, content: bytes) -> str:
        """Take a document; return its SHA-256, 64 hexadecimal digits.

        Args:
            kind: `policy` or `model`.
            content: the bytes of its file.
        """
        digest = hashlib.sha256(content).hexdigest()
        with self._lock:
            if digest in self._stored or digest in self._waiting:
                return digest
            self._waiting[digest] = (kind, content)
        try:
            replace_durably(self._path(kind, digest), content, PRIVATE_MODE)
        except OSError as error:
            self._report("document_not_written", error)
        return digest

    def find(self, digest: str) -> bytes | None:
        """Return a document that the database may not have yet."""
        with self._lock:
            entry = self._waiting.get(digest)
        return None if entry is None else entry[1]

    def flush(self, store: Callable[[str, str, bytes], None]) -> None:
        """Give the documents to the database.

        Args:
            store: takes digest, kind and content of one, and raises when it cannot.
        """
        with self._lock:
            waiting = list(self._waiting.items())
        for digest, (kind, content) in waiting:
            store(digest, kind, content)
            with self._lock:
                self._stored.add(digest)
                del self._waiting[digest]
            self._path(kind, digest).unlink(missing_ok=True)

    def _path(self, kind: str, digest: str) -> Path:
        return self._folder / f"{kind}-{digest}"
