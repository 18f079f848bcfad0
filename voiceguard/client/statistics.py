"""What a call went through, for the dialer's own metrics."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CallStatistics"]


@dataclass(frozen=True, slots=True)
class CallStatistics:
    """What a call went through; all counts are of sample frames at the call's own rate."""

    received_samples: int
    """Taken from the dialer: the call's length on the audio clock."""
    unsent_samples: int
    """Waiting to be sent now."""
    lost_samples: int
    """Fell out of the buffer before the server had them: reported as `AudioGap`."""
    replayed_samples: int
    """Sent more than once, after broken streams."""
    resumes: int
    """Broken streams after which the session went on."""
    reopened: int
    """Sessions that were opened because the server no longer knew the one before."""
    dropped_events: int
    """Interim events that nobody read in time; never alerts, handoffs or flags."""
