"""What the archive is opened with, and its lock and keys."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from voiceguard.core.errors import ConfigurationError
from voiceguard.evidence.files import PRIVATE_MODE
from voiceguard.store.keys import Keyring, MasterKey

KEYRING_NAME = "keyring.json"
MASTER_KEY_NAME = "master.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """Where an archive lies, and what it may use."""

    data_dir: Path
    database_url: str = ""
    """SQLAlchemy URL; empty: SQLite in `data_dir`."""
    master_key_file: Path | None = None
    """None: `master.key` in `data_dir`."""
    master_key: str = field(default="", repr=False)
    """The key itself, 64 hexadecimal digits, instead of a file."""
    evidence_key_file: Path | None = None
    """None: `evidence.key` in `data_dir`."""
    evidence_origin: str = ""
    """Name of the evidence log; empty: made at random at the first start."""
    spool_limit_bytes: int = 1024 * 1024 * 1024

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'sessions.db'}"

    @property
    def keyring_path(self) -> Path:
        """Where the keyring lies."""
        return self.data_dir / KEYRING_NAME

    @property
    def evidence_key_path(self) -> Path:
        """Where the key of the evidence log lies."""
        return self.evidence_key_file or self.data_dir / "evidence.key"

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever kept here."""
        names = (KEYRING_NAME, "log", "spool", "audio")
        return not any((self.data_dir / name).exists() for name in names)

    def find_master_key(self) -> MasterKey | None:
        """Return the master key; None: none was set, and there is no file of one either.

        Raises:
            ConfigurationError: it is set twice, cannot be read, or is none.
        """
        if self.master_key and self.master_key_file is not None:
            raise ConfigurationError("set master_key_file or master_key, not both")
        if self.master_key:
            return MasterKey.from_text(self.master_key, "master_key")
        if self.master_key_file is not None:
            return MasterKey.from_file(self.master_key_file)
        path = self.data_dir / MASTER_KEY_NAME
        return MasterKey.from_file(path) if path.exists() else None


class DataLock:
    """The lock of a data folder: one process at a time.

    Args:
        data_dir: the folder; made when it is not there.

    Raises:
        ConfigurationError: another process has it, or the folder cannot be used.
    """

    def __init__(self, data_dir: Path) -> None:
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
        except OSError as error:
            raise ConfigurationError(f"data_dir = {data_dir}: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            message = f"data_dir = {data_dir} is in use by another server; stop it first"
            raise ConfigurationError(message) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others have the folder. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_keyring(settings: ArchiveSettings) -> Keyring | None:
    """Return the keys of what is kept; None: nothing is, so they are still to be made.

    Changes nothing.

    Raises:
        ConfigurationError: the master key is missing, is not the right one, or is none.
    """
    master = settings.find_master_key()
    if settings.keyring_path.exists():
        if master is None:
            message = (
                f"the master key of the data in {settings.data_dir} is missing; nothing was "
                "started or changed. Set master_key_file or master_key, or put back master.key"
            )
            raise ConfigurationError(message)
        return Keyring.open(settings.keyring_path, master)
    if not settings.is_new:
        message = (
            f"{settings.keyring_path} is missing, without which the data there cannot be read; "
            "nothing was started or changed. Put it back from a backup"
        )
        raise ConfigurationError(message)
    return None


def create_keyring(settings: ArchiveSettings) -> tuple[Keyring, Path | None]:
    """Make the keys of a new archive.

    Returns:
        The keys, and the file of the master key if one was made for want of another: whoever
        started the archive is to be told to keep a copy elsewhere.

    Raises:
        ConfigurationError: the configured master key is none.
        OSError: a file cannot be written.
    """
    master, made = settings.find_master_key(), None
    if master is None:
        made = settings.data_dir / MASTER_KEY_NAME
        master = MasterKey.create(made)
    return Keyring.create(settings.keyring_path, master), made
