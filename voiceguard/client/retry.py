"""When to try again after a broken stream, and when to give up. Pure: no clock, no sleep."""

from __future__ import annotations

import random
from dataclasses import dataclass

from voiceguard.client.errors import ClientUsageError

__all__ = ["RetryBudget", "RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter, bounded in tries and in time.

    Before try number n the client waits between half and all of
    ``initial_s * multiplier ** n``, at most `longest_s`. The spread keeps the calls of a
    gateway from coming back all at once.

    Attributes:
        tries: most tries after one break.
        total_s: longest time from a break to the last try, in seconds.
        initial_s: wait before the first try, in seconds.
        longest_s: longest wait between two tries, in seconds.
        multiplier: growth of the wait from try to try.

    Raises:
        ClientUsageError: a value that makes no sense.
    """

    tries: int = 30
    total_s: float = 60.0
    initial_s: float = 0.1
    longest_s: float = 5.0
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if self.tries < 0 or self.total_s < 0:
            raise ClientUsageError("RetryPolicy: tries and total_s are 0 or more")
        if not (0 < self.initial_s <= self.longest_s and self.multiplier >= 1):
            problem = "RetryPolicy: 0 < initial_s <= longest_s and multiplier >= 1"
            raise ClientUsageError(problem)


class RetryBudget:
    """What is left of a `RetryPolicy` since one break.

    Args:
        policy: the bounds.
        spread: source of the jitter.
    """

    def __init__(self, policy: RetryPolicy, spread: random.Random) -> None:
        self._policy = policy
        self._spread = spread
        self.tries = 0
        """Tries granted so far."""

    def next_wait_s(self, elapsed_s: float, retry_after_s: float | None = None) -> float | None:
        """Grant one more try.

        Args:
            elapsed_s: time since the break, in seconds.
            retry_after_s: how long the server asked to be left alone, in seconds (RetryInfo).

        Returns:
            How long to wait before it, in seconds; None: give up.
        """
        policy = self._policy
        if self.tries >= policy.tries:
            return None
        growth = policy.multiplier ** min(self.tries, 64)
        longest_s = min(policy.initial_s * growth, policy.longest_s)
        wait_s = self._spread.uniform(longest_s / 2, longest_s)
        if retry_after_s is not None:
            wait_s += retry_after_s
        if elapsed_s + wait_s > policy.total_s:
            return None
        self.tries += 1
        return wait_s
