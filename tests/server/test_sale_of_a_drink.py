"""One drink from the scan to the cup, over HTTP and WebSocket."""

from datetime import date

import pytest

from agent import wire
from agent.wire import Actuated, MakeState
from server.order import Status
from server.shop_file import DrinkEntry, MerchantEntry, Prices
from tests.fakes.shop import DRINK, MERCHANT, Shop, counted, machine

FIELDS = {
    "order_id": "order-1",
    "status": "created",
    "status_text": "Подтвердите заказ для оплаты",
    "drink_name": "Эспрессо",
    "drink_size": "маленький",
    "price": 90,
    "expires_at": "2026-11-23T12:15:00.000+00:00",
    "updated_at": "2026-11-23T12:00:00.000+00:00",
    "payment_scenario": "Sandbox",
    "is_receipt_mandatory": False,
    "failure": None,
    "receipt_email": None,
    "methods": ["card", "sbp"],
    "pay_at": None,
    "money": None,
    "receipts": [],
    "refund_status": None,
}
DEVICE_FIELDS = {
    "location": "ул. Ленина, 1",
    "logo_url": "https://logo.example/cup.png",
    "client_info": "<b>инфо</b>",
    "client_info_pending": "pending",
    "client_info_paid": "paid",
    "client_info_not_paid": "not_paid",
    "client_info_make_pending": "make_pending",
    "client_info_manual_make": "manual_make",
    "client_info_successful": "successful",
    "client_info_make_failed": 'Звоните <a href="tel:+74951234567" rel="noopener noreferrer">+7 495</a>',
}


async def test_one_payment_becomes_one_drink(shop: Shop):
    agent = await shop.agent()
    assert (await shop.scan()).status == 302
    assert (await shop.state())["status"] == "created"
    page = await shop.at_bank()
    assert (await shop.state())["status"] == "pending"
    await shop.finish(page)
    await shop.becomes("paid")
    command = await agent.hear(wire.Make)
    await agent.report(command, MakeState.RECEIVED)
    await shop.becomes("make_pending")
    await agent.report(command, MakeState.STARTED)
    await agent.report(command, MakeState.DONE, actuated=Actuated.YES, evidence="counter_delta")
    await shop.becomes("successful")
    assert len(agent.all_heard(wire.Make)) == 1
    assert await shop.rows("SELECT * FROM refunds") == []
    assert await shop.open_cases() == []


async def test_the_history_of_an_order_is_kept(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    history = await shop.rows("SELECT * FROM order_events ORDER BY seq")
    assert [(row["event"], row["to_status"], row["cause"]) for row in history] == [
        ("created", "created", "customer"),
        ("payment_started", "pending", "customer"),
        ("payment_succeeded", "paid", "notification"),
        ("command_received", "make_pending", "agent"),
        ("command_received", "make_pending", "agent"),
        ("made", "successful", "agent"),
    ]


async def test_the_command_says_all_that_the_machine_needs(shop: Shop):
    agent = await shop.agent()
    await shop.pay(size="1")
    command = await agent.hear(wire.Make)
    assert (command.order_id, command.drink_no, command.size) == ("order-1", "espresso", "medium")
    assert (command.price_minor, command.ttl_ms, command.issued_at_ms) == (11050, 60_000, shop.clock())


async def test_the_status_has_every_field(shop: Shop):
    texts = {**DEVICE_FIELDS, "client_info_make_failed": 'Звоните <a href="tel:+74951234567">+7 495</a>'}
    await shop.agent()
    await shop.load(machine(**texts))
    await shop.scan()
    assert await shop.state() == {**FIELDS, "device": DEVICE_FIELDS}


async def test_a_second_scan_returns_to_the_same_order(shop: Shop):
    await shop.agent()
    first, second = await shop.scan(), await shop.scan()
    assert first.headers["Location"] == second.headers["Location"]
    assert first.headers["Location"] == "/v1/order-status-page?order_id=order-1"
    assert await shop.column("SELECT count(*) FROM orders") == [1]


async def test_a_second_scan_finds_a_paid_order_also_when_the_machine_is_away(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    await shop.gone(agent)
    shop.later(40)
    assert (await shop.scan()).status == 302


@pytest.mark.parametrize("path", ["/v1/pay", "/v1/yook-pay", "/v1/tbank-pay"])
async def test_every_printed_address_works(shop: Shop, path: str):
    await shop.agent()
    assert (await shop.scan(path=path)).status == 302
    assert (await shop.state())["status"] == "created"


@pytest.mark.parametrize(("number", "size", "price"), [("0", "маленький", 90), ("1", "средний", 110.5)])
async def test_the_price_is_the_menus(shop: Shop, number: str, size: str, price: float):
    await shop.agent()
    await shop.scan(size=number, price="1", drinkName="Бесплатный капучино")
    state = await shop.state()
    assert (state["drink_name"], state["drink_size"], state["price"]) == ("Эспрессо", size, price)


async def test_the_third_number_is_the_large_size(shop: Shop):
    drink = DrinkEntry(drink_no="espresso", name="Эспрессо", prices=Prices(large=20000))
    await shop.agent()
    await shop.load(machine(drinks=[drink]))
    await shop.scan(size="2")
    state = await shop.state()
    assert (state["drink_size"], state["price"]) == ("большой", 200)


async def test_a_new_price_is_not_for_orders_that_are_made(shop: Shop):
    await shop.agent()
    await shop.scan()
    dearer = DrinkEntry(drink_no="espresso", name="Эспрессо", prices=Prices(small=99900))
    await shop.load(machine(drinks=[dearer]))
    await shop.pay()
    assert await shop.column("SELECT amount_minor FROM payments") == [9000]


async def test_a_removed_drink_is_no_longer_sold(shop: Shop):
    await shop.agent()
    other = DrinkEntry(drink_no="latte", name="Латте", prices=Prices(small=15000))
    await shop.load(machine(drinks=[other]))
    assert (await shop.scan()).status == 404
    assert (await shop.scan(drinkNo="latte")).status == 302


async def test_every_drink_of_the_menu_leads_to_an_order(shop: Shop):
    await shop.agent()
    menu = await shop.get("/m/dev-1")
    assert menu.status == 200
    assert DRINK.name in menu.text and "110,5" in menu.text
    assert menu.text.count("/v1/pay?") == 2


@pytest.mark.parametrize("status", Status)
async def test_an_order_has_its_page_in_every_status(shop: Shop, status: Status):
    await shop.agent()
    await shop.scan()
    await shop.change("UPDATE orders SET status = $1, failure_code = 'no_water'", status)
    page = await shop.get("/v1/order-status-page?order_id=order-1")
    assert (page.status, (await shop.state())["status_text"] in page.text) == (200, True)


async def test_the_texts_are_english_for_who_asks_for_it(shop: Shop):
    await shop.agent()
    await shop.scan()
    state = (await shop.get("/v1/order-status/order-1", headers={"Accept-Language": "en"})).json
    assert state["drink_size"] == "small"


async def test_two_customers_get_their_drinks_one_after_the_other(shop: Shop):
    agent = await shop.agent()
    await shop.pay("order-1")
    shop.later(1)
    await shop.pay("order-2")
    first = await agent.hear(wire.Make)
    await agent.reached()
    assert len(agent.all_heard(wire.Make)) == 1
    await agent.make(first)
    await agent.make(await agent.hear(wire.Make))
    for order_id in ("order-1", "order-2"):
        await shop.becomes("successful", order_id)


async def test_each_change_is_counted(shop: Shop):
    before = counted("order_transitions", from_status="pending", to_status="paid")
    agent = await shop.agent()
    await shop.pay()
    await agent.hear(wire.Make)  # sent after the change is told
    assert counted("order_transitions", from_status="pending", to_status="paid") == before + 1


async def test_a_merchant_past_its_time_sells_nothing(shop: Shop):
    await shop.agent()
    over = MerchantEntry(id="m1", name=MERCHANT.name, valid_until=date(2026, 11, 21))
    await shop.load(machine(), merchant=over)
    assert (await shop.scan()).status == 403
    assert (await shop.get("/m/dev-1")).status == 403
    assert await shop.rows("SELECT * FROM orders") == []
