"""Tables of labels made of the bundled clips, as if several people had said them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.training.speech import CREMA_D_DIR

CLIPS = {
    path.stem: emotion
    for code, emotion in (
        ("ANG_HI", "anger"),
        ("FEA_HI", "fear"),
        ("NEU_XX", "neutral"),
        ("SAD_LO", "sadness"),
        ("HAP_HI", "happiness"),
        ("DIS_MD", "disgust"),
    )
    for path in sorted(CREMA_D_DIR.glob(f"*_{code}.flac"))
}
"""Emotion of each bundled clip of CREMA-D."""

SPEAKERS = ("call-ann", "call-ben", "call-cem", "call-dai", "call-eva")


def emotions_table(folder: Path, speakers: Sequence[str] = SPEAKERS) -> Path:
    """Write a table in which each of `speakers` says all the clips."""
    return _written(
        folder,
        "path,speaker,emotion",
        [f"{name}.flac,{speaker},{CLIPS[name]}" for speaker in speakers for name in CLIPS],
    )


def verdicts_table(folder: Path, speakers: Sequence[str] = SPEAKERS) -> Path:
    """Write a table of reviewers' verdicts on the same clips."""
    verdict = {"anger": "confirmed", "fear": "confirmed", "disgust": "unsure"}
    rows = [
        f"{name}.flac,{speaker},{verdict.get(emotion, 'false_alarm')}"
        for speaker in speakers
        for name, emotion in CLIPS.items()
    ]
    return _written(folder, "path,speaker,verdict", rows)


def _written(folder: Path, columns: str, rows: Sequence[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name in CLIPS:
        shutil.copy(CREMA_D_DIR / f"{name}.flac", folder)
    table = folder / "LABELS.csv"
    table.write_text("\n".join([columns, *rows]) + "\n", encoding="utf-8")
    return table
