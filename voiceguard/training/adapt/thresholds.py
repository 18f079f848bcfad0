"""A policy with raise thresholds for a wished share of false alarms."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voiceguard.core.errors import PolicyError
from voiceguard.core.events import AlertLevel
from voiceguard.core.policy import Policy
from voiceguard.training.folder import as_toml

SHARES: Final = {"yellow": 2.0, "orange": 1.0, "red": 0.25}
"""How many times the wished share of clips without anger or distress may reach each level."""

_LOWEST: Final = 10.0
_HIGHEST: Final = 95.0


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """A policy, and the settings of its file."""

    policy: Policy
    settings: dict[str, Any]

    @property
    def handoff_threshold(self) -> float:
        """Return the index at which it asks for a human; without handoffs, that of orange."""
        return self.policy.alerts[self.policy.handoff_level or AlertLevel.ORANGE].raise_threshold


def read_policy(path: Path) -> PolicyFile:
    """Read a policy file.

    Raises:
        PolicyError: it cannot be read or is not valid.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyError(str(path), f"{error.strerror}; give a policy file") from error
    policy = Policy.from_toml(content, str(path))
    return PolicyFile(policy, tomllib.loads(content.decode("utf-8")))


def raise_thresholds(calm_peaks: NDArray[np.float64], false_alarm_share: float) -> dict[str, float]:
    """Return the lowest whole thresholds that so few of `calm_peaks` reach, by level.

    Args:
        calm_peaks: (clips,), highest index during each clip without anger or distress, of
            speakers that the model was not fitted to.
        false_alarm_share: wished at orange; `SHARES` says what that is at the others.
    """
    ranked = np.sort(calm_peaks)[::-1]
    found: dict[str, float] = {}
    lowest = _LOWEST
    for level, times in SHARES.items():
        allowed = int(times * false_alarm_share * len(ranked))
        first_refused = float(ranked[allowed]) if allowed < len(ranked) else 0.0
        threshold = min(max(math.floor(first_refused) + 1.0, lowest), _HIGHEST)
        found[level] = lowest = threshold
    return found


def suggested_policy(file: PolicyFile, thresholds: dict[str, float]) -> bytes:
    """Return the content of a policy file with other raise thresholds.

    A level clears at the same share of its raise threshold as before; all else is kept.
    """
    settings = {**file.settings, "name": f"{file.policy.name}-own"}
    settings["description"] = "Thresholds suggested by voiceguard calibrate; look at them."
    settings["alerts"] = {
        level: {
            **old,
            "raise_threshold": thresholds[level],
            "clear_threshold": round(
                thresholds[level] * old["clear_threshold"] / old["raise_threshold"], 1
            ),
        }
        for level, old in file.settings["alerts"].items()
    }
    content = as_toml(settings).encode()
    Policy.from_toml(content, "suggested")
    return content
