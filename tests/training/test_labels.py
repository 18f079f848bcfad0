"""A user's own recordings with labels, and what is said of a table that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceguard.training.clips import read_recordings
from voiceguard.training.corpora import Clip
from voiceguard.training.labels import LabelsError, read_labels
from voiceguard.training.splits import Split, split_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a call of 4 s in two channels and a clip of 1 s."""
    (tmp_path / "calls").mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, (32000, 2))
    soundfile.write(tmp_path / "calls" / "one.wav", noise, 8000)
    soundfile.write(tmp_path / "clip.flac", noise[:8000, 0], 8000)
    (tmp_path / "text.wav").write_text("no audio", encoding="utf-8")
    return tmp_path


def labels(folder: Path, text: str) -> list[Clip]:
    (folder / "LABELS.csv").write_text(text, encoding="utf-8")
    return read_labels(folder / "LABELS.csv")


def test_emotions_and_stretches_of_calls(folder: Path) -> None:
    whole, part = labels(
        folder,
        "path,emotion,speaker,channel,start_s,end_s,language,comment\n"
        "clip.flac,neutral,s1,,,,,\n"
        "\n"
        'calls/one.wav,anger,s2,1,0.5,3.25,zh-CN,"loud, at last"\n',
    )
    assert whole == Clip(
        corpus="own",
        path=folder / "clip.flac",
        speaker="s1",
        emotion="neutral",
        language="und",
    )
    assert part == Clip(
        corpus="own",
        path=folder / "calls" / "one.wav",
        speaker="s2",
        emotion="anger",
        language="zh-CN",
        channel=1,
        start_s=0.5,
        end_s=3.25,
    )
    recordings = read_recordings([whole, part], lambda *_: None)
    assert [len(one.samples) for one in recordings] == [8000, 22000]
    assert split_of(part) in {Split.TRAIN, Split.DEVELOPMENT}


def test_verdicts_of_reviewers_say_pressure_and_unsure_ones_nothing(folder: Path) -> None:
    clips = labels(
        folder,
        "path,verdict,speaker\n"
        "clip.flac,confirmed,a\nclip.flac,false_alarm,b\nclip.flac,unsure,c\n",
    )
    assert [(clip.speaker, clip.emotion) for clip in clips] == [
        ("a", "pressured"),
        ("b", "not_pressured"),
    ]


def test_a_table_may_hold_both_emotions_and_verdicts(folder: Path) -> None:
    clips = labels(
        folder, "path,emotion,verdict,speaker\nclip.flac,fear,,a\nclip.flac,,confirmed,a\n"
    )
    assert [clip.emotion for clip in clips] == ["fear", "pressured"]


def test_a_table_saved_by_a_spreadsheet_is_read(folder: Path) -> None:
    text = "\ufeffpath,emotion,speaker\r\nclip.flac,calm,a\r\n"
    assert [clip.emotion for clip in labels(folder, text)] == ["calm"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"LABELS\.csv: empty"),
        ("path,emotion\n", r"LABELS\.csv:1: no column 'speaker'"),
        ("emotion,speaker\n", r"LABELS\.csv:1: no column 'path'"),
        ("path,speaker\nclip.flac,a\n", r"LABELS\.csv:1: no column 'emotion' or 'verdict'"),
        ("path,emotion,speaker\n", "no labelled recording"),
        ("path,verdict,speaker\nclip.flac,unsure,a\n", "no labelled recording"),
        ("path,emotion,speaker\nclip.flac,fury,a\n", r":2: unknown emotion 'fury'; known: .*anger"),
        ("path,verdict,speaker\nclip.flac,maybe,a\n", ":2: unknown verdict 'maybe'; known: conf"),
        ("path,emotion,speaker\nclip.flac,,a\n", ":2: give either an emotion or a verdict"),
        (
            "path,emotion,verdict,speaker\nclip.flac,anger,confirmed,a\n",
            ":2: give either an emotion or a verdict",
        ),
        (
            "path,emotion,speaker\nclip.flac,calm,a\nabsent.wav,anger,a\n",
            r":3: absent\.wav is no file",
        ),
        ("path,emotion,speaker\n,anger,a\n", ":2: no path"),
        ("path,emotion,speaker\nclip.flac,anger,\n", ":2: no speaker"),
        ("path,emotion,speaker\ntext.wav,anger,a\n", r":2: text\.wav cannot be read as audio"),
        ("path,emotion,speaker\nclip.flac,anger\n", ":2: not as many cells as columns"),
        ("path,emotion,speaker\nclip.flac,anger,a,b\n", ":2: not as many cells as columns"),
        ('path,emotion,speaker\n"clip.flac"x,anger,a\n', ":2: not CSV"),
        ("path,emotion,speaker,channel\nclip.flac,anger,a,left\n", ":2: channel 'left'"),
        ("path,emotion,speaker,channel\nclip.flac,anger,a,1\n", r":2: no channel 1: .* has 1"),
        ("path,emotion,speaker,start_s\nclip.flac,anger,a,-1\n", ":2: start_s '-1'"),
        ("path,emotion,speaker,end_s\nclip.flac,anger,a,nan\n", ":2: end_s 'nan'"),
        ("path,emotion,speaker,end_s\nclip.flac,anger,a,soon\n", ":2: end_s 'soon'"),
        (
            "path,emotion,speaker,start_s,end_s\nclip.flac,anger,a,0.8,0.2\n",
            r":2: start_s 0\.8 is not before end_s 0\.2",
        ),
        (
            "path,emotion,speaker,start_s,end_s\nclip.flac,anger,a,0.5,1.5\n",
            r":2: 1\.5 s is beyond the end",
        ),
        ("path,emotion,speaker,start_s\nclip.flac,anger,a,1\n", ":2: 1 s is beyond the end"),
        ("path,emotion,speaker,language\nclip.flac,anger,a,Polish!\n", ":2: language 'Polish!'"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(
    folder: Path, text: str, problem: str
) -> None:
    with pytest.raises(LabelsError, match=problem) as caught:
        labels(folder, text)
    assert str(caught.value).startswith(str(folder / "LABELS.csv"))
    assert "\n" not in str(caught.value)


def test_other_encodings_and_missing_tables_are_refused(folder: Path) -> None:
    table = folder / "LABELS.csv"
    table.write_bytes("path,emotion,speaker\nclip.flac,anger,张\n".encode("gbk"))
    with pytest.raises(LabelsError, match=r"LABELS\.csv: not UTF-8"):
        read_labels(table)
    with pytest.raises(LabelsError, match=r"absent\.csv: No such file"):
        read_labels(folder / "absent.csv")
