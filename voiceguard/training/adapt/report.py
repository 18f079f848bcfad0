"""What adapting a model came to, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from voiceguard.training.adapt.base import Base
from voiceguard.training.adapt.figures import Figures, comparison
from voiceguard.training.adapt.fitting import Adaptation, Wish
from voiceguard.training.adapt.scored import Scored


@dataclass(frozen=True, slots=True)
class Report:
    """An adaptation in numbers. What is said of after is said of speakers not fitted to."""

    base: Base
    version: str
    """Of the new model."""
    scored: Scored
    folds: int
    left_out: int
    """Clips without speech, or whose label says nothing of pressure."""
    wish: Wish
    before: Figures
    after: Figures
    adaptation: Adaptation
    """Fitted to all clips; what was written."""

    def as_data(self) -> dict[str, object]:
        """Return plain data, for JSON."""
        old = self.base.model.manifest
        return {
            "base": {"version": old.version, "sha256": old.sha256},
            "version": self.version,
            "data": {**self._counts(), "left_out": self.left_out, "folds": self.folds},
            "threshold": self.wish.threshold,
            "wished_false_alarm_share": self.wish.false_alarm_share,
            "before": self.before.as_data(),
            "after": self.after.as_data(),
            "pressure": asdict(self.adaptation.weights),
        }

    def lines(self) -> Iterator[str]:
        """Yield lines for people."""
        counts = self._counts()
        yield (
            f"{counts['clips']} clips of {counts['speakers']} speakers, {counts['pressured']} with "
            f"anger or distress; {self.left_out} left out; {self.folds} folds, no speaker on both "
            "sides of one"
        )
        yield from comparison(self.before, self.after, self.wish)
        old, new = self.base.weights, self.adaptation.weights
        yield (
            f"bias of anger {old.anger.bias:g} -> {new.anger.bias:g}, of distress "
            f"{old.distress.bias:g} -> {new.distress.bias:g}, "
            f"for false alarms in at most {100 * self.wish.false_alarm_share:g} % of clips"
        )

    def _counts(self) -> Mapping[str, int]:
        return {
            "clips": len(self.scored.speakers),
            "speakers": len(set(self.scored.speakers.tolist())),
            "pressured": int(self.scored.is_pressured.sum()),
            "calm": int(self.scored.is_calm.sum()),
        }
