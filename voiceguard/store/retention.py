"""Erasing sessions: when their time is up, or when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.database import Database
from voiceguard.store.errors import SealBrokenError, SessionErasedError, SessionHeldError
from voiceguard.store.payloads import access_payload
from voiceguard.store.recorder import Reporter
from voiceguard.store.records import Erased, HoldSet
from voiceguard.store.submissions import Submitter
from voiceguard.store.upkeep import expired

MAX_AT_ONCE: Final = 200
WRITTEN_WITHIN_S: Final = 60.0


def erase(
    submit: Submitter, uid: str, *, cause: str, actor: str, reason: str, at_ms: int
) -> Future[int]:
    """Have a session erased: its key is destroyed, and all that it sealed with it.

    Args:
        submit: has records written.
        uid: evidence id.
        cause: `request` or `retention`.
        actor: who asked; empty for retention.
        reason: why.
        at_ms: wall time, ms since 1970, UTC.

    Returns, Raises:
        As `Submissions.submit`; SessionHeldError and SessionRunningError from the future.
    """
    columns = Erased(cause, actor, reason, at_ms)
    return submit(uid, LeafKind.ERASED, None, columns, {"cause": cause})


def set_hold(
    submit: Submitter, uid: str, *, hold: bool, actor: str, reason: str, at_ms: int
) -> Future[int]:
    """Have a legal hold placed or released.

    Args:
        submit: has records written.
        uid: evidence id.
        hold: True: placed.
        actor: who asked.
        reason: why.
        at_ms: wall time, ms since 1970, UTC.

    Returns, Raises:
        As `Submissions.submit`.
    """
    columns = HoldSet(hold, actor, reason, at_ms)
    kind = LeafKind.HELD if hold else LeafKind.RELEASED
    return submit(uid, kind, access_payload(columns), columns)


def erase_expired(
    database: Database,
    origin: str,
    submit: Submitter,
    *,
    applied: Callable[[int], Future[None]],
    report: Reporter,
    clock_ms: Callable[[], int],
) -> int:
    """Erase every session of an evidence log whose time is up; return how many.

    Whether one is under legal hold is decided by the writer at the moment of the record, so a
    hold that was placed first always wins.

    Args:
        database: with the sessions.
        origin: of the evidence log.
        submit: has records written.
        applied: says when the database has a record.
        report: is told of sessions that cannot be erased.
        clock_ms: wall time, ms since 1970, UTC.

    Raises:
        DatabaseUnavailableError, StoreError, TimeoutError: try again later.
    """
    erased = 0
    skipped: set[str] = set()
    while True:
        now_ms = clock_ms()
        due = expired(database, origin, now_ms, MAX_AT_ONCE + len(skipped))
        due = [uid for uid in due if uid not in skipped]
        if not due:
            return erased
        futures: dict[str, Future[int]] = {}
        for uid in due:
            try:
                futures[uid] = erase(
                    submit, uid, cause="retention", actor="", reason="", at_ms=now_ms
                )
            except SealBrokenError as error:
                skipped.add(uid)
                report("session_not_erased", error)
        by_s = time.monotonic() + WRITTEN_WITHIN_S
        last = -1
        for uid, future in futures.items():
            try:
                last = max(last, future.result(max(by_s - time.monotonic(), 0.0)))
                erased += 1
            except (SessionHeldError, SessionErasedError):
                skipped.add(uid)
        if last >= 0:
            applied(last).result(WRITTEN_WITHIN_S)
