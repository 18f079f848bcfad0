"""Calls heard by the engine itself, and what it kept of every scored hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.events import (
    AudioFormat,
    Encoding,
    Event,
    PressureUpdated,
    Role,
)
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.core.quality import level_dbfs
from voiceguard.core.units import FULL_SCALE, HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.engine.local import LocalCall
from voiceguard.engine.scoring import HopModel
from voiceguard.training.augment import Chances, Line, Sounds
from voiceguard.training.calls.rendering import render
from voiceguard.training.calls.script import PRESSURED, CallScript, CallSounds, Voice, write_script
from voiceguard.training.export import Runner
from voiceguard.training.targets import OUTPUTS

CALL_FORMAT = AudioFormat(Encoding.LINEAR16, SAMPLE_RATE_HZ, (Role.CUSTOMER, Role.AUTOMATED_AGENT))
CALL_LINE = Chances(clipping=0.03, loss=0.1, noise=0.5)
"""How bad the lines of simulated calls are."""

_CHUNK_SAMPLES = SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class ScoredCall:
    """What the engine heard of one call, hop by hop of the customer's scored speech."""

    speaker: str
    """`corpus/speaker`."""
    emotion: str | None
    onset_sample: int | None
    length_samples: int
    end_samples: NDArray[np.int64]
    """(hops,): where each hop ends on the call's clock."""
    scores: NDArray[np.float64]
    """(hops, 4), in the order of `OUTPUTS`."""
    levels_db: NDArray[np.float64]
    """(hops,), relative to full scale."""
    confidences: NDArray[np.float64]
    """(hops,), 0 to 1, warm-up included."""
    pressured: NDArray[np.bool_]
    """(hops,): whether the clip that a hop ends in is of the pressure: what a judge should say."""
    pcm: NDArray[np.int16] | None = None
    """(hops, HOP_SAMPLES) where it was asked for."""

    @property
    def onset_hop(self) -> int | None:
        """The first hop in which there is something of the pressured speech."""
        if self.onset_sample is None:
            return None
        return int(np.searchsorted(self.end_samples, self.onset_sample, side="right"))

    @property
    def calm_s(self) -> float:
        """Length of the call before any pressure: its whole length when it stays calm."""
        calm = self.length_samples if self.onset_sample is None else self.onset_sample
        return calm / SAMPLE_RATE_HZ


class RunnerModel:
    """A graph that is not shipped yet, as the engine takes models."""

    outputs = OUTPUTS

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def new_states(self, rows: int) -> NDArray[np.float32]:
        """Return the states of channels that have heard nothing."""
        return np.zeros((rows, self._runner.state_size), np.float32)

    def run(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores (n, 1, 4) and the next states."""
        return self._runner.run(pcm, states)


class _ListeningModel:
    """Passes hops on to a model and keeps them: events do not carry a hop's level."""

    def __init__(self, model: HopModel) -> None:
        self._model = model
        self.outputs = model.outputs
        self.hops: list[NDArray[np.int16]] = []

    def new_states(self, rows: int) -> NDArray[np.float32]:
        return self._model.new_states(rows)

    def run(
        self, pcm: NDArray[np.float32], states: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.hops.extend(np.round(pcm * FULL_SCALE).astype(np.int16))
        return self._model.run(pcm, states)


def hear(
    script: CallScript,
    audio: NDArray[np.int16],
    model: HopModel,
    policy: Policy,
    weights: EvidenceWeights,
    *,
    keep_pcm: bool = False,
) -> tuple[ScoredCall, list[Event]]:
    """Play a rendered call through the engine; return its scored hops and all its events.

    The hops do not depend on `policy` and `weights`; the events do.

    Raises:
        ModelError: the model failed.
    """
    listening = _ListeningModel(model)
    call = LocalCall(policy, CALL_FORMAT, model=listening, weights=weights)
    content = np.ascontiguousarray(audio, "<i2").tobytes()
    step = _CHUNK_SAMPLES * CALL_FORMAT.frame_bytes
    events = list(call.events(content[at : at + step] for at in range(0, len(content), step)))
    scored = [event for event in events if isinstance(event, PressureUpdated) and event.scores]
    named = [[event.scores[name] for name in OUTPUTS] for event in scored]
    end_samples = np.array([event.end_sample for event in scored], np.int64)
    hops = listening.hops
    heard = ScoredCall(
        speaker=script.speaker,
        emotion=script.emotion,
        onset_sample=script.onset_sample,
        length_samples=script.length_samples,
        end_samples=end_samples,
        scores=np.array(named, np.float64).reshape(-1, len(OUTPUTS)),
        levels_db=np.array([level_dbfs(hop) for hop in hops], np.float64),
        confidences=np.array([event.confidence for event in scored], np.float64),
        pressured=_pressured(script, end_samples),
        pcm=np.array(hops, np.int16).reshape(-1, HOP_SAMPLES) if keep_pcm else None,
    )
    return heard, events


def _pressured(script: CallScript, end_samples: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the last clip begun before each of `end_samples` is of the pressure."""
    starts = [clip.start_sample for clip in script.spoken]
    is_pressed = [clip.recording.clip.emotion in PRESSURED for clip in script.spoken]
    begun = np.searchsorted(starts, end_samples)
    return np.array([False, *is_pressed])[begun]


@dataclass(frozen=True, slots=True, eq=False)
class CallMaker:
    """Everything that simulated calls are drawn from; call n of a seed is always the same.

    The voices take turns; each has a calm call, then one under pressure, and so on.
    """

    voices: Sequence[Voice]
    sounds: CallSounds
    line_sounds: Sounds
    seed: int

    def make(self, number: int) -> tuple[CallScript, NDArray[np.int16]]:
        """Return call `number` as its script and its audio, (samples, 2)."""
        rng = np.random.default_rng((self.seed, number))
        turn, voice = divmod(number, len(self.voices))
        pressured = turn % 2 == 1
        script = write_script(self.voices[voice], self.sounds, rng, pressured=pressured)
        return script, render(script, Line(rng, self.line_sounds, CALL_LINE), rng)
