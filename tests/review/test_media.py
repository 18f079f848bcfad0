"""Audio that can be sought in, and evidence, as browsers fetch them."""

from __future__ import annotations

import struct

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.review.browser import served_page
from tests.review.conftest import OURS, sign_in, tone
from tests.review.servicer import RATE_HZ, serving
from voiceguard.review.wav import ByteRange, parse_head, pcm_head
from voiceguard.server.reviewing.audio import AudioRange
from voiceguard.v1 import review_pb2 as rpb

HEAD_BYTES = 44
FRAME_BYTES = 4
AUDIO = "/api/sessions/call-worst/audio"


async def test_audio_is_a_whole_wav_file(page, service) -> None:
    await sign_in(page)
    response = await page.get(AUDIO)
    samples = service.kept["call-worst"].samples.tobytes()
    assert response.status_code == 200
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["content-type"] == "audio/wav"
    assert response.content[:4] == b"RIFF"
    assert response.content[HEAD_BYTES:] == samples
    assert int(response.headers["content-length"]) == HEAD_BYTES + len(samples)


@pytest.mark.parametrize(
    "header",
    [
        "bytes=0-",
        "bytes=0-0",
        "bytes=0-43",
        "bytes=40-50",
        "bytes=44-",
        "bytes=45-46",
        "bytes=47-1000",
        "bytes=32001-",
        "bytes=100003-100010",
        "bytes=-1",
        "bytes=-5000",
        "bytes=128000-999999999",
    ],
)
async def test_every_range_is_the_file_s_own_bytes(page, header) -> None:
    await sign_in(page)
    whole = (await page.get(AUDIO)).content
    response = await page.get(AUDIO, headers={"range": header})
    first, _, last = header.removeprefix("bytes=").partition("-")
    start = int(first) if first else len(whole) - int(last)
    end = min(len(whole), int(last) + 1) if first and last else len(whole)
    if start == 0:  # a file that is asked for from its start is only looked at
        end = min(end, HEAD_BYTES + FRAME_BYTES * RATE_HZ)
    assert response.status_code == 206
    assert response.content == whole[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{len(whole)}"
    assert int(response.headers["content-length"]) == end - start


async def test_only_what_is_fetched_is_asked_of_the_server(page, service) -> None:
    await sign_in(page)
    service.kept["call-worst"].samples = tone(100)
    whole_bytes = HEAD_BYTES + 100 * RATE_HZ * FRAME_BYTES
    asked, first = [], 0
    for begin_s in (0, 50.5, None, None):  # a look at the file, a seek, and on from there
        if begin_s is not None:
            first = 0 if not begin_s else HEAD_BYTES + int(begin_s * RATE_HZ) * FRAME_BYTES
        response = await page.get(AUDIO, headers={"range": f"bytes={first}-"})
        assert response.headers["content-range"].endswith(f"/{whole_bytes}")
        first += len(response.content)
        (*_, request) = (one for one in service.requests if isinstance(one, rpb.GetAudioRequest))
        asked.append(
            tuple(one.ToMilliseconds() for one in (request.start_offset, request.end_offset))
        )
    assert asked == [(0, 1000), (50_500, 60_000), (60_000, 90_000), (90_000, 0)]
    assert first == whole_bytes
    looks = [one for one in service.requests if isinstance(one, rpb.GetWaveformRequest)]
    assert len(looks) == 1


async def test_the_head_alone_needs_nothing_to_be_heard(page, service) -> None:
    await sign_in(page)
    response = await page.get(AUDIO, headers={"range": f"bytes=0-{HEAD_BYTES - 1}"})
    assert response.content[:4] == b"RIFF"
    assert not [one for one in service.requests if isinstance(one, rpb.GetAudioRequest)]


async def test_ranges_that_make_no_sense(page) -> None:
    await sign_in(page)
    beyond = await page.get(AUDIO, headers={"range": "bytes=99999999-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{HEAD_BYTES + 4 * 8000 * 4}"
    for header in ("bytes=9-3", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "nonsense"):
        assert (await page.get(AUDIO, headers={"range": header})).status_code == 200


async def test_a_session_without_audio_says_so(page, service) -> None:
    await sign_in(page)
    service.kept["call-worst"].samples = None
    assert (await page.get(AUDIO)).status_code == 409


async def test_evidence_is_handed_on_byte_by_byte(page, service) -> None:
    await sign_in(page)
    response = await page.post("/api/sessions/call-worst/evidence", json={})
    assert response.content == (b"PK" + b"\0" * 1000) * 3
    assert response.headers["content-disposition"] == (
        'attachment; filename="voiceguard-call-worst.zip"'
    )
    assert (await page.post("/api/sessions/none/evidence", json={})).status_code == 404


def test_a_wav_head_with_other_chunks_is_understood() -> None:
    layout = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    content = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0" + layout + b"data\x08\0\0\0"
    head = parse_head(content + b"12345678")
    assert head is not None
    assert (head.head, head.frame_bytes, head.data_bytes) == (content, 2, 8)
    assert parse_head(content[:-1]) is None
    with pytest.raises(ValueError, match="RIFF"):
        parse_head(b"<html>not audio</html>")


@given(
    rate_hz=st.sampled_from([8000, 11025, 16000, 44100, 48000]),
    channels=st.integers(1, 2),
    data=st.data(),
)
def test_the_time_of_a_frame_finds_it_again(rate_hz, channels, data) -> None:
    head = pcm_head(rate_hz, channels, 3600 * rate_hz)
    assert parse_head(head.head) == head
    first = data.draw(st.integers(0, head.total_bytes - 1))
    part = ByteRange(first, data.draw(st.integers(first, head.total_bytes - 1)))
    begin, end = head.frames(part)
    wanted = AudioRange(head.offset(begin).ToNanoseconds(), head.offset(end).ToNanoseconds())
    assert wanted.frames(rate_hz, 3600 * rate_hz)[0] == begin
    assert wanted.frames(rate_hz, 3600 * rate_hz)[1] in {end, end + 1}
    assert head.first_byte(begin) <= max(first, HEAD_BYTES)
    assert head.first_byte(end) > part.last


async def test_audio_that_breaks_off_is_no_whole_answer(service, capfd) -> None:
    service.breaks_off = True
    async with (
        serving(service) as target,
        served_page(target) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        client.headers.update({**OURS, "origin": url.rstrip("/")})
        await sign_in(client)
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(AUDIO)
    said = capfd.readouterr().err
    assert "ApiError at " in said
    assert "call-worst" not in said
