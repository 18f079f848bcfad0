"""The reviewer's whole way: real calls, the real server, the real page, Debian's Chromium.

Nothing is stood in for: the shipped model listens to the sample call, the server keeps it,
the page shows it, and what is exported is verified with nothing but the log's public key.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile
from numpy.typing import NDArray
from playwright.async_api import expect

from tests.review.browser import open_browser, served_page
from tests.review.watched import ROWS, Watched
from tests.server.reviewing import cheap_passwords
from tests.server.support import eventually
from voiceguard.app import open_server
from voiceguard.client import MonitorClient, ReviewClient, session_config
from voiceguard.core.events import AudioFormat, Consent, ConsentState, Encoding, Role
from voiceguard.evidence.verify import VerifierKey, verify_bundle
from voiceguard.resources import samples_dir
from voiceguard.server.reviewing.accounts import Role as Rank
from voiceguard.server.reviewing.reviewers import add_password, add_token
from voiceguard.server.settings import ServerSettings
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"
RATE_HZ = 8000
STEREO = AudioFormat(Encoding.LINEAR16, RATE_HZ, (Role.CUSTOMER, Role.AUTOMATED_AGENT))
AGREED = Consent(ConsentState.GIVEN, notice_given=True, lawful_basis="contract")

ALERT_S = 34.5
"""When the shipped model asks for a human in the sample call."""

ANGRY_S, CALM_S = 38, 20
"""Of the sample call's start: with its first alert, and before it. The whole is the worst."""

MARKUP = "<img src=x onerror=\"document.title='owned'\">"
SQL = "'; DROP TABLE sessions; --"

KEEP_MEDIA = """
    window.media = [];
    window.Audio = class extends Audio { constructor() { super(); window.media.push(this); } };
"""
"""The page plays through an element that is in no document; this lets a test see it."""

CURRENT_TIME = "window.media.at(-1).currentTime"


@pytest.fixture(scope="module")
def sample_call() -> NDArray:
    """The call that comes with voiceguard: 70 s, the customer left, the agent right."""
    samples, rate_hz = soundfile.read(samples_dir() / "sample-call.flac", dtype="int16")
    assert rate_hz == RATE_HZ
    return samples


@pytest.fixture(autouse=True)
def _quick_passwords(monkeypatch) -> None:
    cheap_passwords(monkeypatch)


@dataclass
class Stage:
    """A server with its reviewers, and a browser's tab at its page."""

    target: str
    token: str
    page: Watched
    key: VerifierKey

    async def monitor(self, session_id: str, samples: NDArray, **call: object) -> None:
        """Stream a call to the server as a dialer does, to its end."""
        config = session_config(session_id, STEREO, consent=AGREED, call=pb.CallMetadata(**call))
        async with MonitorClient(self.target) as client, client.call(config) as monitored:
            await monitored.send_audio(samples.tobytes())

    async def kept(self, *session_ids: str) -> None:
        """Wait until reviewers can hear these sessions."""
        async with ReviewClient(self.target, token=self.token) as client:
            for session_id in session_ids:
                while True:
                    session = await client.get_session(session_id)
                    if session.ended and session.audio_kept == session.HasField("flagged"):
                        break
                    await asyncio.sleep(0.05)

    async def accesses(self, session_id: str) -> list[rpb.AccessEntry]:
        """Return what ada did with a session."""
        async with ReviewClient(self.target, token=self.token) as client:
            return [one for one in await client.list_access(session_id) if one.actor == "ada"]


@asynccontextmanager
async def stage(folder: Path):
    """Start a server that keeps sessions, its page, and a tab; nothing may go wrong in that."""
    reviewers = folder / "reviewers"
    add_password(reviewers, "local", "ada", Rank.REVIEWER, PASSWORD)
    token = add_token(reviewers, "local", "auditor", Rank.COMPLIANCE)
    settings = ServerSettings(
        listen="127.0.0.1:0",
        metrics_listen="",
        log_level="error",
        keep_sessions=True,
        data_dir=folder / "data",
        reviewers_file=reviewers,
    )
    async with (
        open_server(settings) as (_, address),
        served_page(address.target) as url,
        open_browser() as browser,
        await browser.new_context(locale="en-GB", timezone_id="Asia/Shanghai") as context,
    ):
        await context.add_init_script(KEEP_MEDIA)
        watched = Watched(await context.new_page(), url, PASSWORD)
        watched.tab.set_default_timeout(10_000)
        key = VerifierKey.find(str(folder / "data" / "log" / "key.pub"))
        yield Stage(address.target, token, watched, key)
        assert watched.faults == []


async def test_from_signing_in_to_evidence_that_verifies(sample_call, tmp_path) -> None:
    async with stage(tmp_path) as at:
        await asyncio.gather(
            at.monitor("call-calm", sample_call[: CALM_S * RATE_HZ], campaign="spring"),
            at.monitor("call-angry", sample_call[: ANGRY_S * RATE_HZ], campaign="spring"),
            at.monitor("call-worst", sample_call, campaign="autumn", agent_id="bot-7"),
        )
        await at.kept("call-calm", "call-angry", "call-worst")
        await _sign_in_at_the_second_try(at.page)
        assert await at.page.ids() == ["call-worst", "call-angry"]
        await _expect_dashboard(at.page, sessions="3", flagged="2", reviewed="0%")
        await at.page.tab.keyboard.press("q")
        await at.page.tab.get_by_role("link", name="call-worst").click()
        await _play_from_the_alert(at.page)
        await _judge(at.page, "The customer shouts; a human was needed.")
        await _expect_dashboard(at.page, flagged="2", reviewed="50%", precision="100%")
        await at.page.tab.keyboard.press("q")
        await expect(at.page.tab.locator(ROWS)).to_have_count(1)
        assert await at.page.ids() == ["call-angry"]
        bundle = await _export(at.page, "call-worst", tmp_path)
        await _expect_written_down(at)
    with bundle.open("rb") as file:
        verdict = verify_bundle(file, at.key)
    assert verdict.problems == ()
    assert verdict.ok


async def _sign_in_at_the_second_try(page: Watched) -> None:
    await page.sign_in(password="guess")
    await page.tab.get_by_role("alert").get_by_text("do not match").wait_for()
    assert await page.tab.locator(ROWS).count() == 0
    await page.sign_in()
    await page.tab.wait_for_selector(ROWS)


async def _expect_dashboard(page: Watched, **tiles: str) -> None:
    await page.tab.keyboard.press("d")
    for name, value in tiles.items():
        await expect(page.tab.locator(f"#tile-{name} b")).to_have_text(value)


async def _play_from_the_alert(page: Watched) -> None:
    await page.tab.wait_for_selector(".timeline canvas")
    await page.tab.click("#jump")
    clock = page.tab.locator("#clock b")
    await page.tab.keyboard.press("ArrowRight")
    await expect(clock).to_have_text("0:36.5")
    await page.tab.click("#jump")
    await expect(clock).to_have_text("0:31.5")
    await page.tab.select_option("#speed", "2")
    await page.tab.click("#play")
    await _expect_media(page, f"{CURRENT_TIME} > {ALERT_S}")
    await expect(clock).to_have_text(re.compile(r"0:3[4-7]\.\d"))
    await page.tab.click("#play")
    assert await page.tab.evaluate("window.media.at(-1).paused")


async def _expect_media(page: Watched, condition: str) -> None:
    # Not wait_for_function: the page's policy forbids the eval that it waits with.
    await eventually(lambda: page.tab.evaluate(condition), timeout_s=10)


async def _judge(page: Watched, comment: str) -> None:
    await page.tab.fill("#comment", comment)
    await page.tab.click("#verdict-confirmed")
    await page.tab.get_by_text("Recorded: Confirmed").wait_for()
    await page.tab.locator(".history").get_by_text(comment).wait_for()


async def _export(page: Watched, session_id: str, folder: Path) -> Path:
    await page.tab.goto(f"{page.url}#/session/{session_id}")
    async with page.tab.expect_download() as download:
        await page.tab.click("#export")
    found = await download.value
    assert found.suggested_filename == f"voiceguard-{session_id}.zip"
    bundle = folder / "bundle.zip"
    await found.save_as(bundle)
    return bundle


async def _expect_written_down(at: Stage) -> None:
    """That she looked, listened and took it away, and which part she listened to."""
    entries = await at.accesses("call-worst")
    assert {"viewed", "heard", "exported"} <= {entry.action for entry in entries}
    heard = [entry.detail for entry in entries if entry.action == "heard"]
    assert heard[0] == "0.000 s to 1.000 s"  # the browser looks at the file
    assert any(28 < float(part.split()[0]) < ALERT_S for part in heard)
    assert await at.accesses("call-angry") == []


async def test_an_alert_arrives_and_a_forged_cookie_does_not(sample_call, tmp_path) -> None:
    async with stage(tmp_path) as at:
        await at.page.sign_in()
        await at.page.tab.get_by_text("No session yet").wait_for()
        await at.page.tab.get_by_text("Live", exact=True).wait_for()
        await at.monitor("call-new", sample_call[: ANGRY_S * RATE_HZ])
        arrival = at.page.tab.locator("#arrivals a", has_text="call-new")
        await arrival.first.wait_for()
        await at.kept("call-new")
        await at.page.tab.get_by_role("button", name="Show in the queue").click()
        await expect(at.page.tab.locator(ROWS)).to_have_count(1)
        await _forge_cookie(at.page)
        await at.page.tab.reload()
        await at.page.tab.get_by_role("heading", name="Sign in to review").wait_for()
        assert "call-new" not in await at.page.tab.content()


async def _forge_cookie(page: Watched) -> None:
    """Sign in as compliance, by the cookie alone."""
    (cookie,) = await page.tab.context.cookies()
    value = cookie["value"]
    identity = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    kind, payload, seal = identity["token"].split(".")
    claims = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert b"reviewer" in claims
    promoted = claims.replace(b"reviewer", b"compliance")
    forged = base64.urlsafe_b64encode(promoted).decode().rstrip("=")
    identity |= {"token": f"{kind}.{forged}.{seal}", "role": "compliance"}
    content = base64.urlsafe_b64encode(json.dumps(identity).encode()).decode().rstrip("=")
    await page.tab.context.add_cookies([{**cookie, "value": content}])


async def test_markup_and_sql_are_text_all_the_way(sample_call, tmp_path) -> None:
    async with stage(tmp_path) as at:
        await at.monitor(
            "call-hostile",
            sample_call[: ANGRY_S * RATE_HZ],
            campaign=SQL,
            agent_id=MARKUP,
            call_id=MARKUP,
            labels={"note": MARKUP, "ticket": SQL},
        )
        await at.kept("call-hostile")
        await at.page.sign_in()
        row = at.page.tab.locator(ROWS, has_text="call-hostile")
        await row.get_by_text(MARKUP).wait_for()
        await at.page.tab.fill("#filter-campaign", SQL)
        await expect(row).to_have_count(1)
        await at.page.tab.fill("#filter-campaign", "' OR 1=1 --")
        await at.page.tab.get_by_text("Nothing matches").wait_for()
        await at.page.tab.goto(f"{at.page.url}#/session/call-hostile")
        facts = at.page.tab.locator(".facts")
        await expect(facts.get_by_text(MARKUP, exact=True)).to_have_count(3)
        await expect(facts.get_by_text(SQL, exact=True)).to_have_count(2)
        await _judge(at.page, f"{MARKUP} {SQL}")
        await at.page.tab.keyboard.press("d")
        await at.page.tab.get_by_role("button", name=SQL).wait_for()
        assert "owned" not in await at.page.tab.title()
        assert await at.page.tab.locator("img[src=x]").count() == 0
