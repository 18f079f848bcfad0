"""`voiceguard serve`, `stream` and `demo`: over real gRPC, on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import StringIO

import pytest
import soundfile
from google.protobuf.json_format import ParseDict
from rich.console import Console

from voiceguard.cli.live import LiveDisplay
from voiceguard.cli.options import load_policy
from voiceguard.core.events import Role
from voiceguard.resources import samples_dir
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import seconds_to_proto as at

CALL = samples_dir() / "sample-call.flac"
ROLES = ("--roles", "customer,bot")


@pytest.fixture(scope="module")
def address(model_dir):
    """A server of the real command, for as long as this module's tests take."""
    command = [sys.executable, "-m", "voiceguard", "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--model", model_dir],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"VOICEGUARD_METRICS_LISTEN": "", "PATH": ""},
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("voiceguard serves on 127.0.0.1:")
            yield line.split()[-1]
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stdout.read() == ""
        finally:
            process.kill()


def test_a_stream_says_what_analyze_says(voiceguard, address, model_dir) -> None:
    streamed = voiceguard(
        "stream", CALL, *ROLES, "--server", address, "--speed", "0", "--json", "--session-id", "a"
    )
    assert (streamed.code, streamed.err) == (0, "")
    analyzed = voiceguard("analyze", CALL, *ROLES, "--json", "--model", model_dir)
    assert told(streamed.out) == told(analyzed.out)


def told(text: str) -> list[pb.MonitorResponse]:
    """Return all events but those that name the session or the way."""
    responses = [
        ParseDict(json.loads(line)["event"], pb.MonitorResponse()) for line in text.splitlines()
    ]
    assert responses[0].HasField("opened")
    assert responses[-1].HasField("summary")
    responses[-1].summary.session_id = ""
    return [response for response in responses[1:] if not response.HasField("flow")]


def test_a_stream_in_plain_lines(voiceguard, address) -> None:
    ended = voiceguard("stream", CALL, *ROLES, "--server", address, "--speed", "0")
    assert ended.code == 0
    for words in ("HANDOFF handoff-1", "answered handoff-1: accepted", "FLAGGED", "level is now"):
        assert words in ended.out
    assert f"{CALL}\n  1:10 long" in ended.out


def test_a_stream_of_a_truncated_file_fails_after_its_good_part(
    voiceguard, address, tmp_path
) -> None:
    path = tmp_path / "cut.wav"
    samples, rate_hz = soundfile.read(CALL, dtype="int16")
    soundfile.write(path, samples, rate_hz)
    path.write_bytes(path.read_bytes()[:400000])
    ended = voiceguard("stream", path, *ROLES, "--server", address, "--speed", "0")
    assert ended.code == 1
    assert "truncated" in ended.errors[-1]
    assert "0:12 long" in ended.out


def test_a_refused_stream_is_the_servers_failure(voiceguard, address) -> None:
    unknown = voiceguard("stream", CALL, *ROLES, "--server", address, "--policy", "nonsense")
    assert (unknown.code, len(unknown.errors)) == (3, 1)
    assert "config.policy" in unknown.errors[0]
    agents = voiceguard("stream", CALL, "--roles", "agent,bot", "--server", address)
    assert (agents.code, len(agents.errors)) == (3, 1)


def test_a_server_that_is_not_there(voiceguard) -> None:
    ended = voiceguard("stream", CALL, *ROLES, "--server", "127.0.0.1:1")
    assert (ended.code, len(ended.errors)) == (3, 1)


def test_options_of_a_stream_that_make_no_sense(voiceguard, tmp_path) -> None:
    token = tmp_path / "token"
    token.touch()
    for wrong in (
        ("--server", "vg.example:50051"),
        ("--token-file", tmp_path / "none"),
        ("--token-file", token),
        ("--ca", tmp_path / "none.pem"),
        ("--cert", CALL),
    ):
        ended = voiceguard("stream", CALL, *ROLES, *wrong)
        assert (ended.code, len(ended.errors)) == (2, 1), wrong
    assert voiceguard("stream", tmp_path / "none.wav").code == 1
    assert "--roles customer,agent" in voiceguard("stream", CALL).errors[0]


def test_the_demo_hands_over_and_draws(voiceguard, tmp_path) -> None:
    """With the model that comes with voiceguard: what a new user sees."""
    ended = voiceguard("demo", "--speed", "0", "--out", tmp_path)
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "HANDOFF handoff-1 (anger)",
        "answered handoff-1: accepted",
        "FLAGGED for quality assurance",
        "1 handoff; flagged",
        f"Timeline: {tmp_path}/sample-call.png",
        f"As a page: {tmp_path}/sample-call.html",
    ):
        assert words in ended.out
    calm = [line for line in ended.out.splitlines() if "index" in line][:4]
    assert all("green" in line for line in calm)
    assert (tmp_path / "sample-call.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo_plays_a_recording_of_ones_own(voiceguard, tmp_path) -> None:
    samples, rate_hz = soundfile.read(CALL, dtype="int16")
    mono, stereo = tmp_path / "mono.wav", tmp_path / "stereo.wav"
    soundfile.write(mono, samples[: 9 * rate_hz, 0], rate_hz)
    soundfile.write(stereo, samples[: 9 * rate_hz], rate_hz)
    ended = voiceguard("demo", "--call", mono, "--speed", "0", "--out", tmp_path / "o")
    assert ended.code == 0
    assert "note: assuming channel 0: customer; --roles says otherwise" in ended.err
    ended = voiceguard("demo", "--call", stereo, "--speed", "0", "--out", tmp_path / "o")
    assert ended.code == 0
    assert "assuming channel 0: customer, channel 1: agent" in ended.err
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == [
        "mono.html",
        "mono.png",
        "stereo.html",
        "stereo.png",
    ]
    assert voiceguard("demo", "--call", tmp_path / "none.wav", "--out", tmp_path).code == 1


def test_the_live_picture_shows_level_scores_speech_and_what_happened() -> None:
    display = LiveDisplay("a call", (Role.CUSTOMER, Role.HUMAN_AGENT), 70.0, load_policy("default"))
    display.receive_sent(35.0)
    display.receive_event(pb.SpeechEvent(kind=pb.SpeechEvent.KIND_STARTED, offset=at(30)))
    display.receive_event(
        pb.PressureUpdate(
            end_offset=at(35),
            pressure_index=72.5,
            scores={"anger": 0.8, "distress": 0.1},
            level=pb.ALERT_LEVEL_ORANGE,
            quality=pb.SIGNAL_QUALITY_NOISY,
            baseline_ready=True,
            baseline_deviation=3.8,
        )
    )
    display.receive_event(
        pb.HandoffRequested(
            handoff_id="handoff-1",
            offset=at(35),
            reason=pb.HandoffRequested.REASON_ANGER,
            explanation="Somebody should take over.",
        )
    )
    console = Console(file=StringIO(), width=110)
    console.print(display.render())
    text = console.file.getvalue()
    for words in ("72.5", "ORANGE", "anger", "0.80", "● speaking", "noisy", "+3.8", "0:35 of 1:10"):
        assert words in text
    assert "HANDOFF handoff-1 (anger): Somebody should take over." in text
