"""Who says what when in a simulated call, drawn at random.

A call is one customer's: ringback, minutes of calm, cheerful and sad-but-calm
talk in turns with an automatic agent, now and then a hold; then, in half of the
calls, pressure that builds up. Every number here was set before any index was
fitted, and none is fitted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.training.clips import Recording
from voiceguard.training.corpora import find_audio, read_audio
from voiceguard.training.examples import TrainingDataError

Samples = NDArray[np.float32]

PRESSURED: Final = ("anger", "fear")
CALM_SHARES: Final = {"neutral": 0.5, "happiness": 0.25, "sadness": 0.25}
"""Moods of calm talk; one lasts for some turns."""

BUILD_UP_S: Final = 10.0
"""Time on the call's clock in which the share of pressured clips grows to all of them."""

_ANGRY_CALLS: Final = 0.6
_MOOD_CHANGES: Final = 0.35
_FIRST_SHARE: Final = 0.5
_LEVEL_DRIFT_DB: Final = 4.0
"""Standard deviation of the slow wandering of the level, whatever the mood."""
_LEVEL_MEMORY: Final = 0.85
"""Of the drift from one clip to the next (an autoregressive process of order 1)."""
_CLIP_LEVEL_DB: Final = 2.0
_HOLD: Final = 0.4
_RINGBACK: Final = 0.8
_ECHO: Final = 0.15
_ECHO_DB: Final = -30.0

# Odds of a pressured clip by its marked intensity, while pressure builds up and after.
_BUILDING: Final[Mapping[str | None, float]] = {"low": 6.0, "medium": 3.0, "high": 0.0, None: 1.0}
_STEADY: Final[Mapping[str | None, float]] = {"low": 0.0, "medium": 1.0, "high": 3.0, None: 1.0}


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker's clips by emotion."""

    corpus: str
    speaker: str
    clips: Mapping[str, Sequence[Recording]]


def voices_of(recordings: Iterable[Recording]) -> list[Voice]:
    """Return the speakers that have clips of every emotion that calls need, sorted.

    Raises:
        TrainingDataError: there is no such speaker.
    """
    found: dict[tuple[str, str], dict[str, list[Recording]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for recording in recordings:
        clip = recording.clip
        found[clip.corpus, clip.speaker][clip.emotion].append(recording)
    needed = {*CALM_SHARES, *PRESSURED}
    voices = [
        Voice(corpus, speaker, dict(clips))
        for (corpus, speaker), clips in sorted(found.items())
        if needed <= clips.keys()
    ]
    if not voices:
        raise TrainingDataError("no held-out speaker has clips of every emotion that calls need")
    return voices


@dataclass(frozen=True, slots=True)
class CallSounds:
    """What is heard in a call beside its customer; each may be empty."""

    prompts: Sequence[Samples] = ()
    music: Sequence[Samples] = ()
    ringback: Sequence[Samples] = ()

    @classmethod
    def from_folder(cls, folder: Path | None) -> CallSounds:
        """Read `prompts/`, `music/` and `tones/ringback*` below `folder`; nothing for None.

        Raises:
            CorpusError: one of them is missing or empty.
        """
        if folder is None:
            return cls()
        return cls(
            prompts=_read(folder / "prompts", r".*"),
            music=_read(folder / "music", r".*"),
            ringback=_read(folder / "tones", r"ringback.*"),
        )


def _read(folder: Path, name_pattern: str) -> list[Samples]:
    return [
        np.asarray(read_audio(path) / FULL_SCALE, np.float32)
        for path in find_audio(folder, name_pattern)
    ]


@dataclass(frozen=True, slots=True)
class SpokenClip:
    """A clip of the customer in its place."""

    start_sample: int
    recording: Recording
    gain_db: float


@dataclass(frozen=True, slots=True)
class PlacedSound:
    """A prompt of the agent, or music or ringback on the customer's channel."""

    start_sample: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class CallScript:
    """A call before it is rendered; offsets are samples at 8 kHz."""

    speaker: str
    """`corpus/speaker`."""
    emotion: str | None
    """Of the pressure; None: the call stays calm."""
    onset_sample: int | None
    """Where the first pressured clip begins."""
    length_samples: int
    spoken: Sequence[SpokenClip]
    prompts: Sequence[PlacedSound]
    line_sounds: Sequence[PlacedSound]
    echo_db: float | None
    """Level of the agent's echo on the customer's channel; None: no echo."""


def write_script(
    voice: Voice, sounds: CallSounds, rng: np.random.Generator, *, pressured: bool
) -> CallScript:
    """Draw one call of `voice`, in which pressure builds up or does not."""
    return _Writer(voice, sounds, rng).write(pressured=pressured)


@dataclass(slots=True)
class _Writer:
    """A call being written, from its start to its end."""

    voice: Voice
    sounds: CallSounds
    rng: np.random.Generator
    at_s: float = 0.5
    drift_db: float = 0.0
    mood: str = "neutral"
    spoken: list[SpokenClip] = field(default_factory=list)
    prompts: list[PlacedSound] = field(default_factory=list)
    line_sounds: list[PlacedSound] = field(default_factory=list)

    def write(self, *, pressured: bool) -> CallScript:
        emotion = PRESSURED[0 if self._happens(_ANGRY_CALLS) else 1] if pressured else None
        self.drift_db = self.rng.normal(0.0, _LEVEL_DRIFT_DB)
        if self._happens(_RINGBACK):
            self._play_on_line(self.sounds.ringback, self.rng.uniform(3.0, 8.0))
        calm_until_s = self.at_s + self.rng.uniform(60.0, 150.0)
        hold_at_s = self.rng.uniform(self.at_s, calm_until_s) if self._happens(_HOLD) else np.inf
        while self.at_s < calm_until_s:
            if self.at_s >= hold_at_s:
                self._hold()
                hold_at_s = np.inf
            self._prompt(self._whole(1, 3))
            self._calm_turn(self._whole(1, 5))
        onset_s = self._continue(emotion, self.at_s + self.rng.uniform(40.0, 60.0))
        return CallScript(
            speaker=f"{self.voice.corpus}/{self.voice.speaker}",
            emotion=emotion,
            onset_sample=None if onset_s is None else _samples(onset_s),
            length_samples=_samples(self.at_s + 1.0),
            spoken=self.spoken,
            prompts=self.prompts,
            line_sounds=self.line_sounds,
            echo_db=_ECHO_DB if self._happens(_ECHO) else None,
        )

    def _continue(self, emotion: str | None, until_s: float) -> float | None:
        """Write the rest of the call, under pressure or not; return where pressure began."""
        onset_s: float | None = None
        while self.at_s < until_s:
            self._prompt(1)
            if emotion is None:
                self._calm_turn(self._whole(1, 5))
                continue
            onset_s = self.at_s if onset_s is None else onset_s
            self._pressured_turn(emotion, onset_s, self._whole(2, 6))
        return onset_s

    def _calm_turn(self, clips: int) -> None:
        if self._happens(_MOOD_CHANGES):
            self.mood = str(self.rng.choice(list(CALM_SHARES), p=list(CALM_SHARES.values())))
        for _ in range(clips):
            own = self.voice.clips[self.mood]
            self._say(own[self._whole(0, len(own))])
        self._pause(0.3, 1.0)

    def _pressured_turn(self, emotion: str, onset_s: float, clips: int) -> None:
        """Write clips of the emotion: the first one always, then a growing share."""
        for _ in range(clips):
            grown = min((self.at_s - onset_s) / BUILD_UP_S, 1.0)
            share = 1.0 if grown == 0.0 else _FIRST_SHARE + (1.0 - _FIRST_SHARE) * grown
            if self._happens(share):
                odds = _BUILDING if grown < 1.0 else _STEADY
                self._say(self._pressured_clip(self.voice.clips[emotion], odds))
            else:
                own = self.voice.clips[self.mood]
                self._say(own[self._whole(0, len(own))])
        self._pause(0.3, 0.8)

    def _pressured_clip(
        self, own: Sequence[Recording], odds: Mapping[str | None, float]
    ) -> Recording:
        weights = np.array([odds[recording.clip.intensity] for recording in own])
        if not weights.any():
            weights = np.ones(len(own))
        return own[int(self.rng.choice(len(own), p=weights / weights.sum()))]

    def _say(self, recording: Recording) -> None:
        innovation = np.sqrt(1.0 - _LEVEL_MEMORY**2) * _LEVEL_DRIFT_DB
        self.drift_db = _LEVEL_MEMORY * self.drift_db + self.rng.normal(0.0, innovation)
        gain_db = self.drift_db + self.rng.normal(0.0, _CLIP_LEVEL_DB)
        self.spoken.append(SpokenClip(_samples(self.at_s), recording, float(gain_db)))
        self.at_s += len(recording.samples) / SAMPLE_RATE_HZ
        self._pause(0.0, 0.4)

    def _prompt(self, prompts: int) -> None:
        for _ in range(prompts):
            if self.sounds.prompts:
                prompt = self.sounds.prompts[self._whole(0, len(self.sounds.prompts))]
                self.prompts.append(PlacedSound(_samples(self.at_s), prompt))
                self.at_s += len(prompt) / SAMPLE_RATE_HZ
            else:
                self._pause(1.0, 3.0)
            self._pause(0.2, 0.6)

    def _hold(self) -> None:
        """Write a hold: music on the line, or silence."""
        length_s = self.rng.uniform(8.0, 25.0)
        if self._happens(0.5):
            self._play_on_line(self.sounds.music, length_s)
        else:
            self.at_s += length_s

    def _play_on_line(self, sounds: Sequence[Samples], length_s: float) -> None:
        if sounds:
            sound = sounds[self._whole(0, len(sounds))]
            looped = np.resize(sound, _samples(length_s))
            self.line_sounds.append(PlacedSound(_samples(self.at_s), looped))
        self.at_s += length_s + 0.5

    def _pause(self, least_s: float, most_s: float) -> None:
        self.at_s += self.rng.uniform(least_s, most_s)

    def _whole(self, least: int, below: int) -> int:
        return int(self.rng.integers(least, below))

    def _happens(self, chance: float) -> bool:
        return bool(self.rng.random() < chance)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
