"""MonitorTrunk: many calls over one stream, each as if it had one of its own."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2

from tests.server.support import (
    angry_call,
    audio,
    calm_call,
    eventually,
    kinds,
    local_responses,
    make_config,
    pieces,
    stream_end,
    unpack,
    without_repeats,
)
from voiceguard.v1 import monitor_pb2 as pb


class TrunkCaller:
    """One MonitorTrunk stream; sorts what comes by call."""

    def __init__(self, server):
        self.call = server.stub.MonitorTrunk()
        self.responses = {}
        self.errors = {}
        self.messages = 0
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        async for message in self.call:
            self.messages += 1
            assert message.responses
            for item in message.responses:
                if item.HasField("error"):
                    self.errors[item.call] = item.error
                else:
                    self.responses.setdefault(item.call, []).append(item.response)

    async def send(self, *items):
        """Send requests of calls, given as pairs, in one message."""
        message = pb.MonitorTrunkRequest()
        for number, request in items:
            if isinstance(request, bool):
                message.requests.add(call=number, finish=request)
            elif request is None:
                message.requests.add(call=number)
            else:
                message.requests.add(call=number, request=request)
        await self.call.write(message)

    async def open(self, *numbers):
        await self.send(*((n, pb.MonitorRequest(config=make_config(f"call-{n}"))) for n in numbers))
        await eventually(lambda: all(n in self.responses for n in numbers))

    def ended(self, number):
        return kinds(self.responses.get(number, []))[-1:] == ["summary"] or number in self.errors

    async def close(self):
        await self.call.done_writing()
        await self.reading


async def test_calls_on_a_trunk_give_the_events_of_calls_alone(server, model):
    contents = {n: angry_call(n) if n % 3 == 0 else calm_call(8, n) for n in range(8)}
    trunk = TrunkCaller(server)
    await trunk.open(*contents)
    longest = max(len(content) for content in contents.values())
    for start in range(0, longest, 1600):
        present = ((n, content[start : start + 1600]) for n, content in contents.items())
        await trunk.send(*((n, audio(piece)) for n, piece in present if piece))
    await trunk.send(*((n, True) for n in range(4)))
    await eventually(lambda: all(trunk.ended(n) for n in range(4)))
    assert not trunk.ended(5)
    await trunk.close()
    for number, content in contents.items():
        expected = local_responses(model, content, session_id=f"call-{number}")
        assert without_repeats(trunk.responses[number]) == expected
    assert not trunk.errors
    assert trunk.messages < sum(len(items) for items in trunk.responses.values())


async def test_the_same_call_on_a_trunk_and_alone(server):
    alone = server.call()
    await alone.open()
    by_itself = await alone.play(angry_call())
    trunk = TrunkCaller(server)
    await trunk.send((7, pb.MonitorRequest(config=make_config())))
    await trunk.send(*((7, audio(piece)) for piece in pieces(angry_call())))
    await trunk.close()
    assert kinds(trunk.responses[7])[0] == "opened"
    assert without_repeats(trunk.responses[7]) == without_repeats(by_itself)


BAD_REQUESTS = {
    "odd bytes": (audio(b"\0"), "audio.content"),
    "second config": (pb.MonitorRequest(config=make_config("other")), "config"),
    "nothing set": (pb.MonitorRequest(), "request"),
    "kind unset": (None, "finish"),
    "finish false": (False, "finish"),
    "far jump": (audio(b"\0\0", first_sample=10**12), "audio.first_sample"),
    "unknown handoff": (
        pb.MonitorRequest(handoff_ack=pb.HandoffAck(handoff_id="x", outcome=1)),
        "handoff_ack.handoff_id",
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_one_call_in_error_leaves_the_others(server, model, name):
    request, field = BAD_REQUESTS[name]
    trunk = TrunkCaller(server)
    await trunk.open(1, 2)
    await trunk.send((1, audio(calm_call(1))), (2, audio(calm_call(3)[:8000])))
    await trunk.send((1, request), (2, audio(calm_call(3)[8000:])))
    await eventually(lambda: 1 in trunk.errors)
    error = trunk.errors[1]
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    bad_request = unpack(error, error_details_pb2.BadRequest)
    assert bad_request.field_violations[0].field == field
    await trunk.close()
    assert without_repeats(trunk.responses[2]) == local_responses(
        model, calm_call(3), session_id="call-2"
    )
    assert "summary" not in kinds(trunk.responses[1])


async def test_errors_of_admission_come_for_their_call(serving):
    async with serving(max_sessions=2) as server:
        trunk = TrunkCaller(server)
        await trunk.open(1, 2)
        await trunk.send((3, pb.MonitorRequest(config=make_config("call-1"))))
        await trunk.send((4, pb.MonitorRequest(config=make_config("call-4"))))
        await eventually(lambda: {3, 4} <= set(trunk.errors))
        assert trunk.errors[3].code == grpc.StatusCode.ALREADY_EXISTS.value[0]
        assert trunk.errors[4].code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        assert unpack(trunk.errors[4], error_details_pb2.RetryInfo)
        await trunk.close()
        assert trunk.ended(1)
        assert trunk.ended(2)


async def test_a_call_that_is_not_open(server):
    trunk = TrunkCaller(server)
    await trunk.send((9, audio(b"\0\0")))
    await eventually(lambda: 9 in trunk.errors)
    await trunk.send((8, True))  # a finish for a call that has ended does nothing
    await trunk.close()
    assert set(trunk.errors) == {9}


async def test_a_number_is_free_once_its_call_has_ended(server):
    trunk = TrunkCaller(server)
    await trunk.open(1)
    await trunk.send((1, True))
    await eventually(lambda: trunk.ended(1))
    await trunk.send((1, pb.MonitorRequest(config=make_config("another"))))
    await trunk.send((1, True))
    await eventually(lambda: kinds(trunk.responses[1]).count("summary") == 2)
    assert trunk.responses[1][-1].summary.session_id == "another"
    await trunk.close()


async def test_an_empty_message_does_nothing(server):
    trunk = TrunkCaller(server)
    await trunk.call.write(pb.MonitorTrunkRequest())
    await trunk.open(1)
    await trunk.close()
    assert trunk.ended(1)


async def test_garbage_ends_the_trunk_and_its_calls_can_be_resumed(server):
    stream = server.channel.stream_stream(
        "/voiceguard.v1.MonitorService/MonitorTrunk",
        response_deserializer=pb.MonitorTrunkResponse.FromString,
    )()
    message = pb.MonitorTrunkRequest()
    message.requests.add(call=1, request=pb.MonitorRequest(config=make_config()))
    await stream.write(message.SerializeToString())
    opened = (await stream.read()).responses[0].response.opened
    await stream.write(b"\xff" * 9)
    assert (await stream_end(stream)).reason == "GARBAGE"
    again = server.call()
    await again.open(make_config(resume_token=opened.resume_token))


async def test_a_cancelled_trunk_detaches_its_calls(server):
    trunk = TrunkCaller(server)
    await trunk.open(1, 2)
    await trunk.send((1, audio(calm_call(1))))
    await asyncio.sleep(0.1)
    trunk.call.cancel()
    await eventually(lambda: server.server._desk.registry.detached == 2)
    token = trunk.responses[1][0].opened.resume_token
    again = server.call()
    opened = await again.open(make_config("call-1", resume_token=token))
    assert opened.accepted_samples == 8000
    await asyncio.gather(trunk.reading, return_exceptions=True)


async def test_a_crowded_trunk_goes_on_once_its_responses_are_read(serving, model):
    """So few events are kept here that every call is full again and again."""
    async with serving(max_undelivered=8, max_pending_scores=2) as server:
        contents = {n: angry_call(n) for n in range(3)}
        trunk = TrunkCaller(server)
        await trunk.open(*contents)
        for start in range(0, len(contents[0]), 64_000):
            await trunk.send(*((n, audio(c[start : start + 64_000])) for n, c in contents.items()))
        await asyncio.wait_for(trunk.close(), 10)
        for number, content in contents.items():
            expected = local_responses(model, content, session_id=f"call-{number}")
            lasting = [item for item in expected if not item.HasField("pressure")]
            received = without_repeats(trunk.responses[number])
            assert [item for item in received if not item.HasField("pressure")] == lasting
