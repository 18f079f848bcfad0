"""How many clips a second `voiceguard score` scores on one core.

    python benchmarks/score.py                    # 500 clips of 3 s, cut from the sample call
    python benchmarks/score.py --clips FOLDER     # recordings of your own

Counts the processor's time, not the clock's, so that other work on the machine changes little.
Loading the model is left out: it happens once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from voiceguard.offline.analysis import Engine
from voiceguard.offline.recordings import find_recordings
from voiceguard.offline.scoring import ClipScore, ClipToScore, score_clips
from voiceguard.resources import models_dir, samples_dir

CLIP_S = 3.0
SAMPLE_CALL = "sample-call.flac"


def write_clips(folder: Path, count: int) -> None:
    """Write clips cut from the customer's side of the sample call, beginning here and there."""
    call, rate_hz = soundfile.read(samples_dir() / SAMPLE_CALL, dtype="int16", always_2d=True)
    length = int(CLIP_S * rate_hz)
    for number, start in enumerate(np.linspace(0, len(call) - length, count).astype(int)):
        soundfile.write(folder / f"{number:05}.wav", call[start : start + length, 0], rate_hz)


def main() -> None:
    """Print clips a second and what they come to in audio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--clips", type=Path, help="folder of recordings; default: cut from the sample call"
    )
    parser.add_argument("--count", type=int, default=500, help="how many to cut")
    parser.add_argument("--model", type=Path, default=models_dir() / "stress")
    options = parser.parse_args()
    engine = Engine.load(options.model)
    with tempfile.TemporaryDirectory() as made:
        folder = options.clips or Path(made)
        if options.clips is None:
            write_clips(folder, options.count)
        clips = [ClipToScore(path) for path in find_recordings(folder)]
        began_s = time.process_time()
        results = [result for result in score_clips(clips, engine) if isinstance(result, ClipScore)]
        spent_s = time.process_time() - began_s
    audio_s = sum(result.duration_s for result in results)
    speech_s = sum(result.speech_s for result in results)
    print(f"{len(results)} clips, {audio_s:.0f} s of audio, {speech_s:.0f} s of speech")
    print(f"{len(results) / spent_s:.0f} clips a second of processor time")
    print(f"{1000 * spent_s / audio_s:.2f} ms a second of audio")


if __name__ == "__main__":
    main()
