"""The two commands, from the folder of a corpus to figures and files."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.training.speech import CREMA_D_DIR, EMO_DB_DIR
from tests.training.tiny import TINY
from voiceguard.core.errors import ConfigurationError
from voiceguard.engine.manifest import load_manifest
from voiceguard.training import command
from voiceguard.training.checkpoint import load_checkpoint
from voiceguard.training.corpora import CorpusError
from voiceguard.training.labels import LabelsError
from voiceguard.training.ship import ship
from voiceguard.training.splits import fold_partition, held_out_speakers

MODEL_DIR = Path(__file__).resolve().parents[2] / "models" / "stress"
CREMA_D = f"--corpus=crema-d={CREMA_D_DIR}"
EMO_DB = f"--corpus=emo-db={EMO_DB_DIR}"


def invoke(program: click.Command, *options: str | Path) -> Result:
    result = CliRunner().invoke(program, [str(option) for option in options])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def small_crema_d(folder: Path, *speakers: str) -> Path:
    """Return the bundled clips as they are, and once more under each of `speakers`."""
    shutil.copytree(CREMA_D_DIR, folder)
    with (folder / "tabulatedVotes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    own = [row for row in rows if "1064" in row[7]]
    for speaker in speakers:
        for path in CREMA_D_DIR.glob("1064_*.flac"):
            shutil.copy(path, folder / path.name.replace("1064", speaker))
        rows += [[cell.replace("1064", speaker) for cell in row] for row in own]
    with (folder / "tabulatedVotes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make what is trained tiny."""
    monkeypatch.setattr(command, "ship", partial(ship, calls=4))
    monkeypatch.setattr(command, "Shape", lambda: TINY)


@pytest.mark.usefixtures("small_model")
def test_train_writes_a_model_folder(tmp_path: Path) -> None:
    corpus = small_crema_d(tmp_path / "CREMA-D", "1001")
    ravdess = tmp_path / "RAVDESS"
    ravdess.mkdir()
    soundfile.write(ravdess / "03-01-05-01-01-01-01.wav", np.zeros(8000), 8000)
    shutil.copy(CREMA_D_DIR / "1064_IEO_ANG_HI.flac", tmp_path / "mine.flac")
    (tmp_path / "mine.csv").write_text("path,verdict,speaker\nmine.flac,confirmed,a\n", "utf-8")
    out = tmp_path / "model"
    options = [f"--corpus=crema-d={corpus}", EMO_DB, f"--corpus=ravdess={ravdess}"]
    options += ["--allow-noncommercial", "--steps", "2", "--out", str(out)]
    result = invoke(command.train, tmp_path / "mine.csv", *options)
    assert result.exit_code == 0, result.output
    assert "anger AUC" in result.output
    training = load_manifest(out / "model.toml").training
    assert training.command == (
        "voiceguard train --corpus crema-d=CREMA-D --corpus emo-db=EMO-DB "
        "--corpus ravdess=RAVDESS LABELS.csv --out models/stress --seed 7 --steps 2 "
        "--allow-noncommercial"
    )
    assert training.seed == 7
    licences = {one.name: one.licence for one in training.corpora}
    assert licences["ravdess"] == "CC-BY-NC-SA-4.0 (no commercial use)"
    assert licences["own"] == "the user's own"
    named = load_manifest(out / "model.toml").checkpoint
    assert named is not None
    assert hashlib.sha256((out / named.file).read_bytes()).hexdigest() == named.sha256
    assert load_checkpoint(out / named.file).shape == TINY


@pytest.mark.usefixtures("small_model")
def test_a_fold_is_left_out_and_only_its_own_speakers_count_as_unheard(tmp_path: Path) -> None:
    partition = fold_partition(2)
    development, test = (
        min(part["crema-d"] - {"1012", "1064"}) for part in (partition.development, partition.test)
    )
    heard = "1001"
    assert heard not in held_out_speakers(partition)["crema-d"]
    corpus = f"--corpus=crema-d={small_crema_d(tmp_path / 'CREMA-D', development, test, heard)}"
    out = tmp_path / "model"
    invoke(command.train, corpus, "--steps", "2", "--fold", "2", "--out", out)
    training = load_manifest(out / "model.toml").training
    assert "--fold 2" in training.command
    held_out = {name: list(speakers) for name, speakers in training.held_out_speakers.items()}
    assert held_out == held_out_speakers(partition)

    figures_path = tmp_path / "figures.json"
    options = [corpus, "--model", str(out), "--json", str(figures_path)]
    invoke(command.evaluate, *options, "--fold", "2")
    figures = json.loads(figures_path.read_text(encoding="utf-8"))
    assert figures["crema-d"]["fold"] == 2
    assert figures["crema-d"]["speakers"] == len({"1012", "1064", test} & partition.test["crema-d"])
    with pytest.raises(ConfigurationError, match=r"give --fold as in its training .*--fold 2"):
        invoke(command.evaluate, *options)


def test_evaluate_prints_and_writes_figures(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    options = ["--model", str(MODEL_DIR), "--split", "development", "--json", str(out)]
    result = invoke(command.evaluate, CREMA_D, EMO_DB, *options)
    assert "anger against the rest" in result.output
    assert "acted" in result.output
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["crema-d"]["clips"] == 12
    assert figures["crema-d"]["speakers"] == 2
    assert 0.5 < figures["crema-d"]["anger_auc"] <= 1.0
    assert "emo-db" not in figures


def test_of_a_corpus_that_the_model_has_not_heard_every_speaker_is_test(tmp_path: Path) -> None:
    savee = tmp_path / "SAVEE"
    savee.mkdir()
    for source, name in (("ANG_HI", "DC_a01"), ("NEU_XX", "DC_n01"), ("HAP_HI", "JE_h01")):
        shutil.copy(CREMA_D_DIR / f"1064_IEO_{source}.flac", savee / f"{name}.flac")
    out = tmp_path / "figures.json"
    savee_option = f"--corpus=savee={savee}"
    result = invoke(command.evaluate, savee_option, "--model", MODEL_DIR, "--json", out)
    figures = json.loads(out.read_text(encoding="utf-8"))["savee"]
    assert (figures["clips"], figures["speakers"]) == (3, 2)
    assert figures["fear_auc"] is None
    assert "AUC -" in result.output


def test_all_speakers_are_measured_when_asked_for_with_a_warning(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    options = ["--model", str(MODEL_DIR), "--split", "all", "--json", str(out)]
    result = invoke(command.evaluate, EMO_DB, *options)
    assert "trained on some of these speakers" in result.output
    assert json.loads(out.read_text(encoding="utf-8"))["emo-db"]["clips"] == 2


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nemo", r"nemo is for evaluation only .*--allow-noncommercial"),
        ("tess", r"tess may not be used commercially \(CC-BY-NC-ND-4\.0\)"),
    ],
)
def test_nothing_noncommercial_is_learnt_unasked(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        invoke(command.train, f"--corpus={name}={tmp_path}", "--out", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("program", [command.train, command.evaluate], ids=["train", "evaluate"])
@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["crema-d"], "'crema-d' is not NAME=FOLDER"),
        (["cremad={folder}"], "unknown corpus 'cremad'; known: crema-d, emo-db"),
        (["crema-d={folder}/absent"], "absent is not a folder"),
        (["emo-db={folder}", "emo-db={folder}"], "emo-db is given 2 times"),
    ],
)
def test_corpora_that_are_not_named_rightly_are_wrong_usage(
    tmp_path: Path, program: click.Command, values: list[str], problem: str
) -> None:
    options = [f"--corpus={value.format(folder=tmp_path)}" for value in values]
    needed = ["--model", str(MODEL_DIR), "--out", str(tmp_path / "out")]
    given = needed[:2] if program is command.evaluate else needed[2:]
    result = CliRunner().invoke(program, [*options, *given])
    assert result.exit_code == 2
    assert problem in " ".join(result.output.replace("│", "").split())


def test_nothing_given_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to learn from"):
        invoke(command.train, "--out", tmp_path / "model")
    with pytest.raises(ConfigurationError, match="nothing to evaluate on"):
        invoke(command.evaluate, "--model", MODEL_DIR)


def test_a_folder_without_the_corpus_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        invoke(command.train, f"--corpus=crema-d={tmp_path}", "--out", tmp_path / "model")
    (tmp_path / "mine.csv").write_text("path\n", encoding="utf-8")
    with pytest.raises(LabelsError):
        invoke(command.train, tmp_path / "mine.csv", "--out", tmp_path / "model")
    assert not (tmp_path / "model").exists()
