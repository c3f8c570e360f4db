"""The link and its sessions, on channels in memory and in virtual time: order, silence, loss and return."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent import session, wire
from agent.journal import Journal
from agent.journal_file import JournalError
from agent.link import BACKOFF_CAP_S, Link
from agent.make import Record
from agent.session import LinkLost, TokenRefused
from agent.wire import Fault, Hello, MachineReport, MachineState, Make, OpenMake, Ping, Query, Report
from tests.fakes.clock import in_virtual_time, inline, until
from tests.fakes.server import FakeServer, MemoryChannel


class Desk:
    """Notes the commands that reach it."""

    machine_report = MachineReport(MachineState.READY, "FAKE 1")

    def __init__(self) -> None:
        self.taken: list[Make | Query] = []
        self.full = False

    def take(self, message: Make | Query) -> bool:
        self.taken.append(message)
        return not self.full


class World:
    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.server = FakeServer()
        self.desk = Desk()
        self.link = Link(self.server.connect, journal, carry=inline, chance=random.Random(7))

    @contextlib.asynccontextmanager
    async def connected(self, *, welcomed: bool = True) -> AsyncIterator[FakeServer]:
        running = asyncio.create_task(self.link.run(self.desk))
        try:
            if welcomed:
                await until(lambda: self.link.connected)
            yield self.server
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            self.server.cut()
            await asyncio.sleep(0)

    def write(self, *command_ids: str) -> None:
        for command_id in command_ids:
            self.journal.receive(Record(command_id))
        self.link.outbox_grew()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    journal = Journal(tmp_path / "agent.db")
    yield World(journal)
    journal.close()


def numbers(server: FakeServer) -> list[int | None]:
    return [report.seq for report in server.all_heard(Report)]


def now() -> float:
    return asyncio.get_running_loop().time()


# --- the greeting ---------------------------------------------------------------------------------


@in_virtual_time
async def test_the_first_word_is_hello_and_tells_what_is_open(world: World):
    world.write("c1")
    async with world.connected() as server:
        pass
    journal = world.journal
    (hello,) = server.all_heard(Hello)
    assert hello == Hello(
        wire.PROTOCOL,
        "0.1.0",
        world.link.boot_id,
        journal.journal_id,
        1,
        world.desk.machine_report,
        (OpenMake("c1", wire.MakeState.RECEIVED),),
        hello.nonce,
    )
    assert server.heard[0] == hello


def test_each_start_has_its_own_boot_id(world: World):
    assert (
        Link(world.server.connect, world.journal).boot_id != Link(world.server.connect, world.journal).boot_id
    )


@in_virtual_time
async def test_nothing_is_said_before_the_welcome(world: World):
    world.write("c1")
    world.server.welcomes = False
    async with world.connected(welcomed=False) as server:
        world.link.tell(wire.Machine(world.desk.machine_report))
        await asyncio.sleep(9)
        assert [type(message) for message in server.heard] == [Hello]


@in_virtual_time
async def test_a_server_that_does_not_welcome_is_left_after_ten_seconds(world: World):
    world.server.welcomes = False
    async with world.connected(welcomed=False) as server:
        await until(lambda: len(server.connections) == 2)
        assert server.connections[1] < 10 + 1 + 0.1


@in_virtual_time
async def test_makes_that_cannot_be_read_do_not_stop_the_greeting(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    def fail() -> None:
        raise JournalError("disk I/O error")

    monkeypatch.setattr(world.journal, "open_makes", fail)
    async with world.connected() as server:
        assert server.all_heard(Hello)[0].open_makes == ()


# --- the outbox -----------------------------------------------------------------------------------


@in_virtual_time
async def test_the_outbox_is_replayed_in_order_and_forgotten_when_stored(world: World):
    world.write(*(f"c{number}" for number in range(50)))
    async with world.connected() as server:
        await until(lambda: world.journal.unsent_reports(0, 1) == [])
    assert numbers(server) == list(range(1, 51))


@in_virtual_time
async def test_no_more_than_twenty_reports_are_on_their_way(world: World):
    world.write(*(f"c{number}" for number in range(50)))
    world.server.stores = False
    async with world.connected() as server:
        await asyncio.sleep(5)
        assert numbers(server) == list(range(1, 21))
        server.send(wire.Stored(3))
        server.send(wire.Stored(1))
        await asyncio.sleep(1)
        assert numbers(server)[20:] == [21, 22]
        assert [report.seq for report in world.journal.unsent_reports(0, 3)] == [2, 4, 5]


@in_virtual_time
async def test_a_new_report_goes_out_at_once(world: World):
    async with world.connected() as server:
        await asyncio.sleep(3)
        began = now()
        world.write("c1")
        await until(lambda: numbers(server) == [1], every_s=0.001)
        assert now() - began < 0.01


@in_virtual_time
async def test_what_is_not_stored_is_said_again_in_this_session_and_the_next(world: World):
    world.server.stores = False
    world.write("c1", "c2")
    async with world.connected() as server:
        await asyncio.sleep(session.REPEAT_AFTER_S + 1)
        assert numbers(server) == [1, 2, 1, 2]
        server.cut()
        server.stores = True
        await until(lambda: world.journal.unsent_reports(0, 1) == [])
        assert numbers(server) == [1, 2, 1, 2, 1, 2]


@in_virtual_time
async def test_a_journal_that_fails_for_a_while_only_delays_the_reports(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise JournalError("disk I/O error")

    async with world.connected() as server:
        with monkeypatch.context() as broken:
            broken.setattr(world.journal, "unsent_reports", fail)
            world.write("c1")
            await asyncio.sleep(5)
        await until(lambda: numbers(server) == [1])
        assert len(server.connections) == 1


@in_virtual_time
async def test_a_full_disk_holds_no_report_back(world: World, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> None:
        raise JournalError("database or disk is full")

    world.write(*(f"c{number}" for number in range(3 * session.WINDOW)))
    monkeypatch.setattr(world.journal, "stored", fail)
    async with world.connected() as server:
        await until(lambda: len(server.reports) == 3 * session.WINDOW)
        assert numbers(server) == sorted(server.reports)
        monkeypatch.undo()
        await until(lambda: world.journal.unsent_reports(0, 1) == [])


@pytest.mark.parametrize("seq", [0, -1, 2, 2**80])
def test_stored_for_a_report_that_was_never_given_is_a_fault(world: World, seq: int):
    @in_virtual_time
    async def story():
        world.server.stores = False
        world.write("c1")
        async with world.connected() as server:
            server.send(wire.Stored(seq))
            await until(lambda: server.all_heard(Fault))
            assert len(world.journal.unsent_reports(0, 9)) == 1

    story()


# --- commands -------------------------------------------------------------------------------------


@in_virtual_time
async def test_commands_of_this_session_reach_the_desk(world: World):
    async with world.connected() as server:
        server.order("c1")
        server.ask("c2")
        await until(lambda: len(world.desk.taken) == 2)
    assert [message.command_id for message in world.desk.taken] == ["c1", "c2"]


@in_virtual_time
async def test_a_command_of_another_session_is_dropped(world: World):
    async with world.connected() as server:
        server.cut()
        await until(lambda: server.epoch == 2 and world.link.connected)
        for epoch in (1, 3, -2):
            server.send(Make(epoch, "old", "o1", "espresso", "small", 60_000, 0))
            server.send(Query(epoch, "old"))
        server.ask("new")
        await until(lambda: world.desk.taken)
    assert [message.command_id for message in world.desk.taken] == ["new"]


@in_virtual_time
async def test_a_command_before_the_welcome_is_dropped(world: World):
    world.server.welcomes = False
    async with world.connected(welcomed=False) as server:
        await until(lambda: server.heard)
        server.send(Make(1, "early", "o1", "espresso", "small", 60_000, 0))
        server.send(wire.Welcome(1, 0))
        await until(lambda: world.link.connected)
        server.send(Query(1, "c1"))
        await until(lambda: world.desk.taken)
    assert [message.command_id for message in world.desk.taken] == ["c1"]


@in_virtual_time
async def test_a_welcome_to_another_hello_does_not_begin_the_session(world: World):
    world.server.welcomes = False
    async with world.connected(welcomed=False) as server:
        await until(lambda: server.heard)
        server.send(wire.Welcome(7, 0, nonce="of another session"))
        server.send(Make(7, "astray", "o1", "espresso", "small", 60_000, 0))
        await asyncio.sleep(1)
        assert not world.link.connected
        server.send(wire.Welcome(8, 0, nonce=server.all_heard(wire.Hello)[0].nonce))
        server.send(Query(8, "c1"))
        await until(lambda: world.desk.taken)
    assert [message.command_id for message in world.desk.taken] == ["c1"]


@in_virtual_time
async def test_a_full_desk_is_told_to_the_server_and_does_not_end_the_session(world: World):
    world.desk.full = True
    async with world.connected() as server:
        for number in range(2 * session.FAULTS_LIMIT):
            server.ask(f"c{number}")
        await until(lambda: len(server.all_heard(Fault)) == 2 * session.FAULTS_LIMIT)
        assert len(server.connections) == 1


@pytest.mark.parametrize("command_id", ["", "x" * 101, "c 1", "\u0430", "\x00"])
def test_an_id_that_cannot_be_reported_is_a_fault(world: World, command_id: str):
    @in_virtual_time
    async def story():
        async with world.connected() as server:
            server.ask(command_id)
            await until(lambda: server.all_heard(Fault))

    story()
    assert world.desk.taken == []


# --- faults ---------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_frame_that_is_not_understood_is_answered_and_changes_nothing(world: World):
    async with world.connected() as server:
        for frame in ("what?", '{"kind": "brew"}', wire.encode(Ping()), wire.encode(wire.Welcome(1, 0))):
            server.send_text(frame)
        server.ask("c1")
        await until(lambda: world.desk.taken)
        assert len(server.all_heard(Fault)) == 4
        assert len(server.connections) == 1


@in_virtual_time
async def test_a_fault_is_never_answered(world: World):
    async with world.connected() as server:
        for _ in range(100):
            server.send(Fault("what?"))
        await asyncio.sleep(5)
        assert server.all_heard(Fault) == []
        assert len(server.connections) == 1


@in_virtual_time
async def test_too_many_faults_end_the_session(world: World):
    async with world.connected() as server:
        for _ in range(session.FAULTS_LIMIT):
            server.send_text("what?")
        await until(lambda: server.epoch == 2)


# --- silence and loss -----------------------------------------------------------------------------


@in_virtual_time
async def test_the_agent_pings_within_the_heartbeat_and_not_by_the_clock(world: World):
    async with world.connected() as server:
        await asyncio.sleep(100)
        pairs = zip(server.heard, server.heard_at, strict=True)
        pings = [at for message, at in pairs if isinstance(message, Ping)]
        gaps = [after - before for before, after in itertools.pairwise(pings)]
        assert all(0.75 * wire.HEARTBEAT_S <= gap <= wire.HEARTBEAT_S for gap in gaps)
        assert len(set(gaps)) > 1
        assert len(server.connections) == 1


@in_virtual_time
async def test_a_dead_server_is_known_within_twenty_seconds(world: World):
    async with world.connected() as server:
        await asyncio.sleep(60)
        server.pongs = False
        fell_silent = now()
        await until(lambda: not world.link.connected)
        assert now() - fell_silent <= wire.DEAD_AFTER_S + 0.1


@in_virtual_time
async def test_a_connection_that_takes_nothing_is_given_up(world: World):
    async with world.connected() as server:
        server.channel.jammed = True
        for _ in range(60):
            server.send(wire.Pong())
            await asyncio.sleep(1)
        assert len(server.connections) == 2


@in_virtual_time
async def test_a_server_that_stops_reading_does_not_fill_the_memory(world: World):
    async with world.connected() as server:
        server.channel.jammed = True
        for _ in range(10_000):
            world.link.tell(wire.Machine(world.desk.machine_report))
        await until(lambda: server.epoch == 2)
        assert len(server.heard) < session.OUTGOING_LIMIT


@in_virtual_time
async def test_a_connection_that_hangs_while_it_is_made_is_given_up(tmp_path: Path, world: World):
    tried = []

    async def hang() -> MemoryChannel:
        tried.append(now())
        await asyncio.Event().wait()
        raise LinkLost("never")

    world.link = Link(hang, world.journal, carry=inline, chance=random.Random(7))
    async with world.connected(welcomed=False):
        await until(lambda: len(tried) == 3)
    assert tried[1] <= 11.1


@in_virtual_time
async def test_a_cut_after_a_good_session_is_repaired_at_once(world: World):
    async with world.connected() as server:
        for epoch in range(2, 8):
            await asyncio.sleep(60)
            server.cut()
            cut_at = now()
            await until(lambda epoch=epoch: server.epoch == epoch)
            assert now() - cut_at < 0.6


@in_virtual_time
async def test_a_server_that_is_away_is_tried_ever_less_often_but_within_the_cap(world: World):
    world.server.refuses = LinkLost("connection refused")
    async with world.connected(welcomed=False) as server:
        await asyncio.sleep(3600)
    tries = server.connections
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert waits[0] <= 1
    assert max(waits) <= BACKOFF_CAP_S
    assert 10 < sum(waits[20:]) / len(waits[20:]) < 20


@in_virtual_time
async def test_two_agents_with_one_token_do_not_chase_each_other(world: World):
    async with world.connected() as server:
        began = now()
        while now() - began < 600:
            await until(lambda: world.link.connected)
            server.cut()
            await asyncio.sleep(0.1)
    assert len(server.connections) < 100


@in_virtual_time
async def test_a_wrong_token_is_said_and_tried_rarely(world: World, capsys: pytest.CaptureFixture[str]):
    world.server.refuses = TokenRefused("answered 401")
    async with world.connected(welcomed=False) as server:
        await asyncio.sleep(600)
        assert 20 <= len(server.connections) <= 41
        server.refuses = None
        await until(lambda: world.link.connected)
    assert "refuses this agent's token" in capsys.readouterr().out


@pytest.mark.parametrize("turns", range(8))
def test_a_stop_at_the_moment_of_a_cut_is_heeded(world: World, turns: int):
    @in_virtual_time
    async def story() -> None:
        running = asyncio.create_task(world.link.run(world.desk))
        await until(lambda: world.link.connected)
        world.server.cut()
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running], timeout=60)
        assert running.cancelled()

    story()


@in_virtual_time
async def test_a_mistake_of_ours_costs_a_session_and_not_the_agent(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    def stumble(message: Make | Query) -> bool:
        raise RuntimeError("a mistake")

    async with world.connected() as server:
        with monkeypatch.context() as broken:
            broken.setattr(world.desk, "take", stumble)
            server.ask("c1")
            await until(lambda: not world.link.connected)
        await until(lambda: server.epoch == 2)


@in_virtual_time
async def test_what_nobody_keeps_is_lost_without_a_session(world: World):
    world.link.tell(Report("c1", wire.MakeState.NOT_SEEN))
    async with world.connected() as server:
        await asyncio.sleep(1)
    assert server.all_heard(Report) == []
