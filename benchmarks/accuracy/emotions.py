"""The auxiliary head for six emotions, which serving has no use for.

It is no part of `model.onnx`, but of the checkpoint in fp32 that training writes beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from voiceguard.training.checkpoint import CHECKPOINT_FILE, load_checkpoint

EmotionLogits = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""From the hops of clips of one length, (batch, k * 4000), to logits, (batch, k, 6)."""


def has_emotion_logits(folder: Path) -> bool:
    """Return whether the model folder has an emotions head."""
    return (folder / CHECKPOINT_FILE).is_file()


def emotion_logits(folder: Path) -> EmotionLogits:
    """Return the emotions head of a model folder; every clip is the start of a channel.

    Its logits are in the order of `voiceguard.training.corpora.EMOTIONS`.

    Raises:
        ModelError: there is no checkpoint, or it is of another network.
    """
    network = load_checkpoint(folder / CHECKPOINT_FILE)

    def logits(pcm: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.no_grad():
            _, emotions, _ = network(torch.from_numpy(pcm), network.zero_state(len(pcm)))
        return np.asarray(emotions.numpy(), np.float64)

    return logits
