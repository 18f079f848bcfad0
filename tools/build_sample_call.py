"""Build the sample call that `voiceguard demo` plays, and the attribution beside it.

    python tools/build_sample_call.py --crema-d DIR --prompts DIR

One speaker of CREMA-D is the customer, calm at first, then angrier and angrier; recorded
telephone prompts are the automated agent. Nothing is chosen by what a model makes of it: the
speaker is the one kept out of training whose calm and angry clips listeners agree on best,
and the clips are those that listeners heard most clearly as what they were meant to be. The
votes are those for sound alone (CREMA-D, tabulatedVotes.csv, modality 1).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from voiceguard.core.audio import MULAW_TABLE
from voiceguard.core.units import FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.training.splits import TEST_SPEAKERS

Samples = NDArray[np.float64]

SUFFIXES: Final = (".wav", ".flac", ".opus", ".ogg", ".mp3")
CALM_CLIPS: Final = 6
ANGRY_CLIPS: Final = 8
CLIPS_A_TURN: Final = 2
PROMPTS: Final = (
    "conf-now-recording",
    "confirm-number-is",
    "pls-hold-process-tx",
    "astcc-account-number-invalid",
    "i-dont-understand3",
    "sorry_didnt_quite_get",
    "option-is-invalid",
    "please-wait-connect-oncall-eng",
)
"""What the automated agent says before each turn of the customer, and at the end."""

PAUSE_BETWEEN_TURNS_S: Final = (0.35, 0.7)
PAUSE_WITHIN_TURN_S: Final = (0.25, 0.45)
PEAK_DBFS: Final = -2.0
"""Level of the customer's loudest sample."""
GAIN_CONTROL: Final = 0.5
"""Share of the differences in level between clips that is taken out, as the automatic gain
control of telephones does; what is left is how much louder the speaker grew."""
PROMPT_RMS_DBFS: Final = -24.0
NOISE_DBFS: Final = -62.0
"""Comfort noise on both channels."""
TRIM_DB: Final = 38.0
"""Ends of a clip that lie so far below its loudest 20 ms are cut off."""
TRIM_MARGIN_S: Final = 0.06

ATTRIBUTION: Final = """\
# The sample call

`{name}` was put together by `tools/build_sample_call.py` from clips of acted speech and
recorded telephone prompts: {duration_s:.1f} s, {rate} Hz, passed through G.711 mu-law. No real
call and no real debt is in it.

| channel | who | from | licence |
|---|---|---|---|
| 0, customer | speaker {speaker} of CREMA-D | Cao, Cooper, Keutmann, Gur, Nenkova, Verma, \
*CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset*, 2014, \
<https://github.com/CheyneyComputerScience/CREMA-D> | Open Database License 1.0; its contents \
Database Contents License 1.0 |
| 1, automated agent | English prompts of Asterisk | Digium, voice of Allison Smith, \
<https://github.com/asterisk/asterisk> (asterisk-extra-sounds-en) | \
Creative Commons Attribution-ShareAlike 3.0 |

The recording as a whole is offered under Creative Commons Attribution-ShareAlike 3.0
(<https://creativecommons.org/licenses/by-sa/3.0/>). What was changed: clips were cut at their
ends, brought halfway to one level, joined with pauses and comfort noise, and companded. The rest of
voiceguard is under its own licence.

## How it was chosen

The speaker is one of those that no training has heard (`TEST_SPEAKERS` in
`voiceguard/training/splits.py`), and of those the one whose calm and angry clips listeners
agree on best: {anger:.0%} of votes for anger on the angry clips, {calm:.0%} for neutral on the
calm ones, by sound alone. Calm clips are in order of their neutral votes; angry ones are in
rising order of votes times intensity. No model's score was looked at. The speech is acted, and
picked to be clear: the call shows how voiceguard works, not how well.

## What is when

| time (s) | channel | clip |
|---|---|---|
{rows}
"""


@dataclass(frozen=True, slots=True)
class Votes:
    """What listeners heard in a clip, by sound alone."""

    anger: float
    """Share of the votes, 0 to 1."""
    calm: float
    """Share of the votes for neutral, 0 to 1."""
    intensity: float
    """Mean intensity of the anger heard, 0 to 100."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One clip at its place in the call."""

    start: int
    """Sample index."""
    channel: int
    name: str
    samples: Samples


def read_votes(folder: Path) -> dict[str, Votes]:
    """Return the votes on each clip."""
    votes = {}
    with (folder / "tabulatedVotes.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if row[""].startswith("1"):
                total = int(row["numResponses"])
                votes[row["fileName"]] = Votes(
                    anger=int(row["A"]) / total,
                    calm=int(row["N"]) / total,
                    intensity=max(float(row["meanAngerResp"]), 0.0),
                )
    return votes


def mean_shares(votes: Mapping[str, Votes], speaker: str) -> tuple[float, float]:
    """Return a speaker's mean share of anger votes on angry clips, of neutral on calm ones."""
    own = {name: vote for name, vote in votes.items() if name.startswith(f"{speaker}_")}
    angry = [vote.anger for name, vote in own.items() if "_ANG_" in name]
    calm = [vote.calm for name, vote in own.items() if "_NEU_" in name]
    return sum(angry) / len(angry), sum(calm) / len(calm)


def choose_speaker(votes: Mapping[str, Votes]) -> str:
    """Return the held-out speaker whose weaker share of the two is the best."""
    return max(TEST_SPEAKERS["crema-d"], key=lambda speaker: min(mean_shares(votes, speaker)))


def choose_clips(votes: Mapping[str, Votes], speaker: str) -> tuple[list[str], list[str]]:
    """Return the calm clips and the angry ones, in the order in which they are spoken."""
    own = {name: vote for name, vote in votes.items() if name.startswith(f"{speaker}_")}
    calm = sorted(
        (name for name in own if "_NEU_" in name), key=lambda name: (-own[name].calm, name)
    )
    angry = sorted(
        (name for name in own if "_ANG_" in name),
        key=lambda name: (own[name].anger * own[name].intensity, name),
    )
    return calm[:CALM_CLIPS], angry[-ANGRY_CLIPS:]


def read_clip(folder: Path, name: str) -> Samples:
    """Return a clip at `SAMPLE_RATE_HZ`, its silent ends cut off."""
    found = [path for suffix in SUFFIXES for path in sorted(folder.rglob(f"*{name}{suffix}"))]
    if not found:
        message = f"{folder} holds no clip named {name} ({', '.join(SUFFIXES)})"
        raise SystemExit(message)
    samples, rate_hz = soundfile.read(found[0], dtype="float64", always_2d=True)
    mono = samples.mean(axis=1)
    return trim(mono if rate_hz == SAMPLE_RATE_HZ else soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ))


def trim(samples: Samples) -> Samples:
    """Cut off what lies `TRIM_DB` below the loudest 20 ms, but for a margin."""
    frame = SAMPLE_RATE_HZ // 50
    powers = (samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(powers > powers.max() * 10 ** (-TRIM_DB / 10))
    margin = int(TRIM_MARGIN_S * SAMPLE_RATE_HZ)
    return samples[max(loud[0] * frame - margin, 0) : (loud[-1] + 1) * frame + margin]


def place(
    customer: Mapping[str, Samples], agent: Mapping[str, Samples], rng: np.random.Generator
) -> Iterator[Spoken]:
    """Yield every clip at its place: agent and customer in turn, the agent last."""
    now = int(0.4 * SAMPLE_RATE_HZ)
    names, said = list(customer), 0
    for turn, prompt in enumerate(agent):
        yield Spoken(now, 1, prompt, agent[prompt])
        now += len(agent[prompt]) + _pause(rng, PAUSE_BETWEEN_TURNS_S)
        last = turn == len(agent) - 1
        for name in [] if last else names[said : said + CLIPS_A_TURN]:
            yield Spoken(now, 0, name, customer[name])
            now += len(customer[name]) + _pause(rng, PAUSE_WITHIN_TURN_S)
            said += 1
        now += _pause(rng, PAUSE_BETWEEN_TURNS_S)


def _pause(rng: np.random.Generator, bounds_s: tuple[float, float]) -> int:
    return int(rng.uniform(*bounds_s) * SAMPLE_RATE_HZ)


def mix(spoken: Sequence[Spoken], rng: np.random.Generator) -> NDArray[np.int16]:
    """Return the call, shape (samples, 2): comfort noise, clips over it, mu-law on top."""
    length = max(item.start + len(item.samples) for item in spoken) + SAMPLE_RATE_HZ // 2
    call = rng.normal(scale=10 ** (NOISE_DBFS / 20), size=(length, 2))
    for item in spoken:
        call[item.start : item.start + len(item.samples), item.channel] += item.samples
    scaled = np.clip(call * FULL_SCALE, -FULL_SCALE, FULL_SCALE - 1)
    return compand(scaled)


def compand(scaled: Samples) -> NDArray[np.int16]:
    """Return each sample as the nearest one that mu-law has (ITU-T G.711)."""
    steps = np.unique(MULAW_TABLE).astype(np.float64)
    middles = (steps[1:] + steps[:-1]) / 2
    return steps[np.searchsorted(middles, scaled)].astype(np.int16)


def level(clips: Mapping[str, Samples]) -> dict[str, Samples]:
    """Even out the levels of one speaker's clips by `GAIN_CONTROL`, the loudest at `PEAK_DBFS`."""
    powers = {name: float((clip**2).mean()) for name, clip in clips.items()}
    evened = {name: clip / powers[name] ** (GAIN_CONTROL / 2) for name, clip in clips.items()}
    peak = max(float(np.abs(clip).max()) for clip in evened.values())
    return {name: clip * 10 ** (PEAK_DBFS / 20) / peak for name, clip in evened.items()}


def level_prompt(prompt: Samples) -> Samples:
    """Bring a prompt to `PROMPT_RMS_DBFS`."""
    return np.asarray(prompt * 10 ** (PROMPT_RMS_DBFS / 20) / np.sqrt((prompt**2).mean()))


def attribution(
    spoken: Sequence[Spoken], path: Path, votes: Mapping[str, Votes], speaker: str
) -> str:
    """Return the text that goes beside the recording."""
    anger, calm = mean_shares(votes, speaker)
    rows = "\n".join(
        f"| {item.start / SAMPLE_RATE_HZ:.2f} to "
        f"{(item.start + len(item.samples)) / SAMPLE_RATE_HZ:.2f} "
        f"| {item.channel} | `{item.name}` |"
        for item in spoken
    )
    duration_s = soundfile.info(path).duration
    return ATTRIBUTION.format(
        name=path.name,
        duration_s=duration_s,
        rate=SAMPLE_RATE_HZ,
        speaker=speaker,
        anger=anger,
        calm=calm,
        rows=rows,
    )


def main() -> None:
    """Build the call."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--crema-d", type=Path, required=True, help="CREMA-D, with its CSV files")
    parser.add_argument("--prompts", type=Path, required=True, help="Asterisk's English prompts")
    parser.add_argument("--out", type=Path, default=Path("voiceguard/samples/sample-call.flac"))
    parser.add_argument("--seed", type=int, default=20261101, help="of pauses and noise")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    votes = read_votes(options.crema_d)
    speaker = choose_speaker(votes)
    calm, angry = choose_clips(votes, speaker)
    customer = level({name: read_clip(options.crema_d, name) for name in calm + angry})
    agent = {name: level_prompt(read_clip(options.prompts, name)) for name in PROMPTS}
    spoken = list(place(customer, agent, rng))
    call = mix(spoken, rng)
    soundfile.write(options.out, call, SAMPLE_RATE_HZ, subtype="PCM_16")
    notes = options.out.with_name("ATTRIBUTION.md")
    notes.write_text(attribution(spoken, options.out, votes, speaker), encoding="utf-8")
    print(f"{options.out}: {len(call) / SAMPLE_RATE_HZ:.1f} s, speaker {speaker}; {notes}")


if __name__ == "__main__":
    main()
