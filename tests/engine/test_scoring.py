import asyncio
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceguard.core.errors import ModelError
from voiceguard.core.events import ScoreMissed, ScoreRequest, ScoreResult
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.asyncscoring import LONGEST_GATHER_S, SHORTEST_GATHER_S, AsyncScorer
from voiceguard.engine.model import MAX_ROWS, StressModel
from voiceguard.engine.scoring import UNLIMITED, ScoreBatcher, ScoringLimits
from voiceguard.engine.testing import OUTPUTS, create_model

pytest.importorskip("onnx")

TRACKS, HOPS = 20, 6


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return StressModel.load(create_model(tmp_path_factory.mktemp("model")))


def hop(seed):
    rng = np.random.default_rng(seed)
    pcm = rng.standard_normal(HOP_SAMPLES) * 10.0 ** rng.uniform(-3, -0.6)
    return np.clip(pcm, -1, 0.999).astype(np.float32)


def request(sequence, seed=None, channel=0):
    pcm = hop(sequence if seed is None else seed)
    return ScoreRequest(channel, sequence, 0, HOP_SAMPLES, pcm)


REQUESTS = [[request(i, seed=1000 * t + i, channel=t) for i in range(HOPS)] for t in range(TRACKS)]


def alone(model, requests):
    """Return the answers to the hops of one track that has a batcher for itself."""
    batcher = ScoreBatcher(model)
    track = batcher.open_track()
    answers = []
    for item in requests:
        batcher.submit(track, item)
        answers += [answer for _, answer in batcher.run_due()]
    return answers


class BrokenModel:
    """Fails as long as it is told to; else scores all at 0.5 and counts hops in the state."""

    outputs = OUTPUTS

    def __init__(self):
        self.error = None
        self.score = 0.5
        self.threads = set()
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()

    def new_states(self, rows):
        return np.zeros((rows, 1), dtype=np.float32)

    def run(self, pcm, states):
        self.threads.add(threading.current_thread().name)
        self.runs += 1
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return np.full((len(pcm), 1, 4), self.score, np.float32), states + 1


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


# ---- on the event loop ----


async def until(condition, seconds=5.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (conditions are of many kinds)
            await asyncio.sleep(0.002)


async def test_calls_on_the_loop_score_as_each_alone(model):
    answers = [[] for _ in REQUESTS]
    async with AsyncScorer(model) as scorer:
        tracks = [scorer.open_track(received.append) for received in answers]
        for index in range(HOPS):
            for track, requests in zip(tracks, REQUESTS, strict=True):
                scorer.submit(track, requests[index])
            if index % 2:
                await asyncio.sleep(0.01)
        await until(lambda: all(len(received) == HOPS for received in answers))
    assert answers == [alone(model, requests) for requests in REQUESTS]


async def test_runs_are_few_and_in_one_thread_off_the_loop():
    broken = BrokenModel()
    answers = []
    async with AsyncScorer(broken) as scorer:
        for _ in range(50):
            scorer.submit(scorer.open_track(answers.append), request(0))
        await until(lambda: len(answers) == 50)
        statistics = scorer.statistics
    assert statistics.runs_by_rows == {50: 1}
    assert broken.threads == {"voiceguard-scorer_0"}
    assert statistics.cpu_s >= 0


async def test_hops_that_come_within_milliseconds_share_a_run():
    broken = BrokenModel()
    answers = []
    async with AsyncScorer(broken) as scorer:
        tracks = [scorer.open_track(answers.append) for _ in range(3)]
        for track in tracks:
            scorer.submit(track, request(0))
            await asyncio.sleep(0.001)
        await until(lambda: len(answers) == 3)
    assert broken.runs == 1


async def test_under_load_hops_are_gathered_for_longer():
    scorer = AsyncScorer(BrokenModel())
    loop = asyncio.get_running_loop()

    async def gathered_s():
        scorer.submit(scorer.open_track(lambda _: None), request(0))
        started_s = loop.time()
        assert await scorer._gather()
        scorer._batcher.take_batch(loop.time())
        return loop.time() - started_s

    assert SHORTEST_GATHER_S * 0.9 <= await gathered_s() < LONGEST_GATHER_S
    scorer._last_run_s = 1.0
    assert await gathered_s() >= LONGEST_GATHER_S * 0.9


async def test_answers_come_in_order_and_never_from_within_submit():
    received = []
    async with AsyncScorer(BrokenModel(), ScoringLimits(max_waiting_per_track=30)) as scorer:
        track = scorer.open_track(received.append)
        for index in range(40):
            scorer.submit(track, request(index))
            assert not received
        await until(lambda: len(received) == 40)
    scored = [answer.sequence for answer in received if isinstance(answer, ScoreResult)]
    assert scored == list(range(30))


async def test_overload_is_answered_with_misses():
    broken = BrokenModel()
    received = []
    async with AsyncScorer(broken, ScoringLimits(deadline_s=0.05)) as scorer:
        track = scorer.open_track(received.append)
        broken.gate.clear()
        scorer.submit(track, request(0))
        await until(lambda: broken.runs == 1)
        scorer.submit(track, request(1))
        await asyncio.sleep(0.06)
        assert scorer.oldest_waiting_s > 0.06
        scorer.submit(scorer.open_track(received.append), request(2))
        broken.gate.set()
        await until(lambda: len(received) == 3)
        assert scorer.oldest_waiting_s == 0.0
    kinds = {answer.sequence: type(answer) for answer in received}
    assert kinds == {0: ScoreResult, 1: ScoreMissed, 2: ScoreResult}


async def test_the_loop_stays_free_while_a_run_takes_long():
    broken = BrokenModel()
    received = []
    async with AsyncScorer(broken) as scorer:
        broken.gate.clear()
        scorer.submit(scorer.open_track(received.append), request(0))
        await until(lambda: broken.runs == 1)
        await asyncio.sleep(0.01)
        assert not received
        broken.gate.set()
        await until(lambda: received)


async def test_a_failing_run_is_missed_told_once_and_survived():
    broken, errors, received = BrokenModel(), [], []
    async with AsyncScorer(broken, on_error=errors.append) as scorer:
        track = scorer.open_track(received.append)
        broken.error = RuntimeError("out of order")
        for index in range(3):
            scorer.submit(track, request(index))
        await until(lambda: len(received) == 3)
        assert received == [ScoreMissed(0, index) for index in range(3)]
        assert [str(error) for error in errors] == ["out of order"]
        broken.error = None
        scorer.submit(track, request(3))
        await until(lambda: len(received) == 4)
        assert isinstance(received[3], ScoreResult)
        broken.error = RuntimeError("again")
        scorer.submit(track, request(4))
        await until(lambda: len(errors) == 2)


async def test_failures_are_logged_unless_told_otherwise():
    from structlog.testing import capture_logs

    broken, received = BrokenModel(), []
    broken.error = RuntimeError("out of order")
    with capture_logs() as logs:
        async with AsyncScorer(broken) as scorer:
            scorer.submit(scorer.open_track(received.append), request(0))
            await until(lambda: received)
    expected = {"event": "scoring_failed", "error": "out of order", "log_level": "error"}
    assert logs == [expected]


async def test_one_call_that_fails_on_its_answer_harms_no_other():
    errors, received = [], []

    def fail(_):
        raise KeyError("session")

    async with AsyncScorer(BrokenModel(), on_error=errors.append) as scorer:
        scorer.submit(scorer.open_track(fail), request(0))
        scorer.submit(scorer.open_track(received.append), request(0))
        await until(lambda: received)
    assert [type(error) for error in errors] == [KeyError]


async def test_a_closed_track_hears_no_more():
    broken, received = BrokenModel(), []
    async with AsyncScorer(broken) as scorer:
        track = scorer.open_track(received.append)
        broken.gate.clear()
        scorer.submit(track, request(0))
        await until(lambda: broken.runs == 1)
        scorer.close_track(track)
        scorer.close_track(track)
        broken.gate.set()
        other = scorer.open_track(received.append)
        scorer.submit(other, request(5))
        await until(lambda: received)
    assert [answer.sequence for answer in received] == [5]


async def test_an_answer_may_close_its_own_track():
    received = []
    async with AsyncScorer(BrokenModel(), ScoringLimits(max_waiting_per_track=1)) as scorer:

        def close(answer):
            received.append(answer)
            scorer.close_track(track)

        track = scorer.open_track(close)
        for index in range(3):
            scorer.submit(track, request(index))
        await until(lambda: received)
        await asyncio.sleep(0.05)
    assert len(received) == 1


async def test_stopping_finishes_the_run_and_misses_what_waits():
    broken, received = BrokenModel(), []
    scorer = AsyncScorer(broken)
    await scorer.start()
    track = scorer.open_track(received.append)
    broken.gate.clear()
    scorer.submit(track, request(0))
    scorer.submit(track, request(1))
    await until(lambda: broken.runs == 1)
    stopping = asyncio.create_task(scorer.stop())
    await asyncio.sleep(0.01)
    assert not stopping.done()
    broken.gate.set()
    await stopping
    assert [type(answer) for answer in received] == [ScoreResult, ScoreMissed]
    scorer.submit(track, request(2))
    await until(lambda: len(received) == 3)
    assert received[2] == ScoreMissed(0, 2)
    await scorer.stop()
    assert not any(t.name.startswith("voiceguard-scorer") for t in threading.enumerate())


async def test_stopping_does_not_wait_for_hops_to_gather():
    received = []
    scorer = AsyncScorer(BrokenModel())
    await scorer.start()
    scorer._last_run_s = 10.0
    scorer.submit(scorer.open_track(received.append), request(0))
    await asyncio.sleep(0)
    async with asyncio.timeout(1.0):
        await scorer.stop()
    assert received == [ScoreMissed(0, 0)]


async def test_cancellation_misses_the_run_and_what_waits():
    broken, received = BrokenModel(), []
    scorer = AsyncScorer(broken)
    await scorer.start()
    track = scorer.open_track(received.append)
    broken.gate.clear()
    scorer.submit(track, request(0))
    scorer.submit(track, request(1))
    await until(lambda: broken.runs == 1)
    scorer._task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await scorer.stop()
    broken.gate.set()
    assert received == [ScoreMissed(0, 0), ScoreMissed(0, 1)]


async def test_hops_submitted_before_the_start_are_scored_after_it():
    received = []
    scorer = AsyncScorer(BrokenModel())
    scorer.submit(scorer.open_track(received.append), request(0))
    async with scorer:
        await until(lambda: received)
    assert isinstance(received[0], ScoreResult)


async def test_a_scorer_is_started_once():
    scorer = AsyncScorer(BrokenModel())
    await scorer.start()
    with pytest.raises(RuntimeError, match="started once"):
        await scorer.start()
    await scorer.stop()


async def test_stopping_what_was_never_started_is_fine():
    await AsyncScorer(BrokenModel()).stop()
