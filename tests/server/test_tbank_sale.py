"""A merchant at T-Bank sells: by card, held or taken at once, and by SBP; notifications are signed hints."""

import json
from typing import Any

import pytest

from agent import wire
from server import keys
from server.payments import tbank_api
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY, NoticeFault
from server.shop_file import MerchantEntry
from tests.fakes.shop import Shop, machine

TERMINAL = {"TBank": {"terminal_key": TERMINAL_KEY, "password": PASSWORD}}
MERCHANT = MerchantEntry(id="m1", name="Кофе у дома", credentials=TERMINAL)


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    await shop.load(machine(payment_scenario="TBank"), merchant=MERCHANT)
    return shop


async def at_bank(shop: Shop, **wish: str) -> str:
    """Scan and press the button; return the bank's page."""
    assert (await shop.scan()).status == 302
    started = await shop.post("/v1/initiate-payment", json={"order_id": "order-1", **wish})
    assert started.status == 200, started.text
    return str(started.json["redirect_url"])


async def paid(shop: Shop, **wish: str) -> None:
    await shop.finish(await at_bank(shop, **wish))
    await shop.until("order-1", lambda order: order["status"] != "pending")


async def statuses(shop: Shop) -> list[str]:
    return await shop.column("SELECT status FROM sandbox_tbank_payments ORDER BY created_at")


async def refunded(shop: Shop) -> None:
    """Let the time pass that a refund takes, and wait for its end."""
    await shop.until_rows("SELECT 1 FROM refunds WHERE tries > 0 OR status = 'succeeded'")
    shop.later(3)
    await shop.becomes("make_failed", refund="succeeded")


@pytest.mark.parametrize("method", ["card", "sbp"])
async def test_a_drink_is_bought(shop: Shop, method: str):
    agent = await shop.agent()
    await paid(shop, method=method)
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert await statuses(shop) == ["CONFIRMED"]
    assert await shop.open_cases() == []


@pytest.mark.parametrize("method", ["card", "sbp"])
async def test_a_drink_that_failed_is_refunded(shop: Shop, method: str):
    agent = await shop.agent()
    await paid(shop, method=method)
    await agent.fail(await agent.hear(wire.Make))
    await refunded(shop)
    assert await statuses(shop) == ["REFUNDED"]


@pytest.mark.parametrize(("made", "end"), [(True, "CONFIRMED"), (False, "REVERSED")])
async def test_a_cards_money_is_held_until_the_machine_has_spoken(shop: Shop, made: bool, end: str):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    await paid(shop)
    command = await agent.hear(wire.Make)
    assert await statuses(shop) == ["AUTHORIZED"]
    await (agent.make(command) if made else agent.fail(command))
    await shop.until_rows("SELECT 1 FROM sandbox_tbank_payments WHERE status = $1", end)
    await shop.becomes("successful" if made else "make_failed", refund=None if made else "succeeded")


async def test_a_card_that_is_refused_may_be_tried_again(shop: Shop):
    await shop.agent()
    await shop.finish(await at_bank(shop), "canceled")
    await shop.becomes("not_paid")


async def test_a_payment_is_found_without_any_notification(shop: Shop):
    shop.app[keys.SANDBOX_TBANK].faults.notices.extend([NoticeFault.DROPPED] * 4)
    agent = await shop.agent()
    await shop.finish(await at_bank(shop))
    shop.later(3)
    await shop.becomes("paid")
    await agent.hear(wire.Make)


async def notify(shop: Shop, password: str = PASSWORD, **told: Any) -> Any:
    row = await shop.row("payments")
    fields = {
        "TerminalKey": TERMINAL_KEY,
        "OrderId": row["payment_id"],
        "Success": True,
        "Status": "CONFIRMED",
        "PaymentId": int(row["provider_payment_id"]),
        "ErrorCode": "0",
        "Amount": 9000,
        **told,
    }
    fields["Token"] = tbank_api.token(fields, password)
    return await shop.post(
        "/v1/tbank-webhook", data=json.dumps(fields), headers={"Content-Type": "application/json"}
    )


async def test_a_notification_that_the_terminal_did_not_sign_is_refused(shop: Shop):
    await shop.agent()
    await at_bank(shop)
    assert (await notify(shop, password="guessed")).status == 403
    assert (await notify(shop, TerminalKey="AnotherDEMO")).status == 403
    assert await shop.rows("SELECT 1 FROM notifications") == []


async def test_a_signed_notification_is_only_a_hint(shop: Shop):
    await shop.agent()
    await at_bank(shop)
    answer = await notify(shop)
    assert (answer.status, answer.text) == (200, "OK")
    await shop.until_rows("SELECT 1 FROM notifications WHERE handled_at IS NOT NULL")
    assert (await shop.state())["status"] == "pending"


async def test_held_money_of_a_payment_that_was_given_up_still_buys_the_drink(shop: Shop):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    page = await at_bank(shop)
    await shop.change(
        "UPDATE payments SET status = 'failed', provider_payment_id = NULL, next_check_at = NULL"
    )
    await shop.change("UPDATE orders SET status = 'not_paid'")
    await shop.finish(page)
    await agent.hear(wire.Make)
    assert await shop.column("SELECT status FROM payments") == ["held"]


async def test_held_money_that_fits_no_payment_is_a_case(shop: Shop):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    await shop.agent()
    page = await at_bank(shop)
    await shop.change("DELETE FROM payments")
    await shop.finish(page)
    for tries in range(1, 5):
        await shop.until_rows("SELECT 1 FROM notifications WHERE tries >= $1", tries)
        shop.later(60)
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'stray_money'")


async def test_a_success_that_the_bank_still_denies_is_asked_for_again(shop: Shop):
    agent = await shop.agent()
    await shop.finish(await at_bank(shop), "canceled")
    await shop.becomes("not_paid")
    assert (await notify(shop)).status == 200
    await shop.until_rows("SELECT 1 FROM notifications WHERE event = 'CONFIRMED' AND tries = 1")
    await shop.change("UPDATE sandbox_tbank_payments SET body = replace(body, 'REJECTED', 'CONFIRMED')")
    shop.later(2)
    await agent.hear(wire.Make)


async def test_it_is_kept_when_a_shop_was_heard_of_last(shop: Shop):
    await shop.agent()
    await at_bank(shop)
    assert await shop.column("SELECT heard_at FROM credentials") == [None]
    shop.app[keys.SANDBOX_TBANK].faults.notices.extend([NoticeFault.DROPPED] * 4)
    heard = []
    for seconds in (0, 30, 61):
        shop.clock.go(seconds)
        await shop.change("DELETE FROM notifications")
        assert (await notify(shop)).status == 200
        await shop.until_rows("SELECT 1 FROM notifications WHERE tries > 0")
        heard += await shop.column("SELECT heard_at FROM credentials")
    assert [at - heard[0] for at in heard] == [0, 0, 91_000]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"PaymentId": true}'])
async def test_what_is_no_notification_is_refused(shop: Shop, body: bytes):
    answer = await shop.post("/v1/tbank-webhook", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert await shop.rows("SELECT 1 FROM notifications") == []
