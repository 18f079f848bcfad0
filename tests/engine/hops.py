"""Hops to score, and a model that fails when it is told to."""

import threading

import numpy as np

from voiceguard.core.events import ScoreRequest
from voiceguard.core.units import HOP_SAMPLES
from voiceguard.engine.scoring import ScoreBatcher
from voiceguard.engine.testing import OUTPUTS

TRACKS, HOPS = 20, 6


def hop(seed):
    rng = np.random.default_rng(seed)
    pcm = rng.standard_normal(HOP_SAMPLES) * 10.0 ** rng.uniform(-3, -0.6)
    return np.clip(pcm, -1, 0.999).astype(np.float32)


def request(sequence, seed=None, channel=0):
    pcm = hop(sequence if seed is None else seed)
    return ScoreRequest(channel, sequence, 0, HOP_SAMPLES, pcm)


REQUESTS = [[request(i, seed=1000 * t + i, channel=t) for i in range(HOPS)] for t in range(TRACKS)]


def alone(model, requests):
    """Return the answers to the hops of one track that has a batcher for itself."""
    batcher = ScoreBatcher(model)
    track = batcher.open_track()
    answers = []
    for item in requests:
        batcher.submit(track, item)
        answers += [answer for _, answer in batcher.run_due()]
    return answers


class BrokenModel:
    """Fails as long as it is told to; else scores all at 0.5 and counts hops in the state."""

    outputs = OUTPUTS

    def __init__(self):
        self.error = None
        self.score = 0.5
        self.threads = set()
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()

    def new_states(self, rows):
        return np.zeros((rows, 1), dtype=np.float32)

    def run(self, pcm, states):
        self.threads.add(threading.current_thread().name)
        self.runs += 1
        assert self.gate.wait(10)
        if self.error:
            raise self.error
        return np.full((len(pcm), 1, 4), self.score, np.float32), states + 1
