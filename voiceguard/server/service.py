"""`MonitorService` over grpc.aio."""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from structlog.typing import FilteringBoundLogger

from voiceguard import __version__
from voiceguard.core.units import INPUT_RATES_HZ
from voiceguard.server.admission import FrontDesk
from voiceguard.server.auth import MONITOR_SERVICE, tenant_of
from voiceguard.server.carriers import SingleCall, Trunk
from voiceguard.server.settings import ServerSettings
from voiceguard.server.status import Refusal, invalid, no_config, permission_denied
from voiceguard.server.streams import ClientStream
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.wire import ENCODINGS

Context: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
"""A call whose messages are bytes: we parse, so that garbage gets an answer of ours."""


class MonitorService:
    """The methods of `voiceguard.v1.MonitorService`.

    Args:
        desk: lets calls in and out.
        settings: of the server.
        log: says what happens.
    """

    def __init__(
        self, desk: FrontDesk, settings: ServerSettings, log: FilteringBoundLogger
    ) -> None:
        self._desk = desk
        self._settings = settings
        self._log = log
        self._streams: set[ClientStream[Any, Any]] = set()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a grpc.aio server is given."""
        return grpc.method_handlers_generic_handler(
            MONITOR_SERVICE,
            {
                "Monitor": grpc.stream_stream_rpc_method_handler(self._monitor),
                "MonitorTrunk": grpc.stream_stream_rpc_method_handler(self._monitor_trunk),
                "GetCapabilities": grpc.unary_unary_rpc_method_handler(self._get_capabilities),
            },
        )

    def check_streams(self) -> None:
        """Close the streams whose clients do not read."""
        for stream in list(self._streams):
            stream.check(self._settings.unread_timeout_s)

    async def _monitor(self, _requests: object, context: Context) -> None:
        tenant = await self._tenant(context)
        stream = ClientStream[pb.MonitorRequest, pb.MonitorResponse](
            context, pb.MonitorRequest, self._desk.clock, self._log
        )
        call = SingleCall(self._desk, tenant, stream.on_change, self._log)
        timeout_s = self._settings.config_timeout_s

        def expire() -> None:
            if not call.is_configured:
                call.refuse(no_config(timeout_s))

        timer = asyncio.get_running_loop().call_later(timeout_s, expire)
        self._streams.add(stream)
        try:
            await stream.run(call)
        finally:
            timer.cancel()
            self._streams.discard(stream)

    async def _monitor_trunk(self, _requests: object, context: Context) -> None:
        tenant = await self._tenant(context)
        stream = ClientStream[pb.MonitorTrunkRequest, pb.MonitorTrunkResponse](
            context, pb.MonitorTrunkRequest, self._desk.clock, self._log
        )
        trunk = Trunk(self._desk, tenant, stream.on_change, self._log)
        self._streams.add(stream)
        try:
            await stream.run(trunk)
        finally:
            self._streams.discard(stream)

    async def _get_capabilities(self, content: bytes, context: Context) -> bytes:
        await self._tenant(context)
        try:
            pb.GetCapabilitiesRequest.FromString(content)
        except DecodeError:
            await _abort(context, invalid("request", "the bytes are no GetCapabilitiesRequest"))
        response = pb.GetCapabilitiesResponse(
            server_version=__version__,
            model_version=self._desk.model_version,
            encodings=list(ENCODINGS),
            sample_rates_hertz=INPUT_RATES_HZ,
            policies=self._desk.shelf.names,
            max_sessions=self._settings.max_sessions,
            active_sessions=len(self._desk.registry),
        )
        return response.SerializeToString()

    async def _tenant(self, context: Context) -> str:
        tenant = tenant_of(context, self._settings)
        if tenant is None:
            refusal = permission_denied(
                "the client certificate needs one common name of letters, digits and . _ -"
            )
            await _abort(context, refusal)
        return str(tenant)


async def _abort(context: Context, refusal: Refusal) -> None:
    await context.abort(refusal.code, refusal.message, refusal.trailing_metadata())
