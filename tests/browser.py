"""A pytest plugin: a real browser, headless. `python -m tests.browser` says whether there is one that works.

A test asks for `page` (or `browser` for pages of its own) and serves what it visits by `aiohttp_server`.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
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
    "Tests in a browser need one that runs headless. Debian: sudo apt-get install chromium. Ubuntu, whose "
    "chromium is a snap that does not: .venv/bin/python -m playwright install --with-deps chromium"
)
HANGS_AFTER_S = 120
"""No test takes so long; chromium was once seen to hang for good."""


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
            await browser.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser in the test's own loop. Where there is none the test fails in CI, else it is skipped."""
    path = find_chromium()
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ADVICE)
    async with launched(path) as running:
        yield running


@pytest.fixture
def page_complaints() -> list[str]:
    """Errors in the page's console and exceptions in its scripts. A test that expects one removes it."""
    return []


@pytest.fixture
async def page(browser: Browser, page_complaints: list[str]) -> AsyncIterator[Page]:
    """An empty page the size of a small phone, in Russian. What it complains of fails the test."""
    context = await browser.new_context(locale="ru-RU", viewport={"width": 320, "height": 640})
    opened = await context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            page_complaints.append(message.text)

    opened.on("console", note)
    opened.on("pageerror", lambda error: page_complaints.append(str(error)))
    yield opened
    await context.close()
    assert not page_complaints


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Repeat once, in a new browser, a test whose browser stopped answering; no other failure is repeated."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
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
