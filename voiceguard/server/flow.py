"""What a client should know about the flow of its call: stalls, lag, unscored windows."""

from __future__ import annotations

import math
from typing import Final

from voiceguard.core.events import ScoreMissed, ScoreRequest, ScoreResult
from voiceguard.server.terms import SessionLimits
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import seconds_to_proto

NOTICE_INTERVAL_S: Final = 5.0
"""Least time between two notices of lag in one session, and between two of missed scores."""


class FlowWatch:
    """Watches the audio that comes and the scores that are waited for.

    Args:
        limits: after how long something is worth a notice.
        now_s: monotonic seconds at this moment.
    """

    def __init__(self, limits: SessionLimits, now_s: float) -> None:
        self._limits = limits
        self._asked_at_s: dict[tuple[int, int], float] = {}
        self._last_audio_s = now_s
        self._stalled = False
        self._on_hold = False
        self._lag_notice_s = -math.inf
        self._missed_notice_s = -math.inf
        self._windows_missed = 0

    # ---- what happens ----

    def receive_sign_of_life(self, now_s: float) -> None:
        """Take note that the client is there: it sent audio or came back."""
        self._last_audio_s = now_s
        self._stalled = False

    def receive_control(self, now_s: float, *, on_hold: bool) -> None:
        """Take note that the call is on hold, where silence is no stall, or no longer."""
        self._on_hold = on_hold
        self._last_audio_s = now_s

    def receive_requests(self, requests: list[ScoreRequest], now_s: float) -> None:
        """Take note of scores that are waited for from now on."""
        for request in requests:
            self._asked_at_s[request.channel, request.sequence] = now_s

    def receive_answer(self, answer: ScoreResult | ScoreMissed, now_s: float) -> float | None:
        """Return how long a score was waited for, in seconds; None: it was not asked for."""
        asked_at_s = self._asked_at_s.pop((answer.channel, answer.sequence), None)
        return None if asked_at_s is None else now_s - asked_at_s

    def receive_missed_window(self) -> None:
        """Take note of a window that stays unscored."""
        self._windows_missed += 1

    # ---- what to say ----

    def silent_s(self, now_s: float) -> float:
        """Return how long no audio has come."""
        return now_s - self._last_audio_s

    def check_audio(self, now_s: float) -> list[pb.FlowNotice]:
        """Return a notice, once for each stall, when no audio comes."""
        silent_s = self.silent_s(now_s)
        if silent_s < self._limits.stall_after_s or self._stalled or self._on_hold:
            return []
        self._stalled = True
        return [pb.FlowNotice(kind=pb.FlowNotice.KIND_STALLED, lag=seconds_to_proto(silent_s))]

    def check_scores(self, now_s: float) -> list[pb.FlowNotice]:
        """Return notices of scores that are late, and of those that never came."""
        notices = []
        lag_s = now_s - next(iter(self._asked_at_s.values()), now_s)
        due = now_s - self._lag_notice_s >= NOTICE_INTERVAL_S
        if lag_s >= self._limits.lag_notice_s and due:
            self._lag_notice_s = now_s
            kind = pb.FlowNotice.KIND_LAGGING
            notices.append(pb.FlowNotice(kind=kind, lag=seconds_to_proto(lag_s)))
        if now_s - self._missed_notice_s >= NOTICE_INTERVAL_S:
            notices += self.take_missed(now_s)
        return notices

    def take_missed(self, now_s: float) -> list[pb.FlowNotice]:
        """Return a notice of the windows missed since the last one, if there are any."""
        if not self._windows_missed:
            return []
        self._missed_notice_s = now_s
        kind = pb.FlowNotice.KIND_SCORES_MISSED
        notice = pb.FlowNotice(kind=kind, windows_missed=self._windows_missed)
        self._windows_missed = 0
        return [notice]
