"""The report: plain data, a page and pictures, and the command that makes them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.__main__ import command_line, run, write
from benchmarks.accuracy.baseline import _Known, _lesson
from benchmarks.accuracy.cache import Cache
from benchmarks.accuracy.egemaps import Lesson, judge_by_egemaps, learn_and_answer
from benchmarks.accuracy.evaluation import Plan, handoff_evidence
from benchmarks.accuracy.judges import ANGER_AUC, SIX_EMOTIONS_UAR
from benchmarks.accuracy.parts import Part
from benchmarks.accuracy.report import (
    ACTED,
    ConditionName,
    CorpusFacts,
    JudgedModel,
    Report,
    report_corpus,
)
from benchmarks.accuracy.scores import CLEAN
from tests.benchmarks.accuracy import clip, scored_corpus
from tests.training.speech import EMO_DB_DIR
from voiceguard.core.policy import Policy
from voiceguard.resources import models_dir, policies_dir
from voiceguard.training.corpora import CREMA_D, EMOTIONS, Demographics
from voiceguard.training.statistics import SpeakerBootstrap

MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def report() -> Report:
    corpus = scored_corpus(unlucky=("00", "01", "02", "03", "04"))
    noisy = replace(corpus.clean, log_odds=corpus.clean.log_odds[::-1].copy())
    corpus = replace(corpus, by_condition={CLEAN: corpus.clean, "gain-up-6": noisy})
    people = {f"{n:02}": Demographics("female" if n < 6 else "male", 25 + n) for n in range(12)}
    conditions = [ConditionName(CLEAN, "clean", False), ConditionName("gain-up-6", "louder", True)]
    facts = CorpusFacts("CREMA-D: a corpus", ["fold 1"], people, None)
    figures = report_corpus(
        corpus, facts, conditions, 0.6, SpeakerBootstrap.draw(corpus.speakers, 20, 0)
    )
    models = [JudgedModel("fold 1", "stress 1", "ab" * 32)]
    return Report(ACTED, "python -m benchmarks.accuracy", 7, 20, models, [figures])


def test_it_is_written_as_data_page_and_small_pictures(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {f"accuracy-{n}.png" for n in ("judges", "conditions", "reliability", "groups")}
    assert names == {"accuracy.json", "accuracy.md", *pictures}
    assert all((tmp_path / name).stat().st_size < MOST_BYTES for name in names)


def test_data_have_no_numbers_that_json_lacks(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path)
    text = (tmp_path / "accuracy.json").read_text("utf-8")
    data = json.loads(text, parse_constant=pytest.fail)
    figures = data["corpora"][0]
    assert figures["comparison"]["figures"]["panel"][ANGER_AUC]["value"] == 1.0
    assert figures["groups"][0]["gaps"]["anger_false_alarms"]["highest"] == "female"
    assert figures["gain_shift"]["of_chain"] > 0.5
    assert "acted" in data["speech"]


def test_the_page_says_acted_and_how_to_make_it_and_names_differences(
    report: Report, tmp_path: Path
) -> None:
    write(report, tmp_path)
    page = (tmp_path / "accuracy.md").read_text("utf-8")
    assert "acted speech" in page
    assert report.command in page
    assert "largest difference, false alarms, anger: female over male" in page
    assert all(f"({path.name})" in page for path in tmp_path.glob("*.png"))
    assert "| louder * |" in page


def test_the_same_figures_give_the_same_bytes(report: Report, tmp_path: Path) -> None:
    for name in ("one", "other"):
        write(report, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()


def test_the_command_in_the_report_names_nothing_of_this_machine(tmp_path: Path) -> None:
    folder = tmp_path
    plan = Plan(
        *([(CREMA_D, folder)], folder, folder, (CLEAN,), folder),
        *(True, 9, 10, 7, 1, Cache(folder)),
    )
    command = command_line(plan, "all")
    assert str(tmp_path) not in command
    assert command == (
        "python -m benchmarks.accuracy --corpus crema-d=CREMA-D --augmentation AUGMENTATION "
        "--folds FOLDS --limit 9 --draws 10 --seed 7"
    )


def test_the_policys_threshold_is_that_of_its_handoff_level() -> None:
    path = policies_dir() / "default.toml"
    policy = Policy.from_toml(path.read_bytes(), str(path))
    assert policy.handoff_level is not None
    assert handoff_evidence() * 100 == policy.alerts[policy.handoff_level].raise_threshold


def test_the_regressions_learn_what_there_is_to_learn() -> None:
    rng = np.random.default_rng(0)
    emotions = np.array(EMOTIONS * 40)
    features = np.eye(6)[np.tile(np.arange(6), 40)] + 0.3 * rng.normal(size=(240, 6))
    speakers = np.repeat([f"{n}" for n in range(20)], 12)
    learnt, asked = speakers < "2", speakers >= "2"
    answers = learn_and_answer(
        Lesson(features[learnt], emotions[learnt], speakers[learnt], features[asked], 0)
    )
    figures = judge_by_egemaps(answers, emotions[asked]).figures
    everything = np.ones(int(asked.sum()))
    assert figures[ANGER_AUC](everything) > 0.95
    assert figures[SIX_EMOTIONS_UAR](everything) > 0.85


def test_the_baseline_learns_nothing_of_the_speakers_that_it_judges() -> None:
    clips = [clip(f"{n}", f"{n % 4}", "anger") for n in range(12)]
    known = _Known(clips, np.arange(12.0)[:, None])
    judged = Part("fold 1", Path("1"), tuple(each for each in clips if each.speaker in "01"))
    lesson = _lesson(judged, known, known, 0)
    assert set(lesson.speakers.tolist()) == {"crema-d/2", "crema-d/3"}
    assert lesson.features[:, 0].tolist() == [2, 3, 6, 7, 10, 11]
    assert lesson.asked[:, 0].tolist() == [0, 1, 4, 5, 8, 9]


@pytest.mark.slow
def test_it_runs_from_recordings_to_report(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = run(
        [
            *("--corpus", f"emo-db={EMO_DB_DIR}", "--no-egemaps", "--conditions", "g711-a"),
            *("--model", str(models_dir() / "stress"), "--draws", "20", "--jobs", "1"),
            *("--out", str(out), "--cache", str(tmp_path / "cache")),
        ]
    )
    assert code == 0
    corpus = json.loads((out / "accuracy.json").read_text("utf-8"))["corpora"][0]
    assert (corpus["clips"], corpus["speakers"], corpus["judged_by"]) == (2, 1, ["shipped"])
    assert corpus["comparison"]["figures"]["model"][ANGER_AUC]["value"] == 1.0
    assert [each["name"] for each in corpus["conditions"]] == [CLEAN, "g711-a"]
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--corpus", "no-such=FOLDER"), "NAME=FOLDER"),
        (("--corpus", "emo-db=NOWHERE", "--no-egemaps"), "NOWHERE: no recordings here"),
        (("--corpus", f"emo-db={EMO_DB_DIR}", "--conditions", "lovely"), "no condition 'lovely'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) != 0
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("error: ") == 1
