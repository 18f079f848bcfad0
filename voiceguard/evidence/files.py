"""Files that must survive: replaced whole, and on the disk when the call returns."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from voiceguard.core.errors import ConfigurationError

PRIVATE_MODE: Final = 0o600
"""Only the owner reads and writes."""

PUBLIC_MODE: Final = 0o644

LOG_MODE: Final = 0o640
"""The log's own files: whoever audits may be of the owner's group."""


def check_private_file(path: Path, what: str) -> None:
    """Refuse a secret that everybody on the machine may read, or others may change.

    Args:
        path: of the file.
        what: it is, for the message.

    Raises:
        ConfigurationError: it is so, or the file cannot be looked at.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"{what} {path}: {error.strerror}") from error
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        problem = "others may read or change it; run chmod 600 (or 640) on it"
        raise ConfigurationError(f"{what} {path}: {problem}")


def sync_folder(folder: Path) -> None:
    """Put names that were made, replaced or removed in a folder on the disk.

    Raises:
        OSError: the disk says no.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_durably(path: Path, content: bytes, mode: int) -> None:
    """Write a new file, whole or not at all; it is on the disk when this returns.

    Raises:
        FileExistsError: there is one of this name, which stays as it is.
        OSError: the file cannot be written.
    """
    with _part_of(path, content, mode) as part:
        # A link, unlike a rename, never takes the place of what is there.
        path.hardlink_to(part)
        sync_folder(path.parent)


def replace_durably(path: Path, content: bytes, mode: int) -> None:
    """Write a file, or put new content in its place; it is on the disk when this returns.

    Whoever reads finds the old content or the new one, never a part.

    Raises:
        OSError: the file cannot be written; the old one stays.
    """
    with _part_of(path, content, mode) as part:
        part.replace(path)
        sync_folder(path.parent)


def write_fully(descriptor: int, content: bytes | memoryview, offset: int) -> None:
    """Write all bytes at a place of a file.

    Raises:
        OSError: the disk is full or broken; some of the bytes may have been written.
    """
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        offset += written
        rest = rest[written:]


@contextlib.contextmanager
def _part_of(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Lend a synced file of this content beside `path`; its name is gone afterwards."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        try:
            write_fully(descriptor, content, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        yield part
    finally:
        part.unlink(missing_ok=True)
