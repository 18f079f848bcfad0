"""The benchmarks of what reviewers wait for run, on what a real server has kept."""

from __future__ import annotations

import json
import sys

from benchmarks import evidence_call, review


def test_review_is_measured_at_a_real_server(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    arguments = ["--sessions", "120", "--rounds", "5", "--json", str(figures)]
    monkeypatch.setattr(review, "CALL_MINUTES", 0.5)
    monkeypatch.setattr(review, "CALLS", 1)
    monkeypatch.setattr(review, "FORMATS", ("jsonl", "parquet"))
    monkeypatch.setattr(sys, "argv", ["review.py", *arguments, "--folder", str(tmp_path)])
    review.main()
    written = json.loads(figures.read_text())
    assert written["list"]["count"] >= 5
    assert written["session"]["count"] == 5
    assert written["session_with_audio"]["count"] == 1
    exports = {written[f"export_{form}"]["said"] for form in review.FORMATS}
    assert len(exports) == 1, "every format has the same rows"
    sessions = int(exports.pop().partition(" ")[0])
    assert 90 < sessions < 140
    events = {written[f"export_events_{form}"]["said"] for form in review.FORMATS}
    assert len(events) == 1
    assert "events" in events.pop()
    assert written["page_session"]["count"] > written["session_with_audio"]["count"]
    assert "page_list" in capsys.readouterr().out


def test_evidence_is_measured_at_a_real_server(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    arguments = ["--minutes", "1", "--folder", str(tmp_path), "--json", str(figures)]
    monkeypatch.setattr(sys, "argv", ["evidence_call.py", *arguments])
    evidence_call.main()
    written = json.loads(figures.read_text())
    # 120 pressure updates, 30 alerts, a handoff, the flag, the end
    assert written["page"]["events"] == 153
    assert written["export"]["mib"] > 0
    assert set(written["verify_command"]) == {"wall_s", "cpu_s"}
    assert "verify_command" in capsys.readouterr().out
