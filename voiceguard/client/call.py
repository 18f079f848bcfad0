"""`MonitoredCall`: what a dialer holds while one telephone call is monitored."""

from __future__ import annotations

import asyncio
import contextlib
import random
from types import TracebackType
from typing import Final, Self

import grpc

from voiceguard.client.carrier import Attempt, Carrier
from voiceguard.client.errors import CallLostError, ClientUsageError, MonitorError
from voiceguard.client.events import CallEvent
from voiceguard.client.failures import Failure
from voiceguard.client.inbox import EventInbox
from voiceguard.client.lifecycle import LinkState
from voiceguard.client.protocol import MAX_AUDIO_BYTES, CallProtocol
from voiceguard.client.retry import RetryBudget, RetryPolicy
from voiceguard.client.statistics import CallStatistics
from voiceguard.core.audio import MAX_REPLAY_S
from voiceguard.core.events import ControlAction, HandoffOutcome
from voiceguard.v1 import monitor_pb2 as pb

__all__ = ["MonitoredCall"]

FINISH_TIMEOUT_S: Final = 30.0
"""How long to wait for a summary, in seconds."""

UNSENT_S: Final = MAX_REPLAY_S / 2
"""Audio that `send_audio` lets wait to be sent, in seconds; the other half of the buffer is for
what has been sent and may have to be sent again."""

OPEN_TIMEOUT_S: Final = 10.0
"""How long to wait for the first response of a stream, in seconds."""

STEADY_S: Final = 2.0
"""A stream that lived this long, in seconds, earns its successor a fresh retry budget."""

LEAVE_S: Final = 1.0
"""How long a call that is left by an exception may take to end its session, in seconds."""

_ENDED_EARLY: Final = Failure(
    grpc.StatusCode.UNAVAILABLE, "the server ended the session while the call went on"
)


class MonitoredCall:
    """One telephone call that is being monitored.

    Made by `MonitorClient.call` and `TrunkClient.call`; used with ``async with``, in one
    event loop.

    Entering waits for the session to open. Leaving finishes the session, unless `finish`
    has done so; leaving by an exception ends it as well, but waits no more than a second.
    Iterating yields the events until the summary that ends the call, then stops; it raises
    what the call failed with. Repetitions are yielded once.

    A broken stream is resumed behind the scenes. Where the server has lost the session (it
    was restarted) or ended it (it is going away; the summary so far is yielded), a new one
    takes its place: a second `SessionOpened` with `accepted_samples` 0 is yielded, ids begin
    again, and what came before the last 10 s of audio is a gap of the new session.

    Raises:
        CallRefusedError: on entering, iterating, sending or finishing: the server said no.
        CallLostError: likewise: the server could not be reached again in time.
        ClientUsageError: this object was used in a way that makes no sense.
    """

    def __init__(
        self,
        config: pb.SessionConfig,
        carrier: Carrier,
        *,
        opening: RetryPolicy,
        resuming: RetryPolicy,
    ) -> None:
        self._protocol = CallProtocol(config)
        self._carrier = carrier
        self._opening = opening
        self._resuming = resuming
        self._inbox = EventInbox()
        self._opened = asyncio.Event()
        self._space = asyncio.Event()
        self._attempt: Attempt | None = None
        self._runner: asyncio.Task[None] | None = None
        self._summary: pb.SessionSummary | None = None
        self._finish_asked = False
        self._error_raised = False

    async def __aenter__(self) -> Self:
        """Open the session; the first event is its `SessionOpened`.

        Raises:
            CallRefusedError: the server refuses the call, for example without consent.
            CallLostError: no server answered.
            ClientUsageError: the call was entered before.
        """
        if self._runner is not None:
            raise ClientUsageError("a call is entered once; make a new one")
        self._runner = asyncio.create_task(self._run(), name=f"call {self.session_id}")
        try:
            await self._opened.wait()
            self._raise_failure()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the session if it is not over; raise its failure if nobody has seen it yet."""
        try:
            if kind is None and not self._error_raised:
                await self.finish()
            elif not self._protocol.is_over():
                with contextlib.suppress(MonitorError):
                    await self.finish(timeout_s=LEAVE_S)
        finally:
            await self._stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> CallEvent:
        event = await self._inbox.get()
        if event is None:
            self._raise_failure()
            raise StopAsyncIteration
        return event

    @property
    def session_id(self) -> str:
        """The id that the dialer chose."""
        return self._protocol.session_id

    @property
    def resume_token(self) -> str:
        """Secret with which another process can go on with this session; changes at each resume.

        Put it into `SessionConfig.resume_token` there. Keep it out of logs.
        """
        return self._protocol.resume_token

    @property
    def next_sample(self) -> int:
        """Index of the sample frame that the next audio begins with, on the call's audio clock."""
        return self._protocol.buffer.end_sample

    @property
    def connected(self) -> bool:
        """Audio reaches the server now; False while a broken stream is being resumed."""
        return self._protocol.state in {LinkState.STREAMING, LinkState.FINISHING}

    @property
    def statistics(self) -> CallStatistics:
        """What the call went through so far."""
        protocol, buffer = self._protocol, self._protocol.buffer
        return CallStatistics(
            received_samples=buffer.end_sample,
            unsent_samples=buffer.unsent_samples,
            lost_samples=buffer.lost_samples,
            replayed_samples=protocol.replayed_samples,
            resumes=protocol.resumes,
            reopened=protocol.reopened,
            dropped_events=self._inbox.dropped,
        )

    async def send_audio(self, content: bytes) -> None:
        """Send the call's next audio; loses nothing while the connection holds.

        Waits while 5 s of audio are waiting to be sent: that is the backpressure for files.
        A live call's media loop uses `send_audio_nowait`. One task at a time.

        Args:
            content: whole sample frames, channels interleaved, in the call's format; any
                number of them, 20 to 100 ms are usual.

        Raises:
            ClientUsageError: a broken sample frame (nothing is sent), or the call is finished.
            CallRefusedError: the server ended the call.
            CallLostError: the connection could not be restored.
        """
        self._check_audio(content)
        audio_format = self._protocol.audio_format
        limit_samples = int(UNSENT_S * audio_format.sample_rate_hz)
        piece_samples = min(MAX_AUDIO_BYTES // audio_format.frame_bytes, limit_samples // 4)
        piece_bytes = piece_samples * audio_format.frame_bytes
        for begin in range(0, len(content), piece_bytes):
            while self._protocol.buffer.unsent_samples + piece_samples > limit_samples:
                self._space.clear()
                await self._space.wait()
                self._check_open()
            self._protocol.receive_audio(content[begin : begin + piece_bytes])
            self._notify()

    def send_audio_nowait(self, content: bytes) -> int:
        """Send the call's next audio without ever waiting: for live media.

        What cannot be sent waits in a ring of 10 s; then the oldest makes room and becomes an
        honest `AudioGap`. From another thread: ``loop.call_soon_threadsafe(
        call.send_audio_nowait, content)``.

        Args:
            content: as for `send_audio`.

        Returns:
            How many sample frames fell out unsent to make room; 0 in good times.

        Raises:
            ClientUsageError: a broken sample frame (nothing is sent), or the call is finished.
            CallRefusedError: the server ended the call.
            CallLostError: the connection could not be restored.
        """
        self._check_audio(content)
        fallen_samples = self._protocol.receive_audio(content)
        self._notify()
        return fallen_samples

    async def hold(self) -> None:
        """Say that hold music or silence follows the audio so far: it will not be scored.

        Raises:
            ClientUsageError: the call is finished or not open yet.
            MonitorError: the call was refused or lost.
        """
        self._check_open()
        self._protocol.receive_control(ControlAction.HOLD)
        self._notify()

    async def resume(self) -> None:
        """Say that the conversation goes on after a hold.

        Raises:
            ClientUsageError: the call is finished or not open yet.
            MonitorError: the call was refused or lost.
        """
        self._check_open()
        self._protocol.receive_control(ControlAction.RESUME)
        self._notify()

    async def acknowledge(self, handoff_id: str, outcome: HandoffOutcome, reason: str = "") -> bool:
        """Say what became of a handoff. Sent again if it was lost with a broken stream.

        Args:
            handoff_id: of a `HandoffRequested` that this call yielded.
            outcome: ACCEPTED, TRANSFERRED, DECLINED or FAILED. May be given again as things
                go on, ACCEPTED and then TRANSFERRED; the last one counts.
            reason: the dialer's own words, at most 256 characters, no personal data.

        Returns:
            Whether it will reach the server: False once the session is being closed.

        Raises:
            ClientUsageError: no such handoff, an outcome that is not the dialer's to give, or
                too long a reason.
            MonitorError: the call was refused or lost.
        """
        self._entered()
        self._raise_failure()
        in_time = self._protocol.receive_answer(handoff_id, outcome, reason)
        self._notify()
        return in_time

    async def finish(self, timeout_s: float = FINISH_TIMEOUT_S) -> pb.SessionSummary:
        """End the session: send what is left, wait for the summary. May be called again.

        Args:
            timeout_s: longest wait, in seconds, resumes included.

        Returns:
            The summary, which is also the last event.

        Raises:
            CallRefusedError: the server ended the call instead.
            CallLostError: no summary came in time.
            ClientUsageError: the call was never entered.
        """
        runner = self._entered()
        self._finish_asked = True
        if not self._protocol.is_over():
            self._protocol.receive_finish()
            self._notify()
            if self._protocol.error is not None:
                runner.cancel()
        if not self._protocol.is_over():
            await asyncio.wait({runner}, timeout=timeout_s)
        if not self._protocol.is_over():
            reason = f"no summary within {timeout_s:g} s"
            self._fail(Failure(grpc.StatusCode.DEADLINE_EXCEEDED, reason))
        self._raise_failure()
        if self._summary is None:
            raise CallLostError("the call ended without a summary")
        return self._summary

    # ---- behind the scenes ----

    async def _run(self) -> None:
        try:
            await self._keep_streaming()
        finally:
            self._inbox.close()
            self._opened.set()
            self._space.set()

    async def _keep_streaming(self) -> None:
        """Carry the call over as many streams as it takes."""
        protocol, clock = self._protocol, asyncio.get_running_loop().time
        budget, began_s = self._fresh_budget(self._opening), clock()
        policy = self._opening
        while not protocol.is_over():
            opened_s, failure = await self._ride_stream()
            if failure is None:
                return
            steady = opened_s is not None and clock() - opened_s >= STEADY_S
            if steady or (opened_s is not None and policy is self._opening):
                policy = self._resuming
                budget, began_s = self._fresh_budget(policy), clock()
            protocol.receive_failure(failure)
            if protocol.is_over():
                return
            wait_s = budget.next_wait_s(clock() - began_s, failure.retry_after_s)
            if wait_s is None:
                protocol.receive_exhaustion(failure, budget.tries)
                return
            await asyncio.sleep(wait_s)

    async def _ride_stream(self) -> tuple[float | None, Failure | None]:
        """Carry the call on one stream; return when it opened, if it did, and how it broke."""
        protocol, opened_s = self._protocol, None
        protocol.begin_stream()
        attempt = self._attempt = self._carrier.open(protocol, self._space.set)
        try:
            received = await self._first_response(attempt)
            while not isinstance(received, Failure):
                self._deliver(received)
                if protocol.is_over():
                    return opened_s, None
                if protocol.state is LinkState.REOPENING:
                    return opened_s, _ENDED_EARLY
                if opened_s is None and self.connected:
                    opened_s = asyncio.get_running_loop().time()
                attempt.notify()
                received = await attempt.receive()
            return opened_s, received
        finally:
            self._attempt = None
            await attempt.close()

    async def _first_response(self, attempt: Attempt) -> pb.MonitorResponse | Failure:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                return await attempt.receive()
        except TimeoutError:
            reason = f"no answer within {OPEN_TIMEOUT_S:g} s"
            return Failure(grpc.StatusCode.DEADLINE_EXCEEDED, reason)

    def _deliver(self, response: pb.MonitorResponse) -> None:
        event = self._protocol.receive_response(response)
        match event:
            case None:
                return
            case pb.SessionOpened():
                self._opened.set()
            case pb.SessionSummary():
                self._summary = event
            case _:
                pass
        self._inbox.put(event)

    def _fresh_budget(self, policy: RetryPolicy) -> RetryBudget:
        return RetryBudget(policy, random.Random())  # noqa: S311 - jitter, no secret

    def _notify(self) -> None:
        if self._attempt is not None:
            self._attempt.notify()

    def _fail(self, failure: Failure) -> None:
        self._protocol.receive_exhaustion(failure, 0)
        self._entered().cancel()

    async def _stop(self) -> None:
        """Let the runner end, or end it. A defect that it met comes out here."""
        runner = self._entered()
        if not self._protocol.is_over():
            self._fail(Failure(grpc.StatusCode.CANCELLED, "the call was left"))
        await asyncio.wait({runner})
        if not runner.cancelled():
            runner.result()

    def _entered(self) -> asyncio.Task[None]:
        if self._runner is None:
            raise ClientUsageError("use the call with `async with`")
        return self._runner

    def _check_open(self) -> None:
        self._entered()
        self._raise_failure()
        if self._finish_asked or self._protocol.is_over():
            raise ClientUsageError("the call is finished; nothing can be sent any more")

    def _check_audio(self, content: bytes) -> None:
        self._check_open()
        frame_bytes = self._protocol.audio_format.frame_bytes
        if len(content) % frame_bytes:
            problem = (
                f"{len(content)} bytes are not a whole number of sample frames "
                f"of {frame_bytes} bytes"
            )
            raise ClientUsageError(problem)

    def _raise_failure(self) -> None:
        runner = self._entered()
        if runner.done() and not runner.cancelled():
            # Raises only what is a defect, or a trunk that was left: failures are kept below.
            runner.result()
        if self._protocol.error is not None:
            self._error_raised = True
            raise self._protocol.error
