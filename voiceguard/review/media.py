"""What the page hands on as it comes: audio that can be sought in, and evidence bundles."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from voiceguard.review.gateway import ReviewGateway
from voiceguard.review.identity import identity_of
from voiceguard.review.problems import ApiError, Problem
from voiceguard.review.wav import ByteRange, WavHead, parse_head, parse_range, pcm_head
from voiceguard.v1 import review_pb2 as rpb

__all__ = ["MEDIA_ROUTES"]

PIECE_S: Final = 30
"""Audio of one answer to a Range request, at most, in seconds."""

PROBE_S: Final = 1
"""The same where the range begins with the file, in seconds."""

MAX_HEADS: Final = 1000
"""Heads of audio files that are remembered, 44 bytes each."""

_FAULT: Final = Problem(502, "server_fault", "the server sent something that is not audio")


async def get_audio(request: Request) -> Response:
    """Return a session's audio, or the part of it that the Range header names.

    A part is asked of the server by its time, and answered piece by piece (RFC 9110, section
    15.3.7, lets a server send less than was asked for; browsers ask on). So what the server
    writes down as heard is what the browser fetched to play, not all that it might have.
    """
    head = await _find_head(request)
    total = head.total_bytes
    try:
        wanted = parse_range(request.headers.get("range", ""), total)
    except ValueError:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{total}"})
    part = ByteRange(0, total - 1) if wanted is None else _piece(head, wanted)
    content = await _open_part(request, head, part)
    headers = {"Content-Length": str(part.size), "Accept-Ranges": "bytes"}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {part.first}-{part.last}/{total}"
    return StreamingResponse(content, 206 if wanted else 200, headers, "audio/wav")


def _piece(head: WavHead, wanted: ByteRange) -> ByteRange:
    """Return the beginning of a range: to the next full piece, for replays to ask the same.

    Browsers ask for a file from its start before they seek in it. They get its head and no more
    of the samples than it takes to see that these are samples.
    """
    frame, _ = head.frames(wanted)
    piece = PIECE_S * head.rate_hz
    end = PROBE_S * head.rate_hz if wanted.first == 0 else (frame // piece + 1) * piece
    return ByteRange(wanted.first, min(wanted.last, head.first_byte(end) - 1))


async def _find_head(request: Request) -> WavHead:
    """Return the head of a session's audio file, remembered for who may hear it.

    Raises:
        ApiError: the server refused, or there is no audio.
    """
    identity, gateway = identity_of(request), _gateway(request)
    session_id = str(request.path_params["session_id"])
    heads: OrderedDict[tuple[str, str], WavHead] = request.app.state.heads
    key = (identity.token, session_id)
    if key not in heads:
        stub, token = gateway.stub, identity.token
        found = await gateway.ask(
            stub.GetSession, rpb.GetSessionRequest(session_id=session_id), token
        )
        outline = await gateway.ask(
            stub.GetWaveform, rpb.GetWaveformRequest(session_id=session_id), token
        )
        rate_hz, channels = found.session.audio.sample_rate_hertz, len(outline.channels)
        frames = round(outline.duration.ToNanoseconds() * rate_hz / 1_000_000_000)
        try:
            heads[key] = pcm_head(rate_hz, channels, frames)
        except ValueError:
            raise ApiError(_FAULT) from None
        while len(heads) > MAX_HEADS:
            heads.popitem(last=False)
    return heads[key]


async def _open_part(request: Request, head: WavHead, part: ByteRange) -> AsyncIterator[bytes]:
    """Ask the server for the samples of a part; return the part's bytes.

    Raises:
        ApiError: the server refused, or sent other audio than it said.
    """
    lead = head.head[part.first :][: part.size]
    if len(lead) == part.size:
        return _once(lead)
    first, end = head.frames(part)
    message = rpb.GetAudioRequest(session_id=str(request.path_params["session_id"]))
    if first:
        message.start_offset.CopyFrom(head.offset(first))
    if head.first_byte(end) < head.total_bytes:
        message.end_offset.CopyFrom(head.offset(end))
    gateway = _gateway(request)
    answers = gateway.stream(gateway.stub.GetAudio, message, identity_of(request).token)
    found, samples = await _read_head(answers)
    skip = 0 if lead else part.first - head.first_byte(first)
    size = part.size - len(lead)
    is_ours = (found.rate_hz, found.frame_bytes) == (head.rate_hz, head.frame_bytes)
    if not is_ours or found.data_bytes < skip + size:
        await _close(answers)
        raise ApiError(_FAULT)
    return _cut(lead, samples, answers, skip, size)


async def _read_head(answers: AsyncIterator[Any]) -> tuple[WavHead, bytes]:
    """Return the head of the WAV file that arrives, and the samples that came with it.

    Raises:
        ApiError: the server refused, or sent no audio.
    """
    content = b""
    try:
        while (head := parse_head(content)) is None:
            content += (await _first(answers)).wav
    except ValueError:
        await _close(answers)
        raise ApiError(_FAULT) from None
    return head, content[len(head.head) :]


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


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


async def _cut(
    lead: bytes, first: bytes, rest: AsyncIterator[Any], skip: int, size: int
) -> AsyncIterator[bytes]:
    """Yield `lead`, then `size` bytes of samples without the first `skip` bytes."""
    try:
        if lead:
            yield lead
        piece = first
        while True:
            kept = piece[skip:][:size]
            skip = max(0, skip - len(piece))
            size -= len(kept)
            if kept:
                yield kept
            if size <= 0:
                return
            piece = (await _first(rest)).wav
    finally:
        await _close(rest)


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
