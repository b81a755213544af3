"""A browser as a shopper has one; what it complains of is kept."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = Path(os.environ.get("DEV_SCREENSHOTS", ROOT / ".dev" / "screenshots"))
"""Where tests put what they saw."""

WIDTHS = {"desktop": (1280, 860), "phone": (390, 844), "small": (320, 640)}
WAIT_MS = 40_000
LOST = "Failed to load resource"
"""How Chromium begins to tell of an answer that did not come, or was an error."""


def chromium() -> str:
    """Return Debian's Chromium; an error that says what to install, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise FileNotFoundError("the tests in a browser need Chromium: apt-get install chromium")
    return found


@dataclass
class Visit:
    """One person's browser: its tabs share what is kept of them.

    `complaints`: errors on the console, policy violations among them. `asked`: every request.
    """

    context: BrowserContext
    complaints: list[str] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)

    async def open(self, url: str) -> Page:
        """Open a page in a tab of its own."""
        page = await self.context.new_page()
        await page.goto(url)
        return page

    def watch(self, page: Page) -> None:
        """Keep what a tab complains of."""
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def forgive_lost_answers(self) -> None:
        """Forget complaints about answers that the test itself withheld."""
        self.complaints[:] = [one for one in self.complaints if not one.startswith(LOST)]

    def note(self, request: Request) -> None:
        """Keep what was asked for."""
        self.asked.append(request)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


class Shoppers:
    """Gives browsers to shoppers; at the end none may have complained."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.visits: list[Visit] = []

    async def visit(self, width: str = "desktop", language: str = "en", **more: Any) -> Visit:
        """Return a browser of this width that speaks this language."""
        across, down = WIDTHS[width]
        context = await self._browser.new_context(
            viewport={"width": across, "height": down},
            locale={"en": "en-GB", "zh": "zh-CN"}[language],
            reduced_motion="reduce",
            **more,
        )
        context.set_default_timeout(WAIT_MS)
        visit = Visit(context)
        context.on("page", visit.watch)
        context.on("request", visit.note)
        self.visits.append(visit)
        return visit

    def check(self) -> None:
        """Raise AssertionError where a browser complained."""
        assert [] == [complaint for visit in self.visits for complaint in visit.complaints]


@asynccontextmanager
async def shopping() -> AsyncIterator[Shoppers]:
    """Give shoppers with browsers."""
    expect.set_options(timeout=WAIT_MS)
    # Root has no sandbox; what the tests open is ours.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield Shoppers(browser)
        finally:
            await browser.close()


async def keep(page: Page, name: str) -> None:
    """Keep what a page looks like."""
    await page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
