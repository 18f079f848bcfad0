"""Nothing of a call in a log."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from voiceguard.server.logs import ALLOWED_KEYS, describe_defect, new_log


def logged(**entry):
    stream = io.StringIO()
    new_log("debug", "json", stream).info("something", **entry)
    return json.loads(stream.getvalue())


def test_a_version_that_looks_like_a_number_stays():
    assert logged(model="stress@2026.11.0")["model"] == "stress@2026.11.0"


def test_unknown_keys_are_dropped_and_counted():
    line = logged(session="call-1", customer_number="+8613800138000", pcm=b"\0\1", name="Li Wei")
    assert set(line) == {"event", "level", "timestamp", "session", "dropped_keys"}
    assert line["dropped_keys"] == 3


@pytest.mark.parametrize(
    "number", ["+8613800138000", "13800138000", "+49 (171) 123-4567", "030 12 34 56 78"]
)
@pytest.mark.parametrize("frame", ["{}", "call {} now", "tel:{}@example"])
def test_what_looks_like_a_telephone_number_is_hidden(number, frame):
    line = logged(session=frame.format(number), problem=frame.format(number))
    text = json.dumps([line["session"], line["problem"]])
    assert not any(character.isdigit() for character in text)
    assert number not in text
    assert number[-4:] not in text
    assert line["session"] == logged(session=frame.format(number))["session"]


@pytest.mark.parametrize("name", ["call-1", "2026-11-23T10:00", "default@sha256:4f1d2c3b"])
def test_ordinary_names_stay(name):
    assert logged(session=name)["session"] == name


def test_values_of_other_kinds_are_dropped():
    assert "problem" not in logged(problem=b"\0\0")
    assert "problem" not in logged(problem={"a": 1})
    assert logged(policies=["a", "b"])["policies"] == ["a", "b"]
    assert len(logged(problem="x" * 10_000)["problem"]) == 300


def int_of(text):
    return int(text)


def test_a_defect_is_placed_but_not_quoted():
    with pytest.raises(ValueError, match="something") as caught:
        int_of("customer said something")
    described = describe_defect(caught.value)
    assert described["error_type"] == "ValueError"
    assert described["where"][-1].startswith("test_logs.py:")
    assert "customer" not in json.dumps(described)
    assert set(described) <= ALLOWED_KEYS


def test_levels_and_console():
    stream = io.StringIO()
    log = new_log("warning", "console", stream)
    log.info("quiet")
    log.warning("loud", session="call-1")
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()
    structlog.reset_defaults()
