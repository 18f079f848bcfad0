"""`voiceguard analyze`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from google.protobuf.json_format import ParseDict

from voiceguard.cli.options import load_policy
from voiceguard.core.events import AudioFormat, Encoding, Role
from voiceguard.engine.local import LocalCall
from voiceguard.offline.analysis import Engine
from voiceguard.resources import policies_dir, samples_dir
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import event_to_proto

CALL = samples_dir() / "sample-call.flac"
ROLES = ("--roles", "customer,bot")


@pytest.fixture
def analyze(voiceguard, model_dir):
    return lambda *arguments: voiceguard("analyze", "--model", model_dir, *arguments)


def test_json_is_what_the_engine_says(analyze, model_dir) -> None:
    ended = analyze(CALL, *ROLES, "--json")
    assert (ended.code, ended.err) == (0, "")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert {line["file"] for line in lines} == {str(CALL)}
    responses = [ParseDict(line["event"], pb.MonitorResponse()) for line in lines]
    assert responses[0].opened.model_version == "tiny@1"
    samples, rate_hz = soundfile.read(CALL, dtype="int16")
    engine = Engine.load(model_dir)
    audio_format = AudioFormat(Encoding.LINEAR16, rate_hz, (Role.CUSTOMER, Role.AUTOMATED_AGENT))
    call = LocalCall(
        load_policy("default"), audio_format, model=engine.model, weights=engine.weights
    )
    expected = [
        event_to_proto(event, audio_format, CALL.name) for event in call.events([samples.tobytes()])
    ]
    assert responses[1:] == [response for response in expected if response is not None]


def test_a_summary_for_people(analyze) -> None:
    ended = analyze(CALL, *ROLES)
    assert ended.code == 0
    first, second, *rest = ended.out.splitlines()
    assert first == str(CALL)
    assert second.startswith("  1:10 long, ")
    assert any("handoff-1 requested: The customer" in line for line in rest)
    assert any("flagged for quality assurance" in line for line in rest)


def test_one_bad_file_does_not_stop_the_others(analyze, tmp_path) -> None:
    bad, missing, folder = tmp_path / "bad.wav", tmp_path / "no.wav", tmp_path / "folder"
    bad.write_bytes(b"RIFFnothing")
    folder.mkdir()
    ended = analyze(bad, missing, CALL, folder, *ROLES)
    assert ended.code == 1
    assert len(ended.errors) == 3
    assert f"{bad}: is not audio" in ended.errors[0]
    assert f"{missing}: does not exist" in ended.errors[1]
    assert f"{folder}: is a folder" in ended.errors[2]
    assert "3 of 4 files failed" in ended.err
    assert ended.out.startswith(str(CALL))


def test_a_truncated_file_is_analysed_as_far_as_it_goes(analyze, tmp_path) -> None:
    samples, rate_hz = soundfile.read(CALL, dtype="int16")
    path = tmp_path / "cut.wav"
    soundfile.write(path, samples, rate_hz)
    path.write_bytes(path.read_bytes()[: 10 * rate_hz * 4])
    ended = analyze(path, *ROLES, "--json")
    assert ended.code == 1
    assert "truncated: its header promises 69.50 s, 10.00 s are there" in ended.errors[0]
    assert '"summary"' in ended.out.splitlines()[-1]
    assert '"audioDuration": "9.998625s"' in ended.out.splitlines()[-1]


def test_one_channel_is_the_customers(analyze, tmp_path) -> None:
    path = tmp_path / "mono.wav"
    soundfile.write(path, np.zeros(8000), 8000)
    assert analyze(path).code == 0
    assert analyze(path, "--roles", "customer,agent").errors == [
        f"error: {path}: has 1 channel, but --roles names 2"
    ]


def test_several_channels_without_roles_are_refused(analyze) -> None:
    ended = analyze(CALL)
    assert ended.code == 1
    assert ended.errors == [
        f"error: {CALL}: has 2 channels; say who speaks on each, for example --roles customer,agent"
    ]


@pytest.mark.parametrize(
    ("roles", "problem"),
    [
        ("agent,bot", "--roles: no channel has the role customer"),
        ("customer,supervisor", "'supervisor' is no role"),
        ("mixed", "--roles: a mixed channel would analyse the agent too"),
        (",".join(["customer"] * 9), "at most 8 channels"),
    ],
)
def test_roles_that_make_no_sense_are_wrong_usage(analyze, roles, problem) -> None:
    ended = analyze(CALL, "--roles", roles)
    assert ended.code == 2
    assert problem in ended.errors[0]


def test_policies_by_name_and_by_file(analyze, tmp_path) -> None:
    text = (policies_dir() / "default.toml").read_text()
    own = tmp_path / "own.toml"
    own.write_text(text.replace('name = "default"', 'name = "own"'))
    assert '"own@sha256:' in analyze(CALL, *ROLES, "--json", "--policy", own).out
    own.write_text(text.replace("require_consent = false", "require_consent = true"))
    refused = analyze(CALL, *ROLES, "--policy", own)
    assert (refused.code, len(refused.errors)) == (2, 1)
    assert "--consent-given" in refused.errors[0]
    assert analyze(CALL, *ROLES, "--policy", own, "--consent-given").code == 0
    own.write_text("schema = 1")
    assert analyze(CALL, "--policy", own).code == 2
    unknown = analyze(CALL, "--policy", "nonsense")
    assert (unknown.code, len(unknown.errors)) == (2, 1)
    assert "one of: default" in unknown.errors[0]


def test_timelines_go_where_they_are_sent(analyze, tmp_path) -> None:
    copy = tmp_path / "copies" / CALL.name
    copy.parent.mkdir()
    copy.write_bytes(CALL.read_bytes())
    ended = analyze(CALL, copy, *ROLES, "--html", tmp_path / "pages")
    assert ended.code == 0
    names = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert names == ["sample-call-2.html", "sample-call.html"]
    assert analyze(CALL, *ROLES, "--png", tmp_path / "a.png").code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    both = analyze(CALL, copy, *ROLES, "--png", tmp_path / "b.png")
    assert (both.code, both.out) == (2, "")
    taken = tmp_path / "taken"
    taken.touch()
    assert analyze(CALL, *ROLES, "--png", taken).code == 2


def test_an_odd_rate_is_mentioned(analyze, tmp_path) -> None:
    path = tmp_path / "odd.wav"
    soundfile.write(path, np.zeros(22050), 22050)
    ended = analyze(path)
    assert ended.code == 0
    assert f"note: {path}: 22050 Hz is resampled to 8000 Hz" in ended.err


def test_a_name_with_odd_bytes_is_no_problem(analyze, tmp_path) -> None:
    path = Path(str(tmp_path) + "/odd\udcff\n.wav")
    soundfile.write(tmp_path / "plain.wav", np.zeros(8000), 8000)
    (tmp_path / "plain.wav").rename(path)
    assert analyze(path).code == 0
    line = json.loads(analyze(path, "--json").out.splitlines()[0])
    assert line["file"] == str(path)
    missing = Path(str(tmp_path) + "/gone\udcff\n.wav")
    assert len(analyze(missing).errors) == 1
