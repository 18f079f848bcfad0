"""Writes down what reviewers do with sessions: before they get what they asked for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, ParamSpec
from weakref import WeakValueDictionary

from voiceguard.evidence.leaves import LeafKind
from voiceguard.server.reviewing.audio import AudioRange
from voiceguard.server.reviewing.signin import Reviewer
from voiceguard.server.reviewing.threads import StoreThreads, settled
from voiceguard.server.status import CallRefusedError
from voiceguard.store.archive import Archive
from voiceguard.store.payloads import access_payload
from voiceguard.store.records import Accessed

REPEAT_MS: Final = 10 * 60 * 1000
"""A reviewer who does the same with a session again is written down once in this time."""

MAX_REMEMBERED: Final = 10_000
"""Reviewers' doings that are remembered for that; a forgotten one is written down again."""

MAX_PARTS: Final = 64
"""Parts of a session that a reviewer heard, of each remembered doing."""

DURABLE_S: Final = 10.0
"""How long the log may take to have a record."""

SHOWN_S: Final = 5.0
"""How long an answer waits for the database to show what is recorded already."""

WHOLE: Final = AudioRange()

P = ParamSpec("P")


class AccessBook:
    """What reviewers do with sessions, on its way into the evidence log.

    Args:
        archive: keeps it.
        threads: where the archive is asked.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(self, archive: Archive, threads: StoreThreads, now_ms: Callable[[], int]) -> None:
        self._archive = archive
        self._threads = threads
        self._now_ms = now_ms
        self._written: OrderedDict[tuple[str, ...], deque[tuple[int, AudioRange]]] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, uid: str) -> asyncio.Lock:
        """Return the lock of a session; who holds it is the only reviewer to add to it."""
        return self._locks.setdefault(uid, asyncio.Lock())

    async def look(self, reviewer: Reviewer, uid: str) -> None:
        """Write down that a reviewer sees a session, unless that was done a moment ago.

        Raises:
            CallRefusedError, StoreError: it was not written down, so nothing may be shown.
        """
        async with self.lock(uid):
            await self._note(reviewer, uid, "viewed", WHOLE, "")

    async def hear(self, reviewer: Reviewer, uid: str, part: AudioRange) -> None:
        """Write down that a reviewer hears a part of a session, unless it was a moment ago.

        Raises:
            CallRefusedError, StoreError: it was not written down, so nothing may be heard.
        """
        async with self.lock(uid):
            await self._note(reviewer, uid, "heard", part, str(part))

    async def write(
        self, submit: Callable[P, Future[int]], *args: P.args, **kwargs: P.kwargs
    ) -> int:
        """Record something of a session, durably. Whoever calls this holds its lock.

        Args:
            submit: of the archive; may block.
            *args: of `submit`.
            **kwargs: of `submit`.

        Returns:
            The index of the leaf.

        Raises:
            CallRefusedError: the store did not take it in time.
            StoreError: the store refuses it.
        """
        future = await self._threads.run(submit, *args, **kwargs)
        return await settled(future, DURABLE_S)

    async def shown(self, index: int) -> bool:
        """Wait a moment for the database to have a record; return whether it has."""
        with contextlib.suppress(CallRefusedError):
            await settled(self._archive.applied(index), SHOWN_S)
            return True
        return False

    async def _note(
        self, reviewer: Reviewer, uid: str, action: str, part: AudioRange, detail: str
    ) -> None:
        key, now_ms = (reviewer.tenant, reviewer.name, uid, action), self._now_ms()
        parts = self._written.setdefault(key, deque(maxlen=MAX_PARTS))
        self._written.move_to_end(key)
        while parts and now_ms - parts[0][0] >= REPEAT_MS:
            parts.popleft()
        if any(heard.covers(part) for _, heard in parts):
            return
        access = Accessed(reviewer.name, action, now_ms, detail)
        await self.write(
            self._archive.submit, uid, LeafKind.ACCESSED, access_payload(access), access
        )
        parts.append((now_ms, part))
        while len(self._written) > MAX_REMEMBERED:
            self._written.popitem(last=False)
