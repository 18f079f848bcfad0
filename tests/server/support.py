"""A client, a voice and a server for the server's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from numpy.typing import NDArray

from voiceguard.app import open_server
from voiceguard.core.events import AudioFormat, Encoding, Event, Role
from voiceguard.core.policy import Policy
from voiceguard.core.pressure import EvidenceWeights
from voiceguard.engine.local import LocalCall
from voiceguard.engine.model import StressModel
from voiceguard.resources import policies_dir
from voiceguard.server.lifecycle import BoundAddress, MonitorServer
from voiceguard.server.settings import ServerSettings
from voiceguard.server.status import DETAILS_KEY
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import monitor_pb2_grpc
from voiceguard.wire import ROLE_NUMBERS, event_to_proto

RATE_HZ = 8000

CUSTOMER = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER,))

CALM_RMS, ANGRY_RMS = 0.02, 0.18
"""Of full scale. The tests' model takes loudness for anger."""


def _resonance(frequency_hz: float, bandwidth_hz: float) -> NDArray[np.float64]:
    time_s = np.arange(RATE_HZ // 20) / RATE_HZ
    decay = np.exp(-np.pi * bandwidth_hz * time_s)
    return np.asarray(decay * np.sin(2 * np.pi * frequency_hz * time_s))


@cache
def voice(seconds: float, rms: float, seed: int = 0) -> NDArray[np.int16]:
    """Return syllables with gliding pitch and two formants each: a voice to every detector."""
    rng = np.random.default_rng(seed)
    total = int(seconds * RATE_HZ)
    wave = np.zeros(total)
    start = 0
    while start < total:
        length = min(int(RATE_HZ * rng.uniform(0.12, 0.3)), total - start)
        pitch_hz = np.linspace(rng.uniform(100, 220), rng.uniform(100, 220), length)
        source = 2 * (np.cumsum(pitch_hz / RATE_HZ) % 1) - 1 + rng.normal(0, 0.1, length)
        for low, high, bandwidth in ((300, 800, 90), (900, 2300, 120)):
            filtered = np.convolve(source, _resonance(rng.uniform(low, high), bandwidth))
            source = filtered[:length]
        source = source * np.hanning(length)
        power = np.sqrt(np.mean(source**2)) + 1e-9
        wave[start : start + length] = source / power
        start += length + int(RATE_HZ * rng.uniform(0, 0.06))
    return np.asarray((wave * rms * 32768).clip(-32768, 32767), dtype="<i2")


def angry_call(seed: int = 0) -> bytes:
    """Return 16 s of a customer: calm, then angry. It leads to a flag and a handoff."""
    parts = (voice(9, CALM_RMS, seed), voice(7, ANGRY_RMS, seed + 1))
    return np.concatenate(parts).tobytes()


def calm_call(seconds: float = 6, seed: int = 0) -> bytes:
    """Return a customer who stays calm."""
    return voice(seconds, CALM_RMS, seed).tobytes()


def pieces(content: bytes, size: int = 1600) -> list[bytes]:
    """Cut audio into chunks: of 100 ms by default."""
    return [content[start : start + size] for start in range(0, len(content), size)]


def make_config(session_id: str = "call-1", **changes: object) -> pb.SessionConfig:
    """Return the configuration of a call with one customer, 8 kHz, linear."""
    config = pb.SessionConfig(
        session_id=session_id,
        audio=pb.AudioFormat(
            encoding=pb.AUDIO_ENCODING_LINEAR16,
            sample_rate_hertz=RATE_HZ,
            channels=[pb.PARTICIPANT_ROLE_CUSTOMER],
        ),
        pressure_updates=True,
        speech_events=True,
    )
    for name, value in changes.items():
        if isinstance(value, str | bool):
            setattr(config, name, value)
        else:
            getattr(config, name).CopyFrom(value)
    return config


def audio_config(audio_format: AudioFormat, **changes: object) -> pb.SessionConfig:
    """Return a configuration for audio in another format."""
    config = make_config(**changes)
    numbers = {
        Encoding.LINEAR16: pb.AUDIO_ENCODING_LINEAR16,
        Encoding.MULAW: pb.AUDIO_ENCODING_MULAW,
        Encoding.ALAW: pb.AUDIO_ENCODING_ALAW,
    }
    config.audio.encoding = numbers[audio_format.encoding]
    config.audio.sample_rate_hertz = audio_format.sample_rate_hz
    config.audio.channels[:] = [ROLE_NUMBERS[role] for role in audio_format.channels]
    return config


def audio(content: bytes, first_sample: int | None = None) -> pb.MonitorRequest:
    """Return a request with audio."""
    return pb.MonitorRequest(audio=pb.AudioChunk(content=content, first_sample=first_sample))


class StreamError(Exception):
    """A stream ended with an error status."""

    def __init__(self, code: grpc.StatusCode, message: str, status: status_pb2.Status) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def field(self) -> str:
        """The field that `google.rpc.BadRequest` names."""
        bad_request = unpack(self.status, error_details_pb2.BadRequest)
        return bad_request.field_violations[0].field if bad_request else ""

    @property
    def reason(self) -> str:
        """The reason that `google.rpc.ErrorInfo` names."""
        return unpack(self.status, error_details_pb2.ErrorInfo).reason

    @property
    def retry_after_s(self) -> float | None:
        """When `google.rpc.RetryInfo` says to try again."""
        retry = unpack(self.status, error_details_pb2.RetryInfo)
        return retry.retry_delay.ToMilliseconds() / 1000 if retry else None


def unpack(status, kind):
    """Return the detail of a kind, None when the status has none."""
    for item in status.details:
        if item.Is(kind.DESCRIPTOR):
            detail = kind()
            item.Unpack(detail)
            return detail
    return None


def as_stream_error(error: grpc.aio.AioRpcError) -> StreamError:
    """Return an error with its details unpacked."""
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY:
            status.ParseFromString(value)
    return StreamError(error.code(), error.details() or "", status)


class Caller:
    """One Monitor stream, as a test's client has it."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Iterable[tuple[str, str]] = ()) -> None:
        stub = monitor_pb2_grpc.MonitorServiceStub(channel)
        self.call = stub.Monitor(metadata=tuple(metadata))

    async def send(self, *requests: pb.MonitorRequest) -> None:
        for request in requests:
            await self.call.write(request)

    async def open(self, config: pb.SessionConfig | None = None) -> pb.SessionOpened:
        await self.send(pb.MonitorRequest(config=config or make_config()))
        response = await self.receive()
        assert response.WhichOneof("event") == "opened"
        return response.opened

    async def send_audio(self, content: bytes, size: int = 1600) -> None:
        await self.send(*(audio(piece) for piece in pieces(content, size)))

    async def half_close(self) -> None:
        await self.call.done_writing()

    async def receive(self) -> pb.MonitorResponse:
        try:
            response = await self.call.read()
        except grpc.aio.AioRpcError as error:
            raise as_stream_error(error) from None
        if response is grpc.aio.EOF:
            code = await self.call.code()
            if code is not grpc.StatusCode.OK:
                metadata = await self.call.trailing_metadata()
                details = await self.call.details()
                error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details, None)
                raise as_stream_error(error)
            raise EOFError
        return response

    async def receive_until(self, event: str) -> pb.MonitorResponse:
        while True:
            response = await self.receive()
            if response.WhichOneof("event") == event:
                return response

    async def rest(self) -> list[pb.MonitorResponse]:
        """Return everything up to the end of the stream."""
        responses = []
        with suppress(EOFError):
            while True:
                responses.append(await self.receive())
        return responses

    async def play(self, content: bytes, size: int = 1600) -> list[pb.MonitorResponse]:
        """Send audio and half-close while reading; return everything to the end."""

        async def send() -> None:
            await self.send_audio(content, size)
            await self.half_close()

        sending = asyncio.create_task(send())
        responses = await self.rest()
        await sending
        return responses

    async def expect_error(self) -> StreamError:
        """Return the error that the stream ends with."""
        try:
            await self.rest()
        except StreamError as error:
            return error
        raise AssertionError("the stream ended well")


class RunningServer:
    """A server in this process, and a channel to it."""

    def __init__(
        self, server: MonitorServer, address: BoundAddress, channel: grpc.aio.Channel
    ) -> None:
        self.server = server
        self.address = address
        self.channel = channel

    def call(self, metadata: Iterable[tuple[str, str]] = ()) -> Caller:
        return Caller(self.channel, metadata)

    @property
    def stub(self) -> monitor_pb2_grpc.MonitorServiceStub:
        return monitor_pb2_grpc.MonitorServiceStub(self.channel)

    async def active_sessions(self) -> int:
        return (await self.stub.GetCapabilities(pb.GetCapabilitiesRequest())).active_sessions

    @property
    def metrics(self):
        return self.server._desk.metrics.registry

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[RunningServer]:
    """Run a server with these settings, and connect to it in plaintext."""
    async with (
        open_server(settings) as (server, address),
        grpc.aio.insecure_channel(address.target) as channel,
    ):
        yield RunningServer(server, address, channel)


async def stream_end(stream) -> StreamError | None:
    """Read a stream to its end; return the error that it ends with, None when it ends well."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return as_stream_error(error)
    code = await stream.code()
    if code is grpc.StatusCode.OK:
        return None
    metadata, details = await stream.trailing_metadata(), await stream.details()
    return as_stream_error(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details, None))


async def eventually(condition, timeout_s: float = 3.0) -> None:
    """Wait until a condition, or what it awaits, is true."""
    until = asyncio.get_running_loop().time() + timeout_s
    while True:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return
        assert asyncio.get_running_loop().time() < until, "it did not come true"
        await asyncio.sleep(0.01)


def default_policy() -> Policy:
    """Return the policy that sessions have here."""
    path = policies_dir() / "default.toml"
    return Policy.from_toml(path.read_bytes(), path.name)


def local_events(
    model: StressModel, content: bytes, audio_format: AudioFormat = CUSTOMER
) -> list[Event]:
    """Return the events that the file analyser's engine gives for audio."""
    weights = EvidenceWeights.from_mapping(model.manifest.pressure)
    call = LocalCall(default_policy(), audio_format, model=model, weights=weights)
    return list(call.events([content]))


def local_responses(
    model: StressModel,
    content: bytes,
    audio_format: AudioFormat = CUSTOMER,
    session_id: str = "call-1",
) -> list[pb.MonitorResponse]:
    """Return the same as the server would say it."""
    events = local_events(model, content, audio_format)
    responses = (event_to_proto(event, audio_format, session_id) for event in events)
    return [response for response in responses if response is not None]


def without_repeats(responses: list[pb.MonitorResponse]) -> list[pb.MonitorResponse]:
    """Return responses without what is sent again and what is about the stream only."""
    kept: list[pb.MonitorResponse] = []
    for response in responses:
        kind = response.WhichOneof("event")
        repeated = kind in {"handoff", "alert", "flagged"} and response in kept
        if kind not in {"opened", "flow"} and not repeated:
            kept.append(response)
    return kept


def kinds(responses: Iterable[pb.MonitorResponse]) -> list[str]:
    """Return what each response is."""
    return [str(response.WhichOneof("event")) for response in responses]


def write_policy(folder: Path, name: str, **replacements: str) -> Path:
    """Write a policy like the default one under another name."""
    text = (policies_dir() / "default.toml").read_text()
    text = text.replace('name = "default"', f'name = "{name}"')
    for old, new in replacements.items():
        assert f"{old} = " in text
        lines = [
            f"{old} = {new}" if line.startswith(f"{old} =") else line for line in text.splitlines()
        ]
        text = "\n".join(lines)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path
