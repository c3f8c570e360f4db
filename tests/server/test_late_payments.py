"""Payments that come late, twice, not at all, or before anyone expects them."""

import asyncio
from typing import Any

import pytest

from agent import wire
from server import keys
from server.sandbox import Harm, NoticeFault
from server.store import payments
from tests.fakes.agent import ScriptedAgent
from tests.fakes.shop import Shop, until


async def paid_late(shop: Shop) -> ScriptedAgent:
    agent = await shop.agent()
    page = await shop.at_bank()
    shop.later(301)
    await shop.finish(page)
    await shop.becomes("manual_make")
    return agent


async def test_a_late_payment_makes_nothing_by_itself(shop: Shop):
    agent = await paid_late(shop)
    await agent.reached()
    assert agent.all_heard(wire.Make) == []
    assert await shop.rows("SELECT * FROM makes") == []


async def test_who_paid_late_may_have_the_drink(shop: Shop):
    agent = await paid_late(shop)
    assert (await shop.choose("make")).status == 200
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert await shop.rows("SELECT * FROM refunds") == []


async def test_who_paid_late_may_have_the_money(shop: Shop):
    agent = await paid_late(shop)
    assert (await shop.choose("refund")).status == 200
    assert (await shop.refunded())["status"] == "make_failed"
    assert agent.all_heard(wire.Make) == []


async def test_who_paid_late_and_does_not_choose_gets_the_money(shop: Shop):
    agent = await paid_late(shop)
    shop.later(600)
    await shop.refunded()
    assert agent.all_heard(wire.Make) == []


@pytest.mark.parametrize("second", ["make", "refund"])
@pytest.mark.parametrize("first", ["make", "refund"])
async def test_a_choice_is_made_once(shop: Shop, first: str, second: str):
    await paid_late(shop)
    assert (await shop.choose(first)).status == 200
    assert (await shop.choose(second)).status == 409
    makes, refunds = await shop.column("SELECT count(*) FROM makes UNION ALL SELECT count(*) FROM refunds")
    assert makes + refunds == 1


async def test_no_drink_is_promised_by_a_machine_that_is_away(shop: Shop):
    agent = await paid_late(shop)
    await shop.gone(agent)
    shop.later(31)
    assert (await shop.choose("make")).status == 503
    assert (await shop.state())["status"] == "manual_make"


async def test_a_payment_after_the_orders_time_is_not_lost(shop: Shop):
    await shop.agent()
    page = await shop.at_bank()
    shop.later(16 * 60)
    await shop.finish(page)
    await shop.becomes("manual_make")


async def test_a_refused_payment_may_be_tried_again(shop: Shop):
    agent = await shop.agent()
    await shop.finish(await shop.at_bank(), "canceled")
    await shop.becomes("not_paid")
    await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert await shop.column("SELECT status FROM payments ORDER BY attempt_no") == ["canceled", "succeeded"]


async def test_a_payment_that_ends_by_itself_is_not_paid(shop: Shop):
    await shop.agent()
    await shop.at_bank()
    shop.later(3601)
    await shop.becomes("not_paid")


async def both_paid(shop: Shop) -> ScriptedAgent:
    """The first payment is canceled, and paid after all when the second one already is."""
    agent = await shop.agent()
    first = await shop.at_bank()
    await shop.finish(first, "canceled")
    await shop.becomes("not_paid")
    await shop.pay()
    await succeed_after_all(shop, first)
    return agent


async def succeed_after_all(shop: Shop, page: str) -> None:
    """A payment that the bank had canceled is paid, and the bank says so."""
    payment_id = page.rsplit("/", 1)[1]
    await shop.change_at_bank({"status": "succeeded", "paid": True}, payment_id)
    await notify(shop, payment_id)


async def notify(shop: Shop, object_id: str, event: str = "payment.succeeded") -> Any:
    """Post a notification and wait until it is worked on; return what came of it."""
    body = {"type": "notification", "event": event, "object": {"id": object_id}}
    assert (await shop.post("/v1/yook-pay-webhook", json=body)).status == 200
    shop.later(0)
    done = "SELECT outcome FROM notifications WHERE object_id = $1 AND event = $2 AND handled_at IS NOT NULL"
    return (await shop.until_rows(done, object_id, event))[0]["outcome"]


async def test_a_second_payment_of_an_order_goes_back(shop: Shop):
    agent = await both_paid(shop)
    await agent.make(await agent.hear(wire.Make))
    await shop.refunds_become("succeeded", None)
    await shop.becomes("successful", refund=None)


async def test_both_payments_go_back_when_the_drink_fails(shop: Shop):
    agent = await both_paid(shop)
    await agent.fail(await agent.hear(wire.Make))
    await shop.refunds_become("succeeded", "succeeded")
    await shop.becomes("make_failed", refund="succeeded")


async def test_the_orders_own_payment_goes_back_also_when_the_other_could_not(shop: Shop):
    faults = shop.app[keys.SANDBOX].faults
    faults.refunds_canceled_because = "insufficient_funds"
    agent = await both_paid(shop)
    await shop.refunds_become("failed", None)
    faults.refunds_canceled_because = ""
    await agent.fail(await agent.hear(wire.Make))
    await shop.refunds_become("failed", "succeeded")
    assert await shop.open_cases() == ["refund_failed"]


async def test_money_for_a_payment_that_was_canceled_still_buys(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.finish(page, "canceled")
    await shop.becomes("not_paid")
    await succeed_after_all(shop, page)
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")


# --- asking the bank ----------------------------------------------------------------------------------


async def test_the_till_finds_the_money_when_the_notification_is_lost(shop: Shop):
    agent = await shop.agent()
    shop.app[keys.SANDBOX].faults.notices.append(NoticeFault.DROPPED)
    await shop.finish(await shop.at_bank())
    shop.later(2)
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert await shop.rows("SELECT * FROM notifications") == []


async def test_a_bank_that_does_not_answer_is_asked_again(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    for _ in range(2):
        shop.app[keys.SANDBOX].faults.next_read(Harm.BAD_GATEWAY)
    await shop.finish(page)
    await until_not_answered(shop, times=1)
    assert (await shop.state())["status"] == "pending"
    shop.later(2)
    await until_not_answered(shop, times=2)
    shop.later(2)
    await agent.hear(wire.Make)


async def until_not_answered(shop: Shop, times: int) -> None:
    """Wait until it is written that the bank did not answer, with when it is asked next."""

    async def reached() -> bool:
        (payment,) = await shop.db.read(payments.of_order, "order-1")
        return payment.checks >= times

    await until(reached, lambda: f"the bank was not asked {times} times")


@pytest.mark.parametrize("harm", [Harm.ABORT, Harm.BAD_GATEWAY, Harm.TRUNCATED, Harm.ERROR, Harm.PROCESSING])
async def test_a_payment_whose_creation_was_not_answered_is_made_once(shop: Shop, harm: Harm):
    await shop.agent()
    await shop.scan()
    shop.app[keys.SANDBOX].faults.next_create(harm, after_effect=True)
    answer = await shop.initiate()
    assert (answer.status, answer.json["error"]) == (
        503,
        "Не удалось создать платеж. Пожалуйста, попробуйте позже.",
    )
    again = await shop.initiate()
    assert again.status == 200 and "/sandbox/pay/" in again.json["redirect_url"]
    assert await shop.column("SELECT count(*) FROM sandbox_payments") == [1]
    assert await shop.column("SELECT count(*) FROM payments") == [1]


async def test_a_payment_the_bank_will_not_have_may_be_tried_again(shop: Shop):
    await shop.agent()
    await shop.scan()
    await shop.change("UPDATE orders SET price_minor = 90000000000")
    assert (await shop.initiate()).status == 503
    assert (await shop.state())["status"] == "not_paid"


async def test_a_double_click_makes_one_payment(shop: Shop):
    await shop.agent()
    await shop.scan()
    answers = await asyncio.gather(*(shop.initiate() for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["redirect_url"] for answer in answers}) == 1
    assert await shop.column("SELECT count(*) FROM sandbox_payments") == [1]


async def test_pressing_again_leads_to_the_same_payment(shop: Shop):
    await shop.agent()
    first = await shop.at_bank()
    assert (await shop.initiate()).json["redirect_url"] == first


async def test_a_notification_before_the_answer_of_the_creation_counts(shop: Shop):
    agent = await shop.agent()
    await shop.scan()
    shop.app[keys.SANDBOX].faults.next_create(Harm.ABORT, after_effect=True)
    await shop.initiate()
    (payment_id,) = await shop.column("SELECT payment_id FROM sandbox_payments")
    await shop.finish(f"/sandbox/pay/{payment_id}")
    await shop.becomes("paid")
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert await shop.column("SELECT provider_payment_id FROM payments") == [payment_id]


async def test_money_for_a_payment_given_up_can_be_given_back(shop: Shop):
    agent = await shop.agent()
    await shop.scan()
    shop.app[keys.SANDBOX].faults.next_create(Harm.ABORT, after_effect=True)
    await shop.initiate()
    await shop.change("UPDATE payments SET status = 'failed', next_check_at = NULL")
    await shop.change("UPDATE orders SET status = 'not_paid'")
    (payment_id,) = await shop.column("SELECT payment_id FROM sandbox_payments")
    await shop.finish(f"/sandbox/pay/{payment_id}")
    await agent.fail(await agent.hear(wire.Make))
    await shop.refunded()


async def test_a_payment_that_the_bank_forgot_does_not_leave_its_order_waiting(shop: Shop):
    await shop.agent()
    await shop.at_bank()
    await shop.change("DELETE FROM sandbox_payments")
    shop.later(60)
    await until_asked(shop)
    assert (await shop.state())["status"] == "pending"
    shop.later(3901)
    await shop.becomes("not_paid")
    assert await shop.open_cases() == ["payment_mismatch"]


async def until_asked(shop: Shop) -> None:
    await shop.until_rows("SELECT 1 FROM payments WHERE checks > 0")


async def test_credentials_that_are_gone_are_waited_for_quietly(shop: Shop, logs: list[Any]):
    await shop.agent()
    await shop.scan()
    shop.app[keys.SANDBOX].faults.next_create(Harm.ABORT)
    await shop.initiate()
    await shop.change("UPDATE payments SET scenario = 'Yookassa', checks = 0")
    shop.later(60)
    await until_asked(shop)
    assert [record for record in logs if record["log_level"] == "error"] == []
