"""A person settles cases at /tech/cases: each with who, when and why, and with what follows from it."""

from typing import Any

import pytest

from agent.wire import MakeState
from server import keys
from server.db import Statement, Transaction
from server.money_back import refund_refused
from server.store import cases, devices, makes, orders, payments


async def unknown_case(desk: Any, order_id: str = "o1") -> Any:
    """An order of unknown outcome; return its case."""
    await desk.fleet.connect("dev-1")
    await desk.fleet.lose_sight("dev-1", order_id)
    (case,) = await desk.fleet.db.read(cases.open_cases)
    return case


async def order_of(desk: Any, order_id: str = "o1") -> Any:
    return await desk.fleet.db.read(orders.get, order_id)


async def settle(desk: Any, case: Any, action: str, reason: str = "видел сам") -> Any:
    return await desk.post(f"/tech/cases/{case.case_id}", action=action, reason=reason)


async def test_an_unknown_outcome_can_be_settled_in_three_ways(at_desk: Any) -> None:
    await unknown_case(at_desk)
    page = await (await at_desk.client.get("/tech/cases")).text()
    assert all(f'value="{action}"' in page for action in ("made", "not_made", "make_again"))


async def test_it_was_made(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    assert (await settle(at_desk, case, "made")).status == 303
    order = await order_of(at_desk)
    assert (order.status, order.refund_status, order.failure_code) == ("successful", None, None)


async def test_it_was_not_made_returns_the_money(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    await settle(at_desk, case, "not_made")
    order = await order_of(at_desk)
    assert (order.status, order.refund_status) == ("make_failed", "pending")


async def test_make_again_is_a_new_attempt_with_a_new_command(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    await settle(at_desk, case, "make_again")
    first, second = await at_desk.fleet.db.read(makes.of_order, "o1")
    assert (await order_of(at_desk)).status == "paid"
    assert (first.state, second.state) == ("failed", "queued")
    assert first.command_id != second.command_id


async def test_a_decision_keeps_who_when_and_why(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    await settle(at_desk, case, "made", "стакан стоял под краном")
    closed = await at_desk.fleet.db.read(cases.get, case.case_id)
    assert closed.closed_by == "anna"
    assert "стакан стоял под краном" in closed.reason
    assert closed.closed_at == at_desk.clock()


async def test_a_reason_is_needed(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    answer = await settle(at_desk, case, "made", " ")
    assert answer.status == 400
    assert "Напишите причину." in await answer.text()
    assert (await order_of(at_desk)).status == "make_pending"


async def test_a_case_is_settled_once(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    await settle(at_desk, case, "not_made")
    assert (await settle(at_desk, case, "make_again")).status == 409
    assert len(await at_desk.fleet.db.read(makes.of_order, "o1")) == 1


async def test_evidence_comes_before_a_person(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    (make,) = await at_desk.fleet.db.read(makes.of_order, "o1")
    await at_desk.fleet.report(make, MakeState.DONE)
    assert (await settle(at_desk, case, "not_made")).status == 409
    assert (await order_of(at_desk)).status == "successful"


@pytest.mark.parametrize("action", ["", "refund_again", "drop table"])
async def test_an_action_that_is_none_of_the_case_is_refused(at_desk: Any, action: str) -> None:
    case = await unknown_case(at_desk)
    assert (await settle(at_desk, case, action)).status == 400


async def test_a_drink_proved_after_the_refund_is_a_loss_in_front_of_a_person(at_desk: Any) -> None:
    case = await unknown_case(at_desk)
    await settle(at_desk, case, "not_made")
    (make,) = await at_desk.fleet.db.read(makes.of_order, "o1")
    await at_desk.fleet.report(make, MakeState.DONE)
    (loss,) = await at_desk.fleet.db.read(cases.open_cases)
    assert loss.kind == "delivered_and_refunded"
    assert (await settle(at_desk, loss, "settled")).status == 303
    assert await at_desk.fleet.db.read(cases.open_cases) == []


async def test_an_unknown_outcome_that_nobody_settles_gives_the_money_back(at_desk: Any) -> None:
    await unknown_case(at_desk)
    wait_ms = at_desk.client.app[keys.RULES].unknown_refund_ms
    assert (await order_of(at_desk)).deadline_at == at_desk.clock() + wait_ms


async def test_a_refused_refund_can_be_sent_again_with_a_new_key(at_desk: Any) -> None:
    await at_desk.fleet.connect("dev-1")
    await at_desk.fleet.fail("dev-1", "o1")
    case = await refused_refund(at_desk, "o1")
    assert (await settle(at_desk, case, "refund_again")).status == 303
    (payment,) = await at_desk.fleet.db.read(payments.of_order, "o1")
    again = await at_desk.fleet.db.read(payments.refund_of, payment.payment_id)
    assert again.status == "pending"
    assert again.refund_id != case.subject


async def refused_refund(desk: Any, order_id: str) -> Any:
    """The provider refuses the order's refund; return the case."""
    (payment,) = await desk.fleet.db.read(payments.of_order, order_id)
    refund = await desk.fleet.db.read(payments.refund_of, payment.payment_id)
    await desk.fleet.db.write(
        refund_refused, desk.fleet.rules, refund.refund_id, "insufficient_funds", desk.clock()
    )
    (case,) = await desk.fleet.db.read(cases.open_cases)
    return case


async def test_the_list_says_when_each_shop_was_heard_of_last(at_desk: Any) -> None:
    assert 'id="shops"' not in await at_desk.page("/tech/cases")
    for scenario in ("TBank", "Yookassa"):
        await at_desk.fleet.db.write(keep_account, scenario)
    await at_desk.fleet.db.write(devices.heard, "m1", "TBank", at_desk.clock())
    at_desk.clock.go(300)
    page = await at_desk.page("/tech/cases")
    tbank, yookassa = page[page.index('id="shops"') :].split("TBank")[1].split("Yookassa")
    assert "5\N{NO-BREAK SPACE}минут" in tbank
    assert "Ещё ни одного" in yookassa


def keep_account(scenario: str) -> Transaction[None]:
    yield Statement(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES ('m1', $1, '{}', 0)",
        (scenario,),
    )
