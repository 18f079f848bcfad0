"""What reviewers add to sessions: verdicts, holds, erasure; in the log before the answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from google.protobuf.message import Message

from voiceguard.evidence.leaves import LeafKind
from voiceguard.server.reviewing.accessbook import AccessBook
from voiceguard.server.reviewing.accounts import Role
from voiceguard.server.reviewing.refusals import erased, held, live, too_many_verdicts
from voiceguard.server.reviewing.sessionreader import SessionReader
from voiceguard.server.reviewing.signin import Reviewer
from voiceguard.server.reviewing.threads import StoreThreads
from voiceguard.server.reviewing.wire import (
    check_comment,
    check_reason,
    session_to_proto,
    timestamp,
    verdict_kind_from_proto,
)
from voiceguard.server.status import CallRefusedError, permission_denied, unknown_handoff
from voiceguard.store.archive import Archive
from voiceguard.store.payloads import verdict_payload
from voiceguard.store.records import VerdictGiven
from voiceguard.store.rows import SessionRow
from voiceguard.v1 import review_pb2 as rpb

MAX_VERDICTS: Final = 200
"""Of one session. With comments as long as they may be they still fit into one message."""


class ReviewActions:
    """The methods of `ReviewService` that change something, and the one that shows who did.

    Args:
        archive: keeps sessions.
        threads: where the archive is asked.
        reader: reads sessions.
        book: writes to the log.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(
        self,
        archive: Archive,
        threads: StoreThreads,
        reader: SessionReader,
        book: AccessBook,
        now_ms: Callable[[], int],
    ) -> None:
        self._archive = archive
        self._threads = threads
        self._reader = reader
        self._book = book
        self._now_ms = now_ms

    async def record_verdict(
        self, reviewer: Reviewer, request: rpb.RecordVerdictRequest
    ) -> Message:
        """Add what a reviewer found to a session, for good."""
        kind = verdict_kind_from_proto(request.kind, "kind")
        comment = check_comment(request.comment, "comment")
        row = await self._find_kept(reviewer, request.session_id)
        if request.handoff_id and request.handoff_id not in {
            handoff.handoff_id for handoff in row.handoffs
        }:
            raise CallRefusedError(unknown_handoff())
        if len(row.verdicts) >= MAX_VERDICTS:
            raise CallRefusedError(too_many_verdicts(MAX_VERDICTS))
        async with self._book.lock(row.uid):
            verdict = VerdictGiven(
                verdict_id=uuid.uuid4().hex,
                handoff_id=request.handoff_id,
                kind=kind,
                reviewer=reviewer.name,
                recorded_at_ms=self._now_ms(),
            )
            payload = verdict_payload(verdict, comment)
            index = await self._book.write(
                self._archive.submit, row.uid, LeafKind.VERDICT, payload, verdict
            )
        await self._book.shown(index)
        return rpb.RecordVerdictResponse(
            verdict=rpb.Verdict(
                verdict_id=verdict.verdict_id,
                handoff_id=verdict.handoff_id,
                kind=request.kind,
                comment=comment,
                reviewer=verdict.reviewer,
                recorded_at=timestamp(verdict.recorded_at_ms),
            )
        )

    async def set_legal_hold(self, reviewer: Reviewer, request: rpb.SetLegalHoldRequest) -> Message:
        """Keep a session whatever its retention says, or stop doing so."""
        _check_compliance(reviewer)
        reason = check_reason(request.reason)
        row = await self._find_kept(reviewer, request.session_id)
        async with self._book.lock(row.uid):
            index = await self._book.write(
                self._archive.set_hold, row.uid, request.hold, reviewer.name, reason
            )
        if await self._book.shown(index):
            row = await self._find(reviewer, request.session_id)
        session = await self._threads.run(self._reader.session, row)
        session.legal_hold = request.hold
        return rpb.SetLegalHoldResponse(session=session)

    async def erase_session(self, reviewer: Reviewer, request: rpb.EraseSessionRequest) -> Message:
        """Destroy a session's key."""
        _check_compliance(reviewer)
        reason = check_reason(request.reason)
        row = await self._find(reviewer, request.session_id)
        if row.erased_at_ms is not None:
            return rpb.EraseSessionResponse(session=session_to_proto(row, None, {}))
        if row.legal_hold:
            raise CallRefusedError(held())
        if row.closed_at_ms is None:
            raise CallRefusedError(live("the session is live; erase it once it has ended"))
        async with self._book.lock(row.uid):
            index = await self._book.write(self._archive.erase, row.uid, reviewer.name, reason)
        if await self._book.shown(index):
            row = await self._find(reviewer, request.session_id)
        left = replace(row, erased_at_ms=row.erased_at_ms or self._now_ms())
        return rpb.EraseSessionResponse(session=session_to_proto(left, None, {}))

    async def list_access(self, reviewer: Reviewer, request: rpb.ListAccessRequest) -> Message:
        """Return who had to do with a session."""
        _check_compliance(reviewer)
        row = await self._find(reviewer, request.session_id)
        accesses = await self._threads.run(self._archive.finder.accesses, reviewer.tenant, row.uid)
        return rpb.ListAccessResponse(
            entries=[
                rpb.AccessEntry(
                    actor=item.actor,
                    action=item.action,
                    at=timestamp(item.at_ms),
                    detail=item.detail,
                )
                for item in accesses
            ]
        )

    async def _find(self, reviewer: Reviewer, session_id: str) -> SessionRow:
        return await self._threads.run(self._reader.find, reviewer.tenant, session_id)

    async def _find_kept(self, reviewer: Reviewer, session_id: str) -> SessionRow:
        row = await self._find(reviewer, session_id)
        if row.erased_at_ms is not None:
            raise CallRefusedError(erased())
        return row


def _check_compliance(reviewer: Reviewer) -> None:
    if reviewer.role is not Role.COMPLIANCE:
        raise CallRefusedError(permission_denied("this needs the role `compliance`"))
