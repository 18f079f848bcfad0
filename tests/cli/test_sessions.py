"""`voiceguard sessions` and `voiceguard evidence export`, over a server that answers from lists."""

from __future__ import annotations

import csv
import datetime as dt
import errno
import io
import json
import time
import wave

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tests.client.reviewserver import (
    TOKEN,
    ListedReview,
    events,
    review_beside,
    session,
    silence,
)
from voiceguard.cli.evidence_export import bundle_name
from voiceguard.cli.exits import ExitCode
from voiceguard.cli.export_columns import EVENT_TABLE, SESSION_TABLE, Kind
from voiceguard.cli.export_formats import FORMULA_STARTS, harmless, table_writer
from voiceguard.cli.session_audio import parse_offset, wav_bytes
from voiceguard.cli.session_filters import parse_moment
from voiceguard.cli.session_words import NO_SPEECH, PressurePoint, sparkline
from voiceguard.core.events import AlertLevel
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
ODD = 'Müller, "非常" <b>[bold]</b>\n\x1b[31m'


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("VOICEGUARD_REVIEW_TOKEN", TOKEN)


@pytest.fixture
def served(monkeypatch):
    """Serves sessions; the command line finds the server by its variable."""
    running = []

    def serve(servicer):
        context = review_beside(servicer)
        monkeypatch.setenv("VOICEGUARD_SERVER", context.__enter__())
        running.append(context)
        return servicer

    yield serve
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture
def three(served):
    live = session(2)
    for name in ("ended_at", "summary", "flagged", "verdicts", "handoffs", "settlements"):
        live.ClearField(name)
    erased = session(3, erased_at=Timestamp(seconds=1_700_009_000))
    return served(ListedReview([session(1), live, erased], {"call-1": events()}))


# ---- list ----


def test_a_list_for_people(voiceguard, three) -> None:
    ended = voiceguard("sessions", "list")
    assert (ended.code, ended.err) == (0, "")
    heading, _, first, live, erased, *_ = ended.out.splitlines()
    assert heading.split()[:4] == ["started", "session", "campaign", "agent"]
    assert "call-1" in first
    assert "1:15" in first
    assert "83" in first
    assert "red" in first
    assert "accepted" in first
    assert "false-alarm" in first
    assert "live" in live
    assert "erased" in erased


def test_a_list_for_programs_is_the_sessions(voiceguard, three) -> None:
    ended = voiceguard("sessions", "list", "--json")
    assert ended.code == 0
    read = [ParseDict(json.loads(line), rpb.Session()) for line in ended.out.splitlines()]
    assert read == three.sessions


def test_every_filter_reaches_the_server(voiceguard, three) -> None:
    options = (
        "--flagged --unreviewed --min-level orange --since 2026-11-01T00:00+00:00 "
        "--until 2026-11-02T00:00+00:00 --campaign spring --agent a --call c --number +861 "
        "--verdict false-alarm --held --order pressure --limit 2"
    )
    assert voiceguard("sessions", "list", *options.split()).code == 0
    assert three.requests == [
        rpb.ListSessionsRequest(
            high_sensitivity_only=True,
            unreviewed_only=True,
            min_level=pb.ALERT_LEVEL_ORANGE,
            started_after=Timestamp(seconds=1_793_491_200),
            started_before=Timestamp(seconds=1_793_577_600),
            campaign="spring",
            agent_id="a",
            call_id="c",
            customer_number="+861",
            verdict=rpb.Verdict.KIND_FALSE_ALARM,
            legal_hold_only=True,
            order_by="peak_pressure_index desc",
            page_size=2,
            with_total=True,
        )
    ]


def test_a_number_can_be_asked_for(voiceguard, three, monkeypatch) -> None:
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: "+86 138")
    assert voiceguard("sessions", "list", "--number", "-").code == 0
    assert three.requests[0].customer_number == "+86 138"


def test_a_short_list_says_that_there_is_more(voiceguard, served) -> None:
    served(ListedReview([session(number) for number in range(1200)]))
    ended = voiceguard("sessions", "list", "--limit", "3")
    assert len([line for line in ended.out.splitlines() if "call-" in line]) == 3
    assert ended.err == "note: 3 of 1,200 sessions; --limit shows more\n"
    everything = voiceguard("sessions", "list", "--limit", "2000", "--json")
    assert len(everything.out.splitlines()) == 1200


def test_no_session_is_said(voiceguard, served) -> None:
    served(ListedReview())
    ended = voiceguard("sessions", "list")
    assert (ended.code, ended.out, ended.err) == (0, "", "note: no session matches\n")


def test_texts_of_others_do_nothing_to_a_terminal(voiceguard, served) -> None:
    odd = session(1)
    odd.call.campaign = ODD
    odd.flagged.reason = ODD
    odd.verdicts[0].comment = ODD
    served(ListedReview([odd], {"call-1": events()}))
    for arguments in (["list"], ["show", "call-1", "--events"]):
        ended = voiceguard("sessions", *arguments)
        assert ended.code == 0
        assert "\x1b" not in ended.out
        assert "[bold]" in ended.out
        assert "非常" in ended.out


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", NOW - dt.timedelta(days=7)),
        ("12h", NOW - dt.timedelta(hours=12)),
        ("30m", NOW - dt.timedelta(minutes=30)),
        ("2w", NOW - dt.timedelta(weeks=2)),
        ("2026-11-24", dt.datetime(2026, 11, 24).astimezone()),
        ("2026-11-24T09:30", dt.datetime(2026, 11, 24, 9, 30).astimezone()),
        ("2026-11-24T09:30+08:00", dt.datetime(2026, 11, 24, 1, 30, tzinfo=dt.UTC)),
        ("2026-11-24 09:30Z", dt.datetime(2026, 11, 24, 9, 30, tzinfo=dt.UTC)),
    ],
)
def test_times(text, moment) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "7y", "-7d", "2026-13-01", "999999w", "0001-01"])
def test_what_is_no_time(text) -> None:
    with pytest.raises(ValueError, match="give 12h, 7d"):
        parse_moment(text, NOW)


def test_a_time_that_is_none_is_wrong_usage(voiceguard) -> None:
    ended = voiceguard("sessions", "list", "--since", "yesterday")
    assert ended.code == ExitCode.USAGE
    assert "2026-11-24" in ended.errors[0]


# ---- show ----


def test_one_session_for_people(voiceguard, three) -> None:
    ended = voiceguard("sessions", "show", "call-1")
    assert (ended.code, ended.err) == (0, "")
    for text in (
        "call-1  flagged audio",
        "1:15 long, completed",
        "customer, human_agent; 8000 Hz",
        "given, notice given",
        "peak 83, mean 42; level red",
        "at 0:40: orange was reached",
        "0:02  red on channel 0, index 81.5, threshold 80",
        "0:40  handoff-1 requested: The customer sounds angry",
        "handoff-1 accepted, 20",
        "false-alarm by ada, 20",
        "product=loan",
        "▆",
    ):
        assert text in ended.out
    assert "access" not in ended.out


def test_events_and_accesses_on_request(voiceguard, three) -> None:
    ended = voiceguard("sessions", "show", "call-1", "--events", "--access")
    assert "2023-11-14T22:13:20Z  opened" in ended.out
    assert "ada heard" in ended.out
    as_json = json.loads(
        voiceguard("sessions", "show", "call-1", "--events", "--access", "--json").out
    )
    assert ParseDict(as_json["session"], rpb.Session()) == three.sessions[0]
    read = [ParseDict(item["event"], pb.MonitorResponse()) for item in as_json["events"]]
    assert read == events()
    assert as_json["access"] == [{"actor": "ada", "action": "heard", "at": "2023-11-14T22:21:40Z"}]


def test_a_live_and_an_erased_session_can_be_shown(voiceguard, three) -> None:
    three.logs["call-2"] = events()[:2]
    live = voiceguard("sessions", "show", "call-2")
    assert live.code == 0
    assert ", live" in live.out
    erased = voiceguard("sessions", "show", "call-3")
    assert erased.code == 0
    assert "  erased " in erased.out


@given(
    st.lists(
        st.builds(
            PressurePoint,
            at_s=st.floats(0, 100),
            index=st.floats(0, 100),
            level=st.sampled_from(AlertLevel),
        )
    ),
    st.floats(0, 100),
)
def test_a_sparkline_has_one_mark_a_place(points, duration_s) -> None:
    line = sparkline(points, duration_s, 20)
    assert len(line.plain) == 20
    assert (line.plain == NO_SPEECH * 20) == (not points)
    if any(point.index == 100 for point in points):
        assert "█" in line.plain


# ---- audio and evidence ----


def test_audio_is_saved(voiceguard, served, tmp_path) -> None:
    servicer = served(ListedReview([session()], wav=silence(2)))
    file = tmp_path / "call.wav"
    ended = voiceguard(
        "sessions", "audio", "call-1", "-o", file, "--from", "0:01", "--to", "1:02.5"
    )
    assert (ended.code, ended.out) == (0, f"{file}: 32 kB\n")
    with wave.open(str(file)) as reader:
        assert reader.getnframes() == 16_000
    asked = servicer.requests[0]
    assert (asked.start_offset.seconds, asked.end_offset.ToMilliseconds()) == (1, 62_500)


def test_nothing_is_overwritten_unless_told(voiceguard, served, tmp_path) -> None:
    served(ListedReview([session()], wav=silence(1)))
    file = tmp_path / "call.wav"
    file.write_bytes(b"mine")
    refused = voiceguard("sessions", "audio", "call-1", "-o", file)
    assert refused.code == ExitCode.USAGE
    assert "--force" in refused.errors[0]
    assert file.read_bytes() == b"mine"
    assert voiceguard("sessions", "audio", "call-1", "-o", file, "--force").code == 0
    assert file.read_bytes() == silence(1)


def test_audio_that_breaks_off_leaves_no_file(voiceguard, served, tmp_path) -> None:
    servicer = served(ListedReview([session()], wav=silence(2)))
    servicer.fail_at = 3
    ended = voiceguard("sessions", "audio", "call-1", "-o", tmp_path / "call.wav")
    assert ended.code == ExitCode.SERVER
    assert len(ended.errors) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("83.5", 83.5), ("1:23.5", 83.5), ("1:02:09", 3729), ("0", 0)]
)
def test_places_in_a_call(text, seconds) -> None:
    assert parse_offset(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:", ":1", "nan", "1e5", "1:2:3:4"])
def test_what_is_no_place_in_a_call(text) -> None:
    with pytest.raises(ValueError, match="no place"):
        parse_offset(text)


def test_a_wav_file_says_how_long_it_is() -> None:
    assert wav_bytes(silence(1)[:4096]) == len(silence(1))
    for start in (b"", b"RIFF", b"nothing of the kind", b"RIFF\xff\xff\xff\xff"):
        assert wav_bytes(start) is None


def test_evidence_is_saved_under_the_name_of_the_session(
    voiceguard, served, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    served(ListedReview([session(1, session_id="a:b@c~2")], bundle=b"zip" * 50))
    ended = voiceguard("evidence", "export", "a:b@c~2")
    assert (ended.code, ended.out) == (0, "a-b@c~2.zip: 0 kB\n")
    assert (tmp_path / "a-b@c~2.zip").read_bytes() == b"zip" * 50
    assert voiceguard("evidence", "export", "a:b@c~2").code == ExitCode.USAGE
    refused = voiceguard("evidence", "export", "../x", "-o", tmp_path / "x.zip")
    assert refused.code == ExitCode.SERVER
    assert "NOT_FOUND" in refused.errors[0]
    assert not (tmp_path / "x.zip").exists()


@given(st.text(max_size=40))
def test_no_session_names_a_file_elsewhere(session_id) -> None:
    name = bundle_name(session_id)
    assert "/" not in name
    assert not name.startswith(".") or name == ".zip"


# ---- verdict, hold, erase ----


def test_a_verdict(voiceguard, three) -> None:
    ended = voiceguard(
        "sessions", "verdict", "call-1", "confirmed", "--handoff", "handoff-1", "--comment", "哭"
    )
    assert (ended.code, ended.out) == (
        0,
        "call-1: confirmed on handoff-1, recorded as verdict-2\n",
    )
    asked = three.requests[0]
    assert (asked.kind, asked.comment) == (rpb.Verdict.KIND_CONFIRMED, "哭")
    as_json = voiceguard("sessions", "verdict", "call-1", "unsure", "--json")
    assert json.loads(as_json.out)["kind"] == "KIND_UNSURE"


def test_a_hold_and_its_end(voiceguard, three) -> None:
    ended = voiceguard("sessions", "hold", "call-1", "--reason", "case")
    assert ended.out == "call-1: under legal hold\n"
    ended = voiceguard("sessions", "hold", "call-1", "--reason", "settled", "--release")
    assert ended.out == "call-1: released\n"
    assert [request.reason for request in three.requests] == ["case", "settled"]
    assert voiceguard("sessions", "hold", "call-1").code == ExitCode.USAGE


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)


def test_erasing_asks_for_the_id(voiceguard, three, terminal, monkeypatch) -> None:
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "call-2")
    wrong = voiceguard("sessions", "erase", "call-1", "--reason", "asked")
    assert wrong.code == ExitCode.FAILED
    assert "nothing was erased" in wrong.errors[0]
    assert three.requests == []
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "call-1")
    assert voiceguard("sessions", "erase", "call-1", "--reason", "asked").code == 0
    assert three.requests == [rpb.EraseSessionRequest(session_id="call-1", reason="asked")]


def test_erasing_where_nobody_can_be_asked(voiceguard, three, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    refused = voiceguard("sessions", "erase", "call-1", "--reason", "asked")
    assert refused.code == ExitCode.USAGE
    assert "--yes" in refused.errors[0]
    ended = voiceguard("sessions", "erase", "call-1", "--reason", "asked", "--yes", "--json")
    assert json.loads(ended.out)["erasedAt"] == "2023-11-14T22:46:40Z"


# ---- errors ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sessions", "show", "call-9"], ["NOT_FOUND", "voiceguard sessions list"]),
        (["sessions", "show", "call-1", "--access"], ["PERMISSION_DENIED", "role"]),
        (["sessions", "hold", "call-1", "--reason", "r"], ["PERMISSION_DENIED"]),
    ],
)
def test_a_refusal_is_one_line_and_3(voiceguard, three, arguments, words) -> None:
    three.role = "reviewer"
    ended = voiceguard(*arguments)
    assert ended.code == ExitCode.SERVER
    assert len(ended.errors) == 1
    assert all(word in ended.errors[0] for word in words)


def test_without_a_token_the_error_says_how_to_get_one(voiceguard, three, monkeypatch) -> None:
    monkeypatch.delenv("VOICEGUARD_REVIEW_TOKEN")
    ended = voiceguard("sessions", "list")
    assert ended.code == ExitCode.SERVER
    assert "UNAUTHENTICATED" in ended.errors[0]
    assert "--token-file" in ended.errors[0]
    assert "voiceguard reviewers add" in ended.errors[0]


def test_a_token_from_a_file(voiceguard, three, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("VOICEGUARD_REVIEW_TOKEN")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert voiceguard("sessions", "list", "--token-file", tmp_path / "token").code == 0
    monkeypatch.setenv("VOICEGUARD_REVIEW_TOKEN_FILE", str(tmp_path / "token"))
    assert voiceguard("sessions", "list").code == 0
    missing = voiceguard("sessions", "list", "--token-file", tmp_path / "no")
    assert missing.code == ExitCode.USAGE


def test_a_server_that_is_not_there(voiceguard) -> None:
    ended = voiceguard("sessions", "list", "--server", "127.0.0.1:1")
    assert ended.code == ExitCode.SERVER
    assert "is `voiceguard serve` running there?" in ended.errors[0]


def test_nothing_goes_over_a_network_in_the_clear(voiceguard) -> None:
    ended = voiceguard("sessions", "list", "--server", "vg.example:50051")
    assert ended.code == ExitCode.USAGE
    assert "--ca" in ended.errors[0]


# ---- export ----


def export(voiceguard, file, *arguments):
    ended = voiceguard("sessions", "export", "-o", file, *arguments)
    assert ended.code == 0, ended.err
    return ended


def names(table):
    return [column.name for column in table.columns]


def plain(table, thing):
    """Return what JSON lines should say of a thing."""
    values = {}
    for column in table.columns:
        value = column.read(thing)
        if column.kind is Kind.TIME and value is not None:
            moment = dt.datetime.fromtimestamp(value / 1000, dt.UTC)
            value = moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value % 1000:03}Z"
        values[column.name] = value
    return values


def test_csv_holds_what_the_sessions_hold(voiceguard, three, tmp_path) -> None:
    three.sessions[1].call.campaign = ODD
    ended = export(voiceguard, tmp_path / "a.csv", "--flagged")
    assert ended.out == f"{tmp_path / 'a.csv'}: 3 sessions\n"
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        first, second, _ = csv.DictReader(file)
    assert list(first) == names(SESSION_TABLE)
    assert first["session_id"] == "call-1"
    assert first["started_at"] == "2023-11-14T22:13:21.500Z"
    assert float(first["peak_pressure_index"]) == 83.25
    assert first["flagged"] == "true"
    assert first["handoff_outcomes"] == "accepted"
    assert first["verdict"] == "false-alarm"
    assert json.loads(first["labels"]) == {"product": "loan"}
    assert first["channels"] == "customer;human_agent"
    assert second["campaign"] == ODD
    assert second["peak_level"] == second["ended_at"] == second["verdict"] == ""
    request = three.requests[0]
    assert (request.page_size, request.high_sensitivity_only) == (1000, True)


def test_json_lines_hold_every_column(voiceguard, three, tmp_path) -> None:
    three.sessions[1].call.campaign = ODD
    export(voiceguard, tmp_path / "a.jsonl")
    lines = (tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    expected = [plain(SESSION_TABLE, one) for one in three.sessions]
    assert [json.loads(line) for line in lines] == expected


def test_parquet_holds_the_same(voiceguard, three, tmp_path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    three.sessions[1].call.campaign = ODD
    export(voiceguard, tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column_names == names(SESSION_TABLE)
    first, second, _ = table.to_pylist()
    assert first["started_at"] == dt.datetime(2023, 11, 14, 22, 13, 21, 500_000, tzinfo=dt.UTC)
    assert (first["flagged"], first["handoffs"]) == (True, 1)
    assert second["campaign"] == ODD
    assert second["peak_level"] is None


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_the_events_of_all_sessions(voiceguard, served, tmp_path, form) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    sessions = [session(number) for number in range(12)]
    logs = {one.session_id: events(number + 1) for number, one in enumerate(sessions)}
    served(ListedReview(sessions, logs, page_limit=5))
    ended = export(voiceguard, tmp_path / "e", "--events", "--format", form)
    count = sum(map(len, logs.values()))
    assert ended.out == f"{tmp_path / 'e'}: 12 sessions, {count} events\n"
    if form == "parquet":
        rows = pq.read_table(tmp_path / "e").to_pylist()
    elif form == "jsonl":
        rows = [json.loads(line) for line in (tmp_path / "e").read_text().splitlines()]
    else:
        rows = list(csv.DictReader(io.StringIO((tmp_path / "e").read_text())))
    assert list(rows[0]) == names(EVENT_TABLE)
    assert [row["session_id"] for row in rows] == [one for one, log in logs.items() for _ in log]
    assert [row["event"] for row in rows[:4]] == ["opened", "pressure", "alert", "summary"]
    pressure, alert = rows[1], rows[2]
    assert (float(pressure["start_s"]), float(pressure["at_s"])) == (0, 1)
    assert float(pressure["baseline_deviation"]) == -1.5
    assert json.loads(pressure["scores"]) == {"anger": 0.25, "arousal": 0.5}
    assert (alert["id"], alert["level"], alert["previous_level"]) == ("alert-1", "red", "orange")


def test_sessions_that_are_erased_have_no_events(voiceguard, three, tmp_path) -> None:
    ended = export(voiceguard, tmp_path / "e.csv", "--events")
    assert ended.out.endswith("1 sessions, 6 events\n")
    assert ended.err == "note: 2 sessions are erased: their events are gone\n"


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_no_rows_are_a_file_too(voiceguard, served, tmp_path, form) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    served(ListedReview())
    file = tmp_path / f"none.{form}"
    export(voiceguard, file)
    match form:
        case "csv":
            assert file.read_text() == ",".join(names(SESSION_TABLE)) + "\n"
        case "jsonl":
            assert file.read_bytes() == b""
        case _:
            assert pq.read_table(file).num_rows == 0


def test_standard_output(voiceguard, three) -> None:
    ended = voiceguard("sessions", "export", "-o", "-")
    assert (ended.code, ended.err) == (0, "")
    assert len(list(csv.DictReader(io.StringIO(ended.out)))) == 3
    assert voiceguard("sessions", "export", "-o", "-", "--format", "parquet").code == ExitCode.USAGE


def test_parquet_without_its_library_says_what_to_install(
    voiceguard, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    ended = voiceguard("sessions", "export", "-o", tmp_path / "a.parquet")
    assert ended.code == ExitCode.USAGE
    assert ended.errors == [
        "error: Parquet needs pyarrow: install it with pip install 'voiceguard[parquet]'"
    ]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("fails_at", [0, 2])
def test_a_server_that_fails_leaves_no_file(voiceguard, served, tmp_path, form, fails_at) -> None:
    servicer = served(ListedReview([session(n) for n in range(50)], page_limit=10))
    servicer.fail_at = fails_at
    file = tmp_path / f"a.{form}"
    file.write_text("yesterday's")
    ended = voiceguard("sessions", "export", "-o", file)
    assert ended.code == ExitCode.SERVER
    assert len(ended.errors) == 1
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_text() == "yesterday's"


class FullDisk(io.RawIOBase):
    def __init__(self, room: int) -> None:
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, content) -> int:
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(content)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("arguments", [(), ("--events",)])
def test_a_full_disk_is_one_line(
    voiceguard, served, tmp_path, monkeypatch, form, arguments
) -> None:
    sessions = [session(number) for number in range(300)]
    served(ListedReview(sessions, {one.session_id: events() for one in sessions}, page_limit=50))
    monkeypatch.setattr("os.fdopen", lambda *_: FullDisk(8000))
    ended = voiceguard("sessions", "export", "-o", tmp_path / "a", "--format", form, *arguments)
    assert ended.code == ExitCode.FAILED
    assert ended.errors == [
        f"error: {tmp_path / 'a'}: No space left on device; no part of it was kept"
    ]
    assert list(tmp_path.iterdir()) == []


@given(st.text())
def test_no_cell_begins_like_a_formula(text) -> None:
    made = harmless(text)
    assert not made.startswith(FORMULA_STARTS)
    assert made in {text, "'" + text}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")'])
def test_formulas_are_made_harmless_in_csv_alone(voiceguard, served, tmp_path, text) -> None:
    odd = session()
    odd.verdicts[0].comment = text
    odd.call.agent_id = text
    served(ListedReview([odd]))
    export(voiceguard, tmp_path / "a.csv")
    row = next(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert row["verdict_comment"] == row["agent_id"] == "'" + text
    export(voiceguard, tmp_path / "a.jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text())["agent_id"] == text


def test_a_hundred_thousand_rows_take_seconds(tmp_path) -> None:
    """The writing alone; the whole way is in benchmarks."""
    page = [session(number) for number in range(1000)]
    started_s = time.perf_counter()
    for form in ("csv", "jsonl"):
        with (
            (tmp_path / form).open("wb") as stream,
            table_writer(form, SESSION_TABLE.columns, stream) as writer,
        ):
            for _ in range(5):
                writer.write([SESSION_TABLE.row(one) for one in page])
    per_row_s = (time.perf_counter() - started_s) / 10_000
    assert per_row_s * 100_000 < 30
