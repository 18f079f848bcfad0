"""`ReviewClient` against a server that answers from lists."""

import inspect
from contextlib import aclosing

import grpc
import pytest

from tests.client.reviewserver import (
    TOKEN,
    ListedReview,
    events,
    serving_review,
    session,
    silence,
)
from voiceguard.client import (
    CallRefusedError,
    ClientUsageError,
    ReviewClient,
    ServerUnreachableError,
)
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

REQUEST = rpb.ListSessionsRequest(page_size=10, campaign="spring", with_total=True)


async def note_sizes(pages, seen):
    async for page in pages:
        seen.append(len(page.sessions))


async def read_all(answer):
    if inspect.isawaitable(answer):
        return [await answer]
    return [item async for item in answer]


@pytest.fixture
def many():
    return ListedReview([session(number) for number in range(25)])


async def test_pages_follow_each_other_with_the_same_filters(many):
    async with serving_review(many) as address, ReviewClient(address, token=TOKEN) as client:
        found = [one.session_id async for one in client.sessions(REQUEST)]
    assert found == [f"call-{number}" for number in range(25)]
    assert [request.page_token for request in many.requests] == ["", "10", "20"]
    assert {request.campaign for request in many.requests} == {"spring"}
    assert [request.with_total for request in many.requests] == [True, False, False]
    assert REQUEST.page_token == ""


@pytest.mark.parametrize(("limit", "sizes"), [(10, [10]), (12, [10, 2]), (3, [3]), (99, [10] * 3)])
async def test_no_more_is_asked_for_than_is_wanted(many, limit, sizes):
    async with serving_review(many) as address, ReviewClient(address, token=TOKEN) as client:
        found = [one async for one in client.sessions(REQUEST, limit=limit)]
    assert len(found) == min(limit, 25)
    assert [request.page_size for request in many.requests] == sizes


async def test_leaving_in_the_middle_leaves_nothing_behind(many):
    async with serving_review(many) as address, ReviewClient(address, token=TOKEN) as client:
        async with aclosing(client.session_pages(REQUEST)) as pages:
            async for page in pages:
                assert page.total == 25
                break
        assert (await client.get_session("call-3")).session_id == "call-3"


async def test_the_next_page_fails_after_the_one_before_was_given(many):
    many.fail_at = 1
    seen = []
    async with serving_review(many) as address, ReviewClient(address, token=TOKEN) as client:
        with pytest.raises(ServerUnreachableError, match="Socket closed"):
            await note_sizes(client.session_pages(REQUEST), seen)
    assert seen == [10]


async def test_events_come_with_the_time_at_which_they_were_recorded():
    servicer = ListedReview([session()], {"call-1": events(20)}, page_limit=7)
    async with serving_review(servicer) as address, ReviewClient(address, token=TOKEN) as client:
        found = [item async for item in client.events("call-1")]
    assert [item.event for item in found] == events(20)
    assert [item.recorded_at.seconds - 1_700_000_000 for item in found] == list(range(23))


async def test_what_reviewers_do():
    servicer = ListedReview([session()], wav=silence(2), bundle=b"zip" * 30)
    async with serving_review(servicer) as address, ReviewClient(address, token=TOKEN) as client:
        verdict = await client.record_verdict(
            "call-1", rpb.Verdict.KIND_UNSURE, handoff_id="handoff-1", comment="?"
        )
        assert (verdict.kind, verdict.handoff_id) == (rpb.Verdict.KIND_UNSURE, "handoff-1")
        assert (await client.set_legal_hold("call-1", hold=True, reason="case")).legal_hold
        assert (await client.list_access("call-1"))[0].action == "heard"
        assert (await client.get_waveform("call-1")).duration.seconds == 75
        assert (await client.get_statistics(rpb.GetStatisticsRequest())).total.sessions == 1
        assert b"".join([piece async for piece in client.export_evidence("call-1")]) == b"zip" * 30
        assert b"".join([piece async for piece in client.get_audio("call-1")]) == silence(2)
        assert (await client.erase_session("call-1", reason="asked")).HasField("erased_at")


async def test_a_part_of_the_audio_is_asked_for_in_seconds():
    servicer = ListedReview([session()], wav=silence(1))
    async with serving_review(servicer) as address, ReviewClient(address, token=TOKEN) as client:
        async for _ in client.get_audio("call-1", start_s=0.0, end_s=1.25):
            pass
    asked = servicer.requests[0]
    assert asked.HasField("start_offset")
    assert asked.end_offset.ToMilliseconds() == 1250


async def test_alerts_are_watched_until_left():
    servicer = ListedReview([session()], {"call-1": events(1)})
    async with serving_review(servicer) as address, ReviewClient(address, token=TOKEN) as client:
        async with aclosing(client.watch_alerts(pb.ALERT_LEVEL_RED)) as alerts:
            first = await anext(alerts)
        assert first.event.HasField("opened")
        assert servicer.requests[0].min_level == pb.ALERT_LEVEL_RED
        assert (await client.get_session("call-1")).session_id == "call-1"


async def test_signing_in_gives_the_token_that_is_used_from_then_on(many):
    async with serving_review(many) as address, ReviewClient(address) as client:
        with pytest.raises(CallRefusedError) as refused:
            await client.get_session("call-1")
        assert refused.value.status is grpc.StatusCode.UNAUTHENTICATED
        assert (await client.sign_in("ada", "correct horse")).name == "ada"
        assert (await client.get_session("call-1")).session_id == "call-1"


@pytest.mark.parametrize("method", ["get_audio", "export_evidence", "events", "get_session"])
async def test_what_is_not_there_is_refused_by_every_method(method):
    servicer = ListedReview([])
    async with serving_review(servicer) as address, ReviewClient(address, token=TOKEN) as client:
        with pytest.raises(CallRefusedError) as refused:
            await read_all(getattr(client, method)("call-9"))
    expected = "FAILED_PRECONDITION" if method == "events" else "NOT_FOUND"
    assert refused.value.status is grpc.StatusCode[expected]


async def test_a_server_that_is_not_there(free_port):
    async with ReviewClient(f"127.0.0.1:{free_port}", timeout_s=5) as client:
        with pytest.raises(ServerUnreachableError) as lost:
            await client.get_session("call-1")
    assert lost.value.status is grpc.StatusCode.UNAVAILABLE


async def test_a_client_is_entered_once_and_nothing_goes_over_a_network_in_the_clear():
    with pytest.raises(ClientUsageError, match="in the clear"):
        ReviewClient("voiceguard.example:443")
    client = ReviewClient("127.0.0.1:1")
    with pytest.raises(ClientUsageError, match="async with"):
        await client.get_session("call-1")
    async with client:
        with pytest.raises(ClientUsageError, match="once"):
            await client.__aenter__()
