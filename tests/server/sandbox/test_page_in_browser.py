"""The payment page in a real browser, as narrow as a small phone."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp_jinja2
import jinja2
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from server import texts
from server.app import STATIC, TEMPLATES
from tests.server.sandbox.street import Street, a_street


async def came_back(request: web.Request) -> web.Response:
    return web.Response(text='<link rel="icon" href="data:,">', content_type="text/html")


@pytest_asyncio.fixture(loop_scope="session")
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    async with a_street(f"sqlite:///{tmp_path}/bank.db") as street:
        yield street


@pytest_asyncio.fixture(loop_scope="session")
async def counter(street: Street) -> AsyncIterator[str]:
    """The address of the bank with the templates and styles of the server."""
    app = web.Application()
    app.add_routes([*street.sandbox.routes(), web.get("/back", came_back)])
    app.router.add_static("/static/", STATIC)
    environment = aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.globals |= {"static": "/static/{}".format, "text": texts.text}
    async with TestServer(app) as server:
        street.sandbox.base_url = str(server.make_url(""))
        yield street.sandbox.base_url.rstrip("/")


@pytest.mark.parametrize(
    ("options", "press", "status", "method"),
    [
        ({}, "Оплатить картой", "succeeded", "bank_card"),
        ({}, "Через СБП", "succeeded", "sbp"),
        ({}, "Отказаться", "canceled", None),
        ({"capture": False}, "Оплатить", "waiting_for_capture", "bank_card"),
    ],
)
async def test_each_button_does_what_it_says_and_leads_back(
    street: Street, counter: str, page: Page, options, press, status, method
):
    options = options | {"confirmation": {"type": "redirect", "return_url": f"{counter}/back"}}
    body = json.loads(street.body()) | options
    _, payment = await street.call("POST", "/payments", key="k", json=body)
    await page.goto(payment["confirmation"]["confirmation_url"])
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
    await page.get_by_role("button", name=press).click()
    await page.wait_for_url("**/back")
    _, after = await street.call("GET", f"/payments/{payment['id']}")
    assert (after["status"], after.get("payment_method", {}).get("type")) == (status, method)


async def test_who_leaves_without_an_answer_may_pay_later(street: Street, counter: str, page: Page):
    body = json.loads(street.body()) | {"confirmation": {"type": "redirect", "return_url": f"{counter}/back"}}
    _, payment = await street.call("POST", "/payments", key="k", json=body)
    await page.goto(payment["confirmation"]["confirmation_url"])
    await page.get_by_role("link", name="Вернуться, не отвечая").click()
    await page.wait_for_url("**/back")
    _, after = await street.call("GET", f"/payments/{payment['id']}")
    assert after["status"] == "pending"
