"""Who is adapted to and who is tested, and what the page says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.adaptation import (
    FIGURES,
    MODELS,
    Options,
    adapted_speakers,
    limited,
    measured,
    page,
    write_labels,
)
from tests.training.speech import recordings
from tests.training.tiny import tiny_base
from voiceguard.training.clips import read_recordings
from voiceguard.training.corpora import Demographics
from voiceguard.training.labels import read_labels


def test_two_women_and_two_men_are_adapted_to() -> None:
    people = {name: Demographics(sex="female") for name in "ECA"}
    people |= {name: Demographics(sex="male") for name in "DBFG"}
    assert adapted_speakers(people) == ["A", "B", "C", "D"]


def test_a_limit_keeps_several_emotions_of_each_speaker() -> None:
    clips = [one.clip for one in recordings()]
    assert limited(clips, None) == clips
    few = limited(clips, 3)
    for speaker in ("1012", "1064"):
        assert len({clip.emotion for clip in few if clip.speaker == speaker}) == 3


def test_labels_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = recordings()[:4]
    read = read_recordings(read_labels(write_labels(written, tmp_path / "own")), lambda *_: None)
    for one, other in zip(read, written, strict=True):
        assert (one.clip.speaker, one.clip.emotion) == (other.clip.speaker, other.clip.emotion)
        # G.711 keeps 8 bits of each sample: its error is a thirtieth of the sample at most.
        error = np.abs(one.samples.astype(float) - other.samples)
        assert (error <= np.abs(other.samples.astype(float)) / 30 + 8).all()


def test_the_page_has_the_command_beside_the_numbers(tmp_path: Path) -> None:
    options = Options(Path("x"), Path("y"), Path("z"), Path("w"), ["emo-db=/somewhere"], 4, None, 7)
    tested = [one for one in recordings() if one.clip.speaker in {"1012", "1064"}]
    figures = measured(tiny_base(tmp_path), tested)
    before = {
        "outputs": {"pressure": {"calibration_error": 0.25, "auc": 0.75}},
        "false_alarm_share": 0.5,
        "detected_share": 1.0,
    }
    report = {"before": before, "after": before, "threshold": 60.0}
    text = "\n".join(
        page(
            {
                "command": options.command(),
                "model": {"version": "1", "sha256": "0" * 64},
                "data": {
                    "adapted": ["A"],
                    "adapted_clips": 1,
                    "tested": ["1012", "1064"],
                    "tested_clips": len(tested),
                },
                "models": dict.fromkeys(MODELS, figures),
                "reported": {"calibrated": report},
            }
        )
    )
    assert "--augmentation AUGMENTATION --rehearse emo-db=EMO-DB --steps 4 --seed 7" in text
    assert "/somewhere" not in text
    assert all(meaning in text for meaning in FIGURES.values())
    assert f"| anger, 1012 alone, AUC | {figures['anger_auc_by_speaker']['1012']:.3f} |" in text
    assert "acted speech" in text
    assert "CC-BY-NC-SA-4.0" in text
    assert "| `voiceguard calibrate`: AUC of anger or fear | 0.750 | 0.750 |" in text
