"""What a corpus is made of: clips, speakers and the terms they come under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from voiceguard.core.errors import VoiceguardError

EMOTIONS: Final = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
"""The six classes of CREMA-D, in the order of its vote columns."""

Sex: TypeAlias = Literal["female", "male"]


class CorpusError(VoiceguardError):
    """A corpus folder does not hold what its publisher puts in it."""


@dataclass(frozen=True, slots=True)
class Licence:
    """Under which terms a corpus may be used, and whom to name."""

    name: str
    attribution: str
    commercial_use: bool
    """Whether a model trained on it may be used for business without asking the publisher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One recording, or one stretch of a longer one, with what is known about it."""

    corpus: str
    path: Path
    speaker: str
    """Unique within its corpus."""
    emotion: str
    """What the speaker meant to express: one of `EMOTIONS` or a name that targets.py maps."""
    language: str
    """BCP 47; "und" where it is not known, "zxx" where nobody speaks words."""
    intensity: str | None = None
    """"low", "medium" or "high" where the corpus says."""
    sentence: str | None = None
    """The corpus's own code of what is said; the same words have the same code."""
    vote_counts: tuple[int, ...] | None = None
    """How many listeners heard each of `EMOTIONS`, from the sound alone, where any were asked."""
    heard_intensity: float | None = None
    """How much emotion listeners heard, 0 to 1, from the sound alone; neutral is none."""
    channel: int | None = None
    """Counted from 0; None: all channels, mixed."""
    start_s: float = 0.0
    """Where the clip begins in its file."""
    end_s: float | None = None
    """Where it ends in its file; None: where the file does."""

    @property
    def vote_shares(self) -> tuple[float, ...] | None:
        """Return the share of listeners for each of `EMOTIONS`, None without votes."""
        if self.vote_counts is None:
            return None
        total = sum(self.vote_counts)
        return tuple(count / total for count in self.vote_counts)


@dataclass(frozen=True, slots=True)
class Demographics:
    """What a publisher says of a speaker; None where it does not."""

    sex: Sex | None = None
    age_years: int | None = None
    race: str | None = None
    """In the publisher's words."""
    ethnicity: str | None = None
    """In the publisher's words."""


def _nothing_known(_: Path) -> Mapping[str, Demographics]:
    return {}


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus that training or evaluation knows how to read."""

    name: str
    title: str
    licence: Licence
    use: str
    read: Callable[[Path], list[Clip]]
    """Takes the folder that the corpus lies in."""
    demographics: Callable[[Path], Mapping[str, Demographics]] = _nothing_known
    """Takes the same folder, returns what is known of each speaker."""
