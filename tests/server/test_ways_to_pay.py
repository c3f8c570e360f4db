"""By card, by SBP, by both at once, and at an address of the operator's own."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from agent import wire
from server.payments.accounts import methods_of
from tests.fakes.shop import Answer, Shop, machine


async def started(shop: Shop, **wish: Any) -> Answer:
    assert (await shop.scan()).status == 302
    return await shop.post("/v1/initiate-payment", json={"order_id": "order-1", **wish})


async def test_sbp_is_a_link_that_is_drawn_until_it_is_paid(shop: Shop):
    agent = await shop.agent()
    answer = await started(shop, method="sbp")
    assert answer.json["kind"] == "qr"
    picture = await shop.get("/v1/order-qr/order-1")
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    assert picture.text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')  # else no <img> shows it
    await shop.finish(answer.json["redirect_url"])
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert (await shop.get("/v1/order-qr/order-1")).status == 404


async def test_a_card_has_nothing_to_be_drawn(shop: Shop):
    await shop.agent()
    assert (await started(shop)).json["kind"] == "redirect"
    assert (await shop.get("/v1/order-qr/order-1")).status == 404


async def test_sbp_is_never_held(shop: Shop):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    answer = await started(shop, method="sbp")
    await shop.finish(answer.json["redirect_url"])
    await agent.hear(wire.Make)
    assert (await shop.row("payments"))["status"] == "succeeded"


async def test_a_customer_who_pays_both_ways_has_one_drink_and_one_payment_back(shop: Shop):
    agent = await shop.agent()
    pages = [(await started(shop, method=method)).json["redirect_url"] for method in ("sbp", "card")]
    await shop.finish(pages[0])
    await shop.until("order-1", lambda order: order["status"] != "pending")
    await shop.finish(pages[1])
    await shop.refunds_become(None, "succeeded")
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert len(await shop.rows("SELECT 1 FROM refunds")) == 1
    assert len(agent.all_heard(wire.Make)) == 1


@pytest.mark.parametrize(
    ("wish", "reason"),
    [({"method": "gold"}, "method"), ({"method": 7}, "method"), ({"email": "nobody"}, "email")],
)
async def test_a_wish_that_cannot_be_is_refused_and_nothing_is_begun(
    shop: Shop, wish: dict[str, Any], reason: str
):
    await shop.agent()
    answer = await started(shop, **wish)
    assert answer.status == 400
    assert answer.json["error"]
    assert await shop.rows("SELECT 1 FROM payments") == [], reason


async def test_the_page_is_told_what_can_be_scanned_until_it_is_paid(shop: Shop):
    await shop.agent()
    address = (await started(shop, method="sbp")).json["redirect_url"]
    state = await shop.until("order-1", lambda order: order["pay_at"])
    assert state["pay_at"] == {"kind": "qr", "url": address, "qr": "/v1/order-qr/order-1?attempt=1"}
    page = await shop.get("/v1/order-status-page?order_id=order-1")
    assert state["pay_at"]["qr"] in page.text
    await shop.finish(address)
    state = await shop.until("order-1", lambda order: order["status"] == "paid")
    assert (state["pay_at"], state["money"]) == (None, "taken")


@pytest.mark.parametrize(
    ("scenario", "minor", "methods"),
    [
        ("Sandbox", 9000, ["card", "sbp"]),
        ("Yookassa", 100, ["card", "sbp"]),
        ("TBank", 1000, ["card", "sbp"]),
        ("TBank", 999, ["card"]),
        ("Custom", 9000, []),
    ],
)
def test_a_page_offers_what_the_provider_takes(scenario: str, minor: int, methods: list[str]):
    assert methods_of(scenario, minor) == methods


async def test_money_is_called_held_until_it_is_taken(shop: Shop):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    await shop.pay()
    assert (await shop.becomes("paid"))["money"] == "held"
    await agent.make(await agent.hear(wire.Make))
    await shop.until("order-1", lambda order: order["money"] == "taken")


async def test_held_money_that_goes_back_is_called_released(shop: Shop):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await agent.report(command, wire.MakeState.FAILED, code=wire.Code.NO_WATER)
    state = await shop.becomes("make_failed", refund="succeeded")
    assert state["money"] == "released"
    page = await shop.get("/v1/order-status-page?order_id=order-1")
    assert "ничего не списано" in page.text


# --- the scenario Custom --------------------------------------------------------------------------------


async def test_an_operators_own_address_gets_the_order(shop: Shop):
    await shop.load(
        machine(payment_scenario="Custom", redirect_url="https://pay.example/buy?shop=7&price=1#x")
    )
    await shop.agent()
    answer = await started(shop)
    address = urlsplit(answer.json["redirect_url"])
    assert (address.scheme, address.netloc, address.path, address.fragment) == (
        "https",
        "pay.example",
        "/buy",
        "x",
    )
    assert parse_qs(address.query) == {
        "shop": ["7"],
        "order_id": ["order-1"],
        "drink_name": ["Эспрессо"],
        "price": ["90"],
        "size": ["small"],
        "device_uuid": ["dev-1"],
        "merchant_id": ["m1"],
    }
    assert await shop.rows("SELECT 1 FROM payments") == []


async def test_a_custom_device_without_an_address_says_that_payments_are_not_set_up(shop: Shop):
    await shop.load(machine(payment_scenario="Custom"))
    await shop.agent()
    assert (await started(shop)).status == 503
