"""Work spread over processes, one thread each, in order, with Ctrl-C ending it in seconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from typing import TypeVar

from voiceguard.core.errors import VoiceguardError

Item = TypeVar("Item")
Result = TypeVar("Result")

Progress = Callable[[str, int], AbstractContextManager[Callable[[int, str], None]]]
"""Shows a bar of a title and a total; yields what moves it to a count, with a note."""

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerError(VoiceguardError):
    """A process that worked for us is gone."""


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[Result]:
    """Yield `work(item)` of each item, in order.

    Args:
        work: a function of a module; it and the items are sent to the processes.
        items: small enough that one ends within a few seconds.
        jobs: number of processes.

    Raises:
        WorkerError: a process was killed. What `work` raises comes through as it is.
    """
    os.environ.update({name: os.environ.get(name, one) for name, one in _ONE_THREAD.items()})
    spawning = multiprocessing.get_context("spawn")  # forking beside onnxruntime's threads may hang
    pool = ProcessPoolExecutor(jobs, mp_context=spawning, initializer=_leave_ctrl_c_to_the_parent)
    try:
        yield from pool.map(work, items)
    except BrokenProcessPool as error:
        raise WorkerError(
            "a process was killed, most likely for memory; use fewer --jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def counting(show: Callable[[int, str], None]) -> Callable[[int], None]:
    """Return what adds to a bar that is moved to counts."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        show(done, "")

    return advance
