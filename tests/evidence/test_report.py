"""What a report says, that it says it in both languages, and that outside text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
import time
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.support import RATE_HZ, angry_call, local_events
from voiceguard.core.events import (
    AlertChanged,
    AlertLevel,
    Event,
    GapDetected,
    HandoffOutcome,
    HandoffReason,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    SessionFinished,
    SessionFlagged,
    SignalQuality,
    SpeechEnded,
    SpeechStarted,
)
from voiceguard.engine.model import StressModel
from voiceguard.engine.testing import create_model
from voiceguard.evidence.facts import LEVELS, ReportFacts
from voiceguard.evidence.leaves import Leaf, LeafKind
from voiceguard.evidence.report import facts_from_payloads, render_report, render_timeline
from voiceguard.evidence.timeline import LEVEL_COLOURS, thinned
from voiceguard.evidence.verify import canonical_json
from voiceguard.evidence.words import LANGUAGES, WORDS
from voiceguard.offline.timeline import LEVEL_COLOURS as COLOURS_ELSEWHERE
from voiceguard.resources import policies_dir
from voiceguard.store.eventcodec import event_to_line

OPENED_MS = 1_795_507_923_412
"""2026-11-24 08:12:03.412 UTC."""

UID = "5c0f" * 8


def pressure(at: int, index: float, level: AlertLevel = AlertLevel.GREEN) -> PressureUpdated:
    return PressureUpdated(
        0, at - 4000, at, index, {"anger": 0.91, "distress": 0.2}, 1.0, True, 1.0,
        SignalQuality.OK, level,
    )  # fmt: skip


EVENTS: tuple[Event, ...] = (
    SpeechStarted(0, 0),
    pressure(8000, 12.0),
    pressure(160_000, 71.25, AlertLevel.ORANGE),
    AlertChanged("a1", AlertLevel.ORANGE, AlertLevel.GREEN, 0, 160_000, 71.25, 60.0),
    SessionFlagged(0, 160_000, 71.25, "sounds angry"),
    HandoffRequested(
        "h1", "a1", 0, 160_000, 71.25, HandoffReason.ANGER, "The voice sounds angry.", 20.0
    ),
    HandoffSettled("h1", HandoffOutcome.ACCEPTED, ""),
    HandoffSettled("h1", HandoffOutcome.TRANSFERRED, "agent 42"),
    GapDetected(170_000, 186_000),
    SpeechEnded(0, 190_000),
    SessionFinished(240_000, 16_000, 20.0, 71.25, 40.0, AlertLevel.ORANGE, True, 1, 0),
)


def lines(*values: dict[str, object]) -> bytes:
    return b"".join(canonical_json(value) + b"\n" for value in values)


def session(**changes: object) -> dict[str, object]:
    call = {
        "call_id": "C-7", "campaign": "early", "agent_id": "bot-3", "customer": "9f" * 32,
        "started_at_ms": OPENED_MS - 5000, "customer_time_zone": "Asia/Shanghai",
        "labels": {"queue": "m1"},
    }  # fmt: skip
    call |= {name: changes.pop(name) for name in list(changes) if name in call}
    return {
        "tenant": "acme", "session_id": "call-1", "evidence_id": UID, "call": call,
        "consent": {"state": "given", "notice_given": True, "lawful_basis": "contract"},
        "audio": {
            "encoding": "mulaw", "sample_rate_hz": RATE_HZ, "channels": ["customer", "human_agent"]
        },
        "policy_version": "default@sha256:0123456789abcdef", "policy_sha256": "ab" * 32,
        "model_version": "stress 2026.11.2", "model_sha256": "0c" * 32,
        "keep_audio": "flagged", "retention_days": 180.0, "opened_at_ms": OPENED_MS,
    } | changes  # fmt: skip


def event_lines(events: tuple[Event, ...]) -> bytes:
    return "".join(
        event_to_line(event, n, OPENED_MS + 1000 * n) + "\n" for n, event in enumerate(events)
    ).encode()


def payloads(events: tuple[Event, ...] = EVENTS, **changes: object) -> dict[str, bytes]:
    finished = events[-1]
    files = {
        "session.json": canonical_json(session(**changes)),
        "events.jsonl": event_lines(events),
        "policy.toml": (policies_dir() / "default.toml").read_bytes(),
        "audio.json": canonical_json(
            {
                "file": "audio.flac", "bytes": 123_456, "sha256": "e3" * 32,
                "chunk_bytes": 1_048_576, "chunks": ["e3" * 32], "samples": 240_000,
                "sample_rate_hz": RATE_HZ, "channels": 2, "complete": True, "missing_samples": 0,
            }
        ),
        "verdicts.jsonl": lines(
            {
                "verdict_id": "v1", "handoff_id": "h1", "kind": "confirmed",
                "comment": "Clear case.", "reviewer": "li.na", "recorded_at_ms": OPENED_MS + 10**6,
            }
        ),
        "access.jsonl": lines(
            {"actor": "li.na", "action": "heard", "at_ms": OPENED_MS + 900_000, "detail": "0:12"},
            {"actor": "wei", "action": "held", "at_ms": OPENED_MS + 950_000, "detail": "a case"},
        ),
    }  # fmt: skip
    if isinstance(finished, SessionFinished):
        files["closed.json"] = canonical_json(
            {
                "ended": "completed", "closed_at_ms": OPENED_MS + 31_000, "events": len(events),
                "summary": {
                    "audio_s": finished.audio_samples / RATE_HZ,
                    "customer_speech_s": finished.customer_speech_s,
                    "peak_pressure_index": finished.peak_pressure_index,
                    "mean_pressure_index": finished.mean_pressure_index,
                    "peak_level": finished.peak_level.name.lower(),
                    "high_sensitivity": finished.high_sensitivity,
                    "handoffs": finished.handoffs, "gaps_s": finished.gap_samples / RATE_HZ,
                    "windows_missed": finished.windows_missed,
                },
            }
        )  # fmt: skip
    return files


LEAVES = (
    (40, Leaf(LeafKind.OPENED, OPENED_MS, UID, 0, "aa" * 32)),
    (44, Leaf(LeafKind.EVENTS, OPENED_MS + 500, UID, 1, "aa" * 32)),
    (47, Leaf(LeafKind.EVENTS, OPENED_MS + 900, UID, 2, "aa" * 32)),
    (48, Leaf(LeafKind.CLOSED, OPENED_MS + 31_000, UID, 3, "aa" * 32)),
)


def facts_of(files: dict[str, bytes]) -> ReportFacts:
    return facts_from_payloads(files, "voiceguard.example/log", LEAVES)


@pytest.fixture(scope="module")
def facts() -> ReportFacts:
    return facts_of(payloads())


class Skeleton(HTMLParser):
    """The elements of a page, without their words; and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in {"text", "circle", "tspan"}:  # of the drawing's legend, laid out by length
            self.elements.append(f"{tag}.{dict(attrs).get('class', '')}")
        self.attributes += attrs

    def handle_data(self, data):
        self.words.append(data)


def text_of(page: str) -> str:
    return " ".join(" ".join(Skeleton(page).words).split())


# ---- facts ----


def test_facts_are_what_the_payloads_say(facts: ReportFacts) -> None:
    assert (facts.session_id, facts.evidence_id, facts.tenant) == ("call-1", UID, "acme")
    assert facts.duration_s == 30.0
    assert facts.peak_index == 71.25
    assert facts.scored_channels == (0,)
    assert [(span.start_s, span.end_s) for span in facts.speech] == [(0.0, 23.75)]
    assert [(gap.start_s, gap.end_s) for gap in facts.gaps] == [(21.25, 23.25)]
    (handoff,) = facts.handoffs
    assert [answer.outcome for answer in handoff.settlements] == ["accepted", "transferred"]
    assert handoff.at_ms == OPENED_MS + 5000
    assert facts.flag is not None
    assert facts.flag.at_s == 20.0
    (change,) = facts.changes
    assert change.scores == {"anger": 0.91, "distress": 0.2}
    assert [item.raise_at for item in facts.policy.thresholds] == [45, 60, 80]
    events = next(found for found in facts.leaves if found.kind == "events")
    assert (events.count, events.first_index, events.last_index) == (2, 44, 47)


def test_a_session_that_is_not_closed_has_a_report_that_says_so() -> None:
    files = payloads(EVENTS[:3])
    del files["audio.json"]
    open_facts = facts_of(files)
    assert open_facts.summary is None
    assert open_facts.speech[0].end_s == 20.0
    assert "not closed" in text_of(render_report(open_facts, "en"))
    assert "会话尚未结束" in text_of(render_report(open_facts, "zh"))


def test_events_of_a_real_engine_are_read(tmp_path) -> None:
    model = StressModel.load(create_model(tmp_path / "tiny"))
    events = tuple(local_events(model, angry_call()))
    real = facts_of(payloads(events, audio=session()["audio"] | {"channels": ["customer"]}))
    assert len(real.points) == sum(isinstance(event, PressureUpdated) for event in events)
    assert len(real.handoffs) == 1
    page = render_report(real, "en")
    assert real.handoffs[0].explanation.replace("'", "&#x27;") in page


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("session.json", b"{}"),
        ("session.json", b"\xff"),
        ("events.jsonl", b'{"event":"pressure_updated"}\n'),
        ("policy.toml", b"[alerts"),
        ("policy.toml", b"schema = 1"),
        ("closed.json", b"{}"),
    ],
)
def test_files_of_somebody_else_are_refused(name: str, content: bytes) -> None:
    with pytest.raises((ValueError, KeyError)):
        facts_of(payloads() | {name: content})


# ---- words ----


def test_every_text_is_there_in_both_languages_with_the_same_blanks() -> None:
    for name, texts in WORDS.items():
        assert len(texts) == len(LANGUAGES), name
        assert all(texts), name
        blanks = [{part[1] for part in string.Formatter().parse(text)} - {None} for text in texts]
        assert blanks[0] == blanks[1], name
        assert not re.search("[\u4e00-\u9fff]", texts[0]) or name == "other_language"


def test_both_languages_have_the_same_structure(facts: ReportFacts) -> None:
    english, chinese = (Skeleton(render_report(facts, language)) for language in LANGUAGES)
    assert english.elements == chinese.elements


def test_no_english_word_of_ours_is_left_in_the_chinese_page(facts: ReportFacts) -> None:
    page = text_of(render_report(facts, "zh").partition("<body>")[2])
    for english, chinese in WORDS.values():
        if len(english) > 12 and english != chinese and "{" not in english:
            assert english not in page or english == "English version", english


def test_the_page_says_what_it_is_worth_and_how_to_check_it(facts: ReportFacts) -> None:
    english, chinese = (text_of(render_report(facts, language)) for language in LANGUAGES)
    for page in (english, chinese):
        assert "voiceguard evidence verify BUNDLE.zip --key PUBLIC_KEY" in page
    for said in ("acted speech", "not a judgement of a person", "the operator alone keeps the log"):
        assert said in english
    for said in ("表演语音", "不是对人的评判", "仅由运营方自行保管"):
        assert said in chinese


def test_times_are_in_utc_and_by_the_customers_clock(facts: ReportFacts) -> None:
    page = text_of(render_report(facts, "en"))
    assert "2026-11-24 08:12:03.4 UTC" in page
    assert "2026-11-24 16:12:03 +08:00" in page


@pytest.mark.parametrize("zone", ["", "Nowhere/Else", "../../etc/passwd", "Asia", "a\0b"])
def test_without_a_known_zone_times_are_in_utc_alone(zone: str) -> None:
    page = render_report(facts_of(payloads(customer_time_zone=zone)), "en")
    assert "08:12:03.4 UTC" in page
    assert 'class="local"' not in page


# ---- outside text ----

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'</style></svg>\0\u202e\ud800"


def test_outside_text_stays_text() -> None:
    hostile = session(
        session_id=HOSTILE, tenant=HOSTILE, model_version=HOSTILE, call_id=HOSTILE,
        campaign=HOSTILE, labels={HOSTILE: HOSTILE}, customer=HOSTILE,
        audio={"encoding": HOSTILE, "sample_rate_hz": 8000, "channels": ["customer", HOSTILE]},
    )  # fmt: skip
    files = payloads()
    files["session.json"] = json.dumps(hostile).encode()
    for name in ("verdicts.jsonl", "access.jsonl"):
        entries = [json.loads(line) for line in files[name].splitlines()]
        for entry in entries:
            entry |= {key: HOSTILE for key, value in entry.items() if isinstance(value, str)}
        files[name] = b"\n".join(json.dumps(entry).encode() for entry in entries)
    events = [json.loads(line) for line in files["events.jsonl"].splitlines()]
    for event in events:
        outside = {"explanation", "reason", "outcome", "level", "previous_level"} & event.keys()
        event.update(dict.fromkeys(outside, HOSTILE))
    files["events.jsonl"] = b"\n".join(json.dumps(event).encode() for event in events)
    worst = facts_of(files)
    for language in LANGUAGES:
        page = render_report(worst, language)
        page.encode("utf-8")
        skeleton = Skeleton(page)
        tags = {element.partition(".")[0] for element in skeleton.elements}
        assert not tags & {"script", "img", "iframe", "object", "form"}
        assert not [name for name, _ in skeleton.attributes if name.startswith("on")]
        assert page.count("</style>") == 1
        assert "\0" not in page
        assert "&lt;script&gt;" in page
        ET.fromstring(render_timeline(worst, language))


@given(st.text(st.characters(), max_size=40))
@settings(max_examples=50, deadline=None)
def test_whatever_a_session_is_called_the_drawing_is_xml(name: str) -> None:
    files = payloads()
    files["session.json"] = json.dumps(session(session_id=name)).encode()
    drawing = render_timeline(facts_of(files), "en")
    ET.fromstring(drawing.encode("utf-8"))


def test_the_page_may_load_nothing_and_run_nothing(facts: ReportFacts) -> None:
    for language in LANGUAGES:
        page = render_report(facts, language)
        (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )
        assert " style=" not in page
        assert "@import" not in style
        assert set(re.findall(r"url\(([^)]*)\)", page)) == {"#vg-gap"}
        links = [value for name, value in Skeleton(page).attributes if name in {"src", "href"}]
        assert links == ["report.zh.html" if language == "en" else "report.en.html"]


# ---- the drawing ----


def test_the_drawing_has_a_name_a_description_and_the_marks(facts: ReportFacts) -> None:
    root = ET.fromstring(render_timeline(facts, "en"))
    space = "{http://www.w3.org/2000/svg}"
    title, about = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert title.text == "Pressure index of session call-1"
    assert about is not None
    assert about.text == (
        "A call of 0:30.0. Highest index 71, highest level orange. Marked high-sensitivity at "
        "0:20.0. Handoffs requested at 0:20.0. Audio missing at 0:21.2."
    )
    assert root.get("aria-labelledby") == "vg-title vg-about"
    kinds = [element.get("class", "") for element in root.iter()]
    for kind in ("curve", "raised orange", "handoff", "flag", "gap", "speech", "band red"):
        assert kind in kinds, kind


def test_a_call_without_speech_is_drawn_too() -> None:
    silent = (SessionFinished(0, 0, 0.0, 0.0, 0.0, AlertLevel.GREEN, False, 0, 0),)
    drawing = render_timeline(facts_of(payloads(silent)), "en")
    assert "no speech was scored" in drawing
    ET.fromstring(drawing)


def test_levels_have_the_colours_that_they_have_everywhere() -> None:
    assert {level.name.lower(): name for level, name in COLOURS_ELSEWHERE.items()} == LEVEL_COLOURS
    assert tuple(level.name.lower() for level in AlertLevel) == LEVELS


def long_call() -> dict[str, bytes]:
    """Return an hour with 7,000 hops, one of which reaches 97."""
    points = tuple(pressure(4100 * n, 97.0 if n == 4321 else 20.0 + n % 13) for n in range(1, 7001))
    end = SessionFinished(28_800_000, 0, 3500.0, 97.0, 26.0, AlertLevel.GREEN, False, 0, 0)
    return payloads((*points, end))


def test_an_hour_is_drawn_in_time_and_in_little_without_losing_its_peak() -> None:
    hour = facts_of(long_call())
    began = time.perf_counter()
    page = render_report(hour, "en")
    assert time.perf_counter() - began < 0.5
    assert len(page.encode()) < 250_000
    curve = re.findall(r'class="curve" d="(M44 [^"]*)"', page)[0]
    heights = [float(found) for found in re.findall(r"V([\d.]+)", curve)]
    assert len(heights) < 3000
    floor = float(re.findall(r"^M44 ([\d.]+)", curve)[0])
    assert min(heights) == pytest.approx(floor - 0.97 * 210, abs=0.06)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300), st.integers(1, 40))
def test_thinning_keeps_the_extremes_and_the_last_of_every_column(
    indices: list[float], hops: int
) -> None:
    points = facts_of(payloads((pressure(4000, 0.0),))).points
    series = [
        type(points[0])(0, 0, n, n + 0.5, index, "green", {}) for n, index in enumerate(indices)
    ]
    kept = thinned(series, lambda at_s: int(at_s) // hops)
    assert [point.end_s for point in kept] == sorted(point.end_s for point in kept)
    for first in range(0, len(series), hops):
        column = series[first : first + hops]
        left = [point for point in kept if first <= point.start_s < first + hops]
        assert len(left) <= 3
        assert max(point.index for point in left) == max(point.index for point in column)
        assert min(point.index for point in left) == min(point.index for point in column)
        assert left[-1] == column[-1]


def test_the_same_facts_give_the_same_page() -> None:
    first, second = (render_report(facts_of(payloads()), "zh") for _ in range(2))
    assert first == second
