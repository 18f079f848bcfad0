"""The call-level benchmark: its intervals, and its command on two bundled speakers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.calls.__main__ import main
from benchmarks.calls.curves import THRESHOLDS, best_within, measure
from tests.training.speech import CREMA_D_DIR, MODEL_DIR
from voiceguard.core.errors import ConfigurationError
from voiceguard.training.calls.rates import Outcome


def outcomes(found_by_speaker: dict[str, int], calls: int = 20) -> list[Outcome]:
    """Return angry calls an hour long, so many of each speaker's handed off in time."""
    return [
        Outcome(
            speaker,
            "anger",
            3600.0,
            1800.0,
            int(number == calls - 1),
            0,
            6.0 if found else None,
            None,
        )
        for speaker, times in found_by_speaker.items()
        for number, found in enumerate([True] * times + [False] * (calls - times))
    ]


def test_intervals_are_as_wide_as_speakers_differ() -> None:
    alike = measure(60.0, outcomes({"a": 10, "b": 10, "c": 10, "d": 10}), 1)
    assert alike.intervals["anger.detected_within_10_s"] == (0.5, 0.5)
    apart = measure(60.0, outcomes({"a": 20, "b": 0, "c": 20, "d": 0}), 1)
    low, high = apart.intervals["anger.detected_within_10_s"]
    assert low <= 0.1
    assert high >= 0.9
    assert apart.rates.detected_within_10_s == 0.5
    assert apart.intervals["false_handoffs_per_hour"] == pytest.approx((0.05, 0.05))


def test_the_best_threshold_is_the_lowest_that_keeps_false_handoffs_rare() -> None:
    often = measure(40.0, outcomes({"a": 0}, calls=1), 1)
    rarely = [measure(threshold, outcomes({"a": 20}), 1) for threshold in (80.0, 60.0)]
    assert best_within([often, *rarely], 0.5).threshold == 60.0


def test_the_command_writes_figures_page_and_pictures(tmp_path: Path) -> None:
    given = ["--corpus", f"crema-d={CREMA_D_DIR}", "--model", str(MODEL_DIR), "--calls", "4"]
    result = CliRunner().invoke(main, [*given, "--out", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "calls.json").read_text("utf-8"))
    assert figures["speakers"] == ["crema-d/1012", "crema-d/1064"]
    (system,) = figures["systems"].values()
    assert [point["threshold"] for point in system["curve"]] == list(THRESHOLDS)
    page = (tmp_path / "calls.md").read_text("utf-8")
    perfect = figures["perfect_judge"]
    assert perfect["false_handoffs_per_hour"] == 0.0
    assert perfect["detected_within_10_s"] >= system["default_policy"]["detected_within_10_s"]
    assert "a perfect judge" in page
    assert figures["command"] in page
    assert "acted" in page
    assert str(tmp_path) not in page
    assert str(CREMA_D_DIR) not in page
    for picture in ("calls-curves.png", "calls-times.png", "calls-example.png"):
        assert picture in page
        assert (tmp_path / picture).stat().st_size > 5000


def test_a_corpus_that_calls_cannot_be_made_of_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--corpus", f"emogator={tmp_path}"])
    assert isinstance(result.exception, ConfigurationError)
    assert "emogator" in str(result.exception)
