"""A paid drink that is not made: one error record, one refund, and nobody has to ask for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agent import wire
from agent.wire import Actuated, Code, Make, MakeState
from server import keys, make_progress
from server.dispatch import Dispatch
from server.errors import DatabaseError
from server.settlement import nothing
from server.store import makes
from tests.fakes.agent import ScriptedAgent
from tests.fakes.shop import Shop, counted, until

COMMAND = {"order_id": "order-1", "device_uuid": "dev-1", "attempt_no": 1, "drink_no": "espresso"}
COMMAND |= {"size": "small", "price_minor": 9000}
"""What the record of a failure says of the command, beside its id and the end of its life."""


async def until_told(logs: list[Any]) -> None:
    """Wait for the record: it is written after the change is saved."""

    async def told() -> bool:
        return bool(errors(logs))

    await until(told, lambda: "no error was logged")


def errors(logs: list[Any]) -> list[dict[str, Any]]:
    return [record for record in logs if record["log_level"] in ("error", "critical")]


async def assert_failed(shop: Shop, logs: list[Any], code: Code, said: str, left: str) -> None:
    """One error record tells it all, and the money goes back once."""
    state = await shop.until("order-1", lambda order: order["status"] == "make_failed")
    assert state["failure"]["code"] == code and state["failure"]["text"]
    assert state["refund_status"] == "pending"
    await until_told(logs)
    (record,) = errors(logs)
    make = await shop.row("makes")
    told = {"event": "make failed", "code": code, "machine_said": said, "log_level": "error"}
    told |= {"transition": f"{left} → make_failed", "command_id": make["command_id"]}
    assert record == {**COMMAND, **told, **{k: make[k] for k in ("expires_at", "actuated", "evidence")}}
    await shop.refunded()
    assert [dict(row) for row in await shop.rows("SELECT status, amount_minor FROM refunds")] == [
        {"status": "succeeded", "amount_minor": 9000}
    ]
    assert await shop.column("SELECT status FROM sandbox_refunds") == ["succeeded"]
    assert (await shop.state())["status"] == "make_failed"
    assert await shop.open_cases() == []
    assert errors(logs) == [record]


async def command_for(shop: Shop) -> tuple[ScriptedAgent, Make]:
    agent = await shop.agent()
    await shop.pay()
    return agent, await agent.hear(wire.Make)


# --- surely not made ----------------------------------------------------------------------------------


async def test_no_agent_while_the_order_lives(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.gone(agent)
    await shop.finish(page)
    await shop.becomes("paid")
    shop.later(60)
    await assert_failed(
        shop, logs, Code.AGENT_OFFLINE, "the agent was not connected while the order lived", "paid"
    )


async def test_an_agent_that_comes_in_time_makes_the_drink(shop: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    await shop.gone(agent)
    await shop.finish(page)
    await shop.becomes("paid")
    shop.later(59)
    agent = await shop.agent()
    command = await agent.hear(wire.Make)
    assert command.ttl_ms == 1000
    await agent.make(command)
    await shop.becomes("successful")


@pytest.mark.parametrize(
    "code",
    [Code.AGENT_REJECTED_BUSY, Code.DRINK_UNKNOWN, Code.JOURNAL_ERROR, Code.PROTOCOL_CONFLICT, Code.NO_CUP],
)
async def test_the_agent_refuses(shop: Shop, logs: list[Any], code: Code):
    agent, command = await command_for(shop)
    await agent.report(command, MakeState.REJECTED, code=code, said="not now")
    await assert_failed(shop, logs, code, "not now", "paid")


@pytest.mark.parametrize("code", Code)
async def test_the_machine_fails(shop: Shop, logs: list[Any], code: Code):
    agent, command = await command_for(shop)
    await agent.report(command, MakeState.RECEIVED)
    await agent.report(command, MakeState.STARTED)
    told = {"code": code, "said": "FA:07 <stop>", "actuated": Actuated.PARTIAL, "evidence": "status"}
    await agent.report(command, MakeState.FAILED, **told)
    await assert_failed(shop, logs, code, "FA:07 <stop>", "make_pending")


async def test_a_failure_is_told_also_when_its_session_ends_while_it_is_stored(
    shop: Shop, logs: list[Any], monkeypatch: pytest.MonkeyPatch, database_kind: str
):
    agent, command = await command_for(shop)
    connection = shop.app[keys.AGENTS].connection("dev-1")
    assert connection is not None
    loop, take_report = asyncio.get_running_loop(), make_progress.take_report

    async def end_session() -> None:
        connection.end()
        for _ in range(10):
            await asyncio.sleep(0)

    def take_report_and_end(*report: Any) -> Any:
        change = yield from take_report(*report)
        if database_kind == "sqlite":
            asyncio.run_coroutine_threadsafe(end_session(), loop).result(5)
        else:  # the loop itself runs this, and goes on while it waits for the commit
            connection.end()
        return change

    monkeypatch.setattr(make_progress, "take_report", take_report_and_end)
    await agent.say(wire.Report(command.command_id, MakeState.FAILED, 1, Code.NO_WATER, said="no water"))
    await assert_failed(shop, logs, Code.NO_WATER, "no water", "paid")


async def test_the_command_expires_on_the_device(shop: Shop, logs: list[Any]):
    agent, command = await command_for(shop)
    await agent.report(command, MakeState.RECEIVED)
    await agent.report(command, MakeState.EXPIRED, code=Code.AGENT_RESTARTED, said="rebooted")
    await assert_failed(shop, logs, Code.AGENT_RESTARTED, "rebooted", "make_pending")


async def test_the_machine_was_taken_all_the_while(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    await shop.pay("order-0")
    await agent.report(await agent.hear(wire.Make), MakeState.RECEIVED)
    await shop.pay("order-1")
    shop.later(60)
    state = await shop.until("order-1", lambda order: order["status"] == "make_failed")
    assert state["failure"]["code"] == Code.AGENT_REJECTED_BUSY


async def test_an_unexpected_exception_while_sending(
    shop: Shop, logs: list[Any], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("out of ink")

    agent = await shop.agent()
    monkeypatch.setattr(Dispatch, "_message", fail)
    await shop.pay()
    await assert_failed(shop, logs, Code.INTERNAL_ERROR, "RuntimeError: out of ink", "paid")
    assert agent.all_heard(wire.Make) == []


async def test_what_cannot_be_sent_does_not_keep_the_next_waiting(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    message = Dispatch._message

    def fail_for_the_first(self: Dispatch, make: Any, connection: Any) -> wire.Make:
        if make.order_id == "order-1":
            raise RuntimeError("out of ink")
        return message(self, make, connection)

    agent = await shop.agent()
    pages = [await shop.at_bank(f"order-{number}") for number in (1, 2)]
    await shop.gone(agent)
    for page in pages:
        await shop.finish(page)
    await shop.becomes("paid", "order-1")
    await shop.becomes("paid", "order-2")
    monkeypatch.setattr(Dispatch, "_message", fail_for_the_first)
    agent = await shop.agent()
    assert (await agent.hear(wire.Make)).order_id == "order-2"


async def test_a_database_that_fails_for_a_moment_does_not_cost_the_drink(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    errors = [DatabaseError("disk I/O error")]
    claim_make = make_progress.claim_make

    def fail_once(*command: Any) -> Any:
        if errors:
            raise errors.pop()
        return claim_make(*command)

    agent = await shop.agent()
    page = await shop.at_bank()
    monkeypatch.setattr("server.due.PAUSE_AFTER_ERROR_S", 0.01)
    monkeypatch.setattr(makes, "has_none_before", lambda *_: nothing())  # claimed after the settling
    monkeypatch.setattr(make_progress, "claim_make", fail_once)
    await shop.finish(page)
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")


async def test_the_failure_is_counted(shop: Shop):
    before = counted("make_failures", code="no_water")
    agent, command = await command_for(shop)
    await agent.fail(command)
    assert counted("make_failures", code="no_water") == before + 1


async def test_the_next_customer_is_served(shop: Shop):
    agent, command = await command_for(shop)
    await agent.fail(command)
    await shop.pay("order-2")
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful", "order-2")


async def test_one_who_waited_too_long_does_not_keep_the_next_waiting(shop: Shop):
    agent = await shop.agent()
    await shop.pay("order-0")
    first = await agent.hear(wire.Make)
    await agent.report(first, MakeState.RECEIVED)
    await agent.report(first, MakeState.STARTED)
    await shop.pay("order-1")
    shop.later(30)
    await shop.pay("order-2")
    shop.clock.go(31)  # nobody looks yet: the machine is free just when order-1's life is over
    await agent.report(first, MakeState.DONE)
    assert (await agent.hear(wire.Make)).order_id == "order-2"


async def test_a_failed_order_cannot_be_paid_again(shop: Shop):
    agent, command = await command_for(shop)
    await agent.fail(command)
    assert (await shop.initiate()).status == 409
    assert await shop.column("SELECT count(*) FROM sandbox_payments") == [1]


async def test_the_operators_text_is_shown_sanitised(shop: Shop):
    agent, command = await command_for(shop)
    await agent.fail(command)
    await shop.change("UPDATE devices SET client_info_make_failed = '<b>Зовите</b><script>x</script>'")
    assert (await shop.state())["device"]["client_info_make_failed"] == "<b>Зовите</b>"


async def test_only_what_changed_is_written(shop: Shop):
    agent, command = await command_for(shop)
    await agent.report(command, MakeState.RECEIVED)
    await agent.report(command, MakeState.STARTED)
    before, shop.clock.at_ms = await shop.row("orders"), shop.clock.at_ms + 7
    await agent.report(command, MakeState.FAILED, code=Code.NO_WATER, said="empty")
    after = await shop.row("orders")
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"status", "refund_status", "failure_code", "failure_said", "updated_at", "version"}


async def test_the_notification_is_answered_200_when_the_make_fails(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    await shop.pay()
    await agent.report(await agent.hear(wire.Make), MakeState.REJECTED, code=Code.DOOR_OPEN)
    assert [record for record in logs if record["event"] == "sandbox notification refused"] == []
    assert await shop.column("SELECT next_try_at FROM sandbox_notifications") == [None]


# --- not known ----------------------------------------------------------------------------------------


async def assert_unknown(shop: Shop, logs: list[Any], code: Code, left: str) -> None:
    """A case is in front of a person, the customer reads so, and no money moves by itself."""
    await shop.until_rows("SELECT 1 FROM cases WHERE closed_at IS NULL")
    state = await shop.state()
    assert (state["status"], state["refund_status"], state["failure"]["code"]) == (left, None, code)
    await until_told(logs)
    (record,) = errors(logs)
    assert record["event"] == "outcome of a make is unknown"
    assert record["transition"] == f"{left} → {left}"
    assert {**record, **COMMAND, "code": code} == record
    assert await shop.open_cases() == ["outcome_unknown"]
    shop.later(3600)
    assert await shop.rows("SELECT * FROM refunds") == []


async def told_nothing(shop: Shop, agent: ScriptedAgent, command: Make) -> str:
    return "paid"


async def told_received(shop: Shop, agent: ScriptedAgent, command: Make) -> str:
    await agent.report(command, MakeState.RECEIVED)
    return "make_pending"


async def told_started(shop: Shop, agent: ScriptedAgent, command: Make) -> str:
    await agent.report(command, MakeState.RECEIVED)
    await agent.report(command, MakeState.STARTED)
    return "make_pending"


Telling = Callable[[Shop, ScriptedAgent, Make], Awaitable[str]]
STAGES = pytest.mark.parametrize("tell", [told_nothing, told_received, told_started])


@STAGES
async def test_the_socket_dies_and_nothing_more_is_heard(shop: Shop, logs: list[Any], tell: Telling):
    agent, command = await command_for(shop)
    left = await tell(shop, agent, command)
    await shop.gone(agent)
    assert (await shop.state())["status"] == left
    shop.later(200)
    await assert_unknown(shop, logs, Code.TIMEOUT_NO_RESULT, left)


@STAGES
async def test_the_agent_does_not_know_either(shop: Shop, logs: list[Any], tell: Telling):
    agent, command = await command_for(shop)
    left = await tell(shop, agent, command)
    await agent.report(command, MakeState.UNKNOWN, code=Code.POWER_LOSS, said="started before the cut")
    await assert_unknown(shop, logs, Code.POWER_LOSS, left)


async def test_a_failure_without_proof_is_unknown(shop: Shop, logs: list[Any]):
    agent, command = await command_for(shop)
    told = {"code": Code.SERIAL_NO_ANSWER, "actuated": Actuated.UNKNOWN, "said": "silent"}
    await agent.report(command, MakeState.FAILED, **told)
    await assert_unknown(shop, logs, Code.SERIAL_NO_ANSWER, "paid")


async def unknown(shop: Shop) -> tuple[ScriptedAgent, Make]:
    agent, command = await command_for(shop)
    await told_started(shop, agent, command)
    shop.later(181)
    await shop.until_rows("SELECT 1 FROM cases")
    return agent, command


async def test_late_proof_of_a_drink_makes_it_successful(shop: Shop):
    agent, command = await unknown(shop)
    await agent.report(command, MakeState.DONE, actuated=Actuated.YES)
    state = await shop.becomes("successful")
    assert state["failure"] is None
    assert await shop.open_cases() == []


async def test_late_proof_of_a_failure_gives_the_money_back(shop: Shop):
    agent, command = await unknown(shop)
    await agent.report(command, MakeState.FAILED, code=Code.NO_MILK, said="no milk")
    await shop.refunded()
    assert (await shop.state())["failure"]["code"] == Code.NO_MILK
    assert await shop.open_cases() == []


async def test_an_outcome_nobody_settles_ends_as_a_refund(shop: Shop):
    await unknown(shop)
    shop.later(86_400)
    await shop.refunded()
    assert await shop.open_cases() == []


async def test_a_drink_proved_after_the_refund_is_a_loss(shop: Shop):
    agent, command = await unknown(shop)
    shop.later(86_400)
    await shop.refunded()
    await agent.report(command, MakeState.DONE, actuated=Actuated.YES)
    assert (await shop.state())["status"] == "make_failed"
    assert await shop.open_cases() == ["delivered_and_refunded"]


async def test_the_machine_is_free_again_after_an_unknown_outcome(shop: Shop):
    agent, _ = await unknown(shop)
    await shop.pay("order-2")
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful", "order-2")
