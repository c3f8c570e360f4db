"""The browser of the tests: that it shows pages, and that what a page complains of is noticed."""

from collections.abc import AsyncIterator

import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page, expect

PAGE = """<!doctype html><title>Кофе</title><link rel="icon" href="data:,">
<button onclick="this.textContent = 'Налито ☕'">Налить</button>"""


@pytest_asyncio.fixture(loop_scope="session")
async def address() -> AsyncIterator[str]:
    async def show(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/", show)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_a_click_changes_the_page(page: Page, address: str):
    await page.goto(address)
    await page.get_by_role("button", name="Налить").click()
    await expect(page.get_by_role("button")).to_have_text("Налито ☕")


async def test_an_exception_in_a_script_is_noticed(page: Page, page_complaints: list[str], address: str):
    await page.goto(address)
    async with page.expect_event("pageerror"):
        await page.evaluate("setTimeout(() => { throw new Error('no beans') })")
    assert page_complaints == ["no beans"]
    page_complaints.clear()
