"""Every named condition is reproducible, and is as strong as its name says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tests.training.speech import recordings
from voiceguard.training.lines.codecs import Samples, through_g711
from voiceguard.training.lines.conditions import (
    CONDITIONS,
    Condition,
    ConditionError,
    Scene,
    condition_named,
)
from voiceguard.training.lines.impairments import active_power
from voiceguard.training.lines.sounds import Sounds

NOISE = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
SOUNDS = Sounds([NOISE])
every_condition = pytest.mark.parametrize("condition", CONDITIONS, ids=lambda one: one.name)


def clip(index: int = 4) -> Samples:
    """Return a clip: 0 shouts at full scale, 4 and 10 speak calmly."""
    return np.asarray(recordings()[index].samples / 32768, np.float32)


OTHERS = [clip(10), clip(11)]


TRAINING_MD = Path(__file__).resolve().parents[2] / "docs" / "training.md"


def heard(condition: Condition, samples: Samples, clip_id: str = "a clip") -> Samples:
    return condition.heard(samples, clip_id, SOUNDS, OTHERS)


def db(ratio: float) -> float:
    return 10 * float(np.log10(ratio))


def test_the_list_is_what_was_asked_for() -> None:
    names = [condition.name for condition in CONDITIONS]
    assert len(set(names)) == len(names)
    assert names[0] == "clean"
    assert {one.name for one in CONDITIONS if one.extreme} == {
        "noise-0",
        "loss-10",
        "loss-10-concealed",
    }


@every_condition
def test_the_documentation_has_a_row_for_each(condition: Condition) -> None:
    mark = " (extreme)" if condition.extreme else ""
    row = f"| `{condition.name}`{mark} | {condition.title} |"
    assert row in TRAINING_MD.read_text(encoding="utf-8")


@every_condition
@pytest.mark.parametrize("length", [1, 100, 4001])
def test_a_condition_keeps_the_length_and_range(condition: Condition, length: int) -> None:
    out = heard(condition, clip()[3000 : 3000 + length])
    assert out.shape == (length,)
    assert out.dtype == np.float32
    assert np.abs(out).max() <= 1.0


@every_condition
def test_silence_is_carried(condition: Condition) -> None:
    assert np.isfinite(heard(condition, np.zeros(2000, np.float32))).all()


@every_condition
def test_the_same_clip_gives_the_same_bytes(condition: Condition) -> None:
    first = hashlib.sha256(heard(condition, clip()).tobytes()).hexdigest()
    heard(condition, clip(3), "another clip")
    assert hashlib.sha256(heard(condition, clip()).tobytes()).hexdigest() == first


@pytest.mark.parametrize(
    "name", ["loss-10", "burst-loss-5", "noise-20", "babble-10", "echo-30", "room", "speakerphone"]
)
def test_another_clip_meets_another_line(name: str) -> None:
    condition = condition_named(name)
    samples = np.tile(clip(), 4)
    assert not np.array_equal(heard(condition, samples), heard(condition, samples, "another"))


@pytest.mark.parametrize("name", ["noise-20", "noise-10", "noise-5", "noise-0", "babble-10"])
def test_the_signal_to_noise_ratio_is_the_one_named(name: str) -> None:
    added = heard(condition_named(name), clip()) - clip()
    measured_db = db(active_power(clip()) / float(np.mean(added**2)))
    assert measured_db == pytest.approx(float(name.split("-")[1]), abs=0.3)


def test_echo_is_the_other_party_30_db_down() -> None:
    added = condition_named("echo-30").change
    scene = Scene(np.random.default_rng(1), SOUNDS, OTHERS[:1])
    echo = added(clip(), scene) - clip()
    assert db(active_power(clip()) / float(np.mean(echo**2))) == pytest.approx(30.0, abs=0.1)
    tiled = np.tile(OTHERS[0], 3)
    likeness = np.correlate(tiled, echo, "valid") / np.linalg.norm(echo)
    norms = np.sqrt(np.convolve(tiled**2, np.ones(len(echo)), "valid"))
    assert np.max(likeness / norms) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "gain_db"),
    [("gain-down-24", -24), ("gain-down-12", -12), ("gain-up-6", 6), ("gain-up-12", 12)],
)
def test_gain_is_exact_before_coding(name: str, gain_db: float) -> None:
    quiet = clip() / 8
    louder = np.asarray(quiet * 10 ** (gain_db / 20), np.float32)
    np.testing.assert_allclose(heard(condition_named(name), quiet), through_g711(louder), atol=1e-6)


def test_clipping_flattens_the_peaks() -> None:
    out = heard(condition_named("clipping"), clip())
    loudest = np.abs(clip()) > np.abs(clip()).max() / 10 ** (12 / 20)
    assert loudest.sum() > 100
    assert np.abs(out)[loudest].min() > 0.97
    assert np.abs(out)[~loudest].max() <= 1.0
    np.testing.assert_array_equal(heard(condition_named("clipping"), clip() / 9), out)


def test_the_band_is_the_telephones() -> None:
    seconds = np.arange(8000) / 8000
    levels = {}
    for hz in (100, 1000, 3800):
        tone = (0.2 * np.sin(2 * np.pi * hz * seconds)).astype(np.float32)
        out = heard(condition_named("band-300-3400"), tone)
        levels[hz] = db(float(np.mean(out**2)) / 0.02)
    assert abs(levels[1000]) < 0.5
    assert levels[100] < -30
    assert levels[3800] < -20


def test_a_recorded_noise_is_heard_where_there_is_one() -> None:
    condition = condition_named("noise-10")
    hum = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000).astype(np.float32)
    with_hum = condition.heard(clip(), "a clip", Sounds([hum]), ())
    pink_only = condition.heard(clip(), "a clip", Sounds(), ())
    at_1000_hz = [
        np.abs(np.vdot(np.exp(2j * np.pi * np.arange(len(out)) / 8), out - clip()))
        for out in (with_hum, pink_only)
    ]
    assert at_1000_hz[0] > 10 * at_1000_hz[1]


@pytest.mark.parametrize("name", ["babble-10", "echo-30"])
@pytest.mark.parametrize("others", [[], [np.zeros(0, np.float32)]])
def test_voices_must_be_given(name: str, others: list[Samples]) -> None:
    with pytest.raises(ConditionError, match="made of other people's speech; give some"):
        condition_named(name).heard(clip(), "a clip", SOUNDS, others)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(0, np.float32), np.zeros((2, 100), np.float32), np.full(200, np.nan, np.float32)],
)
def test_what_is_no_sound_is_refused(samples: Samples) -> None:
    with pytest.raises(ConditionError, match="finite samples of one channel"):
        heard(condition_named("clean"), samples)


def test_an_unknown_name_is_answered_with_all_names() -> None:
    with pytest.raises(ConditionError, match="no condition 'tin-can'; choose one of clean, "):
        condition_named("tin-can")
