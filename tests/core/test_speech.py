from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceguard.core.speech import (
    SEGMENT_TABLE,
    HopGatherer,
    SegmentEnded,
    SegmentInput,
    SegmentStarted,
    SegmentState,
    SegmentTiming,
    SilenceHeard,
    SpeechHop,
    SpeechSegmenter,
)
from voiceguard.core.units import FRAME_SAMPLES, HOP_SAMPLES

VOICED = st.lists(st.booleans(), max_size=300)


def numbered_frames(count: int) -> np.ndarray:
    """Return frames whose every sample is the frame's own index."""
    return np.repeat(np.arange(count, dtype=np.int16)[:, None], FRAME_SAMPLES, axis=1)


def run(voiced: list[bool]) -> list[tuple[int, range, int | None, int | None]]:
    segmenter = SpeechSegmenter()
    steps = [segmenter.receive_frame(decision) for decision in voiced]
    return [(n, step.released, step.started, step.ended) for n, step in enumerate(steps)]


def test_a_word_is_given_back_from_before_its_first_voiced_frame_to_its_fading_end():
    steps = run([False] * 10 + [True] * 10 + [False] * 20)
    released = [frame for _, frames, _, _ in steps for frame in frames]
    assert released == list(range(8, 25))
    assert [(n, started) for n, _, started, _ in steps if started is not None] == [(12, 8)]
    assert [(n, ended) for n, _, _, ended in steps if ended is not None] == [(34, 25)]


def test_a_click_is_no_speech():
    assert all(not frames for _, frames, _, _ in run([False] * 5 + [True] * 2 + [False] * 30))


def test_an_onset_may_waver():
    steps = run([True, False, True, False, True])
    assert steps[-1] == (4, range(5), 0, None)


def test_a_short_pause_ends_nothing_and_is_scored_only_at_its_edges():
    steps = run([True] * 5 + [False] * 12 + [True] * 5)
    released = [frame for _, frames, _, _ in steps for frame in frames]
    assert released == [*range(10), *range(15, 22)]
    assert all(ended is None for _, _, _, ended in steps)


def test_a_gap_ends_the_segment_and_moves_the_count():
    segmenter = SpeechSegmenter()
    for _ in range(6):
        segmenter.receive_frame(True)
    step = segmenter.receive_gap(100)
    assert (step.ended, segmenter.next_frame, segmenter.state) == (6, 106, SegmentState.SILENCE)
    assert segmenter.receive_gap(0).ended is None


def test_nothing_from_before_a_gap_is_released_after_it():
    segmenter = SpeechSegmenter()
    segmenter.receive_frame(True)
    segmenter.receive_gap(1)
    steps = [segmenter.receive_frame(True) for _ in range(3)]
    assert steps[-1].started == 2
    assert steps[-1].released == range(2, 5)


@given(VOICED)
def test_segments_alternate_and_frames_come_once_in_order_within_them(voiced):
    kept = SegmentTiming().kept_frames
    released: list[int] = []
    open_since = None
    for n, frames, started, ended in run(voiced):
        if started is not None:
            assert open_since is None
            assert frames[0] == started
            open_since = started
        assert not frames or open_since is not None
        assert all(n - kept < frame <= n for frame in frames)
        released += frames
        if ended is not None:
            assert open_since is not None
            assert ended == released[-1] + 1
            open_since = None
    assert released == sorted(set(released))


@given(VOICED, st.data())
def test_rechunking_changes_nothing(voiced, data):
    frames = numbered_frames(len(voiced))
    whole = HopGatherer().receive_frames(frames, voiced)
    gatherer = HopGatherer()
    parts = []
    at = 0
    while at < len(voiced):
        size = data.draw(st.integers(1, 40))
        parts += gatherer.receive_frames(frames[at : at + size], voiced[at : at + size])
        at += size
    assert [plain(event) for event in parts] == [plain(event) for event in whole]


def plain(event):
    if isinstance(event, SpeechHop):
        span = (event.first_frame, event.end_frame, event.is_contiguous)
        return (*span, event.samples.tobytes())
    return event.samples.tobytes() if isinstance(event, SilenceHeard) else event


def test_hops_hold_the_frames_they_name_across_a_pause():
    voiced = [True] * 20 + [False] * 50 + [True] * 30
    events = HopGatherer().receive_frames(numbered_frames(100), voiced)
    first, second = (event for event in events if isinstance(event, SpeechHop))
    assert [type(event) for event in events if not isinstance(event, SilenceHeard)] == [
        SegmentStarted,
        SpeechHop,
        SegmentEnded,
        SegmentStarted,
        SpeechHop,
    ]
    assert first.samples.shape == (HOP_SAMPLES,)
    assert first.samples[::FRAME_SAMPLES].tolist() == list(range(25))
    assert second.samples[::FRAME_SAMPLES].tolist() == list(range(68, 93))
    assert (first.first_frame, first.end_frame) == (0, 25)
    assert (second.first_frame, second.end_frame, second.is_contiguous) == (68, 93, False)


def test_of_silence_one_frame_in_five_is_shown_and_never_a_hangover_or_an_onset():
    voiced = [False] * 11 + [True] * 10 + [False] * 30
    events = HopGatherer().receive_frames(numbered_frames(51), voiced)
    silent = [int(event.samples[0]) for event in events if isinstance(event, SilenceHeard)]
    assert silent == [0, 5, 10, 40, 45, 50]


def test_the_second_hop_of_unbroken_speech_is_contiguous():
    events = HopGatherer().receive_frames(numbered_frames(60), [True] * 60)
    hops = [event for event in events if isinstance(event, SpeechHop)]
    assert [hop.is_contiguous for hop in hops] == [False, True]


def test_an_unfinished_hop_is_completed_after_a_gap():
    gatherer = HopGatherer()
    gatherer.receive_frames(numbered_frames(10), [True] * 10)
    assert gatherer.receive_gap(500) == [SegmentEnded(10)]
    assert gatherer.waiting_frames == 10
    events = gatherer.receive_frames(numbered_frames(20), [True] * 20)
    (hop,) = (event for event in events if isinstance(event, SpeechHop))
    assert (hop.first_frame, hop.end_frame) == (0, 525)


@pytest.mark.parametrize(
    "times",
    [
        {"onset_frames": 0},
        {"onset_frames": 6},
        {"scored_hangover_frames": 15},
        {"lookback_frames": -1},
    ],
)
def test_times_that_contradict_each_other_are_refused(times):
    with pytest.raises(ValueError, match="_frames must"):
        SegmentTiming(**times)


def test_every_state_answers_every_input():
    for state, received in product(SegmentState, SegmentInput):
        assert isinstance(SEGMENT_TABLE.next_state(state, received), SegmentState)
