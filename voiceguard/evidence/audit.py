"""Reads a whole evidence log and says what is wrong with it.

An audit needs nothing but the folder and the log's public key, changes nothing, and can be made
while a server adds to the log. It recomputes the tree from the leaves alone. What it cannot see
by itself is a log that was made anew as a whole, by whoever has the key: for that it takes a
checkpoint that somebody kept elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from voiceguard.evidence.checkpoints import open_checkpoint, parse_key
from voiceguard.evidence.errors import EvidenceError
from voiceguard.evidence.frames import find_frame, read_frames
from voiceguard.evidence.log import CHECKPOINT_NAME
from voiceguard.evidence.sessions import SessionChecks
from voiceguard.evidence.storage import HASHES_NAME, LEAVES_NAME, OFFSET, OFFSETS_NAME
from voiceguard.evidence.timestamps import timestamped_checkpoints
from voiceguard.evidence.tree import RightEdge
from voiceguard.evidence.verify import Checkpoint, VerifierKey

MAX_PROBLEMS: Final = 100
"""Problems that are written out; of more there is the number."""

MAX_LISTED_SESSIONS: Final = 100

_PROGRESS_LEAVES: Final = 10_000

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many were read."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found."""

    origin: str
    size: int
    """Leaves that were read and hashed."""
    root: bytes
    """Of the tree of all of them."""
    signed_size: int | None
    """Leaves that the log's newest checkpoint signs; None: it has no good one."""
    older_size: int | None
    """Of the checkpoint that was kept elsewhere; None: there was none, or no good one."""
    timestamped: int
    """Checkpoints with a timestamp, all of which were compared. Their timestamps were not."""
    sessions: int
    open_sessions: tuple[str, ...]
    """Without an end: they go on, or were cut off. The first of them."""
    open_session_count: int
    awaiting_audio: int
    """Sessions closed lately whose audio is still on its way."""
    lost_records: int
    """That could not be kept, as the log says itself."""
    unfinished_bytes: int
    """Of a write at the end that goes on, or was cut off."""
    problems: tuple[str, ...]
    """Sentences; empty: all is well."""
    problem_count: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem_count


def audit_log(
    folder: Path,
    verifier_key: str,
    older: bytes | None = None,
    on_progress: Progress | None = None,
) -> AuditReport:
    """Read a log from end to end and check it.

    Memory: about 150 bytes for each session that ever was, whatever the number of leaves.

    Args:
        folder: of the log.
        verifier_key: its public key, `name+key id+base64`.
        older: a checkpoint of the same log that was kept elsewhere.
        on_progress: is told how far it is.

    Raises:
        ConfigurationError: the key is none.
        OSError: the log cannot be read.
    """
    audit = _Audit(folder, parse_key(verifier_key))
    # The checkpoint first: whatever it signs is in the file by then.
    signed = audit.expect_file(folder / CHECKPOINT_NAME, f"log/{CHECKPOINT_NAME}")
    kept = None if older is None else audit.expect(older, "The older checkpoint")
    timestamped = [
        audit.expect_file(path, f"log/timestamps/{path.name}")
        for path in timestamped_checkpoints(folder)
    ]
    unfinished = audit.read(on_progress)
    sessions = audit.sessions
    return AuditReport(
        origin=audit.key.name,
        size=audit.edge.size,
        root=audit.edge.root(),
        signed_size=None if signed is None else signed.size,
        older_size=None if kept is None else kept.size,
        timestamped=len(timestamped),
        sessions=sessions.sessions,
        open_sessions=tuple(islice(sessions.open_sessions(), MAX_LISTED_SESSIONS)),
        open_session_count=sum(1 for _ in sessions.open_sessions()),
        awaiting_audio=sum(1 for _ in sessions.awaiting_audio()),
        lost_records=sessions.lost_records,
        unfinished_bytes=unfinished,
        problems=tuple(audit.problems),
        problem_count=audit.problem_count,
    )


class _Index:
    """The files that follow from the leaves, read beside them as far as they reach."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.wrong: list[str] = []
        self._files: dict[str, BinaryIO] = {}
        for name in (HASHES_NAME, OFFSETS_NAME):
            with suppress(FileNotFoundError):
                self._files[name] = stack.enter_context((folder / name).open("rb"))

    def compare(self, hashes: Sequence[bytes], end: int) -> None:
        """Compare what is stored for the next leaf with what should be."""
        self._compare(HASHES_NAME, b"".join(hashes))
        self._compare(OFFSETS_NAME, OFFSET.pack(end))

    def _compare(self, name: str, expected: bytes) -> None:
        file = self._files.get(name)
        if file is None:
            return
        found = file.read(len(expected))
        if found != expected:
            del self._files[name]
            if len(found) == len(expected):  # a shorter one is written after the leaves
                self.wrong.append(name)


class _Audit:
    """What is known while the leaves are read."""

    def __init__(self, folder: Path, key: VerifierKey) -> None:
        self.folder = folder
        self.key = key
        self.edge = RightEdge()
        self.problems: list[str] = []
        self.problem_count = 0
        self.sessions = SessionChecks(self.report)
        self._expected: dict[int, list[tuple[str, bytes]]] = {}
        """By size: who says so, and the root that the tree must have there."""

    def report(self, problem: str) -> None:
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)

    def expect_file(self, path: Path, name: str) -> Checkpoint | None:
        """Take a checkpoint from a file; one that is missing is not wrong by itself."""
        try:
            note = path.read_bytes()
        except FileNotFoundError:
            return None
        return self.expect(note, name)

    def expect(self, note: bytes, name: str) -> Checkpoint | None:
        """Take a checkpoint that the leaves must agree with."""
        try:
            checkpoint = open_checkpoint(note, self.key)
        except EvidenceError as error:
            self.report(f"{name} does not count: it is {error}.")
            return None
        self._expected.setdefault(checkpoint.size, []).append((name, checkpoint.root))
        return checkpoint

    def read(self, on_progress: Progress | None) -> int:
        """Read all leaves; return the bytes of an unfinished write at their end."""
        with ExitStack() as files:
            leaves = files.enter_context((self.folder / LEAVES_NAME).open("rb"))
            index = _Index(self.folder, files)
            descriptor, length = leaves.fileno(), os.fstat(leaves.fileno()).st_size
            end = 0
            self._check_root()
            for end, leaf in read_frames(descriptor, 0, length):
                self.sessions.take(self.edge.size, leaf)
                index.compare(self.edge.append(leaf), end)
                self._check_root()
                if on_progress is not None and not self.edge.size % _PROGRESS_LEAVES:
                    on_progress(end, length)
            is_broken = find_frame(descriptor, end + 1, length) is not None
            self._check_end(end, is_broken=is_broken)
            for name in index.wrong:
                self.report(
                    f"log/{name} does not follow from the entries; stop the server, remove the "
                    "file, and it is made again at the next start."
                )
        self.sessions.finish()
        return 0 if is_broken else length - end

    def _check_root(self) -> None:
        for name, root in self._expected.pop(self.edge.size, ()):
            if root != self.edge.root():
                self.report(
                    f"{name} signs another log than this: entries before {self.edge.size} were "
                    "changed or removed."
                )

    def _check_end(self, end: int, *, is_broken: bool) -> None:
        size = self.edge.size
        if is_broken:
            self.report(
                f"Entry {size}, at byte {end} of log/{LEAVES_NAME}, is damaged; what follows it "
                "was not read."
            )
        for signed, names in sorted(self._expected.items()):
            for name, _ in names:
                self.report(
                    f"{name} signs {signed} entries, but only {size} can be read: entries before "
                    f"{signed} were changed or removed."
                )
