"""The projector: the thread that brings what was recorded into the database.

The database may be away for as long as the spool has room. What was applied is known by a cursor
in the database itself, so nothing is applied twice or left out, whatever ends when.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Protocol

from voiceguard.core.errors import VoiceguardError
from voiceguard.store.errors import DatabaseUnavailableError, StoreClosedError
from voiceguard.store.recorder import Reporter
from voiceguard.store.records import Record

MAX_BATCH: Final = 500
"""Records in one transaction."""

FIRST_RETRY_S: Final = 0.25
LAST_RETRY_S: Final = 10.0
"""Wait after a failure; it doubles from the one to the other."""

IDLE_S: Final = 1.0


class Source(Protocol):
    """Where records come from."""

    @property
    def durable(self) -> int:
        """Leaf index after the last record that may be applied."""
        ...

    def read(self, index: int, max_records: int) -> list[Record]:
        """Return records from an index on, in order."""
        ...

    def discard(self, applied: int) -> None:
        """Take note that records with smaller indices are not needed any more."""
        ...


class Target(Protocol):
    """Where records go; `voiceguard.store.projection.Projection` is one."""

    def applied(self) -> int:
        """Return the leaf index after the last record that was applied."""
        ...

    def apply(self, records: Sequence[Record]) -> None:
        """Apply records in one transaction."""
        ...


class Projector:
    """Applies records, in order, until it is stopped.

    Args:
        source: of the records.
        connect: returns the target; called until it succeeds.
        on_applied: called by the thread after each transaction, with what was applied.
        report: is told when the database goes away, and of defects.
    """

    def __init__(
        self,
        source: Source,
        connect: Callable[[], Target],
        *,
        on_applied: Callable[[Sequence[Record]], None],
        report: Reporter,
    ) -> None:
        self._source = source
        self._connect = connect
        self._target: Target | None = None
        self._on_applied = on_applied
        self._report = report
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, Future[None]]] = []
        self._order = itertools.count()
        self._retry_s = FIRST_RETRY_S
        self._stop_by_s: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="voiceguard-projector", daemon=True)
        self.applied = -1
        """Leaf index after the last record in the database; -1: it was not reached yet."""
        self.problem = ""
        """Why the database takes nothing now; empty: it does."""
        self.is_away = False
        """Whether it is a problem that passes by itself."""

    def start(self) -> None:
        """Begin to apply."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is something to apply."""
        self._wake.set()

    def when_applied(self, index: int) -> Future[None]:
        """Return what is done once the record of this leaf index is in the database."""
        future: Future[None] = Future()
        with self._lock:
            if index < self.applied:
                future.set_result(None)
            elif self._stop_by_s is not None and not self._thread.is_alive():
                future.set_exception(StoreClosedError("the store was closed"))
            else:
                heapq.heappush(self._waiting, (index, next(self._order), future))
        return future

    def stop(self, timeout_s: float) -> None:
        """Apply what is there, and end.

        Args:
            timeout_s: how long the database is given; what it has not taken stays in the spool.
        """
        self._stop_by_s = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._may_end():
            try:
                if self._round():
                    self._wake.wait(IDLE_S if self._stop_by_s is None else 0.01)
                    self._wake.clear()
            except DatabaseUnavailableError as error:
                self._take_problem("database_away", error, is_away=True)
            except VoiceguardError as error:
                self._take_problem("database_refused", error, is_away=False)
            except Exception as defect:  # noqa: BLE001 - a defect must not end all projection
                self._take_problem("projector_defect", defect, is_away=False)
        with self._lock:
            for _, _, future in self._waiting:
                if future.set_running_or_notify_cancel():
                    future.set_exception(StoreClosedError("the store was closed"))
            self._waiting.clear()

    def _may_end(self) -> bool:
        if self._stop_by_s is None:
            return False
        is_done = self._target is not None and self.applied >= self._source.durable
        return is_done or time.monotonic() >= self._stop_by_s

    def _round(self) -> bool:
        """Apply what is there; return whether nothing is left."""
        if self._target is None:
            target = self._connect()
            self.applied = target.applied()
            self._target = target
            self._receive_progress()
        durable = self._source.durable
        if self.applied < durable:
            count = min(MAX_BATCH, durable - self.applied)
            records = self._source.read(self.applied, count)
            self._target.apply(records)
            self._on_applied(records)
            self.applied = records[-1].leaf_index + 1
            self._receive_progress()
        self.problem, self.is_away, self._retry_s = "", False, FIRST_RETRY_S
        return self.applied >= durable

    def _receive_progress(self) -> None:
        self._source.discard(self.applied)
        with self._lock:
            while self._waiting and self._waiting[0][0] < self.applied:
                _, _, future = heapq.heappop(self._waiting)
                if future.set_running_or_notify_cancel():
                    future.set_result(None)

    def _take_problem(self, what: str, error: BaseException, *, is_away: bool) -> None:
        problem = type(error).__name__
        if problem != self.problem:
            self._report(what, error)
        self.problem, self.is_away = problem, is_away
        wait_s, self._retry_s = self._retry_s, min(2 * self._retry_s, LAST_RETRY_S)
        self._stopping.wait(wait_s)
        if self._stop_by_s is not None:
            time.sleep(min(wait_s, 0.05))
