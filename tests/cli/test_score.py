"""`voiceguard score` and `voiceguard model info`."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from voiceguard.resources import samples_dir

HEADER = ["file", "duration_s", "speech_s", "anger", "distress", "arousal", "valence", "pressure"]
CALL = samples_dir() / "sample-call.flac"


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    (folder / "sub").mkdir(parents=True)
    samples, rate_hz = soundfile.read(CALL, dtype="int16")
    soundfile.write(folder / "sub" / "angry.flac", samples[48 * 8000 : 52 * 8000, 0], rate_hz)
    soundfile.write(folder / "calm.wav", samples[3 * 8000 : 7 * 8000, 0], rate_hz)
    soundfile.write(folder / "silent.wav", np.zeros(8000, np.int16), rate_hz)
    (folder / "notes.txt").write_text("not a clip")
    return folder


@pytest.fixture
def score(voiceguard, model_dir):
    return lambda *arguments: voiceguard("score", "--model", model_dir, *arguments)


def rows(text: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text))
    assert reader.fieldnames == HEADER
    return list(reader)


def test_a_folder_becomes_a_table(score, clips) -> None:
    ended = score(clips)
    assert (ended.code, ended.err) == (0, "")
    calm, silent, angry = rows(ended.out)
    assert [row["file"] for row in (calm, silent, angry)] == [
        str(clips / name) for name in ("calm.wav", "silent.wav", "sub/angry.flac")
    ]
    assert calm["duration_s"] == "4.000"
    assert [silent[name] for name in HEADER[2:]] == ["0.00", "", "", "", "", ""]
    assert float(angry["anger"]) > float(calm["anger"])
    assert 0 < float(calm["pressure"]) < float(angry["pressure"]) < 1


def test_a_file_gets_the_same_as_standard_output(score, clips, tmp_path) -> None:
    target = tmp_path / "scores.csv"
    target.write_text("old")
    ended = score(clips, "--csv", target)
    assert (ended.code, ended.out) == (0, "")
    assert target.read_bytes().decode() == score(clips).out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "scores.csv"]


def test_an_interrupt_leaves_the_old_file(score, clips, tmp_path, monkeypatch) -> None:
    def interrupted(*_):
        raise KeyboardInterrupt

    target = tmp_path / "scores.csv"
    target.write_text("old")
    monkeypatch.setattr("voiceguard.cli.score.score_clips", interrupted)
    assert score(clips, "--csv", target).code == 130
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "scores.csv"]


def test_what_cannot_be_scored_is_reported_and_has_no_line(score, clips, tmp_path) -> None:
    (clips / "bad.wav").write_bytes(b"RIFF")
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = score(clips, CALL, tmp_path / "missing.wav", empty)
    assert ended.code == 1
    assert len(rows(ended.out)) == 3
    assert len(ended.errors) == 4
    for problem in ("bad.wav: is not audio", "--channel 0", "does not exist", "no recording"):
        assert any(problem in error for error in ended.errors)


def test_a_path_given_twice_is_scored_once(score, clips) -> None:
    assert len(rows(score(clips / "calm.wav", clips).out)) == 3


def test_the_customer_of_several_channels(score) -> None:
    by_number = rows(score(CALL, "--channel", "0").out)
    assert by_number == rows(score(CALL, "--roles", "customer,agent").out)
    assert by_number != rows(score(CALL, "--channel", "1").out)
    for wrong in (
        ("--channel", "0", "--roles", "customer,agent"),
        ("--roles", "agent,bot"),
        ("--roles", "customer,customer"),
    ):
        assert score(CALL, *wrong).code == 2


def test_a_target_without_its_folder_is_wrong_usage(score, clips, tmp_path) -> None:
    ended = score(clips, "--csv", tmp_path / "nowhere" / "scores.csv")
    assert (ended.code, len(ended.errors)) == (2, 1)


def test_the_model_says_what_it_is(voiceguard, model_dir) -> None:
    text = voiceguard("model", "info", "--model", model_dir)
    assert text.code == 0
    assert "outputs: anger, distress, arousal, valence" in text.out.splitlines()
    facts = json.loads(voiceguard("model", "info", "--model", model_dir, "--json").out)
    assert facts["name"] == "tiny"
    assert facts["training"]["corpora"]


def test_the_model_that_comes_with_voiceguard_is_whole(voiceguard) -> None:
    facts = json.loads(voiceguard("model", "info", "--json").out)
    assert facts["name"] == "stress"
    assert "1027" in facts["training"]["held_out_speakers"]["crema-d"]  # who is in the sample call
