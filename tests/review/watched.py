"""A browser's tab at the page, and what went wrong in it."""

from __future__ import annotations

from tests.review.servicer import PASSWORD

ROWS = ".sessions tbody tr"


class Watched:
    """A tab, and what went wrong or elsewhere in it."""

    def __init__(self, tab, url: str, password: str = PASSWORD) -> None:
        self.tab, self.url, self.password, self.faults = tab, url, password, []
        tab.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        tab.on("console", self._hear)
        tab.on("request", self._look)

    def _hear(self, message) -> None:
        if message.type == "error" and "status of" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _look(self, request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.faults.append(f"foreign: {request.url}")

    async def sign_in(self, name: str = "ada", password: str | None = None) -> None:
        """Send the sign-in form."""
        await self.tab.goto(self.url)
        await self.tab.fill("#name", name)
        await self.tab.fill("#password", self.password if password is None else password)
        await self.tab.keyboard.press("Enter")

    async def ids(self) -> list[str]:
        """Return the sessions of the queue, from the top."""
        return await self.tab.locator(f"{ROWS} td.id a").all_inner_texts()
