"""What moves the index, and what must not."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.drive import WEIGHTS
from voiceguard.core.errors import ModelError
from voiceguard.core.events import HandoffReason
from voiceguard.core.pressure import EvidenceWeights, PressureIndex
from voiceguard.core.units import HOP_S

probability = st.floats(0, 1)
hops = st.lists(
    st.tuples(st.tuples(*[probability] * 4), st.floats(-96, 0), probability), max_size=60
)
CALM = {"anger": 0.1, "distress": 0.05}
ANGRY = {"anger": 0.9, "distress": 0.05}
AFRAID = {"anger": 0.05, "distress": 0.9}


@given(hops)
def test_the_index_stays_in_0_to_100_and_is_finite(
    received: list[tuple[tuple[float, float, float, float], float, float]],
) -> None:
    index = PressureIndex(WEIGHTS)
    for outputs, level_db, confidence in received:
        scores = dict(zip(("anger", "distress", "arousal", "valence"), outputs, strict=True))
        reading = index.receive_scores(scores, level_db, confidence)
        assert 0 <= reading.pressure_index <= 100
        assert math.isfinite(reading.baseline_deviation)


@given(hops, st.tuples(probability, probability), st.tuples(probability, probability))
def test_more_anger_or_distress_in_a_hop_never_lowers_it(
    received: list[tuple[tuple[float, float, float, float], float, float]],
    angers: tuple[float, float],
    distresses: tuple[float, float],
) -> None:
    (anger, much_anger), (distress, much_distress) = sorted(angers), sorted(distresses)
    lower, higher = PressureIndex(WEIGHTS), PressureIndex(WEIGHTS)
    for outputs, level_db, confidence in received:
        scores = dict(zip(("anger", "distress", "arousal", "valence"), outputs, strict=True))
        lower.receive_scores(scores, level_db, confidence)
        higher.receive_scores(scores, level_db, confidence)
    after_less = lower.receive_scores({"anger": anger, "distress": distress}, -25, 1.0)
    after_more = higher.receive_scores({"anger": much_anger, "distress": much_distress}, -25, 1.0)
    assert after_more.pressure_index >= after_less.pressure_index


def with_kinds(**changes: float) -> EvidenceWeights:
    """Return the weights with the same constants of anger and of distress changed."""
    anger, distress = WEIGHTS.anger, WEIGHTS.distress
    return replace(WEIGHTS, anger=replace(anger, **changes), distress=replace(distress, **changes))


def after(
    index: PressureIndex, scores: dict[str, float], hops: int, level_db: float = -25
) -> float:
    """Give the same hop several times; return the index then."""
    for _ in range(hops):
        index.receive_scores(scores, level_db, 1.0)
    return index.pressure_index


@pytest.mark.parametrize("scores", [ANGRY, AFRAID])
def test_sustained_anger_and_distress_both_raise_it(scores: dict[str, float]) -> None:
    index = PressureIndex(WEIGHTS)
    calm = after(index, CALM, 20)
    assert calm < 40
    assert after(index, scores, 8) > 80


def test_a_line_that_only_gets_louder_does_not_raise_it() -> None:
    index = PressureIndex(WEIGHTS)
    calm = after(index, CALM, 20, level_db=-35)
    assert after(index, CALM, 20, level_db=-15) < calm + 5


def test_somebody_angry_from_the_first_word_is_still_seen() -> None:
    assert after(PressureIndex(WEIGHTS), ANGRY, 30) > 80


def test_without_confidence_nothing_moves() -> None:
    index = PressureIndex(WEIGHTS)
    index.receive_scores(ANGRY, -20, 0.0)
    assert index.pressure_index == 0


def test_the_step_response_is_that_of_the_time_constant() -> None:
    weights = with_kinds(relative=0.0, level=0.0)
    index = PressureIndex(weights)
    evidence = index.receive_scores(ANGRY, -20, 1.0).evidence
    expected = 100 * evidence * (1 - math.exp(-HOP_S / weights.rise_s))
    assert index.pressure_index == pytest.approx(expected)


def test_the_baseline_is_ready_after_its_speech_and_then_stays() -> None:
    index = PressureIndex(WEIGHTS)
    needed = int(WEIGHTS.baseline_s / HOP_S)
    for count in range(needed):
        assert not index.baseline_ready, count
        assert index.receive_scores(CALM, -25, 1.0).baseline_deviation == 0
    first = index.receive_scores(ANGRY, -25, 1.0)
    assert first.baseline_ready
    after(index, ANGRY, 40)
    again = index.receive_scores(ANGRY, -25, 1.0)
    assert again.baseline_deviation == first.baseline_deviation > 1


def test_a_baseline_that_has_not_settled_learns_from_calm_speech_alone() -> None:
    weights = replace(WEIGHTS, settled_s=2 * WEIGHTS.baseline_s)
    index = PressureIndex(weights)
    after(index, CALM, int(weights.baseline_s / HOP_S))
    pressed = [index.receive_scores(ANGRY, -25, 1.0).baseline_deviation for _ in range(10)]
    assert min(pressed) == max(pressed) > 1
    tense = {"anger": 0.3, "distress": 0.05}
    deviations = [index.receive_scores(tense, -25, 1.0).baseline_deviation for _ in range(20)]
    assert deviations[0] > deviations[1] > deviations[-2] == deviations[-1]


def lively(arousal: float, valence: float) -> float:
    """Return the evidence of a somewhat tense hop that follows calm talk."""
    index = PressureIndex(with_kinds(arousal=0.5, valence=0.5))
    after(index, {**CALM, "arousal": 0.3, "valence": 0.5}, 20)
    scores = {"anger": 0.4, "distress": 0.1, "arousal": arousal, "valence": valence}
    return index.receive_scores(scores, -25, 1.0).evidence


def test_a_lively_voice_counts_and_a_cheerful_one_takes_back() -> None:
    assert lively(0.8, 0.5) > lively(0.3, 0.5)
    assert lively(0.8, 0.2) > lively(0.8, 0.5) > lively(0.8, 0.9)


def test_a_model_without_arousal_and_valence_has_an_index_all_the_same() -> None:
    index = PressureIndex(with_kinds(arousal=3.0, valence=3.0))
    after(index, CALM, 20)
    terms = index.receive_scores(ANGRY, -25, 1.0).leading.terms
    assert (terms.arousal, terms.valence) == (0.0, 0.0)
    assert terms.relative > 0


def test_an_expressive_speaker_deviates_less_than_a_flat_one() -> None:
    lively, flat = PressureIndex(WEIGHTS), PressureIndex(WEIGHTS)
    for count in range(8):
        lively.receive_scores({"anger": 0.02 + 0.4 * (count % 2), "distress": 0.05}, -25, 1.0)
        flat.receive_scores({"anger": 0.12, "distress": 0.05}, -25, 1.0)
    stirred = {"anger": 0.5, "distress": 0.1}
    of_lively = lively.receive_scores(stirred, -25, 1.0).baseline_deviation
    assert of_lively < flat.receive_scores(stirred, -25, 1.0).baseline_deviation


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        (ANGRY, HandoffReason.ANGER),
        (AFRAID, HandoffReason.DISTRESS),
        ({"anger": 0.8, "distress": 0.7}, HandoffReason.PRESSURE),
    ],
)
def test_the_reason_is_what_leads(scores: dict[str, float], reason: HandoffReason) -> None:
    index = PressureIndex(WEIGHTS)
    after(index, scores, 8)
    assert index.leading_reason() is reason


def test_weights_come_from_a_manifest_whole_or_not_at_all() -> None:
    values = asdict(WEIGHTS)
    assert EvidenceWeights.from_mapping(values) == WEIGHTS
    with pytest.raises(ModelError, match="unknown"):
        EvidenceWeights.from_mapping({**values, "loudness": 1.0})
    del values["distress"]["bias"]
    with pytest.raises(ModelError, match=r"pressure.distress.* missing \['bias'\]"):
        EvidenceWeights.from_mapping(values)
    del values["distress"]
    with pytest.raises(ModelError, match=r"pressure.distress.* missing"):
        EvidenceWeights.from_mapping(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rise_s", 0.0),
        ("fall_s", -1.0),
        ("calm_s", 0.0),
        ("settled_s", WEIGHTS.baseline_s - 1.0),
        ("baseline_cap", -1.0),
        ("calm_distress_deviation", 0.0),
        ("calm_anger_mean", math.nan),
    ],
)
def test_weights_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ModelError, match=name):
        EvidenceWeights.from_mapping({**asdict(WEIGHTS), name: value})


@pytest.mark.parametrize("kind", ["anger", "distress"])
@pytest.mark.parametrize(
    ("name", "value"), [("bias", math.inf), ("absolute", -0.1), ("valence", -0.1), ("level", -1.0)]
)
def test_weights_of_a_kind_out_of_range_are_refused(kind: str, name: str, value: float) -> None:
    values = asdict(WEIGHTS)
    values[kind][name] = value
    with pytest.raises(ModelError, match=f"{kind}.*{name}"):
        EvidenceWeights.from_mapping(values)


def test_both_biases_move_alike_and_nothing_else_does() -> None:
    moved = WEIGHTS.moved(-0.75)
    assert (moved.anger.bias, moved.distress.bias) == (-0.75, -0.75)
    assert moved.moved(0.75) == WEIGHTS


def test_anger_does_not_weaken_distress_nor_the_other_way_round() -> None:
    both = {"anger": 0.9, "distress": 0.9}
    for scores in (ANGRY, AFRAID):
        index, pressed = PressureIndex(WEIGHTS), PressureIndex(WEIGHTS)
        after(index, CALM, 20)
        after(pressed, CALM, 20)
        assert after(pressed, both, 8) >= after(index, scores, 8)


def test_the_deviation_is_that_of_the_leading_kind() -> None:
    index = PressureIndex(WEIGHTS)
    after(index, CALM, 20)
    reading = index.receive_scores(AFRAID, -25, 1.0)
    assert reading.leading is reading.distress
    assert reading.evidence == reading.distress.evidence > reading.anger.evidence
    assert reading.baseline_deviation == reading.distress.terms.relative > 1
    assert index.receive_scores(ANGRY, -25, 1.0).leading.terms.relative > 1


def test_evidence_of_a_file_knows_no_baseline() -> None:
    assert WEIGHTS.absolute_evidence(ANGRY) > 0.85
    assert WEIGHTS.absolute_evidence(CALM) < 0.2
