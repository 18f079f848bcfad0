"""Puts a session's evidence together and hands it out, in bounded memory.

That a reviewer takes the evidence away is the last leaf of it: the `exported` leaf commits to the
manifest, so it is in the log before the bundle is handed out.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import BinaryIO, Final

from voiceguard.server.accessbook import AccessBook
from voiceguard.server.reviewaudio import CHUNK_BYTES
from voiceguard.server.signin import Reviewer
from voiceguard.server.storethreads import StoreThreads
from voiceguard.store.archive import Archive
from voiceguard.store.rows import SessionRow

ATTEMPTS: Final = 3
"""How often an export begins anew when something else is added to the session meanwhile."""

_LABEL: Final = "export"


class EvidenceExporter:
    """Makes evidence bundles.

    Args:
        archive: keeps the sessions.
        threads: where the archive is asked.
        book: writes to the log.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(
        self,
        archive: Archive,
        threads: StoreThreads,
        book: AccessBook,
        now_ms: Callable[[], int],
    ) -> None:
        self._archive = archive
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
        with contextlib.closing(file):
            while chunk := await self._threads.run(file.read, CHUNK_BYTES):
                yield chunk

    async def _bundle(self, reviewer: Reviewer, row: SessionRow) -> BinaryIO:
        raise NotImplementedError


def check_exportable(row: SessionRow) -> None:
    """Refuse a session that there is no whole evidence of."""
