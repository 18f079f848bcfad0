"""Sessions to review, a service that has them, and the page in front of it."""

from __future__ import annotations

import httpx
import numpy as np
import pytest

from tests.review.servicer import PASSWORD, RATE_HZ, Kept, MemoryReview, serving
from voiceguard.review import ReviewPageSettings, create_app
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

ORIGIN = "http://127.0.0.1:8080"
OURS = {"origin": ORIGIN, "x-voiceguard": "1", "sec-fetch-site": "same-origin"}
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def tone(seconds: float = 4.0, channels: int = 2) -> np.ndarray:
    """Return samples of which no two in a row are alike."""
    count = int(seconds * RATE_HZ)
    return (
        (np.arange(count * channels, dtype=np.int64) * 37 % 20000)
        .astype(np.int16)
        .reshape(count, channels)
    )


def kept_session(session_id: str, peak: float, *, flagged: bool = True, **call: str) -> Kept:
    """Return a session of four seconds that came to some peak."""
    level = pb.ALERT_LEVEL_RED if peak >= 80 else pb.ALERT_LEVEL_GREEN
    session = rpb.Session(
        session_id=session_id,
        call=pb.CallMetadata(**{"campaign": "spring", "agent_id": "bot-1", **call}),
        summary=pb.SessionSummary(
            session_id=session_id, peak_pressure_index=peak, peak_level=level, handoffs=int(flagged)
        ),
        audio=pb.AudioFormat(
            encoding=pb.AUDIO_ENCODING_LINEAR16,
            sample_rate_hertz=RATE_HZ,
            channels=[pb.PARTICIPANT_ROLE_CUSTOMER, pb.PARTICIPANT_ROLE_AUTOMATED_AGENT],
        ),
        audio_kept=True,
        ended="completed",
    )
    session.summary.audio_duration.FromSeconds(4)
    session.started_at.GetCurrentTime()
    session.ended_at.GetCurrentTime()
    events = []
    for hop in range(1, 8):
        update = pb.PressureUpdate(channel=0, pressure_index=peak * hop / 7, level=level)
        update.start_offset.FromMilliseconds(hop * 500 - 500)
        update.end_offset.FromMilliseconds(hop * 500)
        update.scores["anger"] = hop / 10
        events.append(pb.MonitorResponse(pressure=update))
    if flagged:
        flag = pb.SessionFlagged(pressure_index=peak, reason="the voice sounds angry")
        flag.offset.FromMilliseconds(3500)
        handoff = pb.HandoffRequested(
            handoff_id="handoff-1", pressure_index=peak, reason=pb.HandoffRequested.REASON_ANGER
        )
        handoff.offset.FromMilliseconds(3500)
        session.flagged.CopyFrom(flag)
        session.flagged_at.GetCurrentTime()
        session.handoffs.append(handoff)
        events += [pb.MonitorResponse(flagged=flag), pb.MonitorResponse(handoff=handoff)]
    return Kept(session, events, tone())


@pytest.fixture
def service() -> MemoryReview:
    """A service with five sessions, three of them flagged."""
    memory = MemoryReview()
    for kept in (
        kept_session("call-worst", 95),
        kept_session("call-bad", 84, campaign="autumn"),
        kept_session("call-hostile", 82, campaign=HOSTILE, agent_id=HOSTILE),
        kept_session("call-calm", 10, flagged=False),
        kept_session("call-calmer", 5, flagged=False),
    ):
        memory.add(kept)
    return memory


@pytest.fixture
async def page(service):
    """A browser's way to the page, nobody signed in."""
    async with serving(service) as target:
        app = create_app(ReviewPageSettings(server=target))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                client.headers.update(OURS)
                yield client


async def sign_in(page: httpx.AsyncClient, name: str = "ada") -> httpx.Response:
    """Sign in."""
    response = await page.post("/api/sign-in", json={"name": name, "password": PASSWORD})
    assert response.status_code == 200
    return response
