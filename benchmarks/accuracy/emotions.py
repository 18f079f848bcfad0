"""The auxiliary head for six emotions, where a model folder has one.

Serving has no use for it, so it is no part of `model.onnx`; training may write it beside, as
`emotions.onnx`: inputs `pcm` (batch, k * 4000) and `state` (batch, S) as of the model, output
`emotions` (batch, k, 6), logits in the order of `voiceguard.training.corpora.EMOTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from voiceguard.core.errors import ModelError
from voiceguard.training.corpora import EMOTIONS

EMOTIONS_FILE: Final = "emotions.onnx"

EmotionLogits = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""From the hops of clips of one length, (batch, k * 4000), to logits, (batch, k, 6)."""


def has_emotion_logits(folder: Path) -> bool:
    """Return whether the model folder has an emotions head."""
    return (folder / EMOTIONS_FILE).is_file()


def emotion_logits(folder: Path) -> EmotionLogits:
    """Return the emotions head of a model folder; every clip is the start of a channel.

    Raises:
        ModelError: there is none, or it is not what this module's docstring says.
    """
    path = folder / EMOTIONS_FILE
    if not has_emotion_logits(folder):
        raise ModelError(f"{folder}: no emotions head in this folder ({EMOTIONS_FILE} is missing)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=["CPUExecutionProvider"]
    )
    shapes = {each.name: each.shape for each in (*session.get_inputs(), *session.get_outputs())}
    if not {"pcm", "state", "emotions"} <= set(shapes):
        raise ModelError(f"{path}: needs inputs pcm and state and output emotions; export it again")
    if shapes["emotions"][-1] not in {len(EMOTIONS), None} and isinstance(
        shapes["emotions"][-1], int
    ):
        raise ModelError(f"{path}: has {shapes['emotions'][-1]} emotions, not {len(EMOTIONS)}")
    state_floats = int(shapes["state"][1])

    def logits(pcm: NDArray[np.float32]) -> NDArray[np.float64]:
        state = np.zeros((len(pcm), state_floats), np.float32)
        (emotions,) = session.run(["emotions"], {"pcm": pcm, "state": state})
        return np.asarray(emotions, np.float64)

    return logits
