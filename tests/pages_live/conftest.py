"""A real site for the browser: a server, a machine that works, others without water, and their agents."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, Request, expect

from tests.processes.site import Machine, Site

WITHIN_MS = 40_000
"""What a drink, or the proof that there is none, may take on two slow cores."""
TECHNICIAN = ("anna", "кофе и булочка")


@dataclass
class Shop:
    """The site and what stands there."""

    site: Site
    works: Machine

    @asynccontextmanager
    async def receipts(self, folder: Path) -> AsyncIterator[None]:
        """Let the merchant give receipts, whose customers must leave an address, while the context lasts."""
        merchant = '[[merchants]]\nid = "m1"\nname = "Кофе у дома"\nvalid_until = 2099-12-31\n'
        file = folder / "merchant.toml"
        file.write_text(f"{merchant}[merchants.receipt]\nvat_code = 1\n", encoding="utf-8")
        await self.site.run("load", str(file))
        try:
            yield
        finally:
            file.write_text(merchant, encoding="utf-8")
            await self.site.run("load", str(file))

    async def dry_machine(self) -> Machine:
        """Place a machine without water; it fails once and then does not sell."""
        return await self.site.machine("--fail", "no-water")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with Site(tmp_path_factory.mktemp("site") / "shop", places=5) as site:
        name, password = TECHNICIAN
        await site.run("user", "add", name, "--role", "operator", typed=f"{password}\n")
        yield Shop(site, await site.machine())


class Visitor:
    """A customer at the browser."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.asked = 0
        page.on("request", self._count)

    def _count(self, request: Request) -> None:
        self.asked += "/v1/order-status/" in request.url

    async def chooses(self, machine: Machine) -> str:
        """Open the machine's menu and choose an espresso; return the order's id."""
        await self.page.goto(f"{self.site.url}/m/{machine.device_uuid}")
        drink = self.page.get_by_role("link", name="espresso")
        while not await drink.is_visible():  # its agent has not connected yet
            await self.page.get_by_role("link", name="Проверить ещё раз").click()
        await drink.click()
        await expect(self.page.get_by_role("button", name="Перейти к оплате")).to_be_visible()
        await self.page.wait_for_load_state()  # only then its script surely listens
        return (await self.page.locator(".foot .code").inner_text()).strip()

    async def goes_to_bank(self) -> None:
        """Press pay; the bank's page opens."""
        await self.page.get_by_role("button", name="Перейти к оплате").click()
        await self.at_bank()

    async def at_bank(self) -> None:
        """Wait for the bank's page."""
        await expect(self.page.get_by_role("button", name="Отказаться")).to_be_visible()

    async def presses(self, name: str) -> None:
        """Press a button of the order's page once its script listens: before, it only loads the page anew."""
        button = self.page.get_by_role("button", name=name)
        await expect(button).to_be_visible()
        await self.page.wait_for_load_state()
        await button.click()

    async def pays(self) -> None:
        """Press the bank's button; of a card page that offers SBP too, the card's."""
        await self.page.locator("button[value=succeeded]").first.click()

    async def reads(self, words: str) -> None:
        """Wait until the order's page says it."""
        await expect(self.page.locator("#status")).to_have_text(words, timeout=WITHIN_MS)

    def is_refunded(self, order_id: str) -> bool:
        """Return whether the order's money is back."""
        rows = self.site.rows("SELECT refund_status FROM orders WHERE order_id = ?", order_id)
        return [row["refund_status"] for row in rows] == ["succeeded"]

    def payments_of(self, order_id: str) -> int:
        """Return how many payments the order has in our books."""
        return len(self.site.rows("SELECT 1 FROM payments WHERE order_id = ?", order_id))


@pytest.fixture
def visitor(page: Page, shop: Shop) -> Visitor:
    return Visitor(page, shop.site)
