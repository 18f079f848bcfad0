"""`LocalCall`: any chunking, any neighbour, the same events."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.core.drive import CUSTOMER, POLICY
from voiceguard.core.errors import ClientError, ConsentError, SessionFinishedError
from voiceguard.core.events import (
    AudioFormat,
    Consent,
    ConsentState,
    ControlAction,
    Encoding,
    HandoffOutcome,
    HandoffRequested,
    HandoffSettled,
    PressureUpdated,
    Role,
    SessionFinished,
    SessionFlagged,
)
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.local import LocalCall
from voiceguard.engine.model import StressModel
from voiceguard.resources import samples_dir

BOTH = AudioFormat(Encoding.LINEAR16, 8000, (Role.CUSTOMER, Role.HUMAN_AGENT))


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    samples, _ = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16", frames=45 * 8000)
    return samples


def new_call(model: StressModel, audio_format: AudioFormat = CUSTOMER, **extra) -> LocalCall:
    weights = EvidenceWeights.from_mapping(model.manifest.pressure)
    return LocalCall(POLICY, audio_format, model=model, weights=weights, **extra)


def chunks(samples: np.ndarray, length: int) -> list[bytes]:
    return [samples[i : i + length].tobytes() for i in range(0, len(samples), length)]


def test_the_chunking_changes_no_event(model, samples) -> None:
    whole = list(new_call(model, BOTH).events([samples.tobytes()]))
    assert any(isinstance(event, HandoffRequested) for event in whole)
    assert any(isinstance(event, SessionFlagged) for event in whole)
    assert isinstance(whole[-1], SessionFinished)
    for length in (160, 801, 8000):
        assert list(new_call(model, BOTH).events(chunks(samples, length))) == whole


def test_events_come_with_the_audio_that_completes_them(model, samples) -> None:
    call = new_call(model)
    seen_s = []
    for chunk in chunks(samples[:, 0].copy(), 800):
        events = call.receive_audio(chunk)
        updates = [event for event in events if isinstance(event, PressureUpdated)]
        seen_s += [call.received_s - update.end_sample / 8000 for update in updates]
    assert len(seen_s) > 10
    assert max(seen_s) < 0.15


def test_the_agents_audio_changes_nothing(model, samples) -> None:
    loud = samples.copy()
    loud[:, 1] = np.random.default_rng(1).integers(-20000, 20000, len(samples))
    assert list(new_call(model, BOTH).events([loud.tobytes()])) == list(
        new_call(model, BOTH).events([samples.tobytes()])
    )


def test_calls_that_share_a_model_do_not_hear_each_other(model, samples) -> None:
    one, two = samples[:, 0].copy(), samples[::-1, 0].copy()
    first, second = new_call(model), new_call(model)
    together = ([], [])
    for a, b in zip(chunks(one, 4000), chunks(two, 4000), strict=True):
        together[0].extend(first.receive_audio(a))
        together[1].extend(second.receive_audio(b))
    assert together[0] + first.finish() == list(new_call(model).events([one.tobytes()]))
    assert together[1] + second.finish() == list(new_call(model).events([two.tobytes()]))


def test_nothing_is_scored_on_hold(model, samples) -> None:
    with new_call(model) as call:
        call.receive_control(ControlAction.HOLD)
        events = call.receive_audio(samples[:, 0].copy().tobytes()) + call.finish()
    assert not any(isinstance(event, PressureUpdated) for event in events)
    assert events[-1].audio_samples == len(samples)


def test_a_handoff_is_settled_once(model, samples) -> None:
    call = new_call(model)
    events = call.receive_audio(samples[:, 0].copy().tobytes())
    request = next(event for event in events if isinstance(event, HandoffRequested))
    settled = call.receive_handoff_outcome(request.handoff_id, HandoffOutcome.ACCEPTED)
    assert settled == [HandoffSettled(request.handoff_id, HandoffOutcome.ACCEPTED, "")]
    assert call.receive_handoff_outcome(request.handoff_id, HandoffOutcome.ACCEPTED) == []
    with pytest.raises(ClientError):
        call.receive_handoff_outcome("handoff-99", HandoffOutcome.ACCEPTED)


def test_a_finished_call_takes_no_audio_and_says_nothing_twice(model) -> None:
    call = new_call(model)
    assert isinstance(call.finish()[-1], SessionFinished)
    assert call.finish() == []
    with pytest.raises(SessionFinishedError):
        call.receive_audio(bytes(320))


def test_a_broken_sample_frame_loses_nothing(model, samples) -> None:
    content = samples[:, 0].copy().tobytes()
    call = new_call(model)
    events = call.receive_audio(content[:80000])
    with pytest.raises(ClientError, match=r"audio\.content"):
        call.receive_audio(b"\0\0\0")
    events += call.receive_audio(content[80000:]) + call.finish()
    assert events == list(new_call(model).events([content]))


def test_a_refused_consent_is_no_call(model) -> None:
    with pytest.raises(ConsentError):
        new_call(model, consent=Consent(ConsentState.REFUSED))


def test_other_rates_are_resampled(model, samples) -> None:
    doubled = np.repeat(samples[:, 0], 2)
    wide = AudioFormat(Encoding.LINEAR16, 16000, (Role.CUSTOMER,))
    events = list(new_call(model, wide).events(chunks(doubled, 1600)))
    assert events[-1].audio_samples == len(doubled)
    assert sum(isinstance(event, PressureUpdated) for event in events) > 20
