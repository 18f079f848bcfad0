import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from voiceguard.client import (
    CallLostError,
    CallRefusedError,
    ClientUsageError,
    event_of,
    response_of,
    session_config,
)
from voiceguard.client.failures import Failure, failure_from_rpc, failure_from_status
from voiceguard.client.lifecycle import LinkState
from voiceguard.client.protocol import CallProtocol
from voiceguard.core.events import AudioFormat, ControlAction, Encoding, HandoffOutcome, Role
from voiceguard.v1 import monitor_pb2 as pb

FORMAT = AudioFormat(Encoding.MULAW, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT))
BROKEN = Failure(grpc.StatusCode.UNAVAILABLE, "connection reset")
GONE = Failure(grpc.StatusCode.NOT_FOUND, "unknown token")
EXISTS = Failure(grpc.StatusCode.ALREADY_EXISTS, "a live session has this id")


def opened(accepted_samples=0, token="token-1"):
    return pb.MonitorResponse(
        opened=pb.SessionOpened(
            session_id="s", resume_token=token, accepted_samples=accepted_samples
        )
    )


def handoff(handoff_id="handoff-1"):
    return pb.MonitorResponse(handoff=pb.HandoffRequested(handoff_id=handoff_id))


def alert(alert_id):
    return pb.MonitorResponse(alert=pb.AlertChanged(alert_id=alert_id))


FLAGGED = pb.MonitorResponse(flagged=pb.SessionFlagged(reason="why"))
SUMMARY = pb.MonitorResponse(summary=pb.SessionSummary(session_id="s"))


def sent(protocol):
    """Everything that the call has to say now."""
    requests = []
    while (request := protocol.next_request()) is not None:
        requests.append(request)
    return requests


def kinds(requests):
    return [request.WhichOneof("request") for request in requests]


@pytest.fixture
def protocol():
    """A call whose session is open."""
    call = CallProtocol(session_config("s", FORMAT))
    call.begin_stream()
    assert kinds(sent(call)) == ["config"]
    assert isinstance(call.receive_response(opened()), pb.SessionOpened)
    assert call.state is LinkState.STREAMING
    return call


def come_back(protocol, **answer):
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    (config,) = sent(protocol)
    protocol.receive_response(opened(**answer))
    return config.config


def test_nothing_but_the_configuration_is_sent_before_the_session_is_open():
    call = CallProtocol(session_config("s", FORMAT))
    call.begin_stream()
    assert kinds(sent(call)) == ["config"]
    call.receive_response(opened())
    call.receive_audio(bytes(320))
    (audio,) = sent(call)
    assert audio.audio.first_sample == 0
    assert audio.audio.content == bytes(320)


def test_a_session_of_another_process_goes_on_where_it_is():
    config = session_config("s", FORMAT)
    config.resume_token = "token-of-another-process"
    call = CallProtocol(config)
    call.begin_stream()
    sent(call)
    call.receive_response(opened(accepted_samples=12_345))
    call.receive_audio(bytes(320))
    (audio,) = sent(call)
    assert audio.audio.first_sample == 12_345


def test_audio_is_sent_in_chunks_of_whole_frames_that_the_server_takes(protocol):
    protocol.receive_audio(bytes(2 * 8000 * 10))
    chunks = [request.audio for request in sent(protocol)]
    assert [chunk.first_sample for chunk in chunks] == [0, 32768, 65536]
    assert max(len(chunk.content) for chunk in chunks) == 65536
    assert sum(len(chunk.content) for chunk in chunks) == 160_000


def test_a_hold_keeps_its_place_among_the_audio(protocol):
    protocol.receive_audio(bytes(200))
    protocol.receive_control(ControlAction.HOLD)
    protocol.receive_control(ControlAction.HOLD)
    protocol.receive_audio(bytes(200))
    protocol.receive_control(ControlAction.RESUME)
    protocol.receive_audio(bytes(200))
    requests = sent(protocol)
    assert kinds(requests) == ["audio", "control", "audio", "control", "audio"]
    assert [r.audio.first_sample for r in requests[::2]] == [0, 100, 200]


def test_a_broken_stream_goes_on_where_the_server_is(protocol):
    protocol.receive_audio(bytes(2000))
    sent(protocol)
    config = come_back(protocol, accepted_samples=400, token="token-2")
    assert config.resume_token == "token-1"
    (audio,) = sent(protocol)
    assert audio.audio.first_sample == 400
    assert len(audio.audio.content) == 1200
    assert protocol.resumes == 1
    assert protocol.replayed_samples == 600
    assert protocol.resume_token == "token-2"


def test_repetitions_are_yielded_once_in_a_session(protocol):
    said = [alert("alert-1"), handoff(), FLAGGED]
    assert all(protocol.receive_response(response) is not None for response in said)
    come_back(protocol)
    assert [protocol.receive_response(response) for response in said] == [None] * 3
    assert protocol.receive_response(alert("alert-2")) is not None
    assert protocol.receive_response(handoff("handoff-2")) is not None


def test_the_secret_token_is_not_in_the_event(protocol):
    shown = CallProtocol(session_config("s", FORMAT)).receive_response(opened(token="secret"))
    assert isinstance(shown, pb.SessionOpened)
    assert shown.resume_token == ""


def test_an_acknowledgement_lost_with_its_stream_is_sent_again(protocol):
    protocol.receive_response(handoff())
    protocol.receive_answer("handoff-1", HandoffOutcome.ACCEPTED, "")
    protocol.receive_answer("handoff-1", HandoffOutcome.TRANSFERRED, "to Li")
    (first,) = sent(protocol)
    come_back(protocol)
    (again,) = sent(protocol)
    assert first == again
    assert again.handoff_ack.outcome == pb.HandoffAck.OUTCOME_TRANSFERRED
    assert again.handoff_ack.reason == "to Li"
    assert sent(protocol) == []


def test_a_handoff_repeated_although_it_was_answered_is_answered_again(protocol):
    protocol.receive_response(handoff())
    protocol.receive_answer("handoff-1", HandoffOutcome.DECLINED, "")
    assert kinds(sent(protocol)) == ["handoff_ack"]
    assert protocol.receive_response(handoff()) is None
    assert kinds(sent(protocol)) == ["handoff_ack"]


def test_an_acknowledgement_overtakes_waiting_audio(protocol):
    protocol.receive_response(handoff())
    protocol.receive_audio(bytes(100))
    protocol.receive_answer("handoff-1", HandoffOutcome.ACCEPTED, "")
    assert kinds(sent(protocol)) == ["handoff_ack", "audio"]


@pytest.mark.parametrize(
    ("handoff_id", "outcome", "reason"),
    [
        ("handoff-2", HandoffOutcome.ACCEPTED, ""),
        ("handoff-1", HandoffOutcome.EXPIRED, ""),
        ("handoff-1", HandoffOutcome.ACCEPTED, "x" * 257),
    ],
)
def test_an_acknowledgement_that_the_server_would_refuse_is_not_sent(
    protocol, handoff_id, outcome, reason
):
    protocol.receive_response(handoff())
    with pytest.raises(ClientUsageError):
        protocol.receive_answer(handoff_id, outcome, reason)
    assert sent(protocol) == []


def test_a_session_that_the_server_lost_is_replaced_by_a_new_one(protocol):
    protocol.receive_response(handoff())
    protocol.receive_answer("handoff-1", HandoffOutcome.ACCEPTED, "")
    protocol.receive_audio(bytes(2 * 8000 * 12))
    sent(protocol)
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_failure(GONE)
    assert protocol.state is LinkState.REOPENING
    protocol.begin_stream()
    (config,) = sent(protocol)
    assert config.config.resume_token == ""
    protocol.receive_response(opened())
    chunks = sent(protocol)
    # The audio clock stays the call's: ten of the twelve seconds are still there.
    assert kinds(chunks) == ["audio"] * 3
    assert chunks[0].audio.first_sample == 2 * 8000
    assert protocol.reopened == 1
    # Ids begin again.
    assert protocol.receive_response(handoff()) is not None


def test_finishing_waits_until_everything_has_been_sent(protocol):
    protocol.receive_audio(bytes(100))
    protocol.receive_finish()
    assert not protocol.finish_due
    sent(protocol)
    assert protocol.finish_due
    protocol.count_half_close()
    assert not protocol.finish_due
    protocol.receive_response(SUMMARY)
    assert protocol.state is LinkState.FINISHED


def test_a_finish_that_was_lost_is_said_again(protocol):
    protocol.receive_finish()
    protocol.count_half_close()
    come_back(protocol)
    assert protocol.state is LinkState.FINISHING
    assert protocol.finish_due


def test_an_answer_after_the_half_close_comes_too_late(protocol):
    protocol.receive_response(handoff())
    protocol.receive_finish()
    assert protocol.receive_answer("handoff-1", HandoffOutcome.ACCEPTED, "")
    assert not protocol.finish_due
    assert kinds(sent(protocol)) == ["handoff_ack"]
    protocol.count_half_close()
    assert not protocol.receive_answer("handoff-1", HandoffOutcome.TRANSFERRED, "")
    assert sent(protocol) == []


def test_a_lost_summary_is_no_reason_for_a_new_session(protocol):
    protocol.receive_finish()
    protocol.count_half_close()
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_failure(GONE)
    assert protocol.state is LinkState.FAILED
    assert isinstance(protocol.error, CallLostError)
    assert "summary" in protocol.error.reason


def test_a_call_that_ends_while_its_session_is_lost_is_heard_to_its_end(protocol):
    protocol.receive_audio(bytes(100))
    protocol.receive_failure(BROKEN)
    protocol.receive_finish()
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_failure(GONE)
    assert protocol.state is LinkState.REOPENING_TO_FINISH
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_response(opened())
    assert kinds(sent(protocol)) == ["audio"]
    assert protocol.finish_due


def test_a_session_that_the_server_ended_too_early_is_replaced(protocol):
    assert protocol.receive_response(SUMMARY) is not None
    assert protocol.state is LinkState.REOPENING
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    (config,) = sent(protocol)
    assert config.config.resume_token == ""
    protocol.receive_response(opened())
    assert protocol.state is LinkState.STREAMING


def test_a_token_of_the_users_own_that_is_unknown_is_refused():
    config = session_config("s", FORMAT)
    config.resume_token = "stale"
    call = CallProtocol(config)
    call.begin_stream()
    sent(call)
    call.receive_failure(GONE)
    assert isinstance(call.error, CallRefusedError)
    assert call.error.status is grpc.StatusCode.NOT_FOUND


def test_an_id_in_use_is_refused_unless_it_may_be_our_own_orphan():
    call = CallProtocol(session_config("s", FORMAT))
    call.begin_stream()
    sent(call)
    call.receive_failure(EXISTS)
    assert isinstance(call.error, CallRefusedError)

    call = CallProtocol(session_config("s", FORMAT))
    call.begin_stream()
    sent(call)
    call.receive_failure(BROKEN)
    call.begin_stream()
    sent(call)
    call.receive_failure(EXISTS)
    assert call.state is LinkState.OPENING


def test_a_session_whose_new_token_was_lost_is_waited_for(protocol):
    # The stream broke before the answer to a resume came: our token is stale now.
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_failure(GONE)
    for _ in range(3):
        assert protocol.state is LinkState.REOPENING
        protocol.begin_stream()
        sent(protocol)
        protocol.receive_failure(EXISTS)
    protocol.begin_stream()
    sent(protocol)
    protocol.receive_response(opened())
    assert protocol.state is LinkState.STREAMING


def test_a_server_that_claims_too_much_is_at_fault(protocol):
    protocol.receive_failure(BROKEN)
    protocol.begin_stream()
    sent(protocol)
    assert protocol.receive_response(opened(accepted_samples=1)) is None
    assert isinstance(protocol.error, CallLostError)
    assert "server is at fault" in str(protocol.error)


def test_a_format_that_the_server_would_refuse_is_the_programs_fault():
    config = session_config("s", FORMAT)
    config.audio.sample_rate_hertz = 11025
    with pytest.raises(ClientUsageError, match=r"config\.audio\.sample_rate_hertz: 11025"):
        CallProtocol(config)


def test_kinds_of_events_that_are_not_known_are_passed_over(protocol):
    assert protocol.receive_response(pb.MonitorResponse()) is None


def test_every_event_goes_into_its_response_and_out_again():
    for field in pb.MonitorResponse.DESCRIPTOR.fields:
        response = pb.MonitorResponse()
        getattr(response, field.name).SetInParent()
        event = event_of(response)
        assert event is not None
        assert response_of(event) == response


# ---- statuses ----


def rich(code, message, *details):
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def test_a_refused_field_is_named():
    violation = error_details_pb2.BadRequest.FieldViolation(field="config.policy")
    status = rich(
        grpc.StatusCode.INVALID_ARGUMENT,
        "config.policy: unknown",
        error_details_pb2.ErrorInfo(reason="INVALID_FIELD"),
        error_details_pb2.BadRequest(field_violations=[violation]),
    )
    trailers = {"grpc-status-details-bin": status.SerializeToString()}
    failure = failure_from_rpc(grpc.StatusCode.INVALID_ARGUMENT, "config.policy", trailers)
    assert failure == failure_from_status(status)
    error = failure.to_error()
    assert isinstance(error, CallRefusedError)
    assert error.field == "config.policy"
    assert error.retry_after_s is None


def test_a_full_server_says_when_to_come_again():
    delay = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000))
    failure = failure_from_status(rich(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", delay))
    assert failure.retry_after_s == 1.5
    error = failure.to_error()
    assert isinstance(error, CallRefusedError)
    assert "try again in 1.5 s" in str(error)


@pytest.mark.parametrize(
    ("status", "cause", "retry_after_s", "state"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", None, LinkState.RESUMING),
        (grpc.StatusCode.INTERNAL, "", None, LinkState.RESUMING),
        (grpc.StatusCode.OK, "", None, LinkState.RESUMING),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", 1.0, LinkState.RESUMING),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", None, LinkState.FAILED),
        (grpc.StatusCode.ABORTED, "CLIENT_NOT_READING", None, LinkState.RESUMING),
        (grpc.StatusCode.ABORTED, "RESUMED_ELSEWHERE", None, LinkState.FAILED),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "SESSION_IDLE", None, LinkState.FAILED),
        (grpc.StatusCode.NOT_FOUND, "", None, LinkState.REOPENING),
        (grpc.StatusCode.UNAUTHENTICATED, "", None, LinkState.FAILED),
        (grpc.StatusCode.FAILED_PRECONDITION, "", None, LinkState.FAILED),
        (grpc.StatusCode.INVALID_ARGUMENT, "", None, LinkState.FAILED),
    ],
)
def test_what_each_status_asks_of_a_call(protocol, status, cause, retry_after_s, state):
    protocol.receive_failure(Failure(status, "why", cause=cause, retry_after_s=retry_after_s))
    assert protocol.state is state
    assert (protocol.error is not None) == (state is LinkState.FAILED)


def test_a_proxys_broken_details_do_not_hide_the_status():
    trailers = {"grpc-status-details-bin": b"\xff\xff\xff"}
    failure = failure_from_rpc(grpc.StatusCode.UNAVAILABLE, "proxy", trailers)
    assert failure == Failure(grpc.StatusCode.UNAVAILABLE, "proxy")
