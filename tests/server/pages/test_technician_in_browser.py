"""A technician's way through the pages in a real browser, on a small phone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import Page, Route, expect

from agent.wire import Code
from tests.server.pages.conftest import PASSWORD, Desk, a_desk

PLACE = '[data-preview-of="client_info_make_failed"]'


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(f"sqlite:///{tmp_path}/test.db") as desk:
        yield desk


async def sign_in(desk: Desk, page: Page) -> None:
    """Come to the machine's page by the login, as a technician with a link would."""
    await page.goto(str(desk.client.make_url("/tech/devices/dev-1")))
    await page.fill("#name", "anna")
    await page.fill("#password", PASSWORD)
    await page.click("form[method=post] button.main")


async def test_a_technician_sees_the_failure_and_edits_what_the_customer_reads(desk: Desk, page: Page):
    await desk.fleet.connect("dev-1", "error", Code.NO_WATER, "FA:01 fill tank")
    await desk.fleet.fail("dev-1", "order-1")
    await sign_in(desk, page)
    await expect(page.locator("h1")).to_have_text("ул. Ленина, 1")
    await expect(page.locator(".failure").first).to_contain_text("FA:01 fill tank")
    await page.fill("#client_info_make_failed", 'Звоните <a href="tel:+7">+7</a><script>alert(1)</script>')
    await expect(page.locator(f"{PLACE} a")).to_have_attribute("href", "tel:+7")
    await page.click("button[value=save]")
    await expect(page.locator(".notice.good")).to_have_text("Сохранено.")
    await expect(page.locator(f"{PLACE} .place-words")).to_have_text("Звоните +7")


async def test_what_is_typed_before_the_script_has_come_is_previewed_too(desk: Desk, page: Page):
    typed = asyncio.Event()

    async def come_late(script: Route) -> None:
        await typed.wait()
        await script.continue_()

    await page.route("**/tech.js*", come_late)
    await sign_in(desk, page)
    await page.fill("#client_info_make_failed", "Звоните дежурному")
    await expect(page.locator(PLACE)).to_be_hidden()
    typed.set()
    await expect(page.locator(f"{PLACE} .place-words")).to_have_text("Звоните дежурному")


async def test_the_list_and_the_way_out_work_by_hand(desk: Desk, page: Page):
    await sign_in(desk, page)
    await page.click("header nav a >> nth=0")
    await page.fill("#q", "Ленина")
    await page.click("form.find button")
    await expect(page.locator(".fleet > li")).to_have_count(1)
    await page.click("header form.who button")
    await expect(page.locator("#password")).to_be_visible()
