"""A real server is killed under load: what reviewers had seen is there after a new start."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc

from tests.server.kept import KeepingServer, assert_kept, call_config, keeping, keeping_settings
from tests.server.reviewing import Asking
from tests.server.support import (
    CUSTOMER,
    StreamError,
    angry_call,
    audio,
    eventually,
    local_events,
    local_responses,
    pieces,
)
from voiceguard.evidence.audit import audit_log
from voiceguard.server.auth import LOCAL_TENANT
from voiceguard.server.reviewing.accounts import Role
from voiceguard.server.reviewing.reviewers import add_token
from voiceguard.v1 import review_pb2 as rpb
from voiceguard.wire import event_to_proto

ROOT = Path(__file__).parents[2]

CALLS = 6

LONG = angry_call() * 2
"""So long that its sending goes on when the server is killed."""


@asynccontextmanager
async def killed_at_the_end(settings):
    """Run `voiceguard serve`, give a channel to it, and kill it."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "VOICEGUARD_LISTEN": "127.0.0.1:0",
        "VOICEGUARD_MODEL_DIR": str(settings.model_dir),
        "VOICEGUARD_METRICS_LISTEN": "",
        "VOICEGUARD_DATA_DIR": str(settings.data_dir),
        "VOICEGUARD_REVIEWERS_FILE": str(settings.reviewers_file),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "voiceguard", "serve",
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        target = line.removeprefix("voiceguard serves on ").strip()
        async with grpc.aio.insecure_channel(target) as channel:
            yield channel
            process.send_signal(signal.SIGKILL)
            await process.wait()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def stream(server, session_id, content):
    """Send a call, as far as the server lives."""
    call = server.call()
    await call.open(call_config(session_id))
    with suppress(StreamError, EOFError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for piece in pieces(content):
            await call.send(audio(piece))
        if session_id == "ended":
            await call.half_close()
        while True:
            await call.receive()


async def test_a_server_that_is_killed_under_load(settings, tmp_path, model):
    changed = keeping_settings(settings, tmp_path)
    token = add_token(changed.reviewers_file, LOCAL_TENANT, "bob", Role.COMPLIANCE)
    live = [f"live-{number}" for number in range(CALLS)]
    async with killed_at_the_end(changed) as channel:
        server = KeepingServer(None, None, channel)
        server.review = Asking(channel, token)
        streams = [asyncio.create_task(stream(server, name, LONG)) for name in live]
        streams.append(asyncio.create_task(stream(server, "ended", angry_call())))
        seen = {}

        async def handed_off(session_id):
            with suppress(StreamError):
                seen[session_id] = await server.session(session_id)
                if session_id == "ended" and not seen[session_id].audio_kept:
                    return False
                return bool(seen[session_id].handoffs)
            return False

        for session_id in ("ended", *live):
            await eventually(lambda name=session_id: handed_off(name), 20)
        events = {name: await server.events(name) for name in seen}
    await asyncio.gather(*streams, return_exceptions=True)
    heard = local_events(model, LONG)
    async with keeping(changed) as server:
        for session_id, before in seen.items():
            after = await server.ended(session_id)
            kept = await server.events(session_id)
            assert kept[: len(events[session_id])] == events[session_id]
            assert after.evidence_id == before.evidence_id
            assert after.handoffs[: len(before.handoffs)] == before.handoffs
            if session_id == "ended":
                assert after == before
                assert_kept(kept, local_responses(model, angry_call(), session_id=session_id))
            else:
                assert (before.ended, after.ended) == ("", "interrupted")
                sent = (event_to_proto(event, CUSTOMER, session_id) for event in heard)
                assert_kept(kept, [item for item in sent if item is not None][: len(kept)])
                assert len(kept) < len(heard)
            assert server.verify(await server.bundle(session_id)).ok
        listed = await server.review.ListSessions(rpb.ListSessionsRequest())
        assert {item.session_id for item in listed.sessions} == set(seen)
        key = server.archive.log.verifier_key
    report = audit_log(changed.data_dir / "log", key)
    assert not report.problems
    assert report.sessions == CALLS + 1
    assert not report.open_sessions
