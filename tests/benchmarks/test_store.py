"""The benchmark of the database: the same seed gives the same sessions, and it runs."""

from __future__ import annotations

import json
import sys

from benchmarks import store
from benchmarks.store_sessions import TENANTS, generate
from voiceguard.store.records import Closed, Erased, EventBatch, Opened, VerdictGiven


def test_a_seed_gives_the_same_sessions():
    first = [record for batch in generate(1200, 7) for record in batch]
    again = [record for batch in generate(1200, 7) for record in batch]
    other = [record for batch in generate(1200, 8) for record in batch]
    assert first == again
    assert first != other
    assert [record.leaf_index for record in first] == list(range(len(first)))


def test_sessions_are_as_the_shares_say():
    columns = [record.columns for batch in generate(3000, 1) for record in batch]
    opened = [item for item in columns if isinstance(item, Opened)]
    assert len(opened) == 3000
    assert {item.tenant for item in opened} == set(TENANTS)
    assert len([item for item in columns if isinstance(item, Closed)]) == 2995  # 5 are live
    flagged = [i for i in columns if isinstance(i, EventBatch) and i.flagged_at_ms is not None]
    assert 100 < len(flagged) < 200
    reviewed = [item for item in columns if isinstance(item, VerdictGiven)]
    assert 0.4 * len(flagged) < len(reviewed) < 1.2 * len(flagged)
    assert any(isinstance(item, Erased) for item in columns)


def test_sealer_is_asked_for_keys_and_payloads():
    class Sealer:
        def key(self, uid):
            return f"key of {uid}", "k9"

        def seal(self, uid, number, salt, payload):
            return b"%s:%d:" % (uid.encode(), number) + salt + payload

        def customer(self, tenant, number):
            return f"{tenant}-{number}"

    (batch,) = generate(3, 1, Sealer())
    for record in batch:
        leaf = record.leaf
        assert record.sealed.startswith(b"%s:%d:" % (leaf.session.encode(), leaf.number))
        if isinstance(record.columns, Opened):
            assert record.columns.wrapped_key == f"key of {leaf.session}"
            assert record.sealed.endswith(b"}")


def test_benchmark_prints_and_writes_figures(tmp_path, monkeypatch, capsys):
    figures = tmp_path / "figures.json"
    monkeypatch.setattr(
        sys, "argv", ["store.py", "--sessions", "600", "--rounds", "20", "--json", str(figures)]
    )
    store.main()
    written = json.loads(figures.read_text())
    assert set(written) == {
        "fill", "list", "session", "statistics_30_days", "statistics_90_days", "all_pages",
    }  # fmt: skip
    assert 500 < written["all_pages"]["rows"] < 600
    assert "p99_ms" in capsys.readouterr().out
