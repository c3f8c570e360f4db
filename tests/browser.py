"""A pytest plugin: a real browser, headless. `python -m tests.browser` says whether there is one that works.

A test asks for `page` (or `browser` for pages of its own). One browser serves all tests of a process, so they
run in the session's loop, and so do the fixtures that serve what they visit: `loop_scope="session"`.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright, expect

NAMES = (
    "chromium-headless-shell",  # has no windows at all, and takes half the time
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
)
ARGUMENTS = [
    "--no-sandbox",  # the sandbox refuses to work for root, and CI is root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADVICE = (
    "Tests in a browser need one that runs headless. Debian: sudo apt-get install chromium-headless-shell. "
    "Ubuntu, whose chromium is a snap that does not: "
    ".venv/bin/python -m playwright install --with-deps chromium"
)
HANGS_AFTER_S = 120
"""No test takes so long; chromium was once seen to hang for good."""
CLOSES_WITHIN_S = 20.0
SHOWS_WITHIN_MS = 30_000
"""What is expected to be seen may take so long; playwright's own 5 s are too few on a busy machine."""

expect.set_options(timeout=SHOWS_WITHIN_MS)


def find_chromium() -> str | None:
    """Return the path of a chromium: playwright's own, else the system's; None when there is none."""
    downloaded = sorted(Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux*/chrome"))
    if downloaded:
        return str(downloaded[-1])
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@asynccontextmanager
async def launched(path: str) -> AsyncIterator[Browser]:
    """Run the browser at `path` while the context lasts. Raises playwright's Error when it does not start."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            with suppress(TimeoutError):  # it ends with playwright's driver at the latest
                async with asyncio.timeout(CLOSES_WITHIN_S):
                    await browser.close()


class Browsers:
    """The browser of this process, replaced when it stops answering. Use as an async context manager."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._launched = AsyncExitStack()

    async def __aenter__(self) -> "Browsers":
        self.browser = await self._launched.enter_async_context(launched(self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._launched.aclose()

    async def replace(self) -> None:
        """End the browser, which does not answer, and launch another."""
        await self.__aexit__()
        await self.__aenter__()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browsers() -> AsyncIterator[Browsers]:
    """Where the tests' browser comes from. Where there is none the test fails in CI, else it is skipped."""
    path = find_chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ADVICE)
    async with Browsers(path) as browsers:
        yield browsers


@pytest.fixture
def browser(browsers: Browsers) -> Browser:
    """A browser for pages of one's own."""
    return browsers.browser


@pytest.fixture
def page_complaints() -> list[str]:
    """Errors in the page's console and exceptions in its scripts. A test that expects one removes it."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, browsers: Browsers, page_complaints: list[str]) -> AsyncIterator[Page]:
    """An empty page the size of a small phone, in Russian. What it complains of fails the test."""
    context = await browser.new_context(
        locale="ru-RU",
        viewport={"width": 320, "height": 640},
        reduced_motion="reduce",
    )
    opened = await context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_complaints.append(message.text)

    opened.on("console", note)
    opened.on("pageerror", lambda error: page_complaints.append(str(error)))
    earlier = asyncio.all_tasks()
    yield opened
    try:
        async with asyncio.timeout(CLOSES_WITHIN_S):
            await context.close()
    except TimeoutError:
        for task in asyncio.all_tasks() - earlier - {asyncio.current_task()}:
            task.cancel()  # the test's own among them, which still waits for its page
        await browsers.replace()
    assert not page_complaints


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run each test of the browser in its loop. Repeat it once, in a new browser, when the browser stopped
    answering; no other failure is repeated."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(HANGS_AFTER_S))
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["from pytest-timeout"]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud how many tests were skipped for want of a browser."""
    reports = terminalreporter.stats.get("skipped", [])
    skipped = sum(ADVICE in str(report.longrepr) for report in reports)
    if skipped:
        terminalreporter.section("no browser", red=True)
        terminalreporter.line(f"{skipped} tests were skipped. {ADVICE}", red=True)


async def _check() -> int:
    """Return 0 when a browser starts, else say what to do and return 1."""
    path = find_chromium()
    try:
        if path is None:
            raise Error("no chromium was found")
        async with launched(path):
            return 0
    except Error as error:
        print(error.message, ADVICE, sep="\n", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(_check()))
