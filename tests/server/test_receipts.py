"""Receipts by 54-FZ, from the customer's address to the register, over HTTP with the sandbox banks."""

import json
from typing import Any

import msgspec
import pytest

from agent import wire
from agent.wire import MakeState
from server import keys
from server.fiscal import DrinkReceipt, MerchantReceipt
from server.sandbox import ACCOUNT_ID, SECRET_KEY
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY
from server.shop_file import MerchantEntry
from server.store import receipts
from tests.fakes.agent import ScriptedAgent
from tests.fakes.shop import DRINK, Shop, machine
from tests.fakes.shop import until as wait_until

EMAIL = "buyer@example.com"
SHOP = {"account_id": ACCOUNT_ID, "secret_key": SECRET_KEY}
TERMINAL = {"terminal_key": TERMINAL_KEY, "password": PASSWORD}
ITEM = {
    "description": "Оплата напитка: Эспрессо",
    "quantity": 1,
    "amount": {"value": "90.00", "currency": "RUB"},
    "vat_code": 11,
    "payment_subject": "service",
    "payment_mode": "full_payment",
    "measure": "piece",
}


async def sells_with_receipts(
    shop: Shop, scenario: str = "YookassaReceipt", hold: bool = False, **said: Any
) -> ScriptedAgent:
    """Let the merchant give receipts; return the machine's agent."""
    await shop.restart(yookassa_api_url=f"{shop.settings.public_url}/sandbox/v3/")
    merchant = MerchantEntry(
        id="m1",
        name="Кофе у дома",
        credentials={"YookassaReceipt": SHOP, "TBank": TERMINAL},
        hold_cards=hold,
        receipt=MerchantReceipt(**{"vat_code": 11, "tax_system_code": 2, **said}),
    )
    drink = msgspec.structs.replace(DRINK, receipt=DrinkReceipt(payment_subject="service"))
    await shop.load(machine(payment_scenario=scenario, drinks=[drink]), merchant=merchant)
    return await shop.agent()


async def starts(shop: Shop, **wish: Any) -> Any:
    assert (await shop.scan()).status == 302
    return await shop.post("/v1/initiate-payment", json={"order_id": "order-1", **wish})


async def pays(shop: Shop, **wish: Any) -> None:
    answer = await starts(shop, **{"email": EMAIL, **wish})
    assert answer.status == 200, answer.text
    await shop.finish(answer.json["redirect_url"])


async def fails(shop: Shop, agent: ScriptedAgent) -> None:
    command = await agent.hear(wire.Make)
    await agent.report(command, MakeState.FAILED, code=wire.Code.NO_WATER)


async def registered(shop: Shop, *kinds: str) -> list[Any]:
    """Let time pass until the receipts of these kinds are registered; return them."""
    found: list[Any] = []

    async def all_of_them() -> bool:
        shop.later(0.5)
        sql = "SELECT * FROM receipts WHERE status = 'succeeded' ORDER BY created_at, kind"
        found[:] = await shop.rows(sql)
        return [row["kind"] for row in found] == list(kinds)

    await wait_until(all_of_them, lambda: f"registered are {[dict(row) for row in found]}")
    return found


async def addresses(shop: Shop) -> list[str]:
    """Return where the receipt of each payment would go."""
    bodies = await shop.column("SELECT body FROM payments ORDER BY attempt_no")
    return [json.loads(body)["receipt"]["customer"]["email"] for body in bodies]


async def test_the_receipt_goes_with_the_payment_and_adds_up(shop: Shop):
    await sells_with_receipts(shop)
    assert (await starts(shop, email=EMAIL)).status == 200
    asked = json.loads((await shop.row("payments"))["body"])
    assert asked["receipt"] == {
        "customer": {"email": EMAIL},
        "internet": False,
        "items": [ITEM],
        "tax_system_code": 2,
    }
    assert asked["amount"] == ITEM["amount"]


async def test_a_receipt_is_followed_until_it_is_registered(shop: Shop):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await agent.make(await agent.hear(wire.Make))
    (receipt,) = await registered(shop, "payment")
    (at_bank,) = await shop.column("SELECT body FROM sandbox_receipts")
    told = json.loads(at_bank)
    assert receipt["storage_number"] == told["fiscal_storage_number"]
    assert receipt["document_number"] == told["fiscal_document_number"]
    assert receipt["attribute"] == told["fiscal_attribute"]
    assert receipt["next_check_at"] is None
    assert await shop.open_cases() == []


async def test_held_money_has_its_receipt_when_it_is_taken(shop: Shop):
    agent = await sells_with_receipts(shop, hold=True)
    await pays(shop)
    command = await agent.hear(wire.Make)
    assert await shop.rows("SELECT 1 FROM receipts") == []
    await agent.make(command)
    await registered(shop, "payment")
    captured = json.loads((await shop.row("captures"))["body"])
    assert captured["receipt"]["items"] == [ITEM]


async def test_held_money_that_goes_back_needs_no_receipt(shop: Shop):
    agent = await sells_with_receipts(shop, hold=True)
    await pays(shop)
    await fails(shop, agent)
    await shop.refunds_become("succeeded")
    assert await shop.rows("SELECT 1 FROM receipts") == []


async def test_a_refund_has_a_receipt_of_its_own(shop: Shop):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await fails(shop, agent)
    await shop.refunded()
    sale, back = await registered(shop, "payment", "refund")
    assert sale["payment_id"] == back["payment_id"]
    assert sale["document_number"] != back["document_number"]
    asked = json.loads((await shop.row("refunds"))["body"])
    assert asked["receipt"]["customer"] == {"email": EMAIL}
    assert asked["receipt"]["items"] == [ITEM]


async def test_a_restart_goes_on_asking_for_the_receipt(shop: Shop):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await shop.until_rows("SELECT 1 FROM receipts WHERE status = 'pending'")
    await agent.hear(wire.Make)
    await shop.restart()
    await registered(shop, "payment")


async def test_a_receipt_is_asked_for_by_one_process_at_a_time(shop: Shop):
    await sells_with_receipts(shop)
    await pays(shop)
    await shop.until_rows("SELECT 1 FROM receipts WHERE status = 'pending'")
    due = shop.clock() + 60_000
    assert len(await shop.db.write(receipts.claim, due)) == 1
    assert await shop.db.write(receipts.claim, due) == []


async def test_a_receipt_that_the_register_refuses_is_a_case(shop: Shop):
    agent = await sells_with_receipts(shop)
    shop.app[keys.SANDBOX].faults.receipts_fail = True
    await pays(shop)
    await agent.make(await agent.hear(wire.Make))

    async def refused() -> bool:
        shop.later(0.5)
        return await shop.column("SELECT status FROM receipts") == ["canceled"]

    await wait_until(refused)
    assert await shop.open_cases() == ["receipt_failed"]
    assert (await shop.state())["status"] == "successful"


async def test_a_receipt_that_is_not_registered_within_a_day_is_a_case_and_is_followed(shop: Shop):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await agent.make(await agent.hear(wire.Make))
    await shop.change("UPDATE sandbox_receipts SET settles_at = NULL")
    await shop.until_rows("SELECT 1 FROM receipts")
    shop.later(25 * 3600)
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'receipt_failed'")
    await shop.change("UPDATE sandbox_receipts SET settles_at = 1")
    shop.later(3601)
    await registered(shop, "payment")
    assert await shop.open_cases() == []


@pytest.mark.parametrize("wish", [{}, {"email": " "}])
async def test_a_needed_address_is_asked_for_and_nothing_is_begun(shop: Shop, wish: dict[str, str]):
    await sells_with_receipts(shop)
    answer = await starts(shop, **wish)
    assert (answer.status, answer.json["error"]) == (400, "Email обязателен для получения чека.")
    assert await shop.rows("SELECT 1 FROM payments") == []
    assert (await shop.state())["is_receipt_mandatory"] is True


async def test_an_address_may_be_left_out_where_it_is_optional(shop: Shop):
    await sells_with_receipts(shop, email="optional", fallback_email="books@coffee.example")
    assert (await starts(shop)).status == 200
    asked = json.loads((await shop.row("payments"))["body"])
    assert asked["receipt"]["customer"] == {"email": "books@coffee.example"}
    assert (await shop.state())["is_receipt_mandatory"] is False


async def test_a_second_try_keeps_the_address_of_the_first(shop: Shop):
    await sells_with_receipts(shop)
    answer = await starts(shop, email=EMAIL)
    await shop.finish(answer.json["redirect_url"], "canceled")
    await shop.becomes("not_paid")
    assert (await shop.initiate()).status == 200
    assert await addresses(shop) == [EMAIL, EMAIL]


async def test_a_mistyped_address_may_be_put_right_before_paying(shop: Shop):
    await sells_with_receipts(shop)
    await starts(shop, email="buyr@example.com")
    answer = await starts(shop, email=EMAIL)
    assert answer.status == 200
    bodies = await shop.column("SELECT body FROM payments ORDER BY attempt_no")
    assert [json.loads(body)["receipt"]["customer"]["email"] for body in bodies] == [
        "buyr@example.com",
        EMAIL,
    ]


async def test_an_address_is_never_told_or_logged(shop: Shop, logs: list[Any]):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await agent.make(await agent.hear(wire.Make))
    page = await shop.get("/v1/order-status-page?order_id=order-1")
    assert EMAIL not in page.text
    assert EMAIL not in json.dumps(await shop.state())
    assert EMAIL not in str(logs)


async def test_tbank_gets_the_receipt_in_its_own_words(shop: Shop):
    agent = await sells_with_receipts(shop, scenario="TBank")
    shop.app[keys.SANDBOX_TBANK].faults.receipts_required = True
    await pays(shop)
    asked = json.loads((await shop.row("payments"))["body"])
    assert asked["Receipt"] == {
        "Email": EMAIL,
        "Taxation": "usn_income",
        "Items": [
            {
                "Name": "Оплата напитка: Эспрессо",
                "Price": 9000,
                "Quantity": 1,
                "Amount": 9000,
                "Tax": "vat22",
                "PaymentMethod": "full_payment",
                "PaymentObject": "service",
            }
        ],
    }
    await fails(shop, agent)
    await shop.refunds_become("succeeded")
    assert await shop.rows("SELECT 1 FROM receipts") == []


# --- on the order's page ----------------------------------------------------------------------------------


async def test_the_code_of_a_receipt_is_on_the_page_once_it_is_registered(shop: Shop):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await agent.make(await agent.hear(wire.Make))
    told = await shop.until("order-1", lambda order: order["receipts"])
    waiting = {"kind": "payment", "status": "pending", "qr": None, "numbers": None}
    assert told["receipts"] == [waiting]
    assert (await shop.get("/v1/order-receipt/order-1/1")).status == 404
    (kept,) = await registered(shop, "payment")
    (shown,) = (await shop.until("order-1", lambda order: order["receipts"][0]["qr"]))["receipts"]
    assert shown["numbers"] == (
        f"ФН {kept['storage_number']} ФД {kept['document_number']} ФПД {kept['attribute']}"
    )
    picture = await shop.get(shown["qr"])
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
    page = await shop.get("/v1/order-status-page?order_id=order-1")
    assert shown["qr"] in page.text and shown["numbers"] in page.text


async def test_sale_and_return_have_a_code_each(shop: Shop):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await fails(shop, agent)
    await shop.refunded()
    await registered(shop, "payment", "refund")
    told = await shop.until("order-1", lambda order: all(each["qr"] for each in order["receipts"]))
    assert [each["kind"] for each in told["receipts"]] == ["payment", "refund"]
    pictures = [(await shop.get(each["qr"])).text for each in told["receipts"]]
    assert pictures[0] != pictures[1]


@pytest.mark.parametrize("number", ["0", "2", "-1", "x", "01"])
async def test_a_receipt_that_is_not_there_has_no_code(shop: Shop, number: str):
    agent = await sells_with_receipts(shop)
    await pays(shop)
    await agent.make(await agent.hear(wire.Make))
    await registered(shop, "payment")
    assert (await shop.get(f"/v1/order-receipt/order-1/{number}")).status == 404
