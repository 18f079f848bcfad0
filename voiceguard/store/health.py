"""How the store is doing."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class StoreState(enum.StrEnum):
    """How the store is doing."""

    OK = "ok"
    SPOOLING = "spooling"
    """The database is away; what is recorded waits on the disk. Nothing is lost."""
    FAILING = "failing"
    """Records cannot be written, or are being lost."""


@dataclass(frozen=True, slots=True)
class StoreHealth:
    """How the store is doing, in numbers."""

    state: StoreState
    problem: str
    """In a word or two, of ours, so fit for logs; empty: there is none."""
    spool_bytes: int
    """On the disk, not yet in the database."""
    waiting_records: int
    """In memory, not yet on the disk."""
    lost_records: int
    """Since the start."""
    lost_audio_pieces: int
    """Since the start; of some seconds each."""
    unapplied_records: int
    """On the disk, not yet in the database; -1: the database was not reached yet."""
    waiting_audio: int
    """Pieces of audio to be written, sessions whose audio is to be made a file, repair."""
