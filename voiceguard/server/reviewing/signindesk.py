"""Checks names and passwords: slowly, a few at a time, and not for ever."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from voiceguard.server.reviewing.accounts import MAX_PASSWORD_CHARACTERS, REVIEWER_NAME
from voiceguard.server.reviewing.signin import Reviewer, ReviewGate
from voiceguard.server.status import CallRefusedError, draining, sign_in_failed, too_many_tries

WINDOW_S: Final = 300.0
"""Time in which wrong tries are counted."""

MAX_TRIES_OF_NAME: Final = 5
MAX_TRIES_OF_PEER: Final = 20

MAX_COUNTED: Final = 10_000
"""Names, and peers, that are counted. Passwords are checked one at a time, a tenth of a second
each, so that fewer than this fail within the window."""

MAX_WAITING: Final = 32
"""Sign-ins that may wait for their turn."""

BUSY_RETRY_S: Final = 1.0


class Tries:
    """Wrong tries of each of many names within a window, in bounded memory.

    Args:
        limit: how many there may be within the window.
        clock: monotonic seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def wait_s(self, name: str) -> float:
        """Return how long a name must wait before it may try again; 0: it may now."""
        now_s = self._clock()
        times = self._times.get(name)
        while times and now_s - times[0] >= WINDOW_S:
            times.popleft()
        if times is None or len(times) < self._limit:
            return 0.0
        return times[0] + WINDOW_S - now_s

    def add(self, name: str) -> None:
        """Count a try: as wrong, until `forgive` takes it back."""
        self._times.setdefault(name, deque(maxlen=self._limit)).append(self._clock())
        self._times.move_to_end(name)
        while len(self._times) > MAX_COUNTED:
            self._times.popitem(last=False)

    def forgive(self, name: str, *, everything: bool) -> None:
        """Take back the newest try of a name, or all of them."""
        times = self._times.get(name)
        if not times:
            return
        times.pop()
        if everything or not times:
            del self._times[name]


class SignInDesk:
    """Turns a name and a password into a token.

    Args:
        gate: who may come in.
        lifetime: of a token.
        clock: monotonic seconds.
        now_ms: milliseconds since 1970, UTC.
    """

    def __init__(
        self,
        gate: ReviewGate,
        *,
        lifetime: timedelta,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._gate = gate
        self._lifetime_ms = int(lifetime.total_seconds() * 1000)
        self._now_ms = now_ms
        self._names = Tries(MAX_TRIES_OF_NAME, clock)
        self._peers = Tries(MAX_TRIES_OF_PEER, clock)
        self._waiting = 0
        self._is_closed = False
        # A thread of its own: a check takes 32 MiB and a tenth of a second of a core, and must
        # hold up neither calls nor the other requests of reviewers.
        self._thread = ThreadPoolExecutor(1, "voiceguard-passwords")

    async def sign_in(self, name: str, password: str, peer: str) -> tuple[str, Reviewer]:
        """Return a token and whom it names.

        Args:
            name: as given, which may be anything.
            password: the same.
            peer: where the caller is, as `peer_address` returns it.

        Raises:
            CallRefusedError: name or password is wrong, or there were too many tries. Whether the
                name exists makes no difference to what is said, nor to when.
        """
        name = name if REVIEWER_NAME.fullmatch(name) else ""
        if self._is_closed:
            raise CallRefusedError(draining(BUSY_RETRY_S))
        self._check_tries(name, peer)
        self._names.add(name)
        self._peers.add(peer)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            password = password if len(password) <= MAX_PASSWORD_CHARACTERS else ""
            check = self._gate.accounts.check_password
            account = await loop.run_in_executor(self._thread, check, name, password)
        finally:
            self._waiting -= 1
        if account is None:
            raise CallRefusedError(sign_in_failed())
        self._names.forgive(name, everything=True)
        self._peers.forgive(peer, everything=False)
        expires_at_ms = self._now_ms() + self._lifetime_ms
        token = self._gate.tokens.issue(account, expires_at_ms)
        return token, Reviewer.of(account, expires_at_ms)

    def close(self) -> None:
        """Check no more passwords."""
        self._is_closed = True
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _check_tries(self, name: str, peer: str) -> None:
        wait_s = max(self._names.wait_s(name), self._peers.wait_s(peer))
        if self._waiting >= MAX_WAITING:
            wait_s = max(wait_s, BUSY_RETRY_S)
        if wait_s:
            raise CallRefusedError(too_many_tries(wait_s))


def peer_address(peer: str) -> str:
    """Return a gRPC peer without its port, which changes with every connection.

    https://grpc.github.io/grpc/core/md_doc_naming.html: `ipv4:1.2.3.4:5`, `ipv6:%5B::1%5D:5`,
    `unix:`.
    """
    scheme, _, rest = peer.partition(":")
    if scheme in {"ipv4", "ipv6"}:
        return f"{scheme}:{rest.rpartition(':')[0]}"
    return scheme
