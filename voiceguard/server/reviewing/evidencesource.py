"""Puts a session's evidence together and hands it out, in bounded memory.

That a reviewer takes the evidence away is the last leaf of it: the `exported` leaf commits to the
manifest, and is in the log before the bundle is handed out.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, Protocol, cast

from voiceguard.evidence.leaves import LeafKind
from voiceguard.server.reviewing.accessbook import AccessBook
from voiceguard.server.reviewing.audio import CHUNK_BYTES
from voiceguard.server.reviewing.refusals import audio_pending, erased, live
from voiceguard.server.reviewing.signin import Reviewer
from voiceguard.server.reviewing.threads import StoreThreads
from voiceguard.server.status import CallRefusedError, store_damaged, store_unavailable
from voiceguard.store.archive import Archive
from voiceguard.store.contents import OpenedRecord
from voiceguard.store.records import Accessed
from voiceguard.store.rows import SessionRow
from voiceguard.store.sealedfiles import SealedReader, SealedWriter
from voiceguard.store.sealing import new_key

ATTEMPTS: Final = 3
"""How often an export begins anew because something else was added to the session meanwhile."""

SOON_S: Final = 2.0
"""When an export that found the session's audio not stored yet may be tried again."""

_LABEL: Final = "export"


@dataclass(frozen=True, slots=True)
class EvidenceParts:
    """What a bundle is made of."""

    records: Sequence[OpenedRecord] = field(repr=False)
    """All of the session, opened, in order."""
    policy: bytes = field(repr=False)
    """The policy's file."""
    model: bytes = field(repr=False)
    """The model's manifest."""
    audio: BinaryIO | None = field(repr=False)
    """The FLAC file, from its start; None: none is kept."""


class BundleBinder(Protocol):
    """Makes the files of a bundle and writes it; both methods block."""

    def manifest(self, parts: EvidenceParts, exported_by: str, exported_at_ms: int) -> bytes:
        """Return manifest.json, which names every file that the parts give."""
        ...

    def write(self, target: BinaryIO, parts: EvidenceParts) -> None:
        """Write the bundle from its first byte to its last.

        Args:
            target: to write to; it cannot go back.
            parts: the same as for the manifest, which is the payload of their last record now.
        """
        ...


class EvidenceExporter:
    """Makes evidence bundles.

    Args:
        archive: keeps the sessions.
        binder: makes bundles.
        threads: where the archive is asked.
        book: writes to the log.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(
        self,
        archive: Archive,
        binder: BundleBinder,
        threads: StoreThreads,
        book: AccessBook,
        now_ms: Callable[[], int],
    ) -> None:
        self._archive = archive
        self._binder = binder
        self._threads = threads
        self._book = book
        self._now_ms = now_ms

    async def export(self, reviewer: Reviewer, row: SessionRow) -> AsyncGenerator[bytes, None]:
        """Yield a session's bundle in chunks.

        Args:
            reviewer: who takes it.
            row: of the session.

        Raises:
            CallRefusedError: the session is live or erased, or the store is away.
        """
        check_exportable(row)
        file = await self._bundle(reviewer, row)
        try:
            while chunk := await self._threads.run(file.read, CHUNK_BYTES):
                yield chunk
        finally:
            self._threads.run_later(file.close)

    async def _bundle(self, reviewer: Reviewer, row: SessionRow) -> SealedReader:
        """Return the bundle in a file, once the log has it that the reviewer takes it.

        Raises:
            CallRefusedError: the store does not keep up.
        """
        for _ in range(ATTEMPTS):
            async with self._book.lock(row.uid):
                at_ms = self._now_ms()
                manifest, number = await self._threads.run(self._manifest, reviewer, row, at_ms)
                access = Accessed(reviewer.name, "exported", at_ms, "")
                index = await self._book.write(
                    self._archive.submit, row.uid, LeafKind.EXPORTED, manifest, access
                )
                if not await self._book.shown(index):
                    break
                file = await self._threads.run(self._write, row, manifest, number)
                if file is not None:
                    return file
        raise CallRefusedError(store_unavailable(SOON_S))

    def _manifest(self, reviewer: Reviewer, row: SessionRow, at_ms: int) -> tuple[bytes, int]:
        """Return the manifest, and the number that its record must get."""
        with contextlib.ExitStack() as files:
            parts = self._parts(row, files)
            return self._binder.manifest(parts, reviewer.name, at_ms), len(parts.records)

    def _write(self, row: SessionRow, manifest: bytes, number: int) -> SealedReader | None:
        """Return the bundle; None: something came between the manifest and its record."""
        with contextlib.ExitStack() as files:
            parts = self._parts(row, files)
            last = parts.records[-1]
            if last.number != number or last.payload != manifest:
                return None
            return spilled(lambda target: self._binder.write(target, parts))

    def _parts(self, row: SessionRow, files: contextlib.ExitStack) -> EvidenceParts:
        policy = self._archive.document(row.policy_sha256)
        model = self._archive.document(row.model_sha256)
        if policy is None or model is None:
            raise CallRefusedError(store_damaged())
        audio = None
        if row.audio == "kept":
            reader = self._archive.open_audio(row)
            files.callback(reader.close)
            audio = cast("BinaryIO", reader)
        return EvidenceParts(self._archive.payloads(row), policy, model, audio)


def spilled(write: Callable[[BinaryIO], None]) -> SealedReader:
    """Return what is written, in a file without a name that nobody else can read.

    It is sealed under a key that only this process has: no audio lies on the disk in the clear,
    not even where it was deleted.

    Args:
        write: writes from the first byte to the last.
    """
    key = new_key()
    file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - closed with the reader
    try:
        with contextlib.closing(SealedWriter(file, key, _LABEL)) as target:
            write(cast("BinaryIO", target))
        file.seek(0)
        return SealedReader(file, key, _LABEL)
    except BaseException:
        file.close()
        raise


def check_exportable(row: SessionRow) -> None:
    """Refuse a session that there is no whole evidence of.

    Raises:
        CallRefusedError: it is erased or live, or its audio is still being stored.
    """
    if row.erased_at_ms is not None:
        raise CallRefusedError(erased())
    if row.closed_at_ms is None:
        raise CallRefusedError(live("the session is live; export it once it has ended"))
    if row.audio == "pending":
        raise CallRefusedError(audio_pending(SOON_S))
