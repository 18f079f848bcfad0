"""Scoring on the event loop, runs in a thread beside it."""

import asyncio
import threading

import pytest

from tests.engine.hops import HOPS, REQUESTS, BrokenModel, alone, request
from voiceguard.core.events import ScoreMissed, ScoreResult
from voiceguard.engine.asyncscoring import LONGEST_GATHER_S, SHORTEST_GATHER_S, AsyncScorer
from voiceguard.engine.scoring import ScoringLimits


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
