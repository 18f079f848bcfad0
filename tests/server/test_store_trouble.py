"""Whatever happens to the store, calls are monitored as before, and nothing is lost."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.server.kept import assert_kept, call_config, keeping, keeping_settings, store_health
from tests.server.support import angry_call, eventually, local_responses, without_repeats
from voiceguard.store import projector as projector_module
from voiceguard.store import recorder as recorder_module
from voiceguard.store.errors import DatabaseUnavailableError

MOST_LAG_S = 2.0
"""For 16 s of audio sent at once, on a busy machine; it takes some 0.3 s."""

WELL = {"server": "SERVING", "monitor": "SERVING", "review": "SERVING", "store": "SERVING"}
ILL = WELL | {"review": "NOT_SERVING", "store": "NOT_SERVING"}


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    for module in (recorder_module, projector_module):
        monkeypatch.setattr(module, "FIRST_RETRY_S", 0.05)
        monkeypatch.setattr(module, "LAST_RETRY_S", 0.1)
    monkeypatch.setattr("voiceguard.server.lifecycle.UPDATE_TICKS", 1)


async def monitored(server, model, session_id):
    """Have an angry call monitored; its events must be right, and come in time."""
    call = server.call()
    await call.open(call_config(session_id))
    started_s = time.monotonic()
    responses = await call.play(angry_call())
    took_s = time.monotonic() - started_s
    assert without_repeats(responses) == local_responses(model, angry_call(), session_id=session_id)
    assert took_s < MOST_LAG_S
    return responses


async def healthy(server, states):
    async def is_so():
        return await store_health(server.channel) == states

    await eventually(is_so, 10)


@asynccontextmanager
async def trouble(server, model, state, begin, end):
    """Let the store be in trouble; monitor a call before, meanwhile and after."""
    await monitored(server, model, "before")
    await server.ended("before")
    await healthy(server, WELL)
    await begin()
    during = await monitored(server, model, "during")
    await healthy(server, ILL)
    assert server.metric("voiceguard_store_state", state=state) == 1
    assert server.metric("voiceguard_store_state", state="ok") == 0
    yield
    await end()
    await healthy(server, WELL)
    await monitored(server, model, "after")
    for session_id in ("before", "during", "after"):
        session = await server.ended(session_id)
        assert (session.ended, session.audio_kept) == ("completed", True)
        assert_kept(await server.events(session_id), local_responses(
            model, angry_call(), session_id=session_id))  # fmt: skip
    assert_kept(await server.events("during"), without_repeats(during))
    assert server.metric("voiceguard_store_state", state="ok") == 1
    assert server.metric("voiceguard_store_lost_records") == 0
    assert server.verify(await server.bundle("during")).ok


async def test_a_postgres_that_stops_and_comes_back(settings, tmp_path, model, postgres):
    changed = keeping_settings(settings, tmp_path, database_url=postgres.migrated_database())
    stop, start = (partial(asyncio.to_thread, call) for call in (postgres.stop, postgres.start))
    try:
        async with (
            keeping(changed) as server,
            trouble(server, model, "spooling", stop, start),
        ):
            assert server.metric("voiceguard_store_spool_bytes") > 0
    finally:
        if postgres._process is None:
            postgres.start()


async def test_an_sqlite_that_takes_nothing_for_a_while(settings, tmp_path, model, monkeypatch):
    async with keeping(keeping_settings(settings, tmp_path)) as server:
        link, is_away = server.archive._link, False
        apply = link.apply

        def may_be_away(records):
            if is_away:
                raise DatabaseUnavailableError("the database is locked")
            return apply(records)

        async def set_away(state):
            nonlocal is_away
            is_away = state

        monkeypatch.setattr(type(link), "apply", lambda _, records: may_be_away(records))
        async with trouble(
            server, model, "spooling", lambda: set_away(True), lambda: set_away(False)
        ):
            assert server.metric("voiceguard_store_spool_bytes") > 0


@pytest.mark.parametrize("calls", [("fdatasync",), ("write", "pwrite")], ids="-".join)
async def test_a_full_disk(settings, tmp_path, model, monkeypatch, calls):
    places = {tmp_path / "data" / "log", tmp_path / "data" / "spool"}
    is_full = False

    def failing(call):
        def write(descriptor, *parts):
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if is_full and path.parent in places:
                raise OSError(errno.ENOSPC, "No space left on device")
            return call(descriptor, *parts)

        return write

    async def set_full(state):
        nonlocal is_full
        is_full = state

    for name in calls:
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    async with (
        keeping(keeping_settings(settings, tmp_path)) as server,
        trouble(server, model, "failing", lambda: set_full(True), lambda: set_full(False)),
    ):
        assert server.metric("voiceguard_store_waiting_records") > 0
