"""Streams of speech, tones and music over a telephone line, cut into hops as in service.

Every stream is what one channel of a call would carry: clips of one speaker, or one tone, or one
piece of music; with a level, line noise or background drawn from a seed; through G.711 mu-law,
WebRTC's detector and the segmenter.  Only what these let through is a hop of the gate's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from benchmarks.hold_music import FIT_STYLES, TEST_STYLES, TONES, hold_music, tone
from voiceguard.core.speech import HopGatherer, SpeechHop
from voiceguard.core.units import FRAME_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ
from voiceguard.engine.vad import WebRtcDetector

Signal = NDArray[np.float64]

__all__ = ["Sources", "Stream", "detector_shares", "speech_streams", "tone_and_music_streams"]

_FIT_LOOPS: Final = ("break12", "break28", "ominous")
_SPOKEN: Final = ("error", "notfound", "ring")  # baresip speaks these announcements
_SUFFIXES: Final = (".flac", ".wav", ".opus", ".ogg", ".mp3")


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """The hops of one channel.

    Attributes:
        kind: "speech", "tone" or "music".
        group: what the figures are printed by: a corpus, a tone, a style or a file.
        is_test: the stream was not fitted on.
        hops: the hops, in order.

    """

    kind: str
    group: str
    is_test: bool
    hops: tuple[SpeechHop, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the sounds are.

    Attributes:
        augmentation: folder with ``noise``, ``tones``, ``music`` and ``prompts``.
        speech: folders of speech, searched through.
        clips: most clips taken of each folder.

    """

    augmentation: Path
    speech: tuple[Path, ...]
    clips: int


def sound_files(folder: Path) -> list[Path]:
    """Return the sound files in a folder and below, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def read_sound(path: Path) -> Signal:
    """Return a file's first channel at 8 kHz, full scale 1."""
    samples, rate_hz = soundfile.read(path, always_2d=True)
    mono: Signal = samples[:, 0]
    if rate_hz != SAMPLE_RATE_HZ:
        mono = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ)
    return mono


def over_mulaw(signal: Signal) -> NDArray[np.int16]:
    """Return the signal as 8-bit mu-law gives it back (the continuous law of ITU-T G.711)."""
    clipped = np.clip(signal, -1.0, 1.0)
    companded = np.sign(clipped) * np.log1p(255.0 * np.abs(clipped)) / np.log(256.0)
    stepped = np.round(companded * 127.0) / 127.0
    expanded = np.sign(stepped) * np.expm1(np.abs(stepped) * np.log(256.0)) / 255.0
    scaled = np.clip(np.round(expanded * FULL_SCALE), -32768, 32767)
    return np.asarray(scaled, np.int16)


def cut_hops(samples: NDArray[np.int16]) -> tuple[SpeechHop, ...]:
    """Return the hops that detector and segmenter let through."""
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    voiced = WebRtcDetector().decide_frames(frames.astype("<i2").tobytes())
    gathered = HopGatherer().receive_frames(frames, voiced)
    return tuple(event for event in gathered if isinstance(event, SpeechHop))


def _at_peak(signal: Signal, peak_dbfs: float) -> Signal:
    return signal * (10 ** (peak_dbfs / 20) / max(1e-9, float(np.abs(signal).max())))


def _mix(signal: Signal, background: Signal, snr_db: float) -> Signal:
    """Return the signal over the background, which is repeated as needed."""
    repeats = -(-len(signal) // len(background))
    under = np.tile(background, repeats)[: len(signal)]
    loud = signal[np.abs(signal) > 0.05 * np.abs(signal).max()]
    scale = np.sqrt(np.mean(loud**2) / max(1e-12, float(np.mean(under**2))))
    return np.asarray(signal + under * (scale * 10 ** (-snr_db / 20)))


def _response(rng: np.random.Generator, signal: Signal) -> Signal:
    """Return the signal through a drawn line: a tilt, and for half of them 300 to 3400 Hz only.

    Without it, which corpus a sound comes from could be read from its spectrum.
    """
    spectrum = np.fft.rfft(signal)
    hz = np.linspace(0.0, SAMPLE_RATE_HZ / 2, len(spectrum))
    gain_db = rng.uniform(-6.0, 6.0) * np.log2(np.maximum(hz, 100.0) / 1000.0) / 2.0
    if rng.integers(2):
        gain_db -= 24.0 * np.maximum(0.0, np.log2(rng.uniform(200.0, 350.0) / np.maximum(hz, 20.0)))
        gain_db -= 120.0 * np.maximum(0.0, np.log2(np.maximum(hz, 20.0) / rng.uniform(3200, 3700)))
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20.0), len(signal))


def _line(rng: np.random.Generator, signal: Signal) -> NDArray[np.int16]:
    """Return the signal at some level and response, with line noise, through mu-law."""
    levelled = _at_peak(_response(rng, signal), float(rng.uniform(-20.0, -1.0)))
    hiss = rng.normal(0.0, 10 ** (rng.uniform(-75.0, -55.0) / 20), len(signal))
    return over_mulaw(levelled + hiss)


def _speaker(path: Path) -> str:
    """Return what stands for the speaker in the corpora's file names; the file where unknown."""
    name = path.stem
    if match := re.match(r"(\d{4})_[A-Z]{3}_", name):  # CREMA-D: actor_sentence_emotion_level
        return match[1]
    if match := re.match(r"(\d{6})-\d\d-\d$", name):  # EmoGator: person-emotion-take
        return match[1]
    if match := re.match(r"(\d\d)[ab]\d\d[A-Z][a-z]?$", name):  # EMO-DB: speaker, text, emotion
        return match[1]
    if match := re.match(r"([A-Z]{2}\d)_", name):  # nEMO
        return match[1]
    return name


def _backgrounds(sources: Sources) -> tuple[list[Signal], list[Signal]]:
    noises = [read_sound(path) for path in sound_files(sources.augmentation / "noise")]
    styles = ("piano-band", "song", "pad", "guitar-song", "brass-band", "organ-drums")
    music = [hold_music(np.random.default_rng(9000 + n), s, 12.0) for n, s in enumerate(styles)]
    return noises, music


def speech_streams(sources: Sources, seed: int) -> Iterator[Stream]:
    """Return streams of up to four clips of a speaker: clean, over noise, and over music.

    A quarter of the speakers (those whose name sums to 0 modulo 4) are for testing.
    """
    rng = np.random.default_rng(seed)
    noises, music = _backgrounds(sources)
    for folder in (*sources.speech, sources.augmentation / "prompts"):
        paths = sound_files(folder)
        chosen = sorted(rng.permutation(len(paths))[: sources.clips].tolist())
        by_speaker: dict[str, list[Path]] = {}
        for index in chosen:
            by_speaker.setdefault(_speaker(paths[index]), []).append(paths[index])
        for speaker, clips in by_speaker.items():
            is_test = sum(speaker.encode()) % 4 == 0
            for start in range(0, len(clips), 4):
                call = np.concatenate(
                    [part for path in clips[start : start + 4] for part in _clip_and_pause(path)]
                )
                kind = int(rng.integers(4))
                label = ("clean", "clean", "noise", "music")[kind]
                alone = call
                if label == "noise":
                    noise = noises[rng.integers(len(noises))]
                    call = _mix(call, noise[rng.integers(len(noise) // 2) :], rng.uniform(10, 30))
                elif label == "music":
                    call = _mix(call, music[rng.integers(len(music))], rng.uniform(10, 20))
                heard = cut_hops(_line(rng, call))
                hops = tuple(hop for hop in heard if _is_speech(hop, alone, call - alone))
                yield Stream("speech", f"{_corpus(folder)} {label}", is_test, hops)


def _is_speech(hop: SpeechHop, speech: Signal, background: Signal) -> bool:
    """Return whether a hop holds the speech, and not a pause filled by its background.

    The detector takes music in a pause for speech, rightly gated: such a hop, where the speech
    is not at least 6 dB over the background, is no loss of speech.
    """
    span = slice(hop.first_frame * FRAME_SAMPLES, hop.end_frame * FRAME_SAMPLES)
    return float(np.sum(speech[span] ** 2)) >= 4.0 * float(np.sum(background[span] ** 2))


def _corpus(folder: Path) -> str:
    """Return what the publishers call a corpus, whatever its folder of sounds is called."""
    return (
        folder.parent.name if folder.name.lower() in ("audio", "audiowav", "wav") else folder.name
    )


def _clip_and_pause(path: Path) -> tuple[Signal, Signal]:
    clip = read_sound(path)
    return _at_peak(clip, -3.0) if np.any(clip) else clip, np.zeros(3200)


def tone_and_music_streams(sources: Sources, seed: int) -> Iterator[Stream]:
    """Return made tones and music (fit and test styles), recorded tones and recorded loops.

    Of the recorded loops some are for fitting; recorded tones are all for testing.
    """
    rng = np.random.default_rng(seed)
    for take in range(8):
        for name in TONES:
            hops = cut_hops(_line(rng, tone(rng, name, 8.0)))
            yield Stream("tone", name, take >= 4, hops)
    for styles, is_test, takes in ((FIT_STYLES, False, 40), (TEST_STYLES, True, 10)):
        for style in styles:
            for _ in range(takes):
                hops = cut_hops(_line(rng, hold_music(rng, style, 12.0)))
                yield Stream("music", style, is_test, hops)
    for path in sound_files(sources.augmentation / "tones"):
        recorded = np.tile(read_sound(path), 4)
        kind = "speech" if path.stem in _SPOKEN else "tone"
        yield Stream(kind, path.name, True, cut_hops(_line(rng, recorded)))
    for path in sound_files(sources.augmentation / "music"):
        loop = np.tile(read_sound(path), 4)[: 30 * SAMPLE_RATE_HZ]
        for _ in range(4):
            hops = cut_hops(_line(rng, loop))
            yield Stream("music", path.name, path.stem not in _FIT_LOOPS, hops)


def detector_shares(sources: Sources, seed: int, aggressiveness: int) -> list[float]:
    """Return the shares of frames that the detector takes for speech at an aggressiveness.

    Returns:
        Shares of speech clean, at 20 dB and at 10 dB over recorded noise, and of the noise alone.

    """
    rng = np.random.default_rng(seed)
    noises, _ = _backgrounds(sources)
    heard: dict[str, list[float]] = {name: [] for name in ("clean", "20", "10", "noise")}
    for folder in sources.speech:
        paths = sound_files(folder)
        for index in rng.permutation(len(paths))[: sources.clips].tolist():
            clip = np.concatenate((np.zeros(4000), _at_peak(read_sound(paths[index]), -6.0)))
            loud = _loud_frames(clip)
            noise = noises[rng.integers(len(noises))]
            start = int(rng.integers(len(noise) // 2))
            for name, call in (
                ("clean", clip),
                ("20", _mix(clip, noise[start:], 20.0)),
                ("10", _mix(clip, noise[start:], 10.0)),
            ):
                decided = _decisions(over_mulaw(call), aggressiveness)
                heard[name] += decided[: len(loud)][loud].tolist()
            alone = _mix(clip, noise[start:], 10.0) - clip
            heard["noise"] += _decisions(over_mulaw(alone), aggressiveness).tolist()
    return [float(np.mean(values)) for values in heard.values()]


def _decisions(samples: NDArray[np.int16], aggressiveness: int) -> NDArray[np.bool_]:
    whole = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].astype("<i2").tobytes()
    return np.array(WebRtcDetector(aggressiveness).decide_frames(whole))


def _loud_frames(clip: Signal) -> NDArray[np.bool_]:
    """Return which frames of a clip lie within 25 dB of its loudest."""
    frames = clip[: len(clip) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    power = np.mean(frames**2, axis=1)
    return np.asarray(power > 10**-2.5 * power.max())
