"""What the loss says of labels that name neither anger nor distress, and learning on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.training.speech import recordings
from tests.training.tiny import TINY
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.training.augment import Chances, Sounds
from voiceguard.training.clips import utterances_of
from voiceguard.training.examples import ROW_HOPS, Batch, RowSampler
from voiceguard.training.experts import Shape
from voiceguard.training.fit import Schedule, fit, loss_of
from voiceguard.training.network import EXPERTS, StressNetwork
from voiceguard.training.targets import PRESSURED, target_of

CPU = torch.device("cpu")


def rows(pressure: float, outputs: float = math.nan) -> Batch:
    generator = np.random.default_rng(0)
    pcm = generator.normal(0.0, 0.05, (2, ROW_HOPS * HOP_SAMPLES)).astype(np.float32)
    return Batch(
        pcm,
        np.full((2, ROW_HOPS, 4), outputs, np.float32),
        np.full((2, ROW_HOPS), pressure, np.float32),
        np.full((2, ROW_HOPS, 6), np.nan, np.float32),
        np.ones((2, ROW_HOPS), np.float32),
    )


def test_pressure_is_learnt_as_anger_or_distress() -> None:
    torch.manual_seed(1)
    network = StressNetwork(TINY).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        batch = rows(1.0)
        logits = network.hear(torch.from_numpy(batch.pcm), network.zero_state(2))[0]
    anger, distress = torch.sigmoid(logits[..., 0].float()), torch.sigmoid(logits[..., 1].float())
    either = 1.0 - (1.0 - anger) * (1.0 - distress)
    experts = either.shape[1]
    for known in (0.0, 0.3, 1.0):
        mean = functional.binary_cross_entropy(either, torch.full_like(either, known))
        found = loss_of(network, rows(known), CPU).item()
        assert found == pytest.approx(experts * float(mean), rel=1e-4)


def test_its_gradient_raises_both_and_nothing_else() -> None:
    torch.manual_seed(1)
    network = StressNetwork(TINY).eval()
    loss_of(network, rows(1.0), CPU).backward()  # type: ignore[no-untyped-call]
    for head in (network.step_experts.head, network.hop_experts.head):
        gradient = head.outputs.bias.grad
        assert gradient is not None
        by_expert = gradient.reshape(-1, 4)
        assert (by_expert[:, :2] < 0).all()
        assert (by_expert[:, 2:] == 0).all()


def test_nothing_known_is_nothing_lost() -> None:
    network = StressNetwork(TINY).eval()
    assert loss_of(network, rows(math.nan), CPU).item() == 0.0


def test_the_emotions_head_need_not_say_how_frequent_an_emotion_is() -> None:
    network = StressNetwork(TINY).eval()
    for head in (network.step_experts.head, network.hop_experts.head):
        torch.nn.init.zeros_(head.emotions.weight)
        torch.nn.init.zeros_(head.emotions.bias)
    frequency = np.array([4, 3, 2, 1, 1, 1]) / 12
    batch = rows(math.nan)
    emotions = np.eye(6, dtype=np.float32)[[0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5]]
    batch = replace(batch, emotions=emotions.reshape(2, ROW_HOPS, 6))
    entropy = -float(frequency @ np.log(frequency))
    experts = EXPERTS
    assert loss_of(network, batch, CPU).item() == pytest.approx(0.3 * experts * entropy, rel=1e-2)


def test_clips_say_pressure_only_where_they_say_nothing_closer() -> None:
    anger = utterances_of([one for one in recordings() if one.clip.emotion == "anger"])
    for utterance in anger:
        assert math.isnan(utterance.target.pressure_alone)
    clip = replace(anger[0].clip, emotion=PRESSURED, vote_counts=None)
    verdict = target_of(clip)
    assert verdict is not None
    assert verdict.pressure_alone == 1.0


def test_learning_on_starts_from_the_network_given_and_leaves_it_as_it_is() -> None:
    torch.manual_seed(1)
    network = StressNetwork(TINY).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sampler = RowSampler(utterances_of(recordings()), Sounds.from_folder(None), 1, Chances())
    schedule = Schedule(steps=2, rows=4, peak_rate=1e-5, warm_up_steps=1)
    learnt = fit(sampler, Shape(), schedule, lambda *_: None, network)
    assert learnt.shape == TINY
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    moved = [(value - before[name]).abs().max().item() for name, value in learnt.named_parameters()]
    assert 0.0 < max(moved) < 1e-3
