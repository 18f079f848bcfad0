"""The server's parts on their own, with a clock that the test winds."""

from __future__ import annotations

import math

import pytest

from tests.server.support import make_config
from voiceguard.core.statetable import StateTable
from voiceguard.server.admission import check_config
from voiceguard.server.call import _OUT_OF_ORDER, CALL_TABLE, CallInput, CallState
from voiceguard.server.handoffs import HandoffDelivery
from voiceguard.server.outbox import Outbox
from voiceguard.server.settings import ServerSettings, is_loopback, split_address
from voiceguard.server.status import Refusal, invalid, server_full
from voiceguard.v1 import monitor_pb2 as pb

PRESSURE = [pb.MonitorResponse(pressure=pb.PressureUpdate(channel=n)) for n in range(20)]
ALERTS = [pb.MonitorResponse(alert=pb.AlertChanged(alert_id=str(n))) for n in range(20)]


def test_an_outbox_drops_the_oldest_of_what_may_be_dropped():
    outbox = Outbox(limit=4)
    for response in (ALERTS[0], PRESSURE[0], ALERTS[1], PRESSURE[1], PRESSURE[2], ALERTS[2]):
        outbox.put(response)
    assert outbox.take(10) == [ALERTS[0], ALERTS[1], PRESSURE[2], ALERTS[2]]
    assert outbox.dropped == 2
    assert not outbox


def test_an_outbox_never_drops_what_matters():
    outbox = Outbox(limit=4)
    for response in ALERTS:
        outbox.put(response)
    assert outbox.is_full
    assert outbox.take(100) == ALERTS


def test_what_could_not_be_sent_goes_back_in_order():
    outbox = Outbox(limit=10)
    for response in ALERTS[:4]:
        outbox.put(response)
    taken = outbox.take(2)
    outbox.put_first(taken)
    assert ALERTS[0] in outbox
    assert ALERTS[5] not in outbox
    assert outbox.take(10) == ALERTS[:4]


def test_handoffs_are_repeated_until_answered_or_expired():
    delivery = HandoffDelivery(repeat_s=2.0)
    assert delivery.next_due_s == math.inf
    delivery.receive_request("handoff-1", ALERTS[0], ack_deadline_s=5.0, now_s=100.0)
    delivery.receive_request("handoff-2", ALERTS[1], ack_deadline_s=9.0, now_s=101.0)
    assert delivery.next_due_s == 102.0
    assert delivery.take_due(101.9).repeats == []
    assert delivery.take_due(102.0).repeats == [ALERTS[0]]
    assert delivery.take_due(102.5).repeats == []
    assert delivery.take_due(104.0).repeats == [ALERTS[0], ALERTS[1]]
    due = delivery.take_due(105.0)
    assert (due.repeats, due.expired) == ([], ["handoff-1"])
    assert not delivery.receive_answer("handoff-1")
    assert delivery.receive_answer("handoff-2")
    assert delivery.next_due_s == math.inf
    assert delivery.close() == 0


def test_the_table_of_a_call():
    assert isinstance(CALL_TABLE, StateTable)
    failing = {
        (state, received)
        for state, moves in CALL_TABLE.transitions.items()
        for received, following in moves.items()
        if following is CallState.FAILED
        and received not in {CallInput.REFUSED, CallInput.STREAM_BROKE}
    }
    assert failing == set(_OUT_OF_ORDER)  # each has its field and problem
    assert "AWAITING_CONFIG --> OPEN: CONFIG" in CALL_TABLE.to_mermaid()


def test_a_refusal_packs_what_its_kind_calls_for():
    status = invalid("audio.content", "is odd").to_status()
    assert [item.TypeName() for item in status.details] == [
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
    ]
    status = server_full(5, 2.5).to_status()
    assert [item.TypeName() for item in status.details] == [
        "google.rpc.ErrorInfo",
        "google.rpc.RetryInfo",
    ]
    assert isinstance(server_full(5, 2.5), Refusal)


@pytest.mark.parametrize(
    "session_id", ["a", "A-1_b.c:d@e", "x" * 128, "3f2504e0-4f89-11d3-9a0c-0305e82c3301"]
)
def test_good_session_ids(session_id):
    config = make_config(session_id)
    config.call.customer_time_zone = "Asia/Shanghai"
    config.call.customer_number = "+8613800138000"
    config.call.labels["queue"] = "late"
    check_config(config)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:50051", ("127.0.0.1", 50051)),
        ("[::1]:0", ("::1", 0)),
        ("unix:/run/s", ("unix:/run/s", 0)),
        ("example.org:1", ("example.org", 1)),
    ],
)
def test_addresses(address, parts):
    assert split_address("listen", address) == parts


def test_loopback():
    assert is_loopback("127.9.9.9:1")
    assert not is_loopback("10.0.0.1:1")
    assert ServerSettings().listen == "127.0.0.1:50051"
