"""Two servers over one database: whichever is asked, the one that holds the agent's socket sends the command.

On SQLite no word passes between the two, so each test is also that of a word that was lost.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent import wire
from agent.wire import MakeState
from server import keys
from tests.databases import Databases
from tests.fakes.agent import ScriptedAgent
from tests.fakes.shop import WAIT_S, Shop, a_shop


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks that come at once, and a silence that is short."""
    monkeypatch.setattr("server.dispatch.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("server.agents.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("server.presence.BEAT_EVERY_S", 0.02)
    monkeypatch.setattr("server.presence.SILENT_AFTER_S", 0.5)


@pytest.fixture
async def other(shop: Shop) -> AsyncIterator[Shop]:
    async with shop.beside() as other:
        yield other


async def die(shop: Shop) -> None:
    """Let a server end as when it is killed: nobody is told, and nothing is written any more."""
    db = shop.db
    shop.app[keys.AGENTS].close_all()
    await db.close()


async def the_socket_closes(agent: ScriptedAgent) -> None:
    async with asyncio.timeout(WAIT_S):
        await agent.closed.wait()


# --- who sends the command ----------------------------------------------------------------------------


async def test_what_is_paid_at_one_server_is_made_by_the_agent_of_the_other(shop: Shop, other: Shop):
    agent = await other.agent()
    await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")


async def test_commands_of_one_machine_come_one_after_another_from_both_servers(shop: Shop, other: Shop):
    agent = await other.agent()
    await shop.pay("order-1")
    await other.pay("order-2")
    first = await agent.hear(wire.Make)
    await agent.reached()
    assert len(agent.all_heard(wire.Make)) == 1
    await agent.make(first)
    await agent.make(await agent.hear(wire.Make))
    assert {make.order_id for make in agent.all_heard(wire.Make)} == {"order-1", "order-2"}


async def test_who_holds_the_agent_asks_it(shop: Shop, other: Shop):
    agent = await other.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    for server in (shop, other):
        server.later(3)
    assert (await agent.hear(wire.Query)).command_id == command.command_id


async def test_an_agent_that_is_nowhere_is_offline_for_both(shop: Shop, other: Shop):
    agent = await other.agent()
    page = await shop.at_bank()
    await other.gone(agent)
    await shop.finish(page)
    await shop.becomes("paid")
    shop.later(61)
    assert (await shop.refunded())["failure"]["code"] == wire.Code.AGENT_OFFLINE


# --- the newest session -------------------------------------------------------------------------------


async def test_a_newer_session_elsewhere_ends_the_older_one(shop: Shop, other: Shop):
    older = await shop.agent()
    newer = await other.agent()
    await the_socket_closes(older)
    await newer.reached()
    assert await shop.column("SELECT epoch FROM agents WHERE connected_at IS NOT NULL") == [2]


async def test_what_the_older_session_says_is_not_stored(
    shop: Shop, other: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.agents.LOOK_EVERY_S", 100)
    older = await shop.agent()
    await shop.pay()
    command = await older.hear(wire.Make)
    newer = await other.agent(journal_high=0)
    await older.say(wire.Report(command.command_id, MakeState.FAILED, seq=1))
    await the_socket_closes(older)
    assert older.all_heard(wire.Stored) == []
    query = await newer.hear(wire.Query)
    await newer.report(query, MakeState.DONE)
    await shop.becomes("successful")


async def test_a_command_is_not_sent_to_an_older_session(
    shop: Shop, other: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.agents.LOOK_EVERY_S", 100)
    older, newer = await shop.agent(), await other.agent()
    await shop.pay()
    assert (await newer.hear(wire.Make)).order_id == "order-1"
    assert older.all_heard(wire.Make) == []
    await the_socket_closes(older)


# --- one that is gone ---------------------------------------------------------------------------------


async def test_the_agents_of_a_killed_server_are_free(shop: Shop, other: Shop, logs: list[Any]):
    await other.agent()
    await die(other)
    await shop.until_rows("SELECT 1 FROM agents WHERE connected_at IS NULL AND server_id IS NULL")
    assert await shop.column("SELECT count(*) FROM servers") == [1]


async def test_a_command_that_a_killed_server_had_sent_is_asked_for_elsewhere(shop: Shop, other: Shop):
    agent = await other.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await die(other)
    agent = await shop.agent()
    query = await agent.hear(wire.Query)
    assert query.command_id == command.command_id
    await agent.answer(query, MakeState.NOT_SEEN)
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")
    assert await shop.column("SELECT state FROM makes ORDER BY attempt_no") == ["expired", "done"]


async def test_a_notification_that_a_killed_server_had_stored_is_worked_on(shop: Shop, other: Shop):
    agent = await shop.agent()
    page = await shop.at_bank()
    other.app[keys.TILL].check = asyncio.Event().wait  # type: ignore[method-assign,assignment]
    await other.finish(page.replace(str(shop.settings.port), str(other.settings.port)))
    await die(other)
    shop.later(5)
    assert (await agent.hear(wire.Make)).order_id == "order-1"


async def test_a_server_that_was_taken_for_dead_lets_its_agents_go_and_comes_back(
    shop: Shop, other: Shop, logs: list[Any]
):
    agent = await other.agent()
    await shop.change("DELETE FROM servers WHERE server_id = $1", other.app[keys.AGENTS].server_id)
    await the_socket_closes(agent)
    await shop.until_rows("SELECT 1 FROM servers GROUP BY 1 HAVING count(*) = 2")
    assert [record["event"] for record in logs if record["log_level"] == "error"] == [
        "taken for dead by the other servers"
    ]


async def test_a_server_that_stops_leaves_no_trace(shop: Shop):
    async with shop.beside() as other:
        await other.agent()
    assert await shop.column("SELECT count(*) FROM servers") == [1]
    assert await shop.column("SELECT count(*) FROM agents WHERE server_id IS NOT NULL") == [0]


# --- one that starts ----------------------------------------------------------------------------------


async def test_a_server_that_starts_leaves_the_agents_of_others_alone(shop: Shop):
    agent = await shop.agent()
    async with shop.beside():
        await agent.reached()
        assert await shop.column("SELECT count(*) FROM agents WHERE connected_at IS NOT NULL") == [1]


# --- PostgreSQL carries words between the two ---------------------------------------------------------


async def test_a_word_that_is_not_lost_spares_the_look(
    tmp_path: Path, postgres: Databases, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.dispatch.LOOK_EVERY_S", 1000)
    monkeypatch.setattr("server.agents.LOOK_EVERY_S", 1000)
    async with a_shop(tmp_path, database_url=await postgres.empty()) as shop, shop.beside() as other:
        older = await shop.agent()
        newer = await other.agent()
        await the_socket_closes(older)
        await shop.pay()
        assert (await newer.hear(wire.Make)).order_id == "order-1"
