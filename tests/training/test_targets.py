"""What the model is to say of a clip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from voiceguard.training.corpora import Clip
from voiceguard.training.targets import NOT_PRESSURED, PRESSURED, Target, target_of


def target(emotion: str, corpus: str = "crema-d", votes: tuple[int, ...] | None = None) -> Target:
    clip = Clip(
        corpus=corpus,
        path=Path("clip.wav"),
        speaker="1001",
        emotion=emotion,
        language="en",
        vote_counts=votes,
    )
    found = target_of(clip)
    assert found is not None
    return found


def test_what_listeners_heard_softens_what_the_actor_meant() -> None:
    meant = target("anger")
    heard = target("anger", votes=(0, 0, 0, 8, 0, 0))
    assert meant.outputs[0] == pytest.approx(1.0)
    assert heard.outputs[0] == pytest.approx(0.7)
    assert heard.outputs[3] > meant.outputs[3]
    assert heard.emotions.sum() == pytest.approx(1.0)
    assert heard.pressure == pytest.approx(0.7)


def test_a_voice_heard_as_anger_by_some_and_fear_by_others_is_pressed_for_all() -> None:
    assert target("anger", votes=(4, 0, 4, 0, 0, 0)).pressure == pytest.approx(1.0)


def test_cheerful_is_neither_anger_nor_distress_and_sobs_are_distress() -> None:
    happy, sob = target("happiness"), target("sadness", "emogator")
    assert happy.outputs[:2].tolist() == [0.0, 0.0]
    assert happy.pressure == 0.0
    assert sob.outputs[1] > 0.5
    assert sob.weight < 0.5


def test_emotions_without_a_place_in_the_mapping_teach_nothing() -> None:
    clip = Clip(
        corpus="emogator",
        path=Path("clip.wav"),
        speaker="1",
        emotion="romantic_love",
        language="zxx",
    )
    assert target_of(clip) is None


def test_surprise_says_nothing_of_distress_and_calm_is_quieter_than_neutral() -> None:
    surprise, calm, neutral = target("surprise"), target("calm"), target("neutral")
    assert surprise.outputs[0] == 0.0
    assert math.isnan(surprise.outputs[1])
    assert math.isnan(surprise.pressure)
    assert calm.outputs[2] < neutral.outputs[2]
    assert calm.pressure == 0.0


def test_a_verdict_says_pressure_even_where_it_does_not_say_which() -> None:
    confirmed, false_alarm = target(PRESSURED, "own"), target(NOT_PRESSURED, "own")
    assert all(math.isnan(value) for value in confirmed.outputs)
    assert confirmed.pressure == 1.0
    assert false_alarm.outputs[:2].tolist() == [0.0, 0.0]
    assert math.isnan(false_alarm.outputs[2])
    assert false_alarm.pressure == 0.0


def test_distress_alone_is_pressure_whatever_the_anger_and_pain_leaves_it_open() -> None:
    assert target("distress", "emogator").pressure == 1.0
    assert math.isnan(target("pain", "emogator").pressure)
