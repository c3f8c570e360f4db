"""Money that is not what we asked for: nobody is troubled before it comes, and a person ends it."""

import pytest

from agent import wire
from tests.fakes.shop import Shop
from tests.server.test_case_work import decide
from tests.server.test_late_payments import notify
from tests.server.test_notifications import about, refund_by_hand

PAID = {"status": "succeeded", "paid": True, "refundable": True}


async def astray(shop: Shop, value: str = "10.00", **changes: object) -> str:
    """Somebody has paid another sum than we asked for; return the bank's page."""
    await shop.agent()
    page = await shop.at_bank()
    await shop.change_at_bank({**PAID, "amount.value": value, **changes})
    await notify(shop, page.rsplit("/", 1)[1])
    assert await shop.open_cases() == ["payment_mismatch"]
    return page


async def test_a_wrong_sum_is_no_case_while_nobody_has_paid_it(shop: Shop):
    await shop.agent()
    page = await shop.at_bank()
    await shop.change_at_bank({"amount.value": "1.00"})
    assert await notify(shop, page.rsplit("/", 1)[1]) == "pending"
    assert await shop.open_cases() == []
    await shop.change_at_bank(PAID)
    await notify(shop, page.rsplit("/", 1)[1])
    assert await shop.open_cases() == ["payment_mismatch"]


async def test_another_word_about_the_money_is_another_case(shop: Shop):
    page = await astray(shop, status="waiting_for_capture")
    await shop.change("UPDATE cases SET closed_at = 1")
    await notify(shop, page.rsplit("/", 1)[1])
    assert await shop.open_cases() == []
    await shop.change_at_bank(PAID)
    await notify(shop, page.rsplit("/", 1)[1])
    assert await shop.open_cases() == ["payment_mismatch"]


async def test_a_person_who_settles_it_ends_the_payment_and_lets_the_order_go_on(shop: Shop):
    page = await astray(shop)
    await decide(shop, "settled_at_bank", "given back in the cabinet")
    assert (await shop.state())["status"] == "not_paid"
    payment = await shop.row("payments")
    assert (payment["status"], payment["next_check_at"]) == ("failed", None)
    last = (await shop.rows("SELECT * FROM order_events ORDER BY seq DESC LIMIT 1"))[0]
    assert (last["event"], last["cause"]) == ("payment_canceled", "anna")
    assert "given back in the cabinet" in last["detail"]
    await shop.post("/v1/yook-pay-webhook", json=about(page.rsplit("/", 1)[1]))
    await shop.until_rows("SELECT 1 FROM notifications WHERE next_try_at = received_at + 1000")
    assert await shop.open_cases() == []
    assert (await shop.state())["status"] == "not_paid"


async def test_a_payment_settled_beside_a_newer_one_leaves_the_order_to_that(shop: Shop):
    await astray(shop)
    body = {"order_id": "order-1", "method": "sbp"}
    newer = (await shop.post("/v1/initiate-payment", json=body)).json["redirect_url"]
    await decide(shop, "settled_at_bank")
    assert (await shop.state())["status"] == "pending"
    assert "payment_ended" in await shop.column("SELECT event FROM order_events WHERE cause = 'anna'")
    assert await shop.column("SELECT status FROM payments ORDER BY attempt_no") == ["failed", "pending"]
    assert newer


@pytest.mark.parametrize("settled_first", [True, False])
async def test_what_was_given_back_by_hand_is_taken_into_our_books(shop: Shop, settled_first: bool):
    page = await astray(shop)
    if settled_first:
        await decide(shop, "settled_at_bank")
    await refund_by_hand(shop, page, "10.00")
    await shop.until_rows("SELECT 1 FROM order_events WHERE event = 'refund_adopted'")
    refund = await shop.row("refunds")
    assert (refund["status"], refund["amount_minor"]) == ("succeeded", 1000)
    if not settled_first:
        await decide(shop, "settled_at_bank")
    assert (await shop.state())["refund_status"] is None
    assert (await shop.state())["status"] == "not_paid"
    assert await shop.open_cases() == []


async def test_a_second_part_that_was_given_back_by_hand_is_a_case(shop: Shop):
    page = await astray(shop)
    await refund_by_hand(shop, page, "4.00")
    await shop.until_rows("SELECT 1 FROM refunds")
    await refund_by_hand(shop, page, "6.00", key="again")
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'books_differ'")


async def test_an_order_whose_wrong_money_was_settled_can_be_paid_again(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.change_at_bank({**PAID, "amount.value": "10.00"})
    await notify(shop, page.rsplit("/", 1)[1])
    await decide(shop, "settled_at_bank")
    await shop.finish((await shop.initiate()).json["redirect_url"])
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
