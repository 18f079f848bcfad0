"""Finds sessions. All reads of the database are here; what they return is in `rows`."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    bindparam,
    exists,
    func,
    insert,
    select,
    tuple_,
    update,
)

from voiceguard.store.database import Database
from voiceguard.store.rows import (
    AccessRow,
    Cursor,
    HandoffRow,
    LeftAudio,
    Order,
    SessionFilter,
    SessionPage,
    SessionRow,
    SettlementRow,
    Statistics,
    StoredRecord,
    Unfinished,
    VerdictRow,
    WrappedKey,
)
from voiceguard.store.schema import (
    ACCESSES,
    DOCUMENTS,
    HANDOFFS,
    RECORDS,
    SESSIONS,
    SETTLEMENTS,
    VERDICTS,
)
from voiceguard.store.statistics import count_sessions
from voiceguard.store.storable import indexed_text, storable_text

Child = TypeVar("Child", HandoffRow, SettlementRow, VerdictRow)

REPETITION_MARK: Final = "~"
"""Between an id and its repetition. Clients may not choose it (`admission.SESSION_ID`)."""

_ORDER_COLUMNS: Final = {
    Order.STARTED: SESSIONS.c.opened_at_ms,
    Order.PEAK: SESSIONS.c.peak_pressure_index,
}


class SessionFinder:
    """Reads of the database, synchronous; safe to use from several threads.

    Every method raises `DatabaseUnavailableError` when the database is away, and `DatabaseError`
    when it is damaged.

    Args:
        database: to read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        tenant: str,
        wanted: SessionFilter,
        order: Order,
        size: int,
        *,
        after: Cursor | None = None,
        with_total: bool = False,
    ) -> SessionPage:
        """Return the next sessions of a tenant that match.

        Args:
            tenant: whose.
            wanted: which.
            order: greatest first.
            size: most of them, 1 or more.
            after: `next` of the page before; None: the first page.
            with_total: count all that match.
        """
        matching = _conditions(tenant, wanted)
        keys = _ordered_keys(wanted, order, after).where(*matching).limit(size + 1)
        with self._database.reading() as connection:
            found = connection.execute(keys).all()
            shown = found[:size]
            total = (
                connection.scalar(select(func.count()).select_from(SESSIONS).where(*matching))
                if with_total
                else None
            )
            rows = _sessions(connection, [uid for _, uid in shown])
        more = Cursor(*shown[-1]) if len(found) > size else None
        return SessionPage(rows, more, total)

    def find(self, tenant: str, session_id: str) -> SessionRow | None:
        """Return a tenant's session by its id, `~2` and so on included; None: there is none."""
        chosen_id, repetition = _split_id(session_id)
        return self._one(
            SESSIONS.c.tenant == tenant,
            SESSIONS.c.chosen_id == indexed_text(chosen_id),
            SESSIONS.c.repetition == repetition,
        )

    def find_uid(self, uid: str) -> SessionRow | None:
        """Return a session by its evidence id, whosever it is; None: there is none."""
        return self._one(SESSIONS.c.uid == storable_text(uid))

    def records(
        self,
        uid: str,
        *,
        kinds: Collection[str] | None = None,
        first_event_at_least: int | None = None,
        limit: int | None = None,
    ) -> list[StoredRecord]:
        """Return a session's records, in their order.

        Args:
            uid: evidence id.
            kinds: of these only, values of `LeafKind`.
            first_event_at_least: those of kind `events` only that hold an event of this index
                or a later one.
            limit: most of them.
        """
        columns = _columns(RECORDS, StoredRecord)
        statement = select(*columns).where(RECORDS.c.uid == uid).order_by(RECORDS.c.n).limit(limit)
        if kinds is not None:
            statement = statement.where(RECORDS.c.kind.in_(kinds))
        if first_event_at_least is not None:
            end = RECORDS.c.first_event + RECORDS.c.event_count
            statement = statement.where(end > first_event_at_least)
        with self._database.reading() as connection:
            return [StoredRecord(*row) for row in connection.execute(statement)]

    def records_of(
        self, uids: Sequence[str], kinds: Collection[str]
    ) -> dict[str, list[StoredRecord]]:
        """Return the records of some kinds of many sessions, in their order, by evidence id.

        Args:
            uids: of the sessions; those without such records are left out.
            kinds: values of `LeafKind`.
        """
        names = [RECORDS.c[name] for name in StoredRecord.__slots__]
        statement = (
            select(RECORDS.c.uid, *names)
            .where(RECORDS.c.uid.in_(uids), RECORDS.c.kind.in_(kinds))
            .order_by(RECORDS.c.uid, RECORDS.c.n)
        )
        found: defaultdict[str, list[StoredRecord]] = defaultdict(list)
        with self._database.reading() as connection:
            for uid, *values in connection.execute(statement):
                found[uid].append(StoredRecord(*values))
        return dict(found)

    def statistics(
        self,
        tenant: str,
        *,
        after_ms: int | None = None,
        before_ms: int | None = None,
        campaign: str = "",
        utc_offset_minutes: int = 0,
    ) -> Statistics:
        """Return what a tenant's sessions came to (`count_sessions`)."""
        with self._database.reading() as connection:
            return count_sessions(
                connection,
                tenant,
                after_ms=after_ms,
                before_ms=before_ms,
                campaign=campaign,
                utc_offset_minutes=utc_offset_minutes,
            )

    def accesses(self, tenant: str, uid: str) -> list[AccessRow]:
        """Return who had to do with a tenant's session, oldest first."""
        statement = (
            select(*_columns(ACCESSES, AccessRow))
            .select_from(ACCESSES.join(SESSIONS))
            .where(SESSIONS.c.tenant == tenant, ACCESSES.c.uid == uid)
            .order_by(ACCESSES.c.n)
        )
        with self._database.reading() as connection:
            return [AccessRow(*row) for row in connection.execute(statement)]

    def unfinished(self, origin: str) -> list[Unfinished]:
        """Return the sessions of an evidence log that opened and did not close."""
        of = SESSIONS.c
        statement = (
            select(of.uid, of.leaves, of.events)
            .where(of.origin == origin, of.closed_at_ms.is_(None), of.erased_at_ms.is_(None))
            .order_by(of.uid)
        )
        with self._database.reading() as connection:
            return [Unfinished(*row) for row in connection.execute(statement)]

    def left_audio(self, origin: str, limit: int) -> list[LeftAudio]:
        """Return audio files of erased sessions that are still to be deleted.

        `Projection.forget_audio` notes that they are.
        """
        of = SESSIONS.c
        statement = (
            select(of.uid, of.audio_file)
            .where(of.origin == origin, of.erased_at_ms.is_not(None), of.audio_file != "")
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [LeftAudio(*row) for row in connection.execute(statement)]

    def document(self, sha256: str) -> bytes | None:
        """Return a policy or a model's manifest by its digest; None: it is not kept."""
        with self._database.reading() as connection:
            content: bytes | None = connection.scalar(
                select(DOCUMENTS.c.content).where(DOCUMENTS.c.sha256 == sha256)
            )
        return content

    def put_document(self, sha256: str, kind: str, content: bytes) -> None:
        """Keep a policy or a model's manifest, unless it is kept already.

        Args:
            sha256: of the content, hexadecimal.
            kind: `policy` or `model`.
            content: the file.
        """
        if self.document(sha256) is not None:
            return
        known = exists().where(DOCUMENTS.c.sha256 == sha256)
        with self._database.writing() as connection:
            if not connection.scalar(select(known)):
                connection.execute(
                    insert(DOCUMENTS).values(sha256=sha256, kind=kind, content=content)
                )

    def replace_wrapped_keys(self, keys: Sequence[WrappedKey]) -> None:
        """Put re-wrapped keys in place of the old ones, all or none.

        A session that was erased meanwhile stays so.
        """
        if not keys:
            return
        statement = (
            update(SESSIONS)
            .where(SESSIONS.c.uid == bindparam("of_uid"), SESSIONS.c.wrapped_key != "")
            .values(wrapped_key=bindparam("wrapped"), key_id=bindparam("by"))
        )
        rows = [{"of_uid": key.uid, "wrapped": key.wrapped_key, "by": key.key_id} for key in keys]
        with self._database.writing() as connection:
            connection.execute(statement, rows)

    def _one(self, *matching: ColumnElement[bool]) -> SessionRow | None:
        with self._database.reading() as connection:
            uid = connection.scalar(select(SESSIONS.c.uid).where(*matching))
            rows = _sessions(connection, [] if uid is None else [uid])
        return rows[0] if rows else None


def _conditions(tenant: str, wanted: SessionFilter) -> list[ColumnElement[bool]]:
    of = SESSIONS.c
    found = [of.tenant == tenant]
    for column, text in (
        (of.campaign, wanted.campaign),
        (of.agent_id, wanted.agent_id),
        (of.call_id, wanted.call_id),
        (of.customer, wanted.customer),
    ):
        if text:
            found.append(column == indexed_text(text))
    if wanted.high_sensitivity_only:
        found.append(of.high_sensitivity.is_(True))
    if wanted.min_level:
        found.append(of.peak_level >= wanted.min_level)
    if wanted.started_after_ms is not None:
        found.append(of.opened_at_ms >= wanted.started_after_ms)
    if wanted.started_before_ms is not None:
        found.append(of.opened_at_ms < wanted.started_before_ms)
    if wanted.unreviewed_only:
        # Nobody can review what is erased.
        found += [of.first_verdict_at_ms.is_(None), of.erased_at_ms.is_(None)]
    if wanted.verdict:
        of_kind = (VERDICTS.c.uid == of.uid) & (VERDICTS.c.kind == storable_text(wanted.verdict))
        found += [of.first_verdict_at_ms.is_not(None), exists().where(of_kind)]
    if wanted.legal_hold_only:
        found.append(of.legal_hold.is_(True))
    return found


def _ordered_keys(
    wanted: SessionFilter, order: Order, after: Cursor | None
) -> Select[tuple[Any, str]]:
    """Return the statement that lists sort keys and evidence ids, still of all sessions."""
    column: ColumnElement[Any] = _ORDER_COLUMNS[order]
    if wanted.call_id or wanted.customer or wanted.agent_id:
        # Few match: to find and sort them is quick, to walk the index of the order in search of
        # them is not. SQLite cannot know and would, but no index has this sum.
        column = column + 0
    keys = select(column, SESSIONS.c.uid).order_by(column.desc(), SESSIONS.c.uid.desc())
    if after is None:
        return keys
    return keys.where(tuple_(column, SESSIONS.c.uid) < (after.value, after.uid))


def _split_id(session_id: str) -> tuple[str, int]:
    """Return the id that the client chose and which session of that id it is, from 1."""
    chosen_id, mark, number = session_id.rpartition(REPETITION_MARK)
    if mark and number.isascii() and number.isdigit() and 1 < int(number) < 2**63:
        return chosen_id, int(number)
    return session_id, 1


def _sessions(connection: Connection, uids: Sequence[str]) -> tuple[SessionRow, ...]:
    """Return sessions in the order of `uids`, with four statements however many they are."""
    if not uids:
        return ()
    handoffs = _children(connection, HANDOFFS, HandoffRow, uids)
    settlements = _children(connection, SETTLEMENTS, SettlementRow, uids)
    verdicts = _children(connection, VERDICTS, VerdictRow, uids)
    found: dict[str, SessionRow] = {}
    result = connection.execute(select(SESSIONS).where(SESSIONS.c.uid.in_(uids)))
    names = tuple(result.keys())
    for row in result:
        values: dict[str, Any] = dict(zip(names, row, strict=True))
        chosen_id, repetition = values.pop("chosen_id"), values.pop("repetition")
        uid = values["uid"]
        found[uid] = SessionRow(
            **values,
            session_id=chosen_id
            if repetition == 1
            else f"{chosen_id}{REPETITION_MARK}{repetition}",
            handoffs=tuple(handoffs[uid]),
            settlements=tuple(settlements[uid]),
            verdicts=tuple(verdicts[uid]),
        )
    return tuple(found[uid] for uid in uids)


def _children(
    connection: Connection, table: Table, kind: type[Child], uids: Sequence[str]
) -> defaultdict[str, list[Child]]:
    """Return rows of a table by their session, in the order in which they were told."""
    statement = (
        select(table.c.uid, *_columns(table, kind))
        .where(table.c.uid.in_(uids))
        .order_by(*table.primary_key.columns)
    )
    found: defaultdict[str, list[Child]] = defaultdict(list)
    for uid, *values in connection.execute(statement):
        found[uid].append(kind(*values))
    return found


def _columns(table: Table, kind: type[Child | StoredRecord | AccessRow]) -> list[Column[Any]]:
    """Return the columns that a dataclass has fields for, in their order."""
    return [table.c[item.name] for item in dataclasses.fields(kind)]
