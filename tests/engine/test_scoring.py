"""Micro-batches: any company, the same scores; bounded, whatever happens."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.hops import HOPS, REQUESTS, TRACKS, BrokenModel, alone, hop, request
from voiceguard.core.errors import ModelError
from voiceguard.core.events import ScoreMissed, ScoreRequest, ScoreResult
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.model import MAX_ROWS
from voiceguard.engine.scoring import UNLIMITED, ScoreBatcher, ScoringLimits
from voiceguard.engine.testing import OUTPUTS

# ---- batches ----


def test_a_result_names_the_outputs_and_its_request(model):
    batcher = ScoreBatcher(model)
    track = batcher.open_track()
    batcher.submit(track, request(7, channel=3))
    [(answered, answer)] = batcher.run_due()
    assert answered is track
    assert (answer.channel, answer.sequence) == (3, 7)
    assert tuple(answer.scores) == OUTPUTS
    assert all(type(score) is float and 0 <= score <= 1 for score in answer.scores.values())
    assert all(score == round(score, 4) for score in answer.scores.values())


def test_hops_of_one_track_are_scored_in_order_with_state(model):
    pcm = np.concatenate([item.pcm for item in REQUESTS[0]])[None]
    at_once, _ = model.run(pcm, model.new_states(1))
    answers = alone(model, REQUESTS[0])
    assert [answer.sequence for answer in answers] == list(range(HOPS))
    found = [list(answer.scores.values()) for answer in answers]
    np.testing.assert_allclose(found, at_once[0], atol=6e-5)


def test_many_tracks_at_once_score_as_each_alone(model):
    batcher = ScoreBatcher(model)
    tracks = [batcher.open_track() for _ in REQUESTS]
    for track, requests in zip(tracks, REQUESTS, strict=True):
        for item in requests:
            batcher.submit(track, item)
    answers = batcher.run_due()
    for track, requests in zip(tracks, REQUESTS, strict=True):
        assert [a for t, a in answers if t is track] == alone(model, requests)
    assert batcher.statistics.runs_by_rows == {TRACKS: HOPS}


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_batching_gives_the_same_scores_and_states_bit_for_bit(model, data):
    batcher = ScoreBatcher(model)
    count = data.draw(st.integers(1, TRACKS))
    tracks = [batcher.open_track() for _ in range(count)]
    pending = [list(requests) for requests in REQUESTS[:count]]
    answers = []
    while any(pending):
        for index in data.draw(st.sets(st.integers(0, count - 1), min_size=1)):
            for _ in range(data.draw(st.integers(1, 3))):
                if pending[index]:
                    batcher.submit(tracks[index], pending[index].pop(0))
        answers += batcher.run_due()
    for index in data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=2)):
        assert [a for t, a in answers if t is tracks[index]] == alone(model, REQUESTS[index])
        states = model.new_states(1)
        for item in REQUESTS[index]:
            _, states = model.run(item.pcm[None], states)
        assert batcher._states[tracks[index].slot].tobytes() == states[0].tobytes()


def test_long_streams_in_changing_company_do_not_drift(model):
    batcher = ScoreBatcher(model)
    rng = np.random.default_rng(5)
    tracks = [batcher.open_track() for _ in range(MAX_ROWS + 10)]
    states, track = model.new_states(1), tracks[0]
    for index in range(400):
        hops = [hop(rng.integers(1 << 30)) for _ in range(int(rng.integers(1, 12)))]
        for other, pcm in zip([track, *rng.permutation(tracks[1:])], hops, strict=False):
            batcher.submit(other, ScoreRequest(0, index, 0, 1, pcm))
        batcher.run_due()
        _, states = model.run(hops[0][None], states)
    assert batcher._states[track.slot].tobytes() == states[0].tobytes()


def test_more_tracks_than_rows_take_several_runs(model):
    batcher = ScoreBatcher(model)
    for _ in range(MAX_ROWS + 3):
        batcher.submit(batcher.open_track(), request(0))
    assert len(batcher.run_due()) == MAX_ROWS + 3
    assert batcher.statistics.runs_by_rows == {MAX_ROWS: 1, 3: 1}


def test_a_track_never_has_two_hops_in_runs(model):
    batcher = ScoreBatcher(model)
    track = batcher.open_track()
    batcher.submit(track, request(0))
    batch = batcher.take_batch(0.0)
    batcher.submit(track, request(1))
    assert batcher.take_batch(0.0) is None
    batcher.finish_batch(batch, batcher.run_batch(batch))
    assert batcher.take_batch(0.0).requests[0].sequence == 1


def test_a_new_track_in_an_old_place_starts_from_nothing(model):
    batcher = ScoreBatcher(model)
    first = batcher.open_track()
    batcher.submit(first, request(0, seed=9))
    batcher.run_due()
    batcher.close_track(first)
    again = batcher.open_track()
    assert again.slot == first.slot
    batcher.submit(again, request(0, seed=1))
    [(_, answer)] = batcher.run_due()
    assert [answer] == alone(model, [request(0, seed=1)])


def test_a_track_closed_during_a_run_touches_nobody(model):
    batcher = ScoreBatcher(model)
    closed, kept = batcher.open_track(), batcher.open_track()
    for track in (closed, kept):
        batcher.submit(track, request(0))
        batcher.submit(track, request(1))
    batch = batcher.take_batch(0.0)
    batcher.close_track(closed)
    heir = batcher.open_track()
    assert heir.slot == closed.slot
    batcher.finish_batch(batch, batcher.run_batch(batch))
    answers = batcher.run_due()
    assert [(track is kept, answer.sequence) for track, answer in answers] == [(True, 0), (True, 1)]
    assert not batcher._states[heir.slot].any()
    assert batcher.hops_waiting == 0


def test_closing_drops_what_waits_and_may_be_repeated(model):
    batcher = ScoreBatcher(model)
    track = batcher.open_track()
    batcher.submit(track, request(0))
    batcher.close_track(track)
    batcher.close_track(track)
    assert batcher.run_due() == []
    assert batcher.statistics.tracks == batcher.statistics.hops_waiting == 0
    with pytest.raises(ValueError, match="closed track"):
        batcher.submit(track, request(1))


def test_many_tracks_keep_their_states_as_room_grows(model):
    batcher = ScoreBatcher(model)
    first = batcher.open_track()
    batcher.submit(first, REQUESTS[0][0])
    answers = batcher.run_due()
    for _ in range(200):
        batcher.open_track()
    batcher.submit(first, REQUESTS[0][1])
    answers += batcher.run_due()
    assert [answer for _, answer in answers] == alone(model, REQUESTS[0][:2])


@pytest.mark.parametrize("pcm", [np.zeros(100, np.float32), np.zeros(HOP_SAMPLES, np.float64)])
def test_what_is_no_hop_is_refused_before_it_can_spoil_a_batch(model, pcm):
    batcher = ScoreBatcher(model)
    with pytest.raises(ValueError, match="a hop is float32"):
        batcher.submit(batcher.open_track(), ScoreRequest(0, 0, 0, 1, pcm))


# ---- overload ----


def test_over_the_limit_of_all_a_hop_is_missed(model):
    batcher = ScoreBatcher(model, ScoringLimits(max_waiting=3))
    for index in range(4):
        batcher.submit(batcher.open_track(), request(index))
    answers = [answer for _, answer in batcher.run_due()]
    assert ScoreMissed(0, 3) in answers
    assert [type(answer) for answer in answers].count(ScoreResult) == 3
    assert (batcher.statistics.hops_scored, batcher.statistics.hops_missed) == (3, 1)


def test_a_track_that_runs_ahead_takes_no_room_from_others(model):
    batcher = ScoreBatcher(model, ScoringLimits(max_waiting=10, max_waiting_per_track=2))
    hasty, steady = batcher.open_track(), batcher.open_track()
    for index in range(50):
        batcher.submit(hasty, request(index))
    batcher.submit(steady, request(0))
    answers = batcher.run_due()
    assert [type(a) for t, a in answers if t is steady] == [ScoreResult]
    assert [a.sequence for t, a in answers if t is hasty and type(a) is ScoreResult] == [0, 1]


def test_a_hop_past_its_deadline_is_missed_and_leaves_the_state(model):
    batcher = ScoreBatcher(model, ScoringLimits(deadline_s=2.0))
    track = batcher.open_track()
    batcher.submit(track, REQUESTS[0][0], 0.0)
    scored = batcher.run_due(0.1)
    batcher.submit(track, REQUESTS[0][1], 1.0)
    batcher.submit(track, REQUESTS[0][2], 2.0)
    answers = batcher.run_due(3.5)
    assert answers[0][1] == ScoreMissed(0, 1)
    # As if the missed hop had never been.
    expected = alone(model, [REQUESTS[0][0], REQUESTS[0][2]])
    assert [answer for _, answer in scored + answers[1:]] == expected
    assert batcher.hops_waiting == 0


def test_a_hop_at_its_deadline_is_still_scored(model):
    batcher = ScoreBatcher(model, ScoringLimits(deadline_s=2.0))
    batcher.submit(batcher.open_track(), request(0), 5.0)
    [(_, answer)] = batcher.run_due(7.0)
    assert isinstance(answer, ScoreResult)


def test_without_limits_a_recording_waits_as_long_as_it_takes(model):
    batcher = ScoreBatcher(model, UNLIMITED)
    track = batcher.open_track()
    for index in range(100):
        batcher.submit(track, request(index), 0.0)
    answers = batcher.run_due(1e9)
    assert [answer.sequence for _, answer in answers] == list(range(100))
    assert all(isinstance(answer, ScoreResult) for _, answer in answers)


def test_the_oldest_hop_is_known(model):
    batcher = ScoreBatcher(model)
    assert batcher.oldest_submission_s() is None
    for now_s in (3.0, 1.0, 2.0):
        batcher.submit(batcher.open_track(), request(0), now_s)
    assert batcher.oldest_submission_s() == 1.0


@pytest.mark.parametrize("limits", [(0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.0), (1, 1, math.nan)])
def test_limits_must_be_positive(limits):
    with pytest.raises(ValueError, match="must be positive"):
        ScoringLimits(*limits)


# ---- runs that fail ----


@pytest.mark.parametrize("score", [math.nan, math.inf, -0.1, 1.1])
def test_what_is_no_score_is_missed_and_leaves_the_state(score):
    broken = BrokenModel()
    broken.score = score
    batcher = ScoreBatcher(broken)
    track = batcher.open_track()
    batcher.submit(track, request(0))
    assert batcher.run_due() == [(track, ScoreMissed(0, 0))]
    assert batcher._states[track.slot] == 0


def test_one_bad_row_costs_the_others_nothing():
    class OneBad(BrokenModel):
        def run(self, pcm, states):
            scores, next_states = super().run(pcm, states)
            scores[1] = math.nan
            return scores, next_states

    batcher = ScoreBatcher(OneBad())
    for index in range(3):
        batcher.submit(batcher.open_track(), request(index))
    answers = [answer for _, answer in batcher.run_due()]
    assert [type(a) for a in answers] == [ScoreResult, ScoreMissed, ScoreResult]


def test_a_run_that_fails_is_told_and_the_next_one_works():
    broken = BrokenModel()
    broken.error = ModelError("out of order")
    batcher = ScoreBatcher(broken)
    track = batcher.open_track()
    batcher.submit(track, request(0))
    with pytest.raises(ModelError, match="out of order"):
        batcher.run_due()
    assert batcher.take_answers() == [(track, ScoreMissed(0, 0))]
    broken.error = None
    batcher.submit(track, request(1))
    [(_, answer)] = batcher.run_due()
    assert isinstance(answer, ScoreResult)
    assert (batcher.statistics.runs, batcher.statistics.runs_failed) == (2, 1)
