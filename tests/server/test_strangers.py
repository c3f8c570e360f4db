"""Notifications that are not about our payments are bounded; ours are always taken."""

from typing import Any

import pytest

from agent import wire
from server import hints
from tests.fakes.shop import Answer, Shop, counted
from tests.server.test_notifications import about, refund_by_hand


async def post(shop: Shop, told: dict[str, Any]) -> Answer:
    return await shop.post("/v1/yook-pay-webhook", json=told)


async def flood(shop: Shop, count: int) -> list[int]:
    """Post notifications of payments that nobody has; return how each was answered."""
    return [(await post(shop, about(f"2d7f0000-000f-5000-8000-{n:012}"))).status for n in range(count)]


async def test_one_network_sends_so_many_strangers_and_no_more(shop: Shop, logs: list[Any]):
    before = counted("notifications", outcome="refused")
    answers = await flood(shop, 62)
    assert answers == [200] * 60 + [429] * 2
    assert counted("notifications", outcome="refused") == before + 2
    assert await shop.column("SELECT count(*) FROM notifications") == [60]
    refused = [record for record in logs if record["event"] == "request refused"]
    assert "yookassa 2d7f0000-000f-5000-8000-000000000061 from 127.0.0.1" in refused[-1]["detail"]


async def test_what_was_refused_is_to_be_sent_again(shop: Shop):
    await flood(shop, 60)
    answer = await post(shop, about("2d7f0000-000f-5000-8000-1db0a7c3d8e1"))
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")


async def test_all_networks_together_keep_us_busy_with_so_many(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hints, "MOST_STRANGE", 3)
    assert await flood(shop, 4) == [200, 200, 200, 503]
    assert await shop.column("SELECT count(*) FROM notifications") == [3]


async def test_our_own_money_is_heard_of_in_a_flood(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hints, "MOST_STRANGE", 3)
    agent = await shop.agent()
    page = await shop.at_bank()
    assert 429 in await flood(shop, 62)
    await shop.change_at_bank({"status": "succeeded", "paid": True, "refundable": True})
    assert (await post(shop, about(page.rsplit("/", 1)[1]))).status == 200
    await agent.fail(await agent.hear(wire.Make))
    await shop.refunds_become("succeeded")
    (refund_id,) = await shop.column("SELECT provider_refund_id FROM refunds")
    payment_id = page.rsplit("/", 1)[1]
    told = {"id": refund_id, "payment_id": payment_id, "status": "succeeded"}
    told["amount"] = {"value": "90.00", "currency": "RUB"}  # type: ignore[assignment]
    refund = {"type": "notification", "event": "refund.succeeded", "object": told}
    assert (await post(shop, refund)).status == 200
    refund["object"] = {**told, "id": "725d8bc5-000f-5000-c354-c6eb553f4508"}
    assert (await post(shop, refund)).status == 429


async def test_a_refund_made_by_hand_that_came_in_a_flood_is_taken_in_after_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hints, "MOST_STRANGE", 0)
    agent = await shop.agent()
    page = await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await refund_by_hand(shop, page)
    await shop.until_rows("SELECT 1 FROM sandbox_notifications WHERE tries > 0")
    assert await shop.rows("SELECT 1 FROM refunds") == []
    monkeypatch.undo()
    shop.later(3600)
    await shop.becomes("successful", refund="succeeded")
