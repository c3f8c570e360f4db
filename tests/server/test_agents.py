"""Sessions of agents: who may speak, who is the newest, and what is not the protocol."""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from agent import wire
from agent.wire import MachineReport, MachineState, MakeState
from server import keys
from server.agents import FAULTS_LIMIT, Agents
from server.connection import QUEUE_LIMIT, Connection
from server.errors import DatabaseError
from server.intake import Said
from tests.fakes.agent import ScriptedAgent, hello
from tests.fakes.shop import WAIT_S, Shop, counted, machine, until


def faults() -> float:
    return counted("faulty_frames")


async def the_socket_closes(agent: ScriptedAgent) -> None:
    async with asyncio.timeout(WAIT_S):
        await agent.closed.wait()


async def epoch(shop: Shop) -> int:
    (number,) = await shop.column("SELECT epoch FROM agents")
    return int(number)


# --- before the upgrade -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic token of dev-1",
        "token of dev-1",
        "Bearer \udcff",
    ],
)
async def test_without_its_token_there_is_no_socket(shop: Shop, logs: list[Any], authorization: str | None):
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = await shop.get("/v1/agent", headers=headers)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer" and answer.json["error"]
    assert [record["event"] for record in logs] == ["request refused"]
    assert await epoch(shop) == 0


async def test_who_goes_without_a_word_is_no_fault(shop: Shop, logs: list[Any]):
    async def told() -> bool:
        return any(record["event"].startswith("closed before hello") for record in logs)

    before = faults()
    await (await shop.stranger()).leave()
    await until(told)
    assert [record["log_level"] for record in logs if record["log_level"] != "info"] == []
    assert faults() == before and await epoch(shop) == 0


async def test_a_replaced_token_is_void(shop: Shop):
    await shop.change("UPDATE agents SET token_hash = 'another'")
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await shop.stranger()


async def test_a_request_that_is_no_upgrade_is_refused(shop: Shop):
    answer = await shop.get("/v1/agent", headers={"Authorization": "Bearer token of dev-1"})
    assert answer.status == 400


# --- hello --------------------------------------------------------------------------------------------


async def test_a_session_is_welcomed(shop: Shop):
    agent = await shop.stranger()
    welcome = await agent.meet()
    assert welcome == wire.Welcome(epoch=1, server_time_ms=shop.clock(), acked_seq=0)


@pytest.mark.parametrize(
    "first",
    [
        wire.encode(wire.Ping()),
        wire.encode(hello(protocol=2)),
        "hello",
        "[]",
        "{}",
        '{"kind": "hello"}',
        '{"kind": "hello", "protocol": "1"}',
        '{"kind": "nonsense"}',
        "\x00",
        "[" * 60_000,
        '"' + "x" * 65_000 + '"',
    ],
)
async def test_what_is_not_a_fitting_hello_ends_the_socket(shop: Shop, logs: list[Any], first: str):
    before = faults()
    agent = await shop.stranger()
    await agent.socket.send_str(first)
    await the_socket_closes(agent)
    assert (faults(), await epoch(shop)) == (before + 1, 0)
    assert [record["event"] for record in logs] == ["agent session refused"]


async def test_a_hello_in_bytes_ends_the_socket(shop: Shop):
    agent = await shop.stranger()
    await agent.socket.send_bytes(wire.encode(hello()).encode())
    await the_socket_closes(agent)
    assert await epoch(shop) == 0


async def test_who_says_nothing_is_not_waited_for_long(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.agents.HELLO_WITHIN_S", 0.05)
    agent = await shop.stranger()
    await the_socket_closes(agent)
    assert await epoch(shop) == 0


async def test_who_leaves_without_hello_is_not_a_session(shop: Shop):
    agent = await shop.stranger()
    await agent.leave()
    assert await epoch(shop) == 0


# --- frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "null",
        "[1, 2]",
        '{"kind": "make"}',
        '{"kind": "report"}',
        '{"kind": "report", "command_id": 5, "state": "done"}',
        '{"kind": "report", "command_id": "x", "state": "perhaps"}',
        '{"kind": "report", "command_id": "x", "state": "done", "seq": "one"}',
        '{"kind": "report", "command_id": "\\ud800", "state": "done"}',
        '{"kind": "machine", "machine": {"state": 1}}',
        wire.encode(hello()),
    ],
)
async def test_a_frame_that_is_not_the_protocol_is_told_and_counted(shop: Shop, logs: list[Any], frame: str):
    agent = await shop.agent()
    before = faults()
    await agent.socket.send_str(frame)
    assert (await agent.hear(wire.Fault)).text
    await agent.reached()
    assert faults() == before + 1
    assert [record["event"] for record in logs if record["log_level"] != "info"] == [
        "frame is not the protocol"
    ]


async def test_a_binary_frame_is_told_and_the_session_goes_on(shop: Shop):
    agent = await shop.agent()
    await agent.socket.send_bytes(b"\xff\x00\xfe")
    assert (await agent.hear(wire.Fault)).text == "a binary frame"
    await agent.reached()


async def test_garbage_without_end_ends_the_session(shop: Shop):
    agent = await shop.agent()
    for _ in range(FAULTS_LIMIT + 1):
        await agent.socket.send_str("?")
    await the_socket_closes(agent)
    assert len(agent.all_heard(wire.Fault)) == FAULTS_LIMIT


async def test_a_frame_too_long_ends_the_session(shop: Shop):
    agent = await shop.agent()
    await agent.socket.send_str("x" * (wire.MAX_FRAME_BYTES + 1))
    await the_socket_closes(agent)
    await (await shop.agent()).reached()


async def test_a_fault_is_not_answered(shop: Shop):
    agent = await shop.agent()
    await agent.say(wire.Fault("what?"))
    await agent.reached()
    assert agent.all_heard(wire.Fault) == []


@pytest.mark.parametrize("seq", [-1, 2**63, 2**70])
async def test_a_number_no_database_holds_is_told_as_a_fault(shop: Shop, seq: int):
    agent = await shop.agent()
    await agent.say(wire.Report("make-1", MakeState.DONE, seq=seq))
    assert (await agent.hear(wire.Fault)).text
    await agent.reached()


async def test_a_report_of_an_unknown_command_is_stored_told_and_changes_nothing(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    await agent.report("make-of-nobody", MakeState.DONE)
    (told,) = [record for record in logs if record["log_level"] == "error"]
    assert (told["command_id"], told["state"]) == ("make-of-nobody", MakeState.DONE)
    assert await shop.column("SELECT acked_seq FROM agents") == [1]
    assert await shop.rows("SELECT * FROM order_events") == []


async def test_a_report_of_another_machines_command_changes_nothing(shop: Shop):
    await shop.load(machine("dev-2"))
    agent, other = await shop.agent(), await shop.agent("dev-2")
    await shop.pay()
    command = await agent.hear(wire.Make)
    await other.report(command, MakeState.FAILED)
    assert (await shop.state())["status"] == "paid"


async def test_a_repeated_report_is_stored_again_and_changes_nothing(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await agent.make(command)
    before = dict(await shop.row("orders"))
    await agent.say(wire.Report(command.command_id, MakeState.DONE, seq=3))
    assert (await agent.hear(wire.Stored)).seq == 3
    assert dict(await shop.row("orders")) == before
    assert await shop.open_cases() == []


async def test_a_report_that_could_not_be_stored_is_not_confirmed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise DatabaseError("disk is full")

    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    with monkeypatch.context() as patch:
        patch.setattr("server.make_progress.take_report", fail)
        await agent.say(wire.Report(command.command_id, MakeState.DONE, seq=1))
        await the_socket_closes(agent)
    assert agent.all_heard(wire.Stored) == []
    agent = await shop.agent()
    await agent.report(command, MakeState.DONE)
    await shop.becomes("successful")


async def test_the_machines_state_is_kept(shop: Shop):
    agent = await shop.agent()
    await agent.say(wire.Machine(MachineReport(MachineState.ERROR, "Z10", wire.Code.NO_WATER, "FA:01")))

    async def kept() -> bool:
        row = await shop.row("agents")
        told = (row["machine_state"], row["machine_model"], row["machine_code"], row["machine_said"])
        return told == ("error", "Z10", "no_water", "FA:01")

    await until(kept, lambda: "the machine's state is another")
    assert (await shop.scan()).status == 503


# --- epochs -------------------------------------------------------------------------------------------


async def test_a_newer_session_ends_the_older_one(shop: Shop):
    older = await shop.agent()
    newer = await shop.agent()
    await the_socket_closes(older)
    await newer.reached()
    assert await epoch(shop) == 2
    assert await shop.column("SELECT connected_at IS NOT NULL FROM agents") == [1]


async def test_what_an_older_session_says_is_ignored(shop: Shop):
    older = await shop.agent()
    await shop.pay()
    command = await older.hear(wire.Make)
    await shop.change("UPDATE agents SET epoch = 2")  # as another process would
    await older.say(wire.Report(command.command_id, MakeState.FAILED, seq=1))
    await the_socket_closes(older)
    assert older.all_heard(wire.Stored) == []
    assert (await shop.state())["status"] == "paid"


async def test_a_command_goes_to_the_newest_session_only(shop: Shop):
    older = await shop.agent()
    newer = await shop.agent()
    await shop.pay()
    assert (await newer.hear(wire.Make)).order_id == "order-1"
    assert older.all_heard(wire.Make) == []


async def test_commands_go_to_the_machine_that_is_meant(shop: Shop):
    await shop.load(machine("dev-2"))
    first, second = await shop.agent(), await shop.agent("dev-2")
    await shop.pay(deviceUuid="dev-2")
    assert (await second.hear(wire.Make)).order_id == "order-1"
    await first.reached()
    assert first.all_heard(wire.Make) == []


async def test_many_open_questions_do_not_end_the_session(shop: Shop):
    agent = await shop.agent()
    await shop.pay()
    command = await agent.hear(wire.Make)
    await agent.report(command, MakeState.UNKNOWN)
    for number in range(2, QUEUE_LIMIT + 20):
        await shop.change(
            "INSERT INTO makes (command_id, order_id, attempt_no, device_uuid, drink_no, size, price_minor, "
            "state, created_at, expires_at) SELECT command_id || $1, order_id, $1, device_uuid, drink_no, "
            "size, price_minor, 'unknown', created_at - $1, expires_at FROM makes WHERE attempt_no = 1",
            number,
        )
    agent = await shop.agent(journal_high=1)
    assert (await agent.hear(wire.Query)).command_id
    await agent.reached()


# --- a peer that has gone ---------------------------------------------------------------------------------


class GoneChannel:
    """A socket whose peer has said this much, and gone."""

    def __init__(self, *said: wire.Message) -> None:
        self._said = [wire.encode(message) for message in said]

    async def send(self, text: str) -> None:
        pass

    async def receive(self) -> str | None:
        return self._said.pop(0) if self._said else None

    async def close(self) -> None:
        pass


class SlowListener:
    """Takes in what is said when it may."""

    def __init__(self) -> None:
        self.asked, self.may, self.took_in = asyncio.Event(), asyncio.Event(), False

    async def session_began(self, connection: Connection) -> None:
        pass

    async def take_in(self, connection: Connection, said: Sequence[Said]) -> None:
        self.asked.set()
        await self.may.wait()
        self.took_in = True


async def test_the_last_words_of_one_who_has_gone_are_taken_in_to_their_end(shop: Shop):
    """Also when his next session begins meanwhile; and nothing is sent any more where he was."""
    agents = Agents(shop.db, "server-1", shop.clock)
    agents.listener = listener = SlowListener()
    last = wire.Report("make-1", MakeState.DONE, seq=1)
    older = asyncio.create_task(agents.converse(GoneChannel(hello(), last), "dev-1"))
    await listener.asked.wait()
    assert agents.session("dev-1") is None
    await agents.converse(GoneChannel(hello()), "dev-1")
    assert not older.done()
    listener.may.set()
    await older
    assert listener.took_in


async def test_a_leave_that_could_not_be_written_is_written_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
):
    """Else a machine that has gone for good would be sold for ever."""

    def fail(*_: object) -> None:
        raise DatabaseError("the database is away")

    async def told() -> bool:
        return "cannot record yet that an agent left" in [record["event"] for record in logs]

    agent = await shop.agent()
    with monkeypatch.context() as patch:
        patch.setattr("server.store.devices.change_agent", fail)
        await agent.leave()
        await until(told)
    await shop.app[keys.AGENTS].look()
    assert await shop.column("SELECT connected_at FROM agents") == [None]


# --- a peer that does not read ----------------------------------------------------------------------------


class JammedChannel:
    """A socket whose peer never reads."""

    async def send(self, text: str) -> None:
        await asyncio.Event().wait()

    async def receive(self) -> str | None:
        await asyncio.Event().wait()
        return None

    async def close(self) -> None:
        pass


async def test_who_does_not_read_is_closed_and_blocks_nobody():
    connection = Connection("dev-1", 1, "journal-1", JammedChannel())
    for _ in range(QUEUE_LIMIT):
        connection.post(wire.Pong())
    assert not connection.ended
    connection.post(wire.Pong())
    assert connection.ended


async def test_a_writer_that_is_stuck_gives_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire, "DEAD_AFTER_S", 0.02)
    connection = Connection("dev-1", 1, "journal-1", JammedChannel())
    connection.begin()
    connection.post(wire.Pong())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(WAIT_S)
    assert connection.was_cut_off()


async def test_who_is_silent_is_taken_for_dead(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(wire, "DEAD_AFTER_S", 0.05)
    agent = await shop.agent()
    await the_socket_closes(agent)
    await shop.until_rows("SELECT 1 FROM agents WHERE connected_at IS NULL")
