"""What else might score a hop: loudness alone, and openSMILE's eGeMAPS with logistic regression.

Both take the model's place in scored calls and go through the same index, with
constants fitted in the same way on the same development calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import opensmile
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from voiceguard.core.units import FULL_SCALE, HOP_S, HOP_SAMPLES, SAMPLE_RATE_HZ
from voiceguard.training.calls.scoring import ScoredCall
from voiceguard.training.calls.script import PRESSURED
from voiceguard.training.clips import Recording, Report, heard_over_g711

WINDOW_HOPS: Final = 6
"""Hops that eGeMAPS hears at once: 3 s, as the model does."""
BASELINE_S: Final = 8.0
"""Speech at the start of a call that features and levels are taken relative to."""

_LEAST: Final = 0.001
_UNTOLD: Final = 0.5
"""Arousal and valence, of which neither says anything."""
_CALM_CLIPS: Final = 5
_REGULARISATION: Final = 0.01

Features = NDArray[np.float32]


class Egemaps:
    """eGeMAPSv02 functionals (Eyben et al. 2016) of windows of speech."""

    def __init__(self) -> None:
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet.eGeMAPSv02,
            feature_level=opensmile.FeatureLevel.Functionals,
            num_workers=1,
        )

    def of_speech(self, speech: NDArray[np.float32]) -> Features:
        """Return the 88 functionals of `speech` (samples at 8 kHz, in [-1, 1])."""
        found = self._smile.process_signal(speech, SAMPLE_RATE_HZ).to_numpy(np.float32)[0]
        return np.asarray(np.nan_to_num(found), np.float32)

    def of_hops(self, pcm: NDArray[np.int16]) -> Features:
        """Return functionals of the window that ends with each hop: (hops, 88)."""
        hops = pcm.astype(np.float32) / np.float32(FULL_SCALE)
        windows = [hops[max(end - WINDOW_HOPS, 0) : end] for end in range(1, len(hops) + 1)]
        return np.array([self.of_speech(one.reshape(-1)) for one in windows]).reshape(len(hops), -1)


def relative(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values of hops minus their mean over the first `BASELINE_S`; zero until then."""
    hops = round(BASELINE_S / HOP_S)
    out = values - values[:hops].mean(axis=0)
    out[:hops] = 0.0
    return np.asarray(out, np.float64)


def fit_egemaps(recordings: Sequence[Recording], report: Report) -> LogisticRegression:
    """Fit anger, fear or neither to clips, each relative to five calm clips of its speaker.

    Args:
        recordings: of speakers that appear in no call.
        report: told the number of clips done.
    """
    egemaps = Egemaps()
    found: dict[tuple[str, str], list[tuple[str, Features]]] = defaultdict(list)
    for number, recording in enumerate(recordings):
        speech = heard_over_g711(recording.samples)
        if len(speech):
            features = egemaps.of_speech(speech[: WINDOW_HOPS * HOP_SAMPLES])
            key = recording.clip.corpus, recording.clip.speaker
            found[key].append((recording.clip.emotion, features))
        report(number + 1, len(recordings))
    rows, labels = [], []
    for own in found.values():
        calm = [features for emotion, features in own if emotion == "neutral"][:_CALM_CLIPS]
        if calm:
            rows += [features - np.mean(calm, axis=0) for _, features in own]
            labels += [emotion if emotion in PRESSURED else "other" for emotion, _ in own]
    regression = LogisticRegression(C=_REGULARISATION, max_iter=2000)
    return make_pipeline(StandardScaler(), regression).fit(np.array(rows), labels)


def scored_by_egemaps(
    call: ScoredCall, features: Features, classifier: LogisticRegression
) -> ScoredCall:
    """Return `call` with the scores of `classifier` in place of the model's."""
    if not len(features):
        return call
    chances = classifier.predict_proba(relative(features))
    classes = list(classifier.classes_)
    anger, distress = (chances[:, classes.index(emotion)] for emotion in PRESSURED)
    return _with_scores(call, anger, distress)


def fit_loudness(calls: Sequence[ScoredCall]) -> LogisticRegression:
    """Fit pressure to how much louder than at the start of the call a hop is."""
    rises = [relative(call.levels_db) for call in calls]
    pressured = [
        np.arange(len(call.levels_db)) >= (np.inf if call.onset_hop is None else call.onset_hop)
        for call in calls
    ]
    return LogisticRegression().fit(np.concatenate(rises)[:, None], np.concatenate(pressured))


def scored_by_loudness(call: ScoredCall, classifier: LogisticRegression) -> ScoredCall:
    """Return `call` with a score that knows the hop's level only."""
    if not len(call.levels_db):
        return call
    chances = classifier.predict_proba(relative(call.levels_db)[:, None])[:, 1]
    return _with_scores(call, chances, np.full(len(chances), _LEAST))


def _with_scores(
    call: ScoredCall, anger: NDArray[np.float64], distress: NDArray[np.float64]
) -> ScoredCall:
    untold = np.full(len(anger), _UNTOLD)
    return replace(call, scores=np.stack([anger, distress, untold, untold], axis=1))
