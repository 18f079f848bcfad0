"""The recorder: the one thread that writes spool and log.

Whoever has something to keep puts it into a queue and goes on. The thread gathers the events of
each session for a moment, and writes what has gathered in one go: the longer the disk takes, the
more goes with the next write (group commit).
"""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from voiceguard.core.events import (
    AlertChanged,
    Event,
    HandoffRequested,
    HandoffSettled,
    SessionFinished,
    SessionFlagged,
)
from voiceguard.evidence.leaves import LeafKind
from voiceguard.store.drafts import Begin, Draft, End, Happened, Prepared, Submission
from voiceguard.store.errors import StoreClosedError, StoreError, StoreFullError
from voiceguard.store.journal import Journal
from voiceguard.store.ledger import SessionLedger, SessionState
from voiceguard.store.scribe import Scribe, fail

URGENT_EVENTS: Final[frozenset[type[Event]]] = frozenset(
    {AlertChanged, HandoffRequested, HandoffSettled, SessionFlagged, SessionFinished}
)
"""Written at once; reviewers wait for them."""

GATHER_S: Final = 2.0
GATHER_EVENTS: Final = 64
"""How long, and how many, other events wait for company."""

TICK_S: Final = 0.25
"""How often the thread looks for events that have waited long enough."""

MAX_BATCH: Final = 512
"""Records in one write."""

CHECKPOINT_S: Final = 1.0
"""Least time between two signed checkpoints."""

FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 5.0
"""Wait after a failed write; it doubles from the one to the other."""

MAX_QUEUED: Final = 200_000
"""Drafts in the queue; over that the thread must have been stuck for minutes."""

MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Of records in memory that the disk does not take."""

RESERVE: Final = 1 / 16
"""Beyond both limits, for what ends and governs sessions: less is lost by losing events."""

Reporter = Callable[[str, BaseException], None]
"""Is told of errors that nobody waits for: what happened, in one word, and the error."""


@dataclass(slots=True)
class _Gathering:
    since_s: float
    events: list[tuple[Event, int]] = field(default_factory=list)


class Recorder:
    """Writes what sessions and reviewers leave.

    Args:
        journal: takes the records.
        ledger: the sessions.
        scribe: makes records of drafts.
        spool_limit_bytes: over that much on the disk, events are lost.
        on_committed: called by the thread after each write, with what is durable now and the
            leaf index of the first.
        on_unrecorded: called by the thread with the evidence id of a session that ended without
            a record of it.
        report: is told of defects.
        clock_ms: wall time, ms since 1970, UTC.
    """

    def __init__(  # noqa: PLR0913 - the parts of a writer, put together in one place
        self,
        journal: Journal,
        ledger: SessionLedger,
        scribe: Scribe,
        *,
        spool_limit_bytes: int,
        on_committed: Callable[[Sequence[Prepared], int], None],
        on_unrecorded: Callable[[str], None],
        report: Reporter,
        clock_ms: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._scribe = scribe
        self._spool_limit_bytes = spool_limit_bytes
        self._on_committed = on_committed
        self._on_unrecorded = on_unrecorded
        self._report = report
        self._clock_ms = clock_ms
        self._queue: deque[Draft] = deque()
        self._wake = threading.Event()
        self._gathering: dict[SessionState, _Gathering] = {}
        self._pending: deque[Prepared] = deque()
        self._pending_bytes = 0
        self._batch: list[Prepared] = []
        """What is being written; the same again after an error."""
        self._retry_at_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._checkpoint_at_s = 0.0
        self._signed_size = -1
        self._unsaid_lost = 0
        self._stop_by_s: float | None = None
        self._flush_all = False
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="voiceguard-recorder", daemon=True)
        self.lost_records = 0
        """Since the start."""
        self.problem = ""
        """Why the disk takes nothing now; empty: it does."""

    # ---- any thread ----

    @property
    def waiting_records(self) -> int:
        """Drafts and records that are not on the disk yet."""
        return len(self._queue) + len(self._gathering) + len(self._pending) + len(self._batch)

    @property
    def is_failing(self) -> bool:
        """Whether records are being lost, or would be soon."""
        return bool(self.problem) or self._is_full(0.0) or self._is_over

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def put(self, draft: Draft, *, urgent: bool) -> None:
        """Take a draft. Never blocks, never raises.

        Args:
            draft: to be written.
            urgent: at once, not with the next ones that have waited long enough.
        """
        if self._is_over or len(self._queue) >= MAX_QUEUED:
            self._lose(draft)
            return
        self._queue.append(draft)
        if urgent:
            self._wake.set()

    def drain(self, timeout_s: float) -> None:
        """Wait until all that was put before is on the disk.

        Args:
            timeout_s: how long to wait at most.
        """
        by_s = time.monotonic() + timeout_s
        if self._thread.ident is None:
            return
        self._flush_all = True
        while self.waiting_records and self._thread.is_alive() and time.monotonic() < by_s:
            self._wake.set()
            time.sleep(0.002)
        self._flush_all = False

    def stop(self, timeout_s: float) -> None:
        """Write what is there, and end.

        Args:
            timeout_s: how long the disk is given; what it has not taken then is lost.
        """
        self._stop_by_s = time.monotonic() + timeout_s
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    # ---- the thread ----

    def _run(self) -> None:
        while True:
            self._wake.wait(self._nap_s())
            self._wake.clear()
            try:
                self._round()
            except Exception as defect:  # noqa: BLE001 - a defect must not end all recording
                self.problem = type(defect).__name__
                self._report("recorder_defect", defect)
                self._postpone()
            if self._stop_by_s is not None and self._may_end(self._stop_by_s):
                break
        self._end()

    def _nap_s(self) -> float:
        if self._batch or self._pending:
            return min(max(self._retry_at_s - time.monotonic(), 0.0), TICK_S)
        return TICK_S if self._stop_by_s is None else 0.0

    def _may_end(self, stop_by_s: float) -> bool:
        rest = self._queue or self._gathering or self._pending or self._batch
        return not rest or time.monotonic() >= stop_by_s

    def _end(self) -> None:
        self._is_over = True
        lost = StoreClosedError("the store was closed before the disk took this record")
        rest = [*self._batch, *self._pending]
        for prepared in rest:
            fail(prepared.future, lost)
        while self._queue:
            self._lose(self._queue.popleft())
        if rest or self._gathering:
            self.lost_records += len(rest) + len(self._gathering)
            self._report("records_lost", lost)

    def _round(self) -> None:
        for _ in range(len(self._queue)):
            draft = self._queue.popleft()
            try:
                self._take(draft)
            except StoreError as error:
                self._refuse(draft, error)
            except Exception as defect:  # noqa: BLE001 - one bad draft must not keep the others
                self._lose(draft)
                self._report("record_defect", defect)
        now_s = time.monotonic()
        self._flush_due(now_s)
        if now_s >= self._retry_at_s:
            try:
                self._commit_all()
                self._sign(now_s)
            except OSError as error:
                self._take_problem(error)

    def _take(self, draft: Draft) -> None:
        match draft:
            case Begin(state, opening):
                if self._is_full(0.0):
                    self._ledger.drop(state)
                    self._lose(draft)
                else:
                    self._push(self._scribe.open(state, opening))
            case Happened(state, events, at_ms):
                self._gather(state, events, at_ms)
            case End(state):
                self._close(state, draft)
                if draft.is_pinned:
                    self._ledger.unpin(state)
            case Submission(state):
                if self.problem or self._is_full(RESERVE):
                    raise StoreFullError(
                        f"the record cannot be written: {self.problem or 'the spool is full'}; "
                        "try again once there is room"
                    )
                self._push(self._scribe.submit(draft))
                if state is not None:
                    self._ledger.unpin(state)

    def _gather(self, state: SessionState, events: tuple[Event, ...], at_ms: int) -> None:
        if state.tally is None or not state.running:
            self._count_lost(1)
            return
        gathering = self._gathering.get(state)
        if gathering is None:
            gathering = self._gathering[state] = _Gathering(time.monotonic())
        for event in events:
            state.tally.receive(event, at_ms)
            gathering.events.append((event, at_ms))
        if len(gathering.events) >= GATHER_EVENTS or not URGENT_EVENTS.isdisjoint(
            map(type, events)
        ):
            self._flush(state)

    def _flush_due(self, now_s: float) -> None:
        """Make records of the events that have waited long enough; all, at the end."""
        due_s = now_s - (0.0 if self._flush_all or self._stop_by_s is not None else GATHER_S)
        for state in [state for state, item in self._gathering.items() if item.since_s <= due_s]:
            self._flush(state)

    def _flush(self, state: SessionState) -> None:
        gathering = self._gathering.pop(state, None)
        if gathering is None or state.tally is None:
            return
        if self._is_full(0.0):
            state.tally.skip_batch()
            self._count_lost(1)
            return
        self._push(self._scribe.events(state, state.tally, gathering.events))

    def _close(self, state: SessionState, end: End) -> None:
        self._flush(state)
        if state.tally is None or state.opening is None or not state.running:
            self._count_lost(1)
            self._on_unrecorded(state.uid)
            return
        opening = state.opening
        self._push(self._scribe.close(end, state.tally, opening.keep_audio, opening.retention_days))

    # ---- writing ----

    def _push(self, prepared: Prepared) -> None:
        self._pending.append(prepared)
        self._pending_bytes += prepared.size

    def _commit_all(self) -> None:
        if self._unsaid_lost and not self._is_full(0.0):
            self._push(self._scribe.note_lost(self._unsaid_lost, self._clock_ms()))
            self._unsaid_lost = 0
        while self._batch or self._pending:
            if not self._batch:
                count = min(len(self._pending), MAX_BATCH)
                self._batch = [self._pending.popleft() for _ in range(count)]
            first = self._journal.next_index
            records = [item.at(index) for index, item in enumerate(self._batch, start=first)]
            self._journal.commit(records)
            self._acknowledge(first)
            self.problem = ""
            self._retry_s = FIRST_RETRY_S

    def _acknowledge(self, first: int) -> None:
        batch, self._batch = self._batch, []
        if any(item.leaf.kind is LeafKind.ERASED for item in batch):
            # So that the segment with the wrapped key can go once the database has it.
            self._journal.spool.end_segment()
        self._on_committed(batch, first)
        for index, item in enumerate(batch, start=first):
            self._pending_bytes -= item.size
            if item.state is not None:
                self._ledger.unpin(item.state, index)
            if item.future is not None and item.future.set_running_or_notify_cancel():
                item.future.set_result(index)

    def _sign(self, now_s: float) -> None:
        if self._journal.log.size != self._signed_size and now_s >= self._checkpoint_at_s:
            self._checkpoint_at_s = now_s + CHECKPOINT_S
            size = self._journal.log.size
            self._journal.log.checkpoint()
            self._signed_size = size

    def _take_problem(self, error: OSError) -> None:
        known = self.problem
        self.problem = errno.errorcode.get(error.errno or 0, type(error).__name__)
        if self.problem != known:
            self._report("journal_not_written", error)
        self._postpone()

    def _postpone(self) -> None:
        self._retry_at_s = time.monotonic() + self._retry_s
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)

    # ---- losing ----

    def _is_full(self, reserve: float) -> bool:
        return self._journal.spool.bytes_on_disk + self._pending_bytes > self._spool_limit_bytes * (
            1 + reserve
        ) or self._pending_bytes > MAX_WAITING_BYTES * (1 + reserve)

    def _refuse(self, draft: Draft, error: StoreError) -> None:
        if isinstance(draft, Submission):
            if draft.state is not None:
                self._ledger.unpin(draft.state)
            fail(draft.future, error)
        else:
            self._count_lost(1)

    def _lose(self, draft: Draft) -> None:
        self._count_lost(1)
        if isinstance(draft, Submission):
            if draft.state is not None:
                self._ledger.unpin(draft.state)
            problem = "the store is closed" if self._is_over else "the store takes nothing now"
            fail(draft.future, StoreFullError(f"{problem}: the record was not written"))

    def _count_lost(self, records: int) -> None:
        self.lost_records += records
        self._unsaid_lost += records
