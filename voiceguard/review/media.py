"""What the page hands on as it comes: audio that can be sought in, and evidence bundles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from voiceguard.review.gateway import ReviewGateway
from voiceguard.review.identity import identity_of
from voiceguard.review.problems import ApiError, Problem
from voiceguard.review.wav import ByteRange, WavHead, parse_head, parse_range
from voiceguard.v1 import review_pb2 as rpb

__all__ = ["MEDIA_ROUTES"]

_FAULT: Final = Problem(502, "server_fault", "the server sent something that is not audio")


@dataclass(slots=True)
class _Wav:
    """An answer of GetAudio as it arrives: its head, and the samples that came with it."""

    head: WavHead
    first: bytes
    rest: AsyncIterator[Any]

    async def samples(self) -> AsyncIterator[bytes]:
        """Yield the samples."""
        if self.first:
            yield self.first
        async for answer in self.rest:
            yield answer.wav


async def get_audio(request: Request) -> Response:
    """Return a session's audio, or the part of it that the Range header names.

    A part in the middle is asked of the server from that moment on, so that seeking in an
    hour-long call fetches what is heard and no more.
    """
    wav = await _open_audio(request, rpb.GetAudioRequest())
    total = wav.head.total_bytes
    try:
        wanted = parse_range(request.headers.get("range", ""), total)
    except ValueError:
        await _close(wav.rest)
        return Response(status_code=416, headers={"Content-Range": f"bytes */{total}"})
    part = wanted or ByteRange(0, total - 1)
    lead = wav.head.head[part.first :][: part.size]
    skip = 0
    if part.first > len(wav.head.head):
        await _close(wav.rest)
        start, skip = wav.head.place(part.first)
        wav = await _open_audio(request, rpb.GetAudioRequest(start_offset=start))
        if wav.head.data_bytes < part.size + skip:
            await _close(wav.rest)
            raise ApiError(_FAULT)
    headers = {"Content-Length": str(part.size), "Accept-Ranges": "bytes"}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{total}"
    content = _cut(wav, lead, skip, part.size)
    return StreamingResponse(content, 206 if wanted else 200, headers, "audio/wav")


async def export_evidence(request: Request) -> Response:
    """Return a session's evidence bundle. By POST: that it was taken away is written down."""
    identity, gateway = identity_of(request), _gateway(request)
    session_id = str(request.path_params["session_id"])
    answers = gateway.stream(
        gateway.stub.ExportEvidence,
        rpb.ExportEvidenceRequest(session_id=session_id),
        identity.token,
    )
    first = await _first(answers)
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in session_id)
    headers = {"Content-Disposition": f'attachment; filename="voiceguard-{name}.zip"'}

    async def content() -> AsyncIterator[bytes]:
        async with aclosing(answers):  # type: ignore[type-var]
            yield first.bundle
            async for answer in answers:
                yield answer.bundle

    return StreamingResponse(content(), 200, headers, "application/zip")


async def _open_audio(request: Request, message: rpb.GetAudioRequest) -> _Wav:
    """Ask for audio and read until its head is there.

    Raises:
        ApiError: the server refused, or sent no audio.
    """
    identity, gateway = identity_of(request), _gateway(request)
    message.session_id = str(request.path_params["session_id"])
    answers = gateway.stream(gateway.stub.GetAudio, message, identity.token)
    content = b""
    try:
        while (head := parse_head(content)) is None:
            content += (await _first(answers)).wav
    except ValueError:
        await _close(answers)
        raise ApiError(_FAULT) from None
    return _Wav(head, content[len(head.head) :], answers)


async def _cut(wav: _Wav, lead: bytes, skip: int, size: int) -> AsyncIterator[bytes]:
    """Yield `size` bytes: `lead`, then the samples without the first `skip` bytes."""
    try:
        if lead:
            yield lead
        left = size - len(lead)
        async for piece in wav.samples():
            kept = piece[skip:][:left]
            skip = max(0, skip - len(piece))
            left -= len(kept)
            if kept:
                yield kept
            if left <= 0:
                return
    finally:
        await _close(wav.rest)


async def _first(answers: AsyncIterator[Any]) -> Any:  # noqa: ANN401 - a message of any method
    answer = await anext(answers, None)
    if answer is None:
        raise ApiError(_FAULT)
    return answer


async def _close(answers: AsyncIterator[Any]) -> None:
    """Cancel a streamed answer that is not wanted any more."""
    async with aclosing(answers):  # type: ignore[type-var]
        pass


def _gateway(request: Request) -> ReviewGateway:
    gateway: ReviewGateway = request.app.state.gateway
    return gateway


MEDIA_ROUTES: Final = (
    Route("/api/sessions/{session_id}/audio", get_audio, methods=["GET"]),
    Route("/api/sessions/{session_id}/evidence", export_evidence, methods=["POST"]),
)
"""Everything that answers with a file."""
