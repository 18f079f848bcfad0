"""The two coroutines of a stream, with a carrier and a transport that the test holds."""

from __future__ import annotations

import asyncio
import io
import time

import grpc
import pytest

from voiceguard.server.logs import new_log
from voiceguard.server.streams import ClientStream
from voiceguard.v1 import monitor_pb2 as pb

MESSAGES = [pb.MonitorResponse(alert=pb.AlertChanged(alert_id=str(n))) for n in range(3)]


class Transport:
    """What grpc gives a handler; writes wait until `open`, and nothing comes in."""

    def __init__(self):
        self.open = asyncio.Event()
        self.written = []
        self.aborted = None
        self.is_broken = False
        self.incoming = []

    async def read(self):
        if not self.incoming:
            await asyncio.Event().wait()
        return self.incoming.pop()

    async def write(self, content):
        await self.open.wait()
        if self.is_broken:
            raise grpc.aio.InternalError
        self.written.append(pb.MonitorResponse.FromString(content))

    async def abort(self, code, _message, _metadata):
        self.aborted = code
        raise grpc.aio.AbortError


class Recorder:
    """A carrier that records what is done to it."""

    failure = None
    has_room = True
    is_over = False

    def __init__(self):
        self.messages = list(MESSAGES)
        self.done = []

    def take_message(self):
        return self.messages.pop(0) if self.messages else None

    def return_message(self, message):
        self.done.append("returned")
        self.messages.insert(0, message)

    def receive(self, _message):
        self.done.append("received")

    def break_off(self):
        self.done.append("broken off")


def new_stream(transport, log=None):
    log = log or new_log("error", "json", io.StringIO())
    return ClientStream(transport, pb.MonitorRequest, time.monotonic, log)


async def start():
    transport, carrier = Transport(), Recorder()
    stream = new_stream(transport)
    running = asyncio.create_task(stream.run(carrier))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return transport, carrier, stream, running


async def test_what_was_not_sent_is_back_before_the_call_is_broken_off():
    _, carrier, _, running = await start()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert carrier.done == ["returned", "broken off"]
    assert carrier.messages == MESSAGES


async def test_a_client_that_does_not_read_is_cut_off():
    transport, carrier, stream, running = await start()
    stream.check(60)
    await asyncio.sleep(0)
    assert not running.done()
    stream.check(0)
    with pytest.raises(grpc.aio.AbortError):
        await running
    assert transport.aborted is grpc.StatusCode.ABORTED
    assert carrier.done == ["returned", "broken off"]
    assert carrier.messages == MESSAGES


async def test_messages_leave_in_order_and_a_stream_ends_when_its_calls_are_over():
    transport, carrier, stream, running = await start()
    transport.open.set()
    await asyncio.sleep(0.01)
    assert transport.written == MESSAGES
    carrier.is_over = True
    stream.on_change()
    await running
    assert carrier.done == []
    assert transport.aborted is None


async def test_a_transport_that_fails_is_a_break():
    transport, carrier, _, running = await start()

    transport.is_broken = True
    transport.open.set()
    await running
    assert carrier.done == ["returned", "broken off"]


@pytest.mark.parametrize("method", ["receive", "take_message"])
async def test_a_defect_ends_the_stream_at_once_and_is_logged(method):
    """It must not be taken for a client that has gone, nor leave one waiting."""

    def fail(*_):
        raise ArithmeticError("secret")

    written = io.StringIO()
    transport, carrier = Transport(), Recorder()
    transport.open.set()
    transport.incoming = [b""]
    setattr(carrier, method, fail)
    with pytest.raises(grpc.aio.AbortError):
        async with asyncio.timeout(2):
            await new_stream(transport, new_log("error", "json", written)).run(carrier)
    assert transport.aborted is grpc.StatusCode.INTERNAL
    assert carrier.done[-1] == "broken off"
    assert "ArithmeticError" in written.getvalue()
    assert "secret" not in written.getvalue()
