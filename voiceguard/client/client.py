"""`MonitorClient`: one connection to a server, for any number of calls."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import grpc
import grpc.aio

from voiceguard.client.call import MonitoredCall
from voiceguard.client.carrier import StreamCarrier, rpc_error_failure
from voiceguard.client.errors import ClientUsageError
from voiceguard.client.retry import RetryPolicy
from voiceguard.client.security import TlsOptions, channel_credentials, open_channel
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1.monitor_pb2_grpc import MonitorServiceStub

if TYPE_CHECKING:
    from voiceguard.v1.monitor_pb2_grpc import MonitorServiceAsyncStub

__all__ = ["MonitorClient"]

_OPTIONS: Final = (
    # A connection of its own, so that closing the client closes it.
    ("grpc.use_local_subchannel_pool", 1),
    # A live call cannot wait for gRPC's own backoff of up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # A dead network shows within seconds: the timeout is also TCP_USER_TIMEOUT on Linux, and
    # audio is always under way.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # What is under way when a stream breaks has to be sent again.
    ("grpc.http2.write_buffer_size", 16_384),
    ("grpc.enable_http_proxy", 0),
)


class MonitorClient:
    """A connection to one server. Used with ``async with``; all its calls share it.

    Args:
        address: gRPC target of the server, ``host:port``; a name with several addresses is
            tried in order.
        tls: how to encrypt. None: plaintext, for servers on this machine only.
        token: bearer token, where the server asks for one. Sent with every call.
        allow_plaintext: let audio and token cross a network in the clear, where something
            else encrypts the way (a service mesh, a tunnel).
        opening: how hard to try to open a call.
        resuming: how hard to try to bring a broken call back.

    Raises:
        ClientUsageError: plaintext to another machine.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: TlsOptions | None = None,
        token: str | None = None,
        allow_plaintext: bool = False,
        opening: RetryPolicy | None = None,
        resuming: RetryPolicy | None = None,
    ) -> None:
        self._address = address
        self._credentials = channel_credentials(address, tls, allow_plaintext=allow_plaintext)
        self._server_name = tls.server_name if tls is not None else None
        self.opening = opening or RetryPolicy(total_s=5.0)
        """How hard to try to open a call."""
        self.resuming = resuming or RetryPolicy()
        """How hard to try to bring a broken call back."""
        self._metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        """Make the channel; the connection itself is made with the first call."""
        if self._channel is not None:
            raise ClientUsageError("a client is entered once; make a new one")
        self._channel = open_channel(self._address, self._credentials, self._server_name, _OPTIONS)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection; leave the calls first."""
        await self._entered().close()

    async def capabilities(self, *, timeout_s: float = 10.0) -> pb.GetCapabilitiesResponse:
        """Ask what the server accepts and which model and policies it runs.

        Args:
            timeout_s: longest wait, in seconds.

        Raises:
            CallRefusedError: the server refuses, for example without credentials.
            CallLostError: the server cannot be reached.
        """
        request = pb.GetCapabilitiesRequest()
        metadata = grpc.aio.Metadata(*self._metadata)
        try:
            return await self.stub.GetCapabilities(request, timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise rpc_error_failure(error).to_error(tries=1) from error

    def call(self, config: pb.SessionConfig) -> MonitoredCall:
        """Return a call on a stream of its own; enter it to open the session.

        Args:
            config: see `session_config`. With a `resume_token`, goes on with a session that
                another process began.

        Raises:
            ClientUsageError: the audio format is not one that voiceguard takes, or the client
                was not entered.
        """
        carrier = StreamCarrier(self.stub, self._metadata)
        return MonitoredCall(config, carrier, opening=self.opening, resuming=self.resuming)

    @property
    def stub(self) -> MonitorServiceAsyncStub:
        """The generated stub on this client's channel.

        Raises:
            ClientUsageError: the client was not entered.
        """
        return MonitorServiceStub(self._entered())

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What the server wants to see with each call: the bearer token, if there is one."""
        return self._metadata

    def _entered(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise ClientUsageError("use the client with `async with`")
        return self._channel
