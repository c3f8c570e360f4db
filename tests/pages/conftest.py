"""An order's page in a browser whose time the test moves, before a server whose answers the test writes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from tests.pages.fake_server import ScriptedOrder
from tests.pages.samples import NOW

DEADLINE_S = 30.0


class OrderPage:
    """The page of the scripted order, opened at NOW; `shop` is what answers it."""

    def __init__(self, page: Page, shop: ScriptedOrder, address: str) -> None:
        self.page, self.shop, self.address = page, shop, address

    async def open(self, status: str = "created", **changes: Any) -> None:
        """Let the order be in `status` and open its page."""
        self.shop.becomes(status, **changes)
        await self.page.goto(f"{self.address}/order?now={NOW.replace('+', '%2B')}")

    async def asked_during(self, seconds: int) -> int:
        """Let `seconds` pass on the page, one by one; return how often it asked for the status."""
        before = self.shop.asked
        for _ in range(seconds):
            await self.page.clock.run_for(1000)
            await self.settle()
        return self.shop.asked - before

    async def settle(self) -> None:
        """Wait until what the page has sent so far is answered."""
        await self.page.evaluate("fetch('/bank').then(answer => answer.text())")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, without letting time pass on the page."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await self.settle()

    async def seen(self, words: str) -> None:
        """Wait until `words` can be seen."""
        await self.page.get_by_text(words).first.wait_for(timeout=DEADLINE_S * 1000)

    async def is_painted(self, picture: str) -> None:
        """Check that the picture of a selector has arrived and can be shown."""
        await self.page.evaluate("selector => document.querySelector(selector).decode()", picture)

    async def hide(self, hidden: bool) -> None:
        """Put the tab into the background, or bring it back."""
        await self.page.evaluate(
            "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
            "document.dispatchEvent(new Event('visibilitychange')); }",
            hidden,
        )


@pytest.fixture
def shop() -> ScriptedOrder:
    return ScriptedOrder()


@pytest_asyncio.fixture(loop_scope="session")
async def address(shop: ScriptedOrder) -> AsyncIterator[str]:
    async with TestServer(shop.application()) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest_asyncio.fixture(loop_scope="session")
async def order_page(shop: ScriptedOrder, address: str, page: Page) -> OrderPage:
    """The page after the server, so that it is closed first and never asks a server that is gone."""
    await page.clock.install(time=0)
    await page.clock.pause_at(NOW)
    return OrderPage(page, shop, address)
