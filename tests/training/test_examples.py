"""Rows to train on: whose clips they join, how often, and what is hidden in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.speech import recordings
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.training.augment import Chances, Sounds
from voiceguard.training.clips import utterances_of
from voiceguard.training.examples import ROW_HOPS, RowSampler, Utterance
from voiceguard.training.frontend import BANDS, HOP_STEPS
from voiceguard.training.masking import SpectrumMasking

NOTHING = Chances(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def utterances() -> list[Utterance]:
    return utterances_of(recordings())


def test_a_row_is_of_one_speaker_and_one_emotion() -> None:
    told = [
        replace(one, target=replace(one.target, outputs=np.full(4, place, np.float32)))
        for place, one in enumerate(utterances())
    ]
    batch = RowSampler(told, Sounds(), 1, NOTHING).batch(0, 40)
    for row in batch.outputs[:, :, 0].astype(int):
        clips = {(told[place].clip.speaker, told[place].clip.emotion) for place in row}
        assert len(clips) == 1


def test_the_angry_and_the_afraid_have_their_shares_however_few_their_clips() -> None:
    crema_d = [one for one in utterances() if one.clip.corpus == "crema-d"]
    crema_d += [one for one in crema_d if one.clip.emotion == "neutral"] * 20
    marks = {"anger": 1.0, "fear": 2.0}
    told = [
        replace(
            one,
            target=replace(
                one.target, outputs=np.full(4, marks.get(one.clip.emotion, 0.0), np.float32)
            ),
        )
        for one in crema_d
    ]
    sampler = RowSampler(told, Sounds(), 1, NOTHING)
    drawn = Counter(sampler.batch(0, 1000).outputs[:, 0, 0].tolist())
    assert drawn[1.0] / 1000 == pytest.approx(0.27, abs=0.05)
    assert drawn[2.0] / 1000 == pytest.approx(0.20, abs=0.05)


def test_hops_count_as_their_window_fills() -> None:
    batch = RowSampler(utterances(), Sounds(), 1, NOTHING).batch(0, 3)
    assert batch.pcm.shape == (3, ROW_HOPS * HOP_SAMPLES)
    for row in batch.weights:
        np.testing.assert_allclose(row / row[-1], np.arange(1, ROW_HOPS + 1) / ROW_HOPS, rtol=1e-6)


def test_nothing_is_hidden_but_in_training() -> None:
    energy = torch.rand(2 * ROW_HOPS, HOP_STEPS, BANDS) + 0.5
    masking = SpectrumMasking()
    assert masking.eval()(energy, 2) is energy
    torch.manual_seed(3)
    assert not torch.equal(masking.train()(energy, 2), energy)


def test_in_half_of_the_rows_a_few_bands_are_flat_and_a_moment_is_soft() -> None:
    rows = 400
    energy = torch.rand(rows * ROW_HOPS, HOP_STEPS, BANDS) + 0.5
    torch.manual_seed(3)
    masked = SpectrumMasking().train()(energy, rows).reshape(rows, -1, BANDS)
    plain = energy.reshape(rows, -1, BANDS)
    changed = (masked != plain).any(dim=2).any(dim=1)
    assert 0.4 < changed.float().mean() < 0.6
    soft = (masked < 0.1).all(dim=2).sum(dim=1)[changed]
    assert soft.min() >= 1
    assert soft.max() <= 11
    flat = (masked.std(dim=1) < 0.15).sum(dim=1)[changed]
    assert flat.max() <= 7
