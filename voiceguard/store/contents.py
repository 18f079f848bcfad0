"""What a session sealed, opened again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.audio import open_flac, read_outline
from voiceguard.store.errors import SessionErasedError, StoreError
from voiceguard.store.keys import Keyring
from voiceguard.store.outline import Outline
from voiceguard.store.queries import SessionFinder
from voiceguard.store.rows import SessionRow, StoredRecord
from voiceguard.store.sealedfiles import SealedReader
from voiceguard.store.sealing import unseal_payload


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record of a session with what it sealed."""

    index: int
    """Of the leaf in the evidence log."""
    leaf: bytes
    salt: bytes = field(repr=False)
    """Empty where there is no payload."""
    payload: bytes = field(repr=False)
    number: int
    """Of the leaf within the session."""
    kind: LeafKind


class Contents:
    """Opens what sessions sealed.

    Args:
        keys: open the sessions' keys.
        folder: of audio.
    """

    def __init__(self, keys: Keyring, folder: Path) -> None:
        self._keys = keys
        self._folder = folder

    def payloads(
        self,
        finder: SessionFinder,
        row: SessionRow,
        kinds: Collection[str] | None,
        first_event_at_least: int | None,
        limit: int | None,
    ) -> list[OpenedRecord]:
        """Return records of a session, opened, in their order.

        Args:
            finder: reads the records.
            row: of the session.
            kinds: as `SessionFinder.records`.
            first_event_at_least: the same.
            limit: the same.

        Raises:
            SessionErasedError: its key is destroyed.
            SealBrokenError: a record was changed, or the key is of another master key.
            DatabaseUnavailableError: the database is away.
        """
        key = self._session_key(row)
        stored = finder.records(
            row.uid, kinds=kinds, first_event_at_least=first_event_at_least, limit=limit
        )
        return [_opened(key, row.uid, record) for record in stored]

    def open_audio(self, row: SessionRow) -> SealedReader:
        """Open the FLAC file of a session; it can be read from any place. Close it afterwards.

        Raises:
            SessionErasedError: the session's key is destroyed.
            SealBrokenError: it was changed, here or when that part is read.
            StoreError: there is none.
        """
        key = self._session_key(row)
        _check_kept(row)
        try:
            return open_flac(self._folder, row.uid, key)
        except OSError as error:
            raise StoreError(f"audio of session {row.uid}: {error.strerror}") from error

    def waveform(self, row: SessionRow) -> Outline:
        """Return the outline of a session's audio.

        Raises:
            SessionErasedError: the session's key is destroyed.
            SealBrokenError: it was changed.
            StoreError: there is none.
        """
        key = self._session_key(row)
        _check_kept(row)
        try:
            return read_outline(self._folder, row.uid, key)
        except OSError as error:
            raise StoreError(f"outline of session {row.uid}: {error.strerror}") from error

    def _session_key(self, row: SessionRow) -> bytes:
        if not row.wrapped_key:
            raise SessionErasedError(f"session {row.uid} was erased; its key is destroyed")
        return self._keys.unwrap(row.uid, row.wrapped_key, row.key_id)


def _opened(key: bytes, uid: str, record: StoredRecord) -> OpenedRecord:
    salt = content = b""
    if record.sealed:
        payload = unseal_payload(key, uid, record.n, record.sealed)
        salt, content = payload.salt, payload.content
    return OpenedRecord(
        index=record.leaf_index,
        leaf=record.leaf,
        salt=salt,
        payload=content,
        number=record.n,
        kind=LeafKind(record.kind),
    )


def _check_kept(row: SessionRow) -> None:
    if row.audio != "kept":
        raise StoreError(f"no audio of session {row.uid} is kept")
