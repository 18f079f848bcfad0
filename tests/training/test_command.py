"""The two commands, from the folder of a corpus to figures and files."""

from __future__ import annotations

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.training.speech import CREMA_D_DIR, EMO_DB_DIR
from voiceguard.engine.manifest import load_manifest
from voiceguard.training import command
from voiceguard.training.corpora import CorpusError
from voiceguard.training.network import Shape
from voiceguard.training.ship import ship

MODEL_DIR = Path(__file__).resolve().parents[2] / "models" / "stress"


def small_crema_d(folder: Path) -> Path:
    """Return the bundled clips once as they are and once under a speaker to train on."""
    shutil.copytree(CREMA_D_DIR, folder)
    with (folder / "tabulatedVotes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    for path in CREMA_D_DIR.glob("1064_*.flac"):
        shutil.copy(path, folder / path.name.replace("1064", "1001"))
    more = [[cell.replace("1064", "1001") for cell in row] for row in rows if "1064" in row[7]]
    with (folder / "tabulatedVotes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows + more)
    return folder


def test_train_writes_a_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ship", partial(ship, calls=4))
    monkeypatch.setattr(command, "Shape", partial(Shape, 8, (1, 2), 8))
    corpus = small_crema_d(tmp_path / "CREMA-D")
    options = ["--crema-d", str(corpus), "--emo-db", str(EMO_DB_DIR), "--steps", "2"]
    result = CliRunner().invoke(
        command.train, [*options, "--out", str(tmp_path / "model")], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert "anger AUC" in result.output
    manifest = load_manifest(tmp_path / "model" / "model.toml")
    assert str(tmp_path) not in manifest.training.command
    assert manifest.training.seed == 7


def test_evaluate_prints_and_writes_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    folders = ["--crema-d", str(CREMA_D_DIR), "--emo-db", str(EMO_DB_DIR)]
    options = ["--model", str(MODEL_DIR), *folders, "--split", "development", "--json", str(out)]
    result = CliRunner().invoke(command.evaluate, options, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "anger against the rest" in result.output
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["crema-d"]["clips"] == 12
    assert figures["crema-d"]["speakers"] == 2
    assert 0.5 < figures["crema-d"]["anger_auc"] <= 1.0
    assert "emo-db" not in figures


def test_a_folder_without_the_corpus_is_a_clear_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        command.train, ["--crema-d", str(tmp_path), "--out", str(tmp_path / "model")]
    )
    assert isinstance(result.exception, CorpusError)
    assert not (tmp_path / "model").exists()
