"""Changing the master key: what it wraps is wrapped again, and nothing else is touched.

While it goes on, the keyring opens with either key, and each session's row names the key that
wraps it. So it may be killed at any moment and run again; audio and pseudonyms stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.log import choose_origin
from voiceguard.evidence.signing import Signer
from voiceguard.store.database import Database
from voiceguard.store.documents import DocumentTray
from voiceguard.store.journal import Journal
from voiceguard.store.keys import (
    Keyring,
    MasterKey,
    read_masters,
    session_purpose,
    write_masters,
    wrong_key_message,
)
from voiceguard.store.link import DatabaseLink
from voiceguard.store.queries import SessionFinder
from voiceguard.store.rows import WrappedKey
from voiceguard.store.settings import MASTER_KEY_NAME, ArchiveSettings, DataLock
from voiceguard.store.upkeep import wrapped_keys

MAX_AT_ONCE: Final = 500
"""Keys in one transaction."""


def rotate_keys(
    settings: ArchiveSettings, new: MasterKey, on_progress: Callable[[int], None] = lambda _: None
) -> int:
    """Change the master key of an archive that no server uses.

    If the old key is the file `master.key` in the data folder, the new one takes its place at the
    very end. Else the operator must configure the new one before the next start.

    Args:
        settings: of the archive, with the old key.
        new: the new key.
        on_progress: called with how many sessions' keys have been wrapped again so far.

    Returns:
        How many sessions' keys were wrapped again.

    Raises:
        ConfigurationError: a server uses the data, a key is missing or wrong.
        DatabaseError, DatabaseUnavailableError: nothing was changed, or it can be run again.
        EvidenceError, StoreError, OSError: the same.
    """
    with DataLock(settings.data_dir):
        old = settings.find_master_key()
        if old is None:
            raise ConfigurationError(f"there is no master key of data in {settings.data_dir}")
        if old.key_id == new.key_id:
            raise ConfigurationError("the new master key is the old one; nothing was changed")
        masters = read_masters(settings.keyring_path)
        if old.key_id in masters:
            keyring = Keyring.open(settings.keyring_path, old)
            count = _rotate(settings, keyring, old, new, on_progress)
        elif new.key_id in masters:
            # It was cut off when all was done but the last step.
            Keyring.open(settings.keyring_path, new)
            count = 0
        else:
            raise ConfigurationError(wrong_key_message(settings.keyring_path))
        if settings.master_key_file is None and not settings.master_key:
            new.store(settings.data_dir / MASTER_KEY_NAME)
        return count


def _rotate(
    settings: ArchiveSettings,
    keyring: Keyring,
    old: MasterKey,
    new: MasterKey,
    on_progress: Callable[[int], None],
) -> int:
    origin = choose_origin(settings.data_dir / "log", settings.evidence_origin)
    link = DatabaseLink(
        settings.url, DocumentTray(settings.data_dir / "documents", lambda *_: None)
    )
    try:
        journal = Journal.open(
            settings.data_dir, Signer.load_or_create(settings.evidence_key_path, origin)
        )
        try:
            link.bind(journal)
            _apply_all(journal, link)
        finally:
            journal.close()
        path = settings.keyring_path
        write_masters(
            path, {key.key_id: keyring.wrapped_with(key) for key in (old, new)}
        )
        count = _rewrap_sessions(link.database, origin, old, new, on_progress)
        write_masters(path, {new.key_id: keyring.wrapped_with(new)})
        return count
    finally:
        link.close()


def _apply_all(journal: Journal, link: DatabaseLink) -> None:
    """Empty the spool: it holds wrapped keys, too."""
    target = link.connect()
    applied = target.applied()
    while applied < journal.durable:
        records = journal.read(applied, MAX_AT_ONCE)
        target.apply(records)
        applied = records[-1].leaf_index + 1
    journal.discard(applied)


def _rewrap_sessions(
    database: Database,
    origin: str,
    old: MasterKey,
    new: MasterKey,
    on_progress: Callable[[int], None],
) -> int:
    finder = SessionFinder(database)
    count = 0
    while keys := wrapped_keys(database, origin, old.key_id, MAX_AT_ONCE):
        finder.replace_wrapped_keys([_rewrap(key, old, new) for key in keys])
        count += len(keys)
        on_progress(count)
    return count


def _rewrap(key: WrappedKey, old: MasterKey, new: MasterKey) -> WrappedKey:
    purpose = session_purpose(key.uid)
    wrapped = new.wrap(old.unwrap(key.wrapped_key, purpose), purpose)
    return WrappedKey(key.uid, wrapped, new.key_id)
