"""Events become a timeline, and a timeline a picture and a page."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from voiceguard.cli.options import load_policy
from voiceguard.core.errors import ConfigurationError
from voiceguard.core.events import AlertLevel, Role
from voiceguard.offline.files import write_atomically
from voiceguard.offline.picture import WIDTH_PX, write_png
from voiceguard.offline.timeline import Span, Timeline, TimelineBuilder, Waveform, clock
from voiceguard.offline.webpage import write_html
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import seconds_to_proto as at

ROLES = (Role.CUSTOMER, Role.AUTOMATED_AGENT)


def pressure(start_s: float, index: float, quality: int = 1, level: int = 1) -> pb.MonitorResponse:
    scored = quality != pb.SIGNAL_QUALITY_MUSIC_OR_TONE
    return pb.MonitorResponse(
        pressure=pb.PressureUpdate(
            channel=0,
            start_offset=at(start_s),
            end_offset=at(start_s + 0.5),
            pressure_index=index,
            scores={"anger": index / 100, "distress": 0.1} if scored else {},
            quality=quality,
            level=level,
        )
    )


def speech(kind: int, at_s: float) -> pb.MonitorResponse:
    return pb.MonitorResponse(speech=pb.SpeechEvent(kind=kind, channel=0, offset=at(at_s)))


ALERT = pb.MonitorResponse(
    alert=pb.AlertChanged(
        alert_id="alert-1",
        level=pb.ALERT_LEVEL_ORANGE,
        previous_level=pb.ALERT_LEVEL_GREEN,
        offset=at(7.0),
        pressure_index=70,
        threshold=60,
    )
)
HANDOFF = pb.MonitorResponse(
    handoff=pb.HandoffRequested(
        handoff_id="handoff-1",
        offset=at(7.0),
        pressure_index=70,
        reason=pb.HandoffRequested.REASON_ANGER,
        explanation="The customer's voice sounds <b>angry</b>.",
    )
)
FLAGGED = pb.MonitorResponse(
    flagged=pb.SessionFlagged(offset=at(7.0), pressure_index=70, reason="anger")
)
GAP = pb.MonitorResponse(gap=pb.AudioGap(start_offset=at(3.0), end_offset=at(4.5)))


def build(*responses: pb.MonitorResponse, title: str = "call.wav", hold: bool = False) -> Timeline:
    builder = TimelineBuilder(title, ROLES, load_policy("default"))
    for response in responses:
        builder.receive_response(response)
    if hold:
        builder.receive_hold(5.0, 6.0)
    extremes = np.tile(np.array([[[-0.1, -0.2], [0.1, 0.3]]], np.float32), (500, 1, 1))
    return builder.build(Waveform(extremes, 0.02))


FULL = (
    speech(1, 0.5),
    pressure(0.5, 10),
    pressure(1.0, 20),
    pressure(1.5, 20, pb.SIGNAL_QUALITY_MUSIC_OR_TONE),
    pressure(2.0, 20, pb.SIGNAL_QUALITY_MUSIC_OR_TONE),
    speech(2, 2.5),
    GAP,
    speech(1, 6.0),
    pressure(6.5, 70, level=3),
    ALERT,
    FLAGGED,
    HANDOFF,
)


def test_events_are_gathered() -> None:
    timeline = build(*FULL, hold=True)
    assert timeline.speech[0] == (Span(0.5, 2.5), Span(6.0, 10.0))
    assert [point.index for point in timeline.points[0]] == [10, 20, 20, 20, 70]
    assert 1 not in timeline.points
    assert timeline.music(0) == (Span(1.5, 2.5),)
    assert timeline.gaps == (Span(3.0, 4.5),)
    assert timeline.holds == (Span(5.0, 6.0),)
    assert timeline.level_spans(0) == (
        (AlertLevel.GREEN, Span(0.0, 7.0)),
        (AlertLevel.ORANGE, Span(7.0, 10.0)),
    )
    assert [(level.name, low, high) for level, low, high in timeline.bands] == [
        ("GREEN", 0.0, 45.0),
        ("YELLOW", 45.0, 60.0),
        ("ORANGE", 60.0, 80.0),
        ("RED", 80.0, 100.0),
    ]


def test_a_call_that_broke_off_still_has_totals() -> None:
    summary = build(*FULL).summary
    assert summary.duration_s == pytest.approx(10.0)
    assert (summary.peak_index, summary.handoffs, summary.flagged) == (70, 1, True)
    assert summary.peak_level is AlertLevel.ORANGE
    assert summary.gaps_s == 1.5


def test_repetitions_count_once() -> None:
    timeline = build(*FULL, ALERT, FLAGGED, HANDOFF)
    assert (len(timeline.alerts), len(timeline.flags), len(timeline.handoffs)) == (1, 1, 1)


@pytest.mark.parametrize("responses", [FULL, ()])
def test_a_picture_is_drawn(tmp_path, responses) -> None:
    path = tmp_path / "call.png"
    write_png(build(*responses, hold=bool(responses)), path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", content[16:24])
    assert width == WIDTH_PX
    assert 500 < height < 1500
    assert len(content) > 20000


def test_a_picture_without_matplotlib_says_what_to_install(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"voiceguard\[plots\]"):
        write_png(build(), tmp_path / "call.png")
    assert list(tmp_path.iterdir()) == []


def test_a_page_asks_for_nothing_outside_and_escapes_everything(tmp_path) -> None:
    path = tmp_path / "call.html"
    write_html(build(*FULL, title='</script><img src="http://x/">', hold=True), path)
    page = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"<(img|link|iframe|script src)", page)
    assert not re.search(
        r"""(src|href)\s*=|url\(|@import""",
        page.replace("default-src", "").replace("&quot;", "").replace("img src=", ""),
    )
    assert "<b>angry" not in page
    assert page.count("<script") == page.count("</script>") == 2
    for word in ("handoff 0:07", "flagged 0:07", "audio missing", "on hold", "not scored"):
        assert word in page


def test_an_empty_call_has_a_page(tmp_path) -> None:
    path = tmp_path / "call.html"
    write_html(build(), path)
    assert "no speech to score" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (67, "1:07"), (3729, "1:02:09")]
)
def test_times_read_as_people_write_them(seconds, text) -> None:
    assert clock(seconds) == text


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), write_atomically(path) as stream:
        _interrupted(stream)
    assert path.read_text() == "old"
    with write_atomically(path) as stream:
        stream.write(b"new")
    assert path.read_text() == "new"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    assert path.stat().st_mode & 0o077 == 0o044


def _interrupted(stream) -> None:
    stream.write(b"half")
    raise KeyboardInterrupt
