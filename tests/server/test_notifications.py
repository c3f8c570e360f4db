"""Notifications: each is only a hint. What is forged, wrong, strange or repeated moves nothing."""

import asyncio
from typing import Any

import aiohttp
import pytest

from agent import wire
from server import keys
from server.progress import BY_HAND
from server.sandbox import ACCOUNT_ID, SECRET_KEY, Harm
from server.shop_file import MerchantEntry
from server.store import payments
from tests.fakes.shop import Shop, counted, until
from tests.server.test_late_payments import notify

STRANGER = "2d7f0000-000f-5000-8000-1db0a7c3d8e1"


def about(payment_id: str, event: str = "payment.succeeded") -> dict[str, Any]:
    """Return a notification as anyone could write it."""
    money = {"value": "90.00", "currency": "RUB"}
    told = {"id": payment_id, "status": "succeeded", "paid": True, "amount": money}
    return {"type": "notification", "event": event, "object": told}


async def at_bank(shop: Shop) -> str:
    """An order that waits for its payment; return the bank's id of it."""
    return (await shop.at_bank()).rsplit("/", 1)[1]


async def assert_nothing_moved(shop: Shop, status: str = "pending") -> None:
    assert (await shop.state())["status"] == status
    assert await shop.rows("SELECT * FROM makes") == []
    assert await shop.rows("SELECT * FROM refunds") == []


# --- forged -------------------------------------------------------------------------------------------


async def test_a_forged_notification_moves_nothing(shop: Shop):
    await shop.agent()
    payment_id = await at_bank(shop)
    before = dict(await shop.row("orders"))
    assert await notify(shop, payment_id) == "pending"
    await assert_nothing_moved(shop)
    assert dict(await shop.row("orders")) == before


async def test_a_forged_cancellation_moves_nothing(shop: Shop):
    await shop.agent()
    assert await notify(shop, await at_bank(shop), "payment.canceled") == "pending"
    await assert_nothing_moved(shop)


async def test_a_late_cancellation_of_a_paid_order_moves_nothing(shop: Shop):
    agent = await shop.agent()
    page = await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    assert await notify(shop, page.rsplit("/", 1)[1], "payment.canceled") == "succeeded"
    assert (await shop.state())["status"] == "successful"


async def test_a_payment_that_nobody_knows_is_kept_and_shown(shop: Shop, logs: list[Any]):
    before = counted("notifications", outcome="unmatched")
    assert (await shop.post("/v1/yook-pay-webhook", json=about(STRANGER))).status == 200
    for tries in range(1, 5):
        await shop.until_rows("SELECT 1 FROM notifications WHERE tries >= $1", tries)
        shop.later(60)
    await shop.until_rows("SELECT 1 FROM notifications WHERE handled_at IS NOT NULL")
    (kept,) = await shop.db.read(payments.unmatched_notifications, 10)
    assert (kept.object_id, kept.outcome) == (STRANGER, "unmatched: no shop of ours has it")
    assert counted("notifications", outcome="unmatched") == before + 1
    assert [record["event"] for record in logs if record["log_level"] == "error"] == [
        "notification fits nothing"
    ]
    assert await shop.open_cases() == []


# --- repeated -----------------------------------------------------------------------------------------


async def test_fifty_copies_at_once_make_one_drink(shop: Shop):
    agent = await shop.agent()
    payment_id = await at_bank(shop)
    await shop.finish(f"/sandbox/pay/{payment_id}")
    copies = [shop.post("/v1/yook-pay-webhook", json=about(payment_id)) for _ in range(50)]
    assert {answer.status for answer in await asyncio.gather(*copies)} == {200}
    await agent.make(await agent.hear(wire.Make))
    assert await notify(shop, payment_id) == "succeeded"
    await shop.becomes("successful")
    assert len(agent.all_heard(wire.Make)) == 1
    assert await shop.column("SELECT count(*) FROM makes") == [1]
    assert await shop.column("SELECT count(*) FROM payments") == [1]
    assert await shop.column("SELECT count(*) FROM notifications") == [1]


async def test_copies_after_a_failure_give_the_money_back_once(shop: Shop):
    agent = await shop.agent()
    page = await shop.pay()
    await agent.fail(await agent.hear(wire.Make))
    payment_id = page.rsplit("/", 1)[1]
    copies = [shop.post("/v1/yook-pay-webhook", json=about(payment_id)) for _ in range(20)]
    assert {answer.status for answer in await asyncio.gather(*copies)} == {200}
    await shop.refunds_become("succeeded")
    assert await shop.column("SELECT count(*) FROM sandbox_refunds") == [1]


async def test_a_copy_writes_nothing_to_the_order(shop: Shop):
    agent = await shop.agent()
    page = await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    before = [dict(row) for table in ("orders", "payments", "makes") for row in await rows(shop, table)]
    shop.later(1)
    await notify(shop, page.rsplit("/", 1)[1])
    after = [dict(row) for table in ("orders", "payments", "makes") for row in await rows(shop, table)]
    assert after == before


async def rows(shop: Shop, table: str) -> list[Any]:
    return await shop.rows(f"SELECT * FROM {table}")


# --- not the payment we asked for -----------------------------------------------------------------------


WRONG = {
    "amount": ({"amount.value": "0.01"}, "amount is 1, not 9000 kopecks"),
    "currency": ({"amount.currency": "KZT"}, "currency is KZT, not RUB"),
    "shop": ({"recipient.account_id": "999"}, "it was paid to shop 999"),
    "test flag": ({"test": False}, "test is False, and the shop's is True"),
    "order": ({"metadata.order_id": "order-9"}, "it is for order 'order-9', not order-1"),
}


@pytest.mark.parametrize("what", WRONG)
async def test_money_that_is_not_what_we_asked_for_moves_nothing(shop: Shop, logs: list[Any], what: str):
    change, why = WRONG[what]
    await shop.agent()
    payment_id = await at_bank(shop)
    before = counted("notifications", outcome="astray")
    await shop.change_at_bank({"status": "succeeded", "paid": True, **change})
    await notify(shop, payment_id)
    await assert_nothing_moved(shop)
    assert counted("notifications", outcome="astray") == before + 1
    assert await shop.open_cases() == ["payment_mismatch"]
    assert why in (await shop.row("cases"))["detail"]
    assert [record["event"] for record in logs if record["log_level"] == "error"] == ["money astray"]


async def test_a_wrong_payment_is_told_once_also_when_its_case_is_closed(shop: Shop, logs: list[Any]):
    await shop.agent()
    payment_id = await at_bank(shop)
    await shop.change_at_bank({"amount.value": "1.00", "status": "succeeded"})
    for _ in range(3):
        await notify(shop, payment_id)
        await shop.change("UPDATE cases SET closed_at = 1")
        shop.later(61)
    assert await shop.column("SELECT kind FROM cases") == ["payment_mismatch"]
    assert len([record for record in logs if record["event"] == "money astray"]) == 1


# --- strangers ----------------------------------------------------------------------------------------


async def stray_money(shop: Shop, **metadata: str) -> str:
    """Money at our bank for which there is no payment of ours."""
    payment_id = await at_bank(shop)
    await shop.change(
        "INSERT INTO sandbox_payments (payment_id, status, body, created_at) "
        "SELECT $1, status, body, created_at FROM sandbox_payments WHERE payment_id = $2",
        *(STRANGER, payment_id),
    )
    await shop.change_at_bank({"id": STRANGER, "status": "succeeded", "metadata": metadata}, STRANGER)
    return STRANGER


async def test_money_that_fits_no_payment_is_a_case(shop: Shop):
    await shop.agent()
    assert await notify(shop, await stray_money(shop)) == "unmatched: money that fits no order"
    assert await shop.open_cases() == ["stray_money"]
    detail = (await shop.row("cases"))["detail"]
    assert STRANGER in detail and '"amount_minor": 9000' in detail
    await assert_nothing_moved(shop)


async def test_stray_money_is_shown_with_the_order_it_names(shop: Shop):
    await shop.agent()
    await notify(shop, await stray_money(shop, order_id="order-1", payment_id="pay-of-others"))
    assert (await shop.row("cases"))["order_id"] == "order-1"
    await assert_nothing_moved(shop)


async def test_a_second_payment_under_one_of_our_ids_is_stray_money(shop: Shop):
    await shop.agent()
    stray = await stray_money(shop)
    (ours,) = await shop.column("SELECT payment_id FROM payments")
    await shop.change_at_bank({"metadata.payment_id": ours}, stray)
    await notify(shop, stray)
    assert await shop.open_cases() == ["stray_money"]
    await assert_nothing_moved(shop)


async def test_stray_money_is_one_case_however_often_it_is_told(shop: Shop):
    await shop.agent()
    stray = await stray_money(shop)
    for _ in range(3):
        await notify(shop, stray)
    assert await shop.open_cases() == ["stray_money"]


# --- refunds ------------------------------------------------------------------------------------------


async def test_a_notification_of_our_refund_ends_it(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    await agent.fail(await agent.hear(wire.Make))
    (refund,) = await shop.until_rows("SELECT * FROM refunds WHERE provider_refund_id IS NOT NULL")
    shop.clock.go(2.1)
    shop.app[keys.SANDBOX].wake()
    await shop.becomes("make_failed", refund="succeeded")
    assert refund["amount_minor"] == 9000


async def test_a_refund_made_by_hand_is_taken_into_our_books(shop: Shop):
    agent = await shop.agent()
    page = await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await refund_by_hand(shop, page)
    await shop.becomes("successful", refund="succeeded")
    refund = await shop.row("refunds")
    assert (refund["status"], refund["amount_minor"], refund["reason"]) == ("succeeded", 9000, BY_HAND)
    assert await shop.open_cases() == []


async def test_a_drink_whose_money_was_given_back_by_hand_is_not_owed_any_more(shop: Shop):
    agent = await shop.agent()
    page = await shop.pay()
    command = await agent.hear(wire.Make)
    await refund_by_hand(shop, page)
    await shop.becomes("make_failed", refund="succeeded")
    await agent.make(command)
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'delivered_and_refunded'")
    assert len(await shop.rows("SELECT 1 FROM refunds")) == 1


async def test_a_part_that_was_given_back_by_hand_is_a_case(shop: Shop):
    agent = await shop.agent()
    page = await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await refund_by_hand(shop, page, "10.00")
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'books_differ'")
    assert await shop.rows("SELECT 1 FROM refunds") == []


async def refund_by_hand(shop: Shop, page: str, value: str = "90.00", key: str = "by-hand") -> None:
    body = {"payment_id": page.rsplit("/", 1)[1], "amount": {"value": value, "currency": "RUB"}}
    authorization = aiohttp.encode_basic_auth(ACCOUNT_ID, SECRET_KEY)
    headers = {"Idempotence-Key": key, "Authorization": authorization}
    assert (await shop.post("/sandbox/v3/refunds", json=body, headers=headers)).status == 200
    shop.later(3)


@pytest.mark.parametrize("harm", [Harm.ABORT, Harm.ERROR, Harm.TRUNCATED, Harm.PROCESSING])
async def test_a_refund_whose_answer_was_lost_is_made_once(shop: Shop, harm: Harm):
    agent = await shop.agent()
    await shop.pay()
    shop.app[keys.SANDBOX].faults.next_create(harm, after_effect=True)
    await agent.fail(await agent.hear(wire.Make))
    await until_tried(shop)
    await shop.refunds_become("succeeded")
    assert await shop.column("SELECT count(*) FROM sandbox_refunds") == [1]


async def until_tried(shop: Shop) -> None:
    await shop.until_rows("SELECT 1 FROM refunds WHERE tries > 0")


async def test_a_refund_the_bank_refuses_is_a_case(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    shop.app[keys.SANDBOX].faults.refunds_canceled_because = "insufficient_funds"
    await agent.fail(await agent.hear(wire.Make))
    await shop.refunds_become("failed")
    await shop.becomes("make_failed", refund="failed")
    assert await shop.open_cases() == ["refund_failed"]


# --- a bank that does not answer ------------------------------------------------------------------------


async def test_a_notification_is_worked_on_until_the_bank_answers(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.finish(page, "canceled")
    await shop.becomes("not_paid")
    payment_id = page.rsplit("/", 1)[1]
    shop.app[keys.SANDBOX].faults.next_read(Harm.BAD_GATEWAY)
    shop.app[keys.SANDBOX].faults.next_read(Harm.BAD_GATEWAY)
    await shop.change_at_bank({"status": "succeeded", "paid": True})
    assert (await shop.post("/v1/yook-pay-webhook", json=about(payment_id))).status == 200

    async def tried() -> bool:
        shop.later(5)
        return bool(agent.all_heard(wire.Make))

    await until(tried)
    assert [record["event"] for record in logs if record["log_level"] in ("error", "critical")] == []


async def test_one_shop_that_cannot_be_asked_does_not_hide_anothers_refund(shop: Shop):
    broken = MerchantEntry(
        id="a0",
        name="Сломанный",
        credentials={"Yookassa": {"account_id": "1", "secret_key": "test_x"}},
    )
    await shop.load(merchant=broken)
    await shop.restart(yookassa_api_url="http://127.0.0.1:9/")
    agent = await shop.agent()
    await shop.pay()
    await agent.fail(await agent.hear(wire.Make))
    await shop.until_rows("SELECT 1 FROM refunds WHERE provider_refund_id IS NOT NULL")
    shop.clock.go(2.1)
    shop.app[keys.SANDBOX].wake()
    await shop.until_rows("SELECT 1 FROM notifications WHERE event = 'refund.succeeded' AND outcome <> ''")
    await shop.becomes("make_failed", refund="succeeded")


# --- another merchant's shop ----------------------------------------------------------------------------


async def test_a_payment_at_another_merchants_shop_pays_for_nothing(shop: Shop):
    """A merchant could put our payment's id into a payment to himself."""
    await shop.agent()
    await shop.scan()
    shop.app[keys.SANDBOX].faults.next_create(Harm.ABORT)
    await shop.initiate()
    (ours,) = await shop.column("SELECT payment_id FROM payments")
    await shop.change("UPDATE payments SET scenario = 'Yookassa'")
    await shop.change(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES "
        '(\'m1\', \'Yookassa\', \'{"account_id": "777", "secret_key": "test_x"}\', 0)'
    )
    await shop.change(
        "INSERT INTO sandbox_payments (payment_id, status, body, created_at) VALUES ($1, 'succeeded', $2, 0)",
        STRANGER,
        f'{{"id": "{STRANGER}", "status": "succeeded", "paid": true, "test": true, '
        '"amount": {"value": "90.00", "currency": "RUB"}, "recipient": {"account_id": "sandbox"}, '
        f'"metadata": {{"order_id": "order-1", "payment_id": "{ours}"}}}}',
    )
    assert (await shop.post("/v1/yook-pay-webhook", json=about(STRANGER))).status == 200
    await shop.until_rows("SELECT 1 FROM cases")
    await assert_nothing_moved(shop)
