"""What only the archive itself asks the database."""

from __future__ import annotations

from sqlalchemy import select

from voiceguard.store.database import Database
from voiceguard.store.rows import WrappedKey
from voiceguard.store.schema import SESSIONS


def wanted_audio(database: Database, origin: str) -> dict[str, str]:
    """Return `pending` or `kept` for the sessions of an evidence log that have audio.

    Raises:
        DatabaseUnavailableError: the database is away.
    """
    query = select(SESSIONS.c.uid, SESSIONS.c.audio).where(
        SESSIONS.c.origin == origin, SESSIONS.c.audio.in_(("pending", "kept"))
    )
    with database.reading() as connection:
        return {row.uid: row.audio for row in connection.execute(query)}


def expired(database: Database, origin: str, now_ms: int, limit: int) -> list[str]:
    """Return sessions of an evidence log that retention is to erase, oldest first.

    None under legal hold. Those of other servers in the same database are theirs to erase.

    Raises:
        DatabaseUnavailableError: the database is away.
    """
    of = SESSIONS.c
    query = (
        select(of.uid)
        .where(
            of.origin == origin,
            of.retain_until_ms.is_not(None),
            of.retain_until_ms <= now_ms,
            of.legal_hold.is_(False),
            of.erased_at_ms.is_(None),
        )
        .order_by(of.retain_until_ms)
        .limit(limit)
    )
    with database.reading() as connection:
        return list(connection.scalars(query))


def wrapped_keys(database: Database, origin: str, key_id: str, limit: int) -> list[WrappedKey]:
    """Return keys of an evidence log's sessions that are wrapped with one master key.

    Args:
        database: with the sessions.
        origin: of the evidence log.
        key_id: of the master key.
        limit: most of them.

    Raises:
        DatabaseUnavailableError: the database is away.
    """
    of = SESSIONS.c
    query = (
        select(of.uid, of.wrapped_key, of.key_id)
        .where(of.origin == origin, of.key_id == key_id, of.wrapped_key != "")
        .limit(limit)
    )
    with database.reading() as connection:
        return [WrappedKey(*row) for row in connection.execute(query)]
