"""Applies records to the database: each once, in the order of the evidence log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

from sqlalchemy import (
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

from voiceguard.store.database import Database
from voiceguard.store.errors import ProjectionError
from voiceguard.store.folding import Changes, Row, chosen_key, fold
from voiceguard.store.records import Opened, Record
from voiceguard.store.schema import (
    ACCESSES,
    HANDOFFS,
    LOGS,
    RECORDS,
    SESSIONS,
    SETTLEMENTS,
    VERDICTS,
)

_ASKED_AT_ONCE: Final = 500
"""Values in one `IN (...)`."""

T = TypeVar("T")


class Projection:
    """What the database shows of one evidence log.

    Args:
        database: to write to.
        origin: of the log. A database may hold several.
    """

    def __init__(self, database: Database, origin: str) -> None:
        self._database = database
        self._origin = origin
        self._unscrubbed = False

    def applied(self) -> int:
        """Return how many leaves of the log the database holds.

        Raises:
            DatabaseError, DatabaseUnavailableError: it could not be asked.
        """
        with self._database.reading() as connection:
            return _applied(connection, self._origin) or 0

    def apply(self, records: Sequence[Record]) -> None:
        """Apply records in one transaction, all or none; those already applied are skipped.

        Args:
            records: in the order of the log, without gaps.

        Raises:
            ProjectionError: they do not follow from what the database holds.
            DatabaseError, DatabaseUnavailableError: it could not be written to.
        """
        if records:
            with self._database.writing() as connection:
                self._unscrubbed |= self._apply_new(connection, records)
        if self._unscrubbed:
            self._unscrubbed = not self._database.scrub()

    def forget_audio(self, uids: Sequence[str]) -> None:
        """Note that the audio files of erased sessions are deleted.

        Raises:
            DatabaseError, DatabaseUnavailableError: it could not be written to.
        """
        with self._database.writing() as connection:
            for some in _slices(uids):
                connection.execute(
                    update(SESSIONS)
                    .where(SESSIONS.c.uid.in_(some), SESSIONS.c.erased_at_ms.is_not(None))
                    .values(audio_file="")
                )

    def _apply_new(self, connection: Connection, records: Sequence[Record]) -> bool:
        """Apply those records that the database lacks; return whether any of them erased."""
        applied = _applied(connection, self._origin)
        if applied is None:
            connection.execute(insert(LOGS).values(origin=self._origin, applied=0))
            applied = 0
        new = _not_applied(records, applied)
        if not new:
            return False
        uids = sorted({record.leaf.session for record in new if record.leaf.session})
        opened = [record.columns for record in new if isinstance(record.columns, Opened)]
        names = sorted({chosen_key(columns) for columns in opened})
        before = _known(connection, uids, self._origin)
        changes = fold(new, before, _repetitions(connection, names), self._origin)
        _write(connection, before, changes)
        connection.execute(
            update(LOGS).where(LOGS.c.origin == self._origin).values(applied=new[-1].leaf_index + 1)
        )
        return bool(changes.erased)


def _applied(connection: Connection, origin: str) -> int | None:
    return connection.scalar(select(LOGS.c.applied).where(LOGS.c.origin == origin))


def _not_applied(records: Sequence[Record], applied: int) -> Sequence[Record]:
    """Return the records from leaf `applied` on."""
    first, last = records[0].leaf_index, records[-1].leaf_index
    if last - first + 1 != len(records):
        raise ProjectionError(f"records {first} to {last} are not in order or have gaps")
    if first > applied:
        message = (
            f"records {applied} to {first - 1} of the evidence log are missing; the database is "
            "older than the log (an old copy?)"
        )
        raise ProjectionError(message)
    return records[applied - first :]


def _known(connection: Connection, uids: Sequence[str], origin: str) -> dict[str, Row]:
    """Return the rows of the sessions of this log that there are, by uid."""
    found: dict[str, Row] = {}
    for some in _slices(uids):
        statement = select(SESSIONS).where(SESSIONS.c.uid.in_(some), SESSIONS.c.origin == origin)
        for row in connection.execute(statement).mappings():
            found[row["uid"]] = dict(row)
    return found


def _repetitions(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return how many sessions there are of each tenant and chosen id."""
    found: dict[tuple[str, str], int] = {}
    name = (SESSIONS.c.tenant, SESSIONS.c.chosen_id)
    for some in _slices(names):
        statement = (
            select(*name, func.max(SESSIONS.c.repetition))
            .where(tuple_(*name).in_(some))
            .group_by(*name)
        )
        for tenant, chosen_id, repetition in connection.execute(statement):
            found[tenant, chosen_id] = repetition
    return found


def _write(connection: Connection, before: Mapping[str, Row], changes: Changes) -> None:
    _insert(connection, SESSIONS, [changes.sessions[uid] for uid in changes.opened])
    _update_sessions(connection, before, changes)
    for table, rows in (
        (RECORDS, changes.records),
        (HANDOFFS, changes.handoffs),
        (SETTLEMENTS, changes.settlements),
        (VERDICTS, changes.verdicts),
        (ACCESSES, changes.accesses),
    ):
        _insert(connection, table, rows)
    _judge_handoffs(connection, changes)
    _erase(connection, changes)


def _insert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _update_sessions(connection: Connection, before: Mapping[str, Row], changes: Changes) -> None:
    """Update the columns that changed and no others, so that their indexes alone are written."""
    by_columns: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for uid, old in before.items():
        new = {name: value for name, value in changes.sessions[uid].items() if value != old[name]}
        if new:
            by_columns[tuple(sorted(new))].append({"of_uid": uid, **new})
    for columns, rows in by_columns.items():
        statement = (
            update(SESSIONS)
            .where(SESSIONS.c.uid == bindparam("of_uid"))
            .values({name: bindparam(name) for name in columns})
        )
        connection.execute(statement, rows)


def _judge_handoffs(connection: Connection, changes: Changes) -> None:
    """Note the newest verdict on each handoff."""
    newest = {
        (row["uid"], row["handoff_id"]): row["kind"]
        for row in changes.verdicts
        if row["handoff_id"]
    }
    if not newest:
        return
    statement = (
        update(HANDOFFS)
        .where(
            HANDOFFS.c.uid == bindparam("of_uid"),
            HANDOFFS.c.handoff_id == bindparam("of_handoff"),
        )
        .values(verdict=bindparam("kind"))
    )
    connection.execute(
        statement,
        [
            {"of_uid": uid, "of_handoff": handoff_id, "kind": kind}
            for (uid, handoff_id), kind in newest.items()
        ],
    )


def _erase(connection: Connection, changes: Changes) -> None:
    """Erase what tables hold of erased sessions besides their rows.

    Who looked at a session, and when, stays: it says nothing about the call.
    """
    for uid, number in changes.erased.items():
        for table in (HANDOFFS, SETTLEMENTS, VERDICTS):
            connection.execute(delete(table).where(table.c.uid == uid))
        connection.execute(update(RECORDS).where(RECORDS.c.uid == uid).values(sealed=b""))
        connection.execute(
            update(ACCESSES).where(ACCESSES.c.uid == uid, ACCESSES.c.n < number).values(detail="")
        )


def _slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _ASKED_AT_ONCE):
        yield values[start : start + _ASKED_AT_ONCE]
