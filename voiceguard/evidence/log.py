"""The append-only log of what was recorded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence import tree
from voiceguard.evidence.checkpoints import open_checkpoint, parse_key
from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.files import (
    LOG_MODE,
    PUBLIC_MODE,
    create_durably,
    replace_durably,
    sync_folder,
)
from voiceguard.evidence.frames import FRAME_OVERHEAD_BYTES, frame
from voiceguard.evidence.recovery import recover
from voiceguard.evidence.signing import Signer, new_origin
from voiceguard.evidence.storage import OFFSET, LeafStore
from voiceguard.evidence.verify import Checkpoint

CHECKPOINT_NAME: Final = "checkpoint"
KEY_NAME: Final = "key.pub"
"""The public key, which says whose log it is; made with the log."""


def choose_origin(folder: Path, wanted: str) -> str:
    """Return the name of the log in a folder.

    Args:
        folder: of the log, which need not be there yet.
        wanted: the operator's setting; empty: the log's own, or one made at random for a new one.

    Raises:
        ConfigurationError: the log's public key cannot be read.
    """
    if wanted:
        return wanted
    key = read_public_key(folder)
    return new_origin() if key is None else parse_key(key).name


def read_public_key(folder: Path) -> str | None:
    """Return the public key that lies beside a log, or None where there is none.

    Raises:
        ConfigurationError: it cannot be read.
    """
    path = folder / KEY_NAME
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not a public key"
        raise ConfigurationError(f"{path}: {problem}") from error


class EvidenceLog:
    """Leaves that can be added to, and neither changed nor taken away without it showing.

    One thread appends. Everything else is safe from any thread at any time. One process at a time
    may have a log open; whoever opens it sees to that.

    Memory does not grow with the log.
    """

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        store: LeafStore,
        edge: tree.RightEdge,
        leaf_bytes: int,
    ) -> None:
        self._folder = folder
        self._signer = signer
        self._store = store
        self._edge = edge
        self._leaf_bytes = leaf_bytes
        self._size = edge.size
        self._is_torn = False
        """Something lies beyond the last leaf that could not be cut off."""
        self._signing = threading.Lock()
        self._signed_size = -1
        self._signed_note = b""

    @classmethod
    def open(cls, folder: Path, signer: Signer) -> Self:
        """Open a log, or begin one where there is none; put its end in order after a kill.

        Args:
            folder: of the log.
            signer: of its checkpoints, the same at each start.

        Raises:
            EvidenceError: it is damaged, or was changed; nothing was changed now.
            ConfigurationError: it is the log of another key or name.
            OSError: its files cannot be read or written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder, signer)
        note, checkpoint = _read_checkpoint(folder, signer)
        store = LeafStore(folder)
        try:
            edge, leaf_bytes = recover(store, checkpoint)
            sync_folder(folder)
            sync_folder(folder.parent)
        except BaseException:
            store.close()
            raise
        log = cls(folder, signer, store, edge, leaf_bytes)
        if checkpoint is not None:
            log._signed_size, log._signed_note = checkpoint.size, note
        return log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Leaves that are on the disk."""
        return self._size

    @property
    def origin(self) -> str:
        """Name of the log."""
        return self._signer.origin

    @property
    def verifier_key(self) -> str:
        """What others check its checkpoints with."""
        return self._signer.verifier_key

    def append(self, leaves: Sequence[bytes]) -> int:
        """Add leaves, all or none; when this returns they are on the disk.

        Args:
            leaves: 1 to 65535 bytes each. A sync of the disk is the cost, so many at once are
                as fast as one.

        Returns:
            The index of the first of them.

        Raises:
            OSError: the disk is full or broken; the log is as it was, and can be tried again.
            ValueError: a leaf is empty or too long.
        """
        frames = [frame(leaf) for leaf in leaves]
        if self._is_torn:
            self._cut()
        edge, end = self._edge.copy(), self._leaf_bytes
        hashes, offsets = [], []
        for leaf in leaves:
            hashes += edge.append(leaf)
            end += FRAME_OVERHEAD_BYTES + len(leaf)
            offsets.append(OFFSET.pack(end))
        try:
            self._store.put_leaves(b"".join(frames), self._leaf_bytes)
            self._store.put_index(self._edge.size, b"".join(hashes), b"".join(offsets))
        except BaseException:
            self._is_torn = True
            with contextlib.suppress(OSError):  # the next append tries again
                self._cut()
            raise
        first = self._size
        self._edge, self._leaf_bytes = edge, end
        self._size = edge.size  # last: from here on other threads read them
        return first

    def leaf(self, index: int) -> bytes:
        """Return a leaf.

        Raises:
            IndexError: there is none.
            EvidenceError: it is not what was appended.
        """
        if not 0 <= index < self._size:
            raise IndexError(f"the log has {self._size} leaves, and no leaf {index}")
        return self._store.leaf(index)

    def root(self, size: int | None = None) -> bytes:
        """Return the hash of the tree of the first `size` leaves; None: of all.

        Raises:
            ValueError: there are not so many.
        """
        size = self._size if size is None else size
        self._check_size(size)
        return tree.tree_root(size, self._store.hashes)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that a leaf is in the tree of `size` leaves (RFC 6962, 2.1.1).

        Raises:
            ValueError: it is not, or there are not so many.
        """
        self._check_size(size)
        return tree.inclusion_proof(index, size, self._store.hashes)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` leaves begins with that of `old` (2.1.2).

        Raises:
            ValueError: there are not so many, or `old` is larger.
        """
        self._check_size(new)
        return tree.consistency_proof(old, new, self._store.hashes)

    def checkpoint(self) -> bytes:
        """Return a signed checkpoint of all leaves; it is kept in the folder.

        What is signed stays: from here on a start refuses a log that lacks any of it.

        Raises:
            OSError: the disk is full or broken; the checkpoint before stays.
        """
        with self._signing:
            size = self._size
            if size != self._signed_size:
                note = self._signer.sign_checkpoint(size, self.root(size))
                # First, so that a start can rely on the index of all that was signed.
                self._store.sync_index()
                replace_durably(self._folder / CHECKPOINT_NAME, note, LOG_MODE)
                self._signed_size, self._signed_note = size, note
            return self._signed_note

    def close(self) -> None:
        """Sign what was added since the last checkpoint, and close the files.

        Raises:
            OSError: the disk is full or broken; all leaves are safe, the files are closed.
        """
        try:
            self.checkpoint()
        finally:
            self._store.close()

    def _cut(self) -> None:
        self._store.cut(self._size, self._leaf_bytes)
        self._is_torn = False

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self._size:
            raise ValueError(f"the log has {self._size} leaves, not {size}")


def _claim(folder: Path, signer: Signer) -> None:
    """Write the public key beside a new log; refuse a log of another."""
    known = read_public_key(folder)
    if known is None:
        create_durably(folder / KEY_NAME, f"{signer.verifier_key}\n".encode(), PUBLIC_MODE)
    elif known != signer.verifier_key:
        raise ConfigurationError(
            f"the evidence log in {folder} was begun with another key or name "
            f"({known.partition('+')[0]}): set evidence_key_file and evidence_origin as they were"
        )


def _read_checkpoint(folder: Path, signer: Signer) -> tuple[bytes, Checkpoint | None]:
    try:
        note = (folder / CHECKPOINT_NAME).read_bytes()
    except FileNotFoundError:
        return b"", None
    try:
        return note, open_checkpoint(note, parse_key(signer.verifier_key))
    except EvidenceError as error:
        raise EvidenceError(f"{folder / CHECKPOINT_NAME}: {error}; nothing was changed") from error
