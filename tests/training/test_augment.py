"""A random line keeps the length, stays finite and follows its seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from tests.training.speech import speech
from voiceguard.training.augment import Chances, Line, Sounds

ALWAYS = Chances(*(1.0 for _ in fields(Chances)))
NEVER = Chances(*(0.0 for _ in fields(Chances)))
NOISE = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
SOUNDS = Sounds([NOISE], [np.exp(-np.arange(800) / 90).astype(np.float32)])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("samples", [speech()[0], np.zeros(8000, np.float32)])
def test_a_line_keeps_length_and_range(samples: np.ndarray, seed: int) -> None:
    out = Line(np.random.default_rng(seed), SOUNDS, ALWAYS).carry(samples, [NOISE])
    assert out.shape == samples.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.abs(out).max() <= 1.0


def test_the_same_seed_is_the_same_line_and_another_is_not() -> None:
    first, again, other = (
        Line(np.random.default_rng(seed), SOUNDS, Chances()).carry(speech()[0], [NOISE])
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def carried(chances: Chances, seed: int = 3) -> np.ndarray:
    return Line(np.random.default_rng(seed), SOUNDS, chances).carry(speech()[0], [NOISE])


def test_a_line_on_which_nothing_happens_changes_only_the_level() -> None:
    out = carried(NEVER)
    gain = np.vdot(out, speech()[0]) / np.vdot(speech()[0], speech()[0])
    np.testing.assert_allclose(out, gain * speech()[0], atol=1 / 32768)


@pytest.mark.parametrize("name", [field.name for field in fields(Chances)])
def test_each_chance_changes_the_line(name: str) -> None:
    assert not np.array_equal(carried(replace(NEVER, **{name: 1.0})), carried(NEVER))


def test_all_codecs_come_up_and_only_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: Counter[str] = Counter()
    for codec in ("through_amr_nb", "through_gsm_fr", "through_opus"):

        def counted(samples: np.ndarray, *_: int, codec: str = codec) -> np.ndarray:
            used[codec] += 1
            return samples

        monkeypatch.setattr(f"voiceguard.training.augment.{codec}", counted)
    mobile = replace(NEVER, mobile=0.5)
    line = Line(np.random.default_rng(3), SOUNDS, mobile)
    for _ in range(200):
        line.carry(speech()[0][:1600], [NOISE])
    assert 70 < used.total() < 130
    assert used["through_amr_nb"] > used["through_gsm_fr"] > 0
    assert used["through_opus"] > 0


def test_lost_packets_are_silent_repeated_or_concealed() -> None:
    chances = replace(NEVER, loss=1.0)
    silent = 0
    for seed in range(20):
        out, whole = carried(chances, seed), carried(NEVER, seed)
        framed = out[: len(out) // 160 * 160].reshape(-1, 160)
        changed = np.any(framed != whole[: framed.size].reshape(-1, 160), axis=1)
        assert changed.any()
        silent += not np.any(framed[changed])
    assert 2 < silent < 15
