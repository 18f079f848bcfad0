"""Fits the tone-and-music gate, and measures it on sounds that it was not fitted on.

    python -m benchmarks.gate fit --augmentation DIR --speech DIR... --out FILE
    python -m benchmarks.gate measure --augmentation DIR --speech DIR...

FILE is voiceguard/core/gate_weights.py.

The augmentation folder has ``noise``, ``tones``, ``music`` and ``prompts``; speech folders are
searched through.  Speakers, music styles, recorded loops and tones used in testing are not those
of fitting (see `gate_sounds`).  Speech corpora are acted, and most of the music is made, so the
figures are for comparing gates, not for telling how a live line will do.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.gate_sounds import (
    Sources,
    Stream,
    detector_shares,
    speech_streams,
    tone_and_music_streams,
)
from voiceguard.core.sound_features import FEATURE_NAMES, hop_features
from voiceguard.core.tones import ToneMusicGate

_SEED: Final = 1
_EARLY_HOPS: Final = 4  # 2 s
_HEADER: Final = '''"""Constants of the tone-and-music gate, written by a command; do not edit.

python -m benchmarks.gate fit --augmentation DIR --speech DIR... --out FILE

Fitted on {speech} hops of speech, {tone} of tones and {music} of music.
Columns: `voiceguard.core.sound_features.FEATURE_NAMES`; rows: `voiceguard.core.tones.GateWeights`.
"""

from __future__ import annotations

from typing import Final

Rows = tuple[tuple[float, ...], ...]
'''


def _sources(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where the sounds are."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    for option in (
        click.option("--clips", default=1600, show_default=True, help="Most clips of a folder."),
        click.option("--speech", required=True, multiple=True, type=folder, help="Repeatable."),
        click.option("--augmentation", required=True, type=folder),
    ):
        command = option(command)
    return command


@click.group(help=__doc__)
def main() -> None:
    """Fit or measure."""


def _streams(augmentation: Path, speech: tuple[Path, ...], clips: int) -> Iterator[Stream]:
    sources = Sources(augmentation, speech, clips)
    yield from speech_streams(sources, _SEED)
    yield from tone_and_music_streams(sources, _SEED + 1)


@main.command()
@_sources
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path))
def fit(augmentation: Path, speech: tuple[Path, ...], clips: int, out: Path) -> None:
    """Fit the regressions and write their constants as a module."""
    features: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for stream in _streams(augmentation, speech, clips):
        if not stream.is_test:
            features[stream.kind] += [hop_features(hop.samples) for hop in stream.hops]
    counts = {kind: len(rows) for kind, rows in features.items()}
    text = _HEADER.format(**counts)
    for kind in ("tone", "music"):
        text += _fitted_text(kind, np.array(features[kind]), np.array(features["speech"]))
    out.write_text(text)
    click.echo(f"wrote {out}: {counts}")


def _fitted_text(kind: str, sounds: NDArray[np.float32], speech: NDArray[np.float32]) -> str:
    """Return the constants of a class against speech, as lines of Python."""
    rows = np.concatenate((sounds, speech)).astype(np.float64)
    is_sound = np.arange(len(rows)) < len(sounds)
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    standard = np.clip((rows - mean) / scale, -4.0, 4.0)
    terms = np.concatenate((standard, standard**2), axis=1)
    spread = terms.std(axis=0)  # the penalty is to weigh all terms alike
    centre = terms.mean(axis=0)
    model = LogisticRegression(max_iter=2000, class_weight="balanced")
    model.fit((terms - centre) / spread, is_sound)
    weights = model.coef_[0] / spread
    bias = float(model.intercept_[0] - weights @ centre)
    count = len(FEATURE_NAMES)
    text = f"\n{kind.upper()}_BIAS: Final = {bias:.6g}\n{kind.upper()}_ROWS: Final[Rows] = (\n"
    for row in (mean, scale, weights[:count], weights[count:]):
        numbers = [f"{value:.5g}" for value in row]
        lines = [", ".join(numbers[start : start + 8]) for start in range(0, count, 8)]
        text += "    (\n" + "".join(f"        {line},\n" for line in lines) + "    ),\n"
    return text + ")  # fmt: skip\n"


@main.command()
@_sources
def detector(augmentation: Path, speech: tuple[Path, ...], clips: int) -> None:
    """Print what WebRTC's detector lets through at each aggressiveness.

    Of speech, only frames within 25 dB of the clip's loudest count; noise has no speech at all.
    """
    sources = Sources(augmentation, speech, clips)
    click.echo("aggressiveness: speech clean, at 20 dB, at 10 dB; noise (share of frames)")
    for aggressiveness in range(4):
        shares = detector_shares(sources, _SEED, aggressiveness)
        click.echo(f"  {aggressiveness}: " + ", ".join(f"{share:.1%}" for share in shares))


@main.command()
@_sources
def measure(augmentation: Path, speech: tuple[Path, ...], clips: int) -> None:
    """Print the share of hops gated: speech lost, tones and music kept out."""
    streams = list(_streams(augmentation, speech, clips))
    table: dict[tuple[str, str, bool], list[list[bool]]] = defaultdict(list)
    for stream in streams:
        gate = ToneMusicGate()
        decisions = [_is_gated(gate, hop.samples) for hop in stream.hops]
        table[stream.kind, stream.group, stream.is_test].append(decisions)
    for kind in ("speech", "tone", "music"):
        _print_kind(kind, table)
    _print_speech_after_music(streams)
    _print_cost(streams)


def _is_gated(gate: ToneMusicGate, samples: NDArray[np.int16]) -> bool:
    return gate.receive_hop(samples).is_tone_or_music


def _print_kind(kind: str, table: dict[tuple[str, str, bool], list[list[bool]]]) -> None:
    """Print a line for each group of a kind, and its total over what was not fitted on."""
    click.echo(f"\n{kind}: share of hops gated (first hop; first 2 s; after 2 s; all; hops)")
    unseen: list[list[bool]] = []
    for (of_kind, group, is_test), calls in sorted(table.items()):
        if of_kind == kind:
            click.echo(f"  {'test' if is_test else 'fit ':4} {group:26} {_shares(calls)}")
            unseen += calls if is_test else []
    click.echo(f"  test {'TOTAL':26} {_shares(unseen)}")


def _shares(calls: list[list[bool]]) -> str:
    """Return the shares of hops gated, early and late in a call."""
    parts = (
        [call[0] for call in calls if call],
        [hop for call in calls for hop in call[:_EARLY_HOPS]],
        [hop for call in calls for hop in call[_EARLY_HOPS:]],
        [hop for call in calls for hop in call],
    )
    shares = (f"{sum(part) / len(part):7.2%}" if part else "      -" for part in parts)
    return " ".join(shares) + f" {len(parts[-1]):6}"


def _print_speech_after_music(streams: list[Stream]) -> None:
    """Print how much speech is lost when music ends and the same channel speaks."""
    music = [s for s in streams if s.kind == "music" and s.is_test]
    calls = []
    for n, spoken in enumerate(s for s in streams if s.kind == "speech" and s.is_test):
        gate = ToneMusicGate()
        for hop in music[n % len(music)].hops[:16]:
            gate.receive_hop(hop.samples)
        calls.append([_is_gated(gate, hop.samples) for hop in spoken.hops])
    click.echo(f"\nspeech right after 8 s of music:   {_shares(calls)}")


def _print_cost(streams: list[Stream]) -> None:
    """Print the time a decision takes."""
    hops = [hop.samples for stream in streams[:200] for hop in stream.hops]
    gate = ToneMusicGate()
    start = time.process_time()
    for samples in hops:
        gate.receive_hop(samples)
    click.echo(f"\n{(time.process_time() - start) / len(hops) * 1e3:.3f} ms of CPU for a hop")


if __name__ == "__main__":
    main()
