"""What a person does about a case, and what follows from it."""

import pytest

from agent import wire
from agent.wire import Actuated, Code, MakeState
from server import keys
from server.case_work import ACTIONS, Decision, settle_case
from server.errors import AlreadyDecided, BadRequest, NotFound
from server.store.rows import Case
from tests.fakes.agent import ScriptedAgent
from tests.fakes.shop import Shop
from tests.server.test_late_payments import succeed_after_all


async def decide(shop: Shop, action: str, reason: str = "looked at it", case_id: str | None = None) -> None:
    """Do something about the oldest open case, as the technicians' pages do."""
    if case_id is None:
        (case_id, *_) = await shop.column("SELECT case_id FROM cases WHERE closed_at IS NULL")
    decision = Decision(case_id or "", action, "anna", reason)
    change = await shop.db.write(settle_case, shop.app[keys.RULES], decision, shop.clock())
    if change is not None:
        shop.app[keys.FOLLOW](change)


async def unknown(shop: Shop) -> tuple[ScriptedAgent, wire.Make]:
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await agent.report(command, MakeState.STARTED)
    await agent.report(command, MakeState.UNKNOWN, code=Code.POWER_LOSS, actuated=Actuated.UNKNOWN)
    return agent, command


async def refused_refund(shop: Shop) -> None:
    """The drink failed, and the bank would not give the money back."""
    faults = shop.app[keys.SANDBOX].faults
    faults.refunds_canceled_because = "insufficient_funds"
    agent = await shop.agent()
    await shop.pay()
    await agent.fail(await agent.hear(wire.Make))
    await shop.refunds_become("failed")
    faults.refunds_canceled_because = ""


async def test_a_person_saw_the_drink(shop: Shop):
    await unknown(shop)
    await decide(shop, "made")
    await shop.becomes("successful")
    assert await shop.open_cases() == []


async def test_a_person_saw_no_drink(shop: Shop):
    await unknown(shop)
    await decide(shop, "not_made")
    state = await shop.refunded()
    assert (state["status"], state["failure"]["code"]) == ("make_failed", Code.POWER_LOSS)
    assert await shop.open_cases() == []


async def test_a_person_has_it_made_again(shop: Shop):
    agent, first = await unknown(shop)
    await decide(shop, "make_again")
    again = await agent.hear(wire.Make)
    assert (again.order_id, again.command_id != first.command_id) == ("order-1", True)
    await agent.make(again)
    await shop.becomes("successful")
    assert await shop.open_cases() == []


async def test_proof_of_the_first_drink_after_a_second_is_a_loss(shop: Shop):
    agent, first = await unknown(shop)
    await decide(shop, "make_again")
    await agent.make(await agent.hear(wire.Make))
    await agent.report(first, MakeState.DONE)
    await shop.becomes("successful")
    assert await shop.open_cases() == ["delivered_and_refunded"]


async def test_proof_of_the_first_drink_stops_the_second(shop: Shop):
    agent, first = await unknown(shop)
    await shop.gone(agent)
    await decide(shop, "make_again")
    agent = await shop.stranger()
    await shop.change("UPDATE makes SET state = 'sent' WHERE command_id = $1", first.command_id)
    await agent.meet(journal_high=2)
    await agent.report(first, MakeState.DONE)
    await agent.reached()
    assert agent.all_heard(wire.Make) == []
    assert (await shop.state())["status"] == "successful"


async def test_who_did_what_and_why_is_kept(shop: Shop):
    await unknown(shop)
    await decide(shop, "made", "the cup was there")
    case = Case(**await shop.row("cases"))
    assert (case.closed_by, case.resolution) == ("anna", "made")
    assert "the cup was there" in (case.reason or "")
    last = (await shop.rows("SELECT * FROM order_events ORDER BY seq DESC LIMIT 1"))[0]
    assert (last["cause"], last["event"]) == ("anna", "made")


async def test_a_refused_refund_is_sent_again(shop: Shop):
    await refused_refund(shop)
    assert (await shop.state())["refund_status"] == "failed"
    await decide(shop, "refund_again")
    await shop.refunds_become("failed", "succeeded")
    await shop.becomes("make_failed", refund="succeeded")
    assert await shop.open_cases() == []


async def test_the_money_was_returned_by_hand(shop: Shop):
    await refused_refund(shop)
    await decide(shop, "returned_by_hand")
    await shop.becomes("make_failed", refund="succeeded")
    shop.later(60)
    assert await shop.column("SELECT count(*) FROM sandbox_refunds") == [1]


async def test_a_refund_is_sent_again_for_the_payment_that_it_was_for(shop: Shop):
    agent = await shop.agent()
    first = await shop.at_bank()
    await shop.finish(first, "canceled")
    await shop.becomes("not_paid")
    second = await shop.at_bank()
    await succeed_after_all(shop, first)
    shop.app[keys.SANDBOX].faults.refunds_canceled_because = "insufficient_funds"
    await shop.finish(second)
    await shop.refunds_become(None, "failed")
    await agent.make(await agent.hear(wire.Make))
    shop.app[keys.SANDBOX].faults.refunds_canceled_because = ""
    await decide(shop, "refund_again")
    await shop.refunds_become(None, "failed", "succeeded")
    await shop.becomes("successful", refund=None)


async def test_a_case_is_closed_once(shop: Shop):
    await unknown(shop)
    (case_id,) = await shop.column("SELECT case_id FROM cases")
    await decide(shop, "made")
    with pytest.raises(AlreadyDecided):
        await decide(shop, "not_made", case_id=case_id)
    assert await shop.rows("SELECT * FROM refunds") == []


@pytest.mark.parametrize("action", [action for actions in ACTIONS.values() for action in actions])
async def test_only_what_is_offered_can_be_done(shop: Shop, action: str):
    if action in ACTIONS["outcome_unknown"]:
        await refused_refund(shop)
    else:
        await unknown(shop)
    with pytest.raises(BadRequest):
        await decide(shop, action)
    assert len(await shop.open_cases()) == 1


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
async def test_a_decision_needs_a_reason(shop: Shop, reason: str):
    await unknown(shop)
    with pytest.raises(BadRequest):
        await decide(shop, "made", reason)
    assert await shop.open_cases() == ["outcome_unknown"]


async def test_a_case_that_is_not_there_is_not_found(shop: Shop):
    with pytest.raises(NotFound):
        await decide(shop, "made", case_id="case-0")
