"""The sample call that comes with voiceguard, and the script that builds it."""

from __future__ import annotations

import csv
import itertools
import re
import sys

import numpy as np
import pytest
import soundfile

from tools import build_sample_call as build
from voiceguard.core.audio import MULAW_TABLE
from voiceguard.resources import samples_dir
from voiceguard.training.splits import TEST_SPEAKERS

NOTES = samples_dir() / "ATTRIBUTION.md"


def test_the_call_is_what_its_notes_say() -> None:
    samples, rate_hz = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    assert (rate_hz, samples.shape[1]) == (8000, 2)
    assert 55 < len(samples) / rate_hz < 75
    assert set(np.unique(samples)) <= set(MULAW_TABLE)
    notes = NOTES.read_text(encoding="utf-8")
    (speaker,) = set(re.findall(r"`(\d{4})_[A-Z]{3}_", notes))
    assert speaker in TEST_SPEAKERS["crema-d"]
    for words in ("Open Database License", "Database Contents License", "ShareAlike 3.0", "Cao"):
        assert words in notes


def test_the_customer_is_calm_before_angry_and_nobody_interrupts() -> None:
    rows = re.findall(
        r"^\| ([\d.]+) to ([\d.]+) \| (\d) \| `([^`]+)` \|$", NOTES.read_text(), re.MULTILINE
    )
    spans = [(float(start), float(end), channel, name) for start, end, channel, name in rows]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    moods = [name.split("_")[2] for _, _, channel, name in spans if channel == "0"]
    assert moods == ["NEU"] * build.CALM_CLIPS + ["ANG"] * build.ANGRY_CLIPS
    assert min(start for start, _, _, name in spans if "_ANG_" in name) > 25


@pytest.fixture
def corpora(tmp_path):
    """Clips of three speakers, one of whom was learnt from, with votes; and prompts."""
    rng = np.random.default_rng(1)
    speakers = {"1001": 10, TEST_SPEAKERS["crema-d"][0]: 6, TEST_SPEAKERS["crema-d"][1]: 8}
    others = [name for name in TEST_SPEAKERS["crema-d"] if name not in speakers]
    (tmp_path / "audio").mkdir()
    with (tmp_path / "tabulatedVotes.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["", "A", "N", "fileName", "numResponses", "meanAngerResp"])
        for speaker, agreed in [*speakers.items(), *((name, 1) for name in others)]:
            for number in range(12):
                name = f"{speaker}_S{number:02}"
                table.writerow([f"1{number}", 0, agreed, f"{name}_NEU_XX", 10, -1])
                table.writerow([f"1{number}", agreed, 0, f"{name}_ANG_XX", 10, 50 + number])
                table.writerow([f"2{number}", 10, 10, f"{name}_ANG_XX", 10, 99])  # seen, not heard
                for mood in ("NEU", "ANG"):
                    clip = np.concatenate((np.zeros(2000), rng.normal(size=8000), np.zeros(2000)))
                    path = tmp_path / "audio" / f"{name}_{mood}_XX.wav"
                    soundfile.write(path, clip * 0.05, 16000)
    for prompt in build.PROMPTS:
        soundfile.write(tmp_path / f"en-{prompt}.flac", rng.normal(size=9000) * 0.05, 8000)
    return tmp_path


def test_the_script_chooses_by_listeners_and_builds_the_same_twice(
    corpora, tmp_path, monkeypatch
) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        target = tmp_path / name / "call.flac"
        options = ["--crema-d", corpora, "--prompts", corpora, "--out", target]
        monkeypatch.setattr(sys, "argv", ["build_sample_call.py", *map(str, options)])
        build.main()
        made.append((target.read_bytes(), (target.parent / "ATTRIBUTION.md").read_text()))
    assert made[0] == made[1]
    speaker = TEST_SPEAKERS["crema-d"][1]
    angry = re.findall(rf"`{speaker}_S(\d\d)_ANG_XX`", made[0][1])
    assert angry == [f"{number:02}" for number in range(4, 12)]


def test_a_missing_clip_is_named(tmp_path) -> None:
    with pytest.raises(SystemExit, match="no clip named 1027_DFA_NEU_XX"):
        build.read_clip(tmp_path, "1027_DFA_NEU_XX")
