"""The benchmark of the evidence log runs, and its figures are those of what it did."""

from __future__ import annotations

import json
import sys

from benchmarks import evidence_log


def test_it_measures(tmp_path, monkeypatch, capsys) -> None:
    disk, out = tmp_path / "disk", tmp_path / "figures.json"
    disk.mkdir()
    options = ["--writers", "4", "--seconds", "0.3", "--rate", "100", "--audit-leaves", "2010"]
    monkeypatch.setattr(sys, "argv", ["evidence_log.py", str(disk), *options, "--json", str(out)])
    evidence_log.main()
    figures = json.loads(out.read_text("utf-8"))
    fast, steady = figures["as fast as can be"], figures["at a steady rate"]
    assert fast["appends"] > steady["appends"] > 0
    assert steady["appends"] <= 40
    assert 0 < fast["p50_ms"] <= fast["p99_ms"] <= fast["max_ms"]
    assert (figures["audit"]["leaves"], figures["audit"]["sessions"]) == (2010, 101)
    assert figures["machine"]["cores"] >= 1
    printed = capsys.readouterr().out
    assert [line.partition(":")[0] for line in printed.splitlines()] == list(figures)
    assert not list(disk.iterdir())
