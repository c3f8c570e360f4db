"""An order that was moved to an archive is over, and still known: to its customer, its link and its bank."""

from pathlib import Path
from typing import Any

import pytest

from agent import wire
from tests.fakes.shop import Shop

PAGE = "/v1/order-status-page?order_id=order-1"


@pytest.fixture
async def file(shop: Shop, tmp_path: Path) -> Path:
    """The archive of an order that was sold; its drink is made."""
    agent = await shop.agent()
    await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    await shop.until_rows("SELECT 1 FROM notifications WHERE handled_at IS NOT NULL")
    await shop.archive(tmp_path / "2025.db")
    assert await shop.rows("SELECT 1 FROM orders") == []
    await shop.restart()
    return tmp_path / "2025.db"


async def test_its_page_shows_how_it_ended_and_asks_nothing_more(shop: Shop, file: Path):
    page = await shop.get(PAGE)
    assert page.status == 200
    assert "Эспрессо" in page.text
    assert 'http-equiv="refresh"' not in page.text
    state = await shop.state()
    assert (state["status"], state["money"], state["device"]["location"]) == (
        "successful",
        "taken",
        "ул. Ленина, 1",
    )


async def test_its_link_finds_it_again_and_makes_no_order(shop: Shop, file: Path):
    again = await shop.scan()
    assert (again.status, again.headers["Location"]) == (302, PAGE)
    assert await shop.rows("SELECT 1 FROM orders") == []
    assert (await shop.initiate()).status == 404


async def test_without_the_file_it_is_not_found(shop: Shop, file: Path, logs: list[Any]):
    file.rename(file.with_suffix(".away"))
    assert (await shop.get(PAGE)).status == 404
    assert (await shop.get("/v1/order-status/order-1")).status == 404
    assert [each["file"] for each in logs if each["event"] == "archive cannot be read"] == [str(file)] * 2


async def test_a_file_that_is_spoiled_fails_no_page(shop: Shop, file: Path, logs: list[Any]):
    content = file.read_bytes()
    file.write_bytes(content[:8192] + bytes(len(content) - 8192))
    assert (await shop.get(PAGE)).status == 404
    assert [each["file"] for each in logs if each["event"] == "archive cannot be read"] == [str(file)]


async def test_another_order_is_sold_beside_the_archive(shop: Shop, file: Path):
    await shop.agent()
    assert (await shop.scan("order-2")).status == 302
    assert await shop.column("SELECT order_id FROM orders") == ["order-2"]


@pytest.mark.parametrize("event", ["payment.succeeded", "payment.canceled"])
async def test_a_late_word_of_its_payment_is_known_as_archived(shop: Shop, file: Path, event: str):
    assert await heard(shop, event, await payment_id(shop)) == "archived"
    assert await shop.open_cases() == []


async def test_money_for_a_payment_that_was_archived_without_is_news(shop: Shop, tmp_path: Path):
    await shop.agent()
    page = await shop.at_bank()
    await shop.finish(page, "canceled")
    await shop.becomes("not_paid")
    await shop.change("UPDATE orders SET deadline_at = NULL")
    await shop.until_rows("SELECT 1 FROM notifications WHERE handled_at IS NOT NULL")
    await shop.archive(tmp_path / "2025.db")
    assert await shop.rows("SELECT 1 FROM orders") == []
    await shop.change_at_bank({"status": "succeeded", "paid": True})
    assert "money that fits no order" in await heard(shop, "payment.succeeded", await payment_id(shop))
    assert await shop.open_cases() == ["stray_money"]


async def payment_id(shop: Shop) -> str:
    (found,) = await shop.column("SELECT payment_id FROM sandbox_payments")
    return str(found)


async def heard(shop: Shop, event: str, object_id: str) -> str:
    """Return what becomes of a notification."""
    body = {"type": "notification", "event": event, "object": {"id": object_id}}
    assert (await shop.post("/v1/yook-pay-webhook", json=body)).status == 200
    (row,) = await shop.until_rows("SELECT outcome FROM notifications WHERE handled_at IS NOT NULL")
    return str(row["outcome"])
