"""A merchant may have the money of cards held: taken when the drink is made, given back when it is not."""

import asyncio
from typing import Any

import aiohttp
import pytest

from agent import wire
from server import keys
from server.payments import Hint, InDoubt
from server.payments.yookassa import Yookassa
from server.sandbox import ACCOUNT_ID, SECRET_KEY, NoticeFault
from tests.fakes.shop import Shop

DAY_S = 24 * 3600


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    return shop


async def payment(shop: Shop) -> dict[str, Any]:
    return await shop.row("payments")


async def becomes(shop: Shop, status: str) -> None:
    await shop.until_rows("SELECT 1 FROM payments WHERE status = $1", status)


async def end_hold(shop: Shop) -> None:
    """Give the held money back at the bank, as its operator may, behind our server's back."""
    (held,) = await shop.column("SELECT payment_id FROM sandbox_payments")
    headers = {
        "Authorization": aiohttp.encode_basic_auth(ACCOUNT_ID, SECRET_KEY),
        "Idempotence-Key": "by-hand",
    }
    answer = await shop.post(f"/sandbox/v3/payments/{held}/cancel", headers=headers, json={})
    assert answer.status == 200


async def at_the_bank(shop: Shop) -> list[str]:
    return await shop.column("SELECT status FROM sandbox_payments ORDER BY created_at")


async def test_held_money_is_taken_once_the_drink_is_made(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    assert (await payment(shop))["status"] == "held"
    assert await at_the_bank(shop) == ["waiting_for_capture"]
    await agent.make(command)
    await shop.becomes("successful")
    await becomes(shop, "succeeded")
    assert await at_the_bank(shop) == ["succeeded"]
    assert (await shop.row("captures"))["status"] == "succeeded"
    assert await shop.rows("SELECT 1 FROM refunds") == []


async def test_held_money_goes_back_when_the_drink_was_surely_not_made(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    await agent.fail(await agent.hear(wire.Make))
    await shop.becomes("make_failed", refund="succeeded")
    assert await at_the_bank(shop) == ["canceled"]
    assert (await payment(shop))["status"] == "canceled"
    assert (await shop.row("refunds"))["kind"] == "release"
    assert await shop.rows("SELECT 1 FROM captures") == []
    assert await shop.open_cases() == []


async def test_held_money_stays_held_while_nobody_knows_whether_the_drink_came(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await agent.report(command, wire.MakeState.STARTED)
    await agent.report(command, wire.MakeState.UNKNOWN, code=wire.Code.POWER_LOSS)
    await shop.until("order-1", lambda order: order["failure"])
    assert await at_the_bank(shop) == ["waiting_for_capture"]
    assert await shop.open_cases() == ["outcome_unknown"]
    shop.later(DAY_S)
    await shop.becomes("make_failed", refund="succeeded")
    assert await at_the_bank(shop) == ["canceled"]


async def test_a_hold_that_its_bank_ends_fails_the_order_whose_drink_is_still_owed(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await agent.report(command, wire.MakeState.STARTED)
    await end_hold(shop)
    await shop.becomes("make_failed", refund="succeeded")
    await agent.report(command, wire.MakeState.DONE, actuated=wire.Actuated.YES, evidence="counter_delta")
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'delivered_and_refunded'")


async def test_an_answer_that_was_got_too_long_ago_buys_no_drink(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """The bank says that money is held; until that is worked on, it has gone back, and that is known."""
    works: list[Any] = []
    notifications = shop.app[keys.NOTIFICATIONS]
    agent = await shop.agent()
    page = await shop.at_bank()
    shop.app[keys.SANDBOX].faults.notices += [NoticeFault.DROPPED] * 2
    await shop.finish(page)
    (held,) = await shop.column("SELECT payment_id FROM sandbox_payments")
    with monkeypatch.context() as patch:
        patch.setattr(notifications._work, "start", lambda _, work: works.append(work))
        await notifications.keep("yookassa", Hint("payment.waiting_for_capture", "payment", held, held), "{}")
    await asyncio.wait([works[0].args[-1]])
    await end_hold(shop)
    shop.later(6)
    await becomes(shop, "canceled")
    await works[0]()
    assert (await shop.state())["status"] == "not_paid"
    assert agent.all_heard(wire.Make) == []


async def test_a_made_drink_whose_hold_has_ended_is_a_case(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    shop.app[keys.SANDBOX].faults.notices.append(NoticeFault.DROPPED)
    await end_hold(shop)
    await agent.make(command)
    await shop.until_rows("SELECT 1 FROM cases WHERE kind = 'capture_failed'")
    assert (await shop.row("captures"))["status"] == "failed"
    assert (await shop.state())["status"] == "successful"


async def test_a_capture_whose_answer_is_lost_is_sent_again_with_its_key(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    capture, keys_sent = Yookassa.capture_payment, []

    async def lose_first_answer(self: Yookassa, held: str, body: str, key: str) -> Any:
        keys_sent.append(key)
        taken = await capture(self, held, body, key)
        if len(keys_sent) == 1:
            raise InDoubt("the answer broke off")
        return taken

    monkeypatch.setattr(Yookassa, "capture_payment", lose_first_answer)
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    shop.app[keys.SANDBOX].faults.notices.append(NoticeFault.DROPPED)
    await agent.make(command)
    await shop.until_rows("SELECT 1 FROM captures WHERE tries = 1")
    shop.later(6)
    await shop.until_rows("SELECT 1 FROM captures WHERE status = 'succeeded'")
    assert len(set(keys_sent)) == 1
    assert len(keys_sent) == 2
    assert await at_the_bank(shop) == ["succeeded"]
