"""Waiting for an archive's threads."""

from __future__ import annotations

import time
from collections.abc import Callable

from voiceguard.store.archive import Archive


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it did not become so.
    """
    by_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > by_s:
            raise TimeoutError("it did not come about")
        time.sleep(0.003)


def settle(archive: Archive, timeout_s: float = 20.0) -> None:
    """Wait until an archive has nothing more to do, the sessions that run excepted."""
    archive._recorder.drain(timeout_s)

    def is_idle() -> bool:
        health = archive.health
        return not (health.waiting_records or health.unapplied_records or health.waiting_audio)

    calm = 0

    def is_calm() -> bool:
        nonlocal calm
        calm = calm + 1 if is_idle() else 0
        return calm > 3

    wait_until(is_calm, timeout_s)
