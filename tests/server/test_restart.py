"""The server is stopped and started again on the same database: each order goes on where it was."""

from typing import Any

import pytest

from agent import wire
from agent.wire import Actuated, Code, Make, MakeState, Query
from tests.fakes.agent import ScriptedAgent
from tests.fakes.shop import Shop


async def command_for(shop: Shop) -> tuple[ScriptedAgent, Make]:
    agent = await shop.agent()
    await shop.pay()
    return agent, await agent.hear(wire.Make)


async def asked_again(shop: Shop, command: Make, **hello: Any) -> tuple[ScriptedAgent, Query]:
    """A new session of the agent, and the question about the command."""
    agent = await shop.agent(**hello)
    query = await agent.hear(wire.Query)
    assert query.command_id == command.command_id
    return agent, query


# --- before the command is sent -----------------------------------------------------------------------


async def test_an_order_can_be_paid_after_a_restart(shop: Shop):
    await shop.agent()
    page = await shop.at_bank()
    await shop.restart()
    agent = await shop.agent()
    await shop.finish(page)
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")


async def test_money_that_came_while_the_server_was_down_is_found(shop: Shop):
    await shop.agent()
    page = await shop.at_bank()
    await shop.change_at_bank({"status": "succeeded", "paid": True, "expires_at": None})
    await shop.change("UPDATE sandbox_payments SET expires_at = NULL")
    await shop.restart()
    agent = await shop.agent()
    shop.later(2)
    assert page and (await agent.hear(wire.Make)).order_id == "order-1"


async def test_a_queued_command_is_sent_after_a_restart(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.gone(agent)
    await shop.finish(page)
    await shop.becomes("paid")
    await shop.restart()
    agent = await shop.agent()
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert agent.all_heard(wire.Query) == []


async def test_a_queued_command_expires_also_after_a_restart(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.gone(agent)
    await shop.finish(page)
    await shop.becomes("paid")
    await shop.restart()
    shop.later(60)
    assert (await shop.refunded())["failure"]["code"] == Code.AGENT_OFFLINE


# --- after it is sent ---------------------------------------------------------------------------------


async def test_nothing_is_sent_before_the_question_is_answered(shop: Shop):
    _, command = await command_for(shop)
    await shop.pay("order-2")
    await shop.restart()
    agent, query = await asked_again(shop, command)
    await agent.reached()
    assert agent.all_heard(wire.Make) == []
    await agent.answer(query, MakeState.DONE)
    assert (await agent.hear(wire.Make)).order_id == "order-2"


async def test_nothing_is_sent_before_hello(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.gone(agent)
    await shop.finish(page)
    await shop.becomes("paid")
    await shop.restart()
    agent = await shop.stranger()
    shop.later(1)
    await shop.state()
    assert agent.heard == []
    await agent.meet()
    await agent.hear(wire.Make)


@pytest.mark.parametrize("told", [[], [MakeState.RECEIVED], [MakeState.RECEIVED, MakeState.STARTED]])
async def test_a_command_on_its_way_is_asked_for_and_its_end_counts(shop: Shop, told: list[MakeState]):
    agent, command = await command_for(shop)
    for state in told:
        await agent.report(command, state)
    await shop.restart()
    agent, _ = await asked_again(shop, command, journal_high=len(told))
    await agent.report(command, MakeState.DONE)
    await shop.becomes("successful")
    assert await shop.column("SELECT count(*) FROM makes") == [1]


async def test_a_command_never_seen_is_sent_anew_within_its_life(shop: Shop):
    _, command = await command_for(shop)
    await shop.restart()
    shop.later(20)
    agent, query = await asked_again(shop, command)
    await agent.answer(query, MakeState.NOT_SEEN)
    again = await agent.hear(wire.Make)
    assert again.command_id != command.command_id
    assert (again.order_id, again.ttl_ms) == ("order-1", 40_000)
    await agent.make(again)
    await shop.becomes("successful")
    assert await shop.column("SELECT state FROM makes ORDER BY attempt_no") == ["expired", "done"]


async def test_a_command_never_seen_after_its_life_is_refunded(shop: Shop):
    _, command = await command_for(shop)
    await shop.restart()
    shop.later(61)
    agent, query = await asked_again(shop, command)
    await agent.answer(query, MakeState.NOT_SEEN)
    assert (await shop.refunded())["failure"]["code"] == Code.AGENT_OFFLINE
    assert agent.all_heard(wire.Make) == []


async def test_a_drink_of_a_command_that_was_called_never_seen_is_a_loss(shop: Shop):
    _, command = await command_for(shop)
    await shop.restart()
    shop.later(61)
    agent, query = await asked_again(shop, command)
    await agent.answer(query, MakeState.NOT_SEEN)
    await shop.refunded()
    agent = await shop.agent()
    await agent.report(command, MakeState.DONE, actuated=Actuated.YES, evidence="counter_delta")
    assert await shop.open_cases() == ["delivered_and_refunded"]
    assert (await shop.state())["refund_status"] == "succeeded"


async def test_a_command_never_seen_by_the_agent_that_comes_back_late_is_refunded(shop: Shop):
    agent, command = await command_for(shop)
    await shop.gone(agent)
    shop.later(200)
    await shop.until_rows("SELECT 1 FROM cases")
    agent, query = await asked_again(shop, command)
    await agent.answer(query, MakeState.NOT_SEEN)
    await shop.refunded()
    assert await shop.open_cases() == []


async def test_not_seen_by_another_journal_proves_nothing(shop: Shop):
    _, command = await command_for(shop)
    await shop.restart()
    agent, query = await asked_again(shop, command, journal_id="new-card")
    await agent.answer(query, MakeState.NOT_SEEN)
    assert await shop.open_cases() == ["outcome_unknown"]
    assert (await shop.state())["failure"]["code"] == Code.POWER_LOSS
    assert agent.all_heard(wire.Make) == []


async def test_not_seen_by_a_journal_that_was_rolled_back_proves_nothing(shop: Shop):
    agent = await shop.agent()
    await shop.pay("order-0")
    await agent.make(await agent.hear(wire.Make))
    await shop.pay("order-1")
    command = await agent.hear(wire.Make)
    await shop.restart()
    agent, query = await asked_again(shop, command, journal_high=1)
    await agent.answer(query, MakeState.NOT_SEEN)
    assert await shop.open_cases() == ["outcome_unknown"]
    assert (await shop.state())["refund_status"] is None


async def test_a_report_sent_again_out_of_order_does_not_hide_a_rollback(shop: Shop):
    agent = await shop.agent()
    await shop.pay("order-0")
    first = await agent.hear(wire.Make)
    await agent.make(first)
    await agent.say(wire.Report(first.command_id, MakeState.RECEIVED, seq=1))
    await agent.hear(wire.Stored)
    await shop.pay("order-1")
    command = await agent.hear(wire.Make)
    agent, query = await asked_again(shop, command, journal_high=2)
    await agent.answer(query, MakeState.NOT_SEEN)
    assert await shop.open_cases() == ["outcome_unknown"]


async def test_an_unknown_outcome_is_asked_for_in_each_session(shop: Shop):
    agent, command = await command_for(shop)
    await agent.report(command, MakeState.UNKNOWN, code=Code.POWER_LOSS)
    await shop.restart()
    agent, _ = await asked_again(shop, command, journal_high=1)
    await agent.report(command, MakeState.DONE)
    await shop.becomes("successful")
    assert await shop.open_cases() == []


async def test_a_silent_command_is_asked_for_in_the_same_session(shop: Shop):
    agent, command = await command_for(shop)
    shop.later(5)
    assert (await agent.hear(wire.Query)).command_id == command.command_id


# --- the money ----------------------------------------------------------------------------------------


async def test_a_refund_that_was_decided_is_sent_after_a_restart(shop: Shop):
    agent, command = await command_for(shop)
    await shop.change("UPDATE payments SET scenario = 'Yookassa'")  # nobody can be asked for the refund now
    await agent.fail(command)
    await shop.restart()
    await shop.change("UPDATE payments SET scenario = 'Sandbox'")
    shop.later(3)
    await shop.refunded()
    assert await shop.column("SELECT count(*) FROM sandbox_refunds") == [1]


async def test_a_refund_under_way_is_followed_after_a_restart(shop: Shop):
    agent, command = await command_for(shop)
    await agent.fail(command)
    await shop.until_rows("SELECT 1 FROM refunds WHERE provider_refund_id IS NOT NULL")
    await shop.restart()
    await shop.refunded()
    assert await shop.column("SELECT count(*) FROM sandbox_refunds") == [1]


async def test_a_choice_that_nobody_makes_is_ended_after_a_restart(shop: Shop):
    await shop.agent()
    page = await shop.at_bank()
    shop.later(301)
    await shop.finish(page)
    await shop.becomes("manual_make")
    await shop.restart()
    shop.later(600)
    await shop.refunded()


async def test_a_restarted_server_still_sells(shop: Shop):
    await shop.agent()
    await shop.restart()
    assert (await shop.scan()).status == 302
    shop.later(31)
    assert (await shop.scan("order-2")).status == 503
