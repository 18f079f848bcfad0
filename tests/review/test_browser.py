"""The page as reviewers have it, in Debian's Chromium."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager

import grpc
import pytest
from playwright.async_api import expect

from tests.review.browser import open_browser, served_page
from tests.review.conftest import HOSTILE
from tests.review.servicer import serving
from tests.review.watched import ROWS, Watched
from voiceguard.v1 import monitor_pb2 as pb
from voiceguard.v1 import review_pb2 as rpb

pytestmark = pytest.mark.slow


@asynccontextmanager
async def tab_on(service, **options):
    """Serve sessions and open the page in a tab; at the end nothing may have gone wrong."""
    options = {"locale": "en-GB", "timezone_id": "Asia/Shanghai", **options}
    async with (
        serving(service) as target,
        served_page(target) as url,
        open_browser() as browser,
        await browser.new_context(**options) as context,
    ):
        watched = Watched(await context.new_page(), url)
        watched.tab.set_default_timeout(10_000)
        yield watched
        assert watched.faults == []


async def test_the_queue_shows_the_worst_first_and_takes_filters(service) -> None:
    async with tab_on(service) as page:
        await page.sign_in(password="guess")
        await page.tab.get_by_role("alert").get_by_text("do not match").wait_for()
        await page.sign_in()
        await page.tab.wait_for_selector(ROWS)
        assert await page.ids() == ["call-worst", "call-bad", "call-hostile"]
        await page.tab.fill("#filter-campaign", "autumn")
        await expect(page.tab.locator(ROWS)).to_have_count(1)
        assert await page.ids() == ["call-bad"]
        await page.tab.click("#clear-filters")
        await page.tab.get_by_text("All", exact=True).click()
        await page.tab.select_option("#filter-level", "any")
        await expect(page.tab.locator(ROWS)).to_have_count(5)
        await page.tab.get_by_text("More filters").click()
        await page.tab.fill("#filter-number", "+8613800138000")
        await page.tab.get_by_text("Nothing matches").wait_for()
        assert "138" not in page.tab.url


async def test_hostile_text_is_text(service) -> None:
    async with tab_on(service) as page:
        await page.sign_in()
        await page.tab.locator(ROWS, has_text="call-hostile").get_by_text(HOSTILE).first.wait_for()
        await page.tab.get_by_role("link", name="call-hostile").click()
        await page.tab.locator(".facts").get_by_text(HOSTILE).first.wait_for()
        await page.tab.fill("#comment", HOSTILE)
        await page.tab.click("#verdict-unsure")
        await page.tab.locator(".history").get_by_text(HOSTILE).wait_for()
        assert "owned" not in await page.tab.title()
        assert await page.tab.locator("img[src=x]").count() == 0


async def test_a_session_is_reviewed_by_keyboard_alone(service) -> None:
    async with tab_on(service) as page:
        await page.sign_in()
        await page.tab.wait_for_selector(ROWS)
        await page.tab.keyboard.press("j")
        await page.tab.keyboard.press("k")
        await page.tab.keyboard.press("Enter")
        await page.tab.wait_for_selector(".timeline canvas")
        heard = [one for one in service.requests if isinstance(one, rpb.GetAudioRequest)]
        assert heard == []  # to open a session is not to listen to it
        await page.tab.keyboard.press(" ")
        # It begins 3 s before the flag at 3.5 s, and goes on.
        await expect(page.tab.locator("#clock b")).to_have_text(re.compile(r"0:0[1-3]\.\d"))
        await page.tab.keyboard.press("j")
        await expect(page.tab.locator("#clock b")).to_have_text(re.compile(r"0:00\.[5-9]"))
        await page.tab.keyboard.press("?")
        await page.tab.get_by_role("dialog").get_by_text("Play or pause").wait_for()
        await page.tab.keyboard.press("Escape")
        await page.tab.keyboard.press("c")
        await page.tab.get_by_text("Recorded: Confirmed").wait_for()
        (verdict,) = service.kept["call-worst"].session.verdicts
        assert verdict.kind == rpb.Verdict.KIND_CONFIRMED
        await page.tab.keyboard.press("n")
        await page.tab.get_by_role("heading", name="call-bad").wait_for()
        await page.tab.keyboard.press("q")
        await page.tab.wait_for_selector(ROWS)
        await expect(page.tab.locator(ROWS)).to_have_count(2)
        assert await page.ids() == ["call-bad", "call-hostile"]


async def test_language_and_theme_follow_the_browser_and_are_remembered(service) -> None:
    async with tab_on(service, locale="zh-CN", color_scheme="dark") as page:
        await page.sign_in()
        await page.tab.get_by_role("heading", name="待办队列").wait_for()
        assert await page.tab.evaluate("document.documentElement.lang") == "zh-Hans"
        ground = "getComputedStyle(document.body).backgroundColor"
        assert await page.tab.evaluate(ground) == "rgb(16, 19, 27)"
        await page.tab.click("#language")
        await page.tab.get_by_role("button", name="Theme: as the system").click()
        await page.tab.reload()
        await page.tab.get_by_role("heading", name="Queue").wait_for()
        assert await page.tab.evaluate(ground) == "rgb(244, 245, 248)"


async def test_a_new_alert_arrives_by_itself(service) -> None:
    async with tab_on(service) as page:
        await page.sign_in()
        await page.tab.get_by_text("Live", exact=True).wait_for()
        service.announce(
            "call-new", pb.MonitorResponse(flagged=pb.SessionFlagged(pressure_index=77))
        )
        await page.tab.locator("#arrivals").get_by_text("call-new").wait_for()
        assert (await page.tab.title()).startswith("(1) ")
        await page.tab.get_by_role("button", name="Dismiss").click()
        assert not (await page.tab.title()).startswith("(")


async def test_the_dashboard_counts_and_compliance_may_erase(service) -> None:
    async with tab_on(service) as page:
        await page.sign_in("grace")
        await page.tab.wait_for_selector(ROWS)
        await page.tab.keyboard.press("d")
        await expect(page.tab.locator("#tile-flagged b")).to_have_text("3")
        await page.tab.goto(f"{page.url}#/session/call-bad")
        async with page.tab.expect_download() as download:
            await page.tab.click("#export")
        assert (await download.value).suggested_filename == "voiceguard-call-bad.zip"
        await page.tab.click("#erase")
        await page.tab.fill("#reason", "the customer asked")
        await page.tab.fill("#erase-confirm", "call-bad")
        await page.tab.get_by_role("dialog").get_by_role("button", name="Erase session").click()
        await page.tab.get_by_text("gone for good").wait_for()
        assert service.kept["call-bad"].session.HasField("erased_at")
        await page.tab.reload()
        await page.tab.get_by_text("gone for good").wait_for()
        await page.tab.click("#access")
        await page.tab.get_by_role("dialog").get_by_text("the customer asked").wait_for()


async def test_what_goes_wrong_is_said(service) -> None:
    async with tab_on(service) as page:
        await page.sign_in()
        await page.tab.wait_for_selector(ROWS)
        await page.tab.goto(f"{page.url}#/session/nobody-s")
        await page.tab.get_by_text("There is no such session").wait_for()
        service.failing = grpc.StatusCode.UNAVAILABLE
        await page.tab.goto(f"{page.url}#/queue")
        await page.tab.get_by_text("cannot be reached just now").wait_for()
        service.failing = None
        service.revoked.add("ada")
        await page.tab.get_by_role("button", name="Try again").click()
        await page.tab.get_by_text("sign-in has ended").wait_for()
