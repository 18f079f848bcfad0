"""Runs what waits for the store on a few threads, so that the event loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Final, ParamSpec, TypeVar

from voiceguard.server.status import CallRefusedError, draining, review_busy, store_unavailable

THREADS: Final = 4

MAX_WAITING: Final = 128
"""Pieces of work at once, running or not."""

WORK_S: Final = 30.0
"""How long one piece of work may take before its caller is told that the store is away."""

BUSY_RETRY_S: Final = 1.0
AWAY_RETRY_S: Final = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class StoreThreads:
    """A pool with a bound on what waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "voiceguard-review")
        self._places = BoundedSemaphore(MAX_WAITING)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that may block; return what it returns, raise what it raises.

        Raises:
            CallRefusedError: the pool is closed, too much waits already, or it took too long; it
                goes on to its end then, and holds its place until it is there.
        """
        if not self._places.acquire(blocking=False):
            raise CallRefusedError(review_busy(BUSY_RETRY_S))
        try:
            future = self._pool.submit(work, *args, **kwargs)
        except RuntimeError as error:  # closed
            self._places.release()
            raise CallRefusedError(draining(BUSY_RETRY_S)) from error
        future.add_done_callback(lambda _: self._places.release())
        return await settled(future, WORK_S)

    def run_later(self, work: Callable[[], None]) -> None:
        """Run something that tidies up, and do not wait for it. It must not raise."""
        try:
            self._pool.submit(work)
        except RuntimeError:  # the pool is closed, and nobody holds what is to be tidied up
            work()

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False)


async def settled(future: Future[T], timeout_s: float) -> T:
    """Wait for a future of another thread.

    Raises:
        CallRefusedError: it was not done in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.wrap_future(future)
    except TimeoutError as error:
        raise CallRefusedError(store_unavailable(AWAY_RETRY_S)) from error
