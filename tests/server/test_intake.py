"""What an agent says is stored in its order, and together where it came together."""

import asyncio
from typing import Any

import pytest

from agent import wire
from agent.wire import MachineReport, MachineState, MakeState, Report
from server import intake
from server.connection import Connection
from server.intake import Intake, Said
from server.make_progress import StaleSession

READY = wire.Machine(MachineReport(MachineState.READY))
BUSY = wire.Machine(MachineReport(MachineState.BUSY))
RECEIVED, STARTED, DONE = (
    Report("make-1", state, seq=number)
    for number, state in enumerate((MakeState.RECEIVED, MakeState.STARTED, MakeState.DONE), 1)
)


class Store:
    """Stores when it is allowed to."""

    def __init__(self) -> None:
        self.stored: list[list[Said]] = []
        self.may, self.did = asyncio.Event(), asyncio.Event()
        self.fails: list[Exception] = []

    async def __call__(self, connection: Connection, said: list[Said]) -> None:
        """Store what was said, or fail."""
        await self.may.wait()
        if self.fails:
            raise self.fails.pop()
        self.stored.append(said)
        self.did.set()


class Desk:
    """A session, its store, and what takes in what it says."""

    def __init__(self) -> None:
        self.store = Store()
        self.connection = Connection("dev-1", 1, "journal-1", channel=None)  # type: ignore[arg-type]
        self.intake = Intake(self.connection, self.store)

    async def hear(self, *messages: Said) -> None:
        """Take in messages that came in one moment."""
        for message in messages:
            await self.intake.put(message)

    async def end(self) -> list[list[Said]]:
        """Let all be stored; return what was stored together."""
        self.store.may.set()
        await self.intake.finish()
        return self.store.stored


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_what_comes_in_one_moment_is_stored_together(desk: Desk):
    await desk.hear(RECEIVED, STARTED)
    assert await desk.end() == [[RECEIVED, STARTED]]


async def test_what_comes_while_another_is_stored_is_stored_together_after_it(desk: Desk):
    await desk.hear(RECEIVED)
    await asyncio.sleep(0)
    await desk.hear(STARTED, READY, DONE)
    assert await desk.end() == [[RECEIVED], [STARTED, READY, DONE]]


async def test_a_machines_state_waits_for_the_report_that_comes_with_it(desk: Desk):
    await desk.hear(BUSY)
    await asyncio.sleep(0)
    await desk.hear(RECEIVED)
    assert await desk.end() == [[BUSY, RECEIVED]]


async def test_a_machines_state_alone_is_stored_soon(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake, "MACHINE_WAITS_S", 0.0)
    desk.store.may.set()
    await desk.hear(BUSY)
    async with asyncio.timeout(30):
        await desk.store.did.wait()
    assert desk.store.stored == [[BUSY]]


async def test_what_a_session_said_last_is_stored_when_it_has_ended(desk: Desk):
    await desk.hear(READY)
    assert await desk.end() == [[READY]]


async def test_too_many_messages_are_not_listened_to(desk: Desk):
    flood = asyncio.create_task(desk.hear(*[RECEIVED] * (intake.MOST_WAITING + 1)))
    for _ in range(2 * intake.MOST_WAITING):
        await asyncio.sleep(0)
    assert not flood.done()
    desk.store.may.set()
    await flood
    assert sum(map(len, await desk.end())) == intake.MOST_WAITING + 1


@pytest.mark.parametrize("error", [StaleSession("over"), ValueError("full disk")])
async def test_a_session_whose_words_are_not_stored_ends(desk: Desk, error: Exception, logs: list[Any]):
    """What it said after them is not stored either: it would pass for what comes after what is stored."""
    desk.store.fails = [error]
    await desk.hear(RECEIVED)
    await asyncio.sleep(0)
    await desk.hear(STARTED, DONE)
    desk.store.may.set()
    while not desk.connection.ended:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await desk.end() == []
    assert desk.connection.ended
    told = [record["event"] for record in logs if record["log_level"] == "error"]
    assert told == ([] if isinstance(error, StaleSession) else ["agent session failed"])


@pytest.mark.parametrize("said", [BUSY, RECEIVED])
async def test_a_process_that_ends_begins_to_store_nothing(desk: Desk, said: Said):
    await desk.hear(said)
    desk.intake.drop()
    assert await desk.end() == []


async def test_a_process_that_is_ended_leaves_nothing_behind(desk: Desk):
    await desk.hear(RECEIVED)
    ending = asyncio.create_task(desk.intake.finish())
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
