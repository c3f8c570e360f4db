"""The agent dies at each of its steps, and again while it settles that: never a second drink, never a lie.

A step is the moment before or after a call of the journal, the machine or the channel. Once dead, a process
does nothing more: every later step of it raises too.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.journal import Journal
from agent.link import Link
from agent.runner import Runner
from agent.wire import Code, MakeState, Report
from tests.fakes.clock import in_virtual_time, inline, until
from tests.fakes.machine import FakeMachine
from tests.fakes.server import FakeServer

S = MakeState
TRUE_OF = {0: {S.NOT_SEEN, S.REJECTED, S.EXPIRED, S.FAILED, S.UNKNOWN}, 1: {S.DONE, S.UNKNOWN}}
"""Drinks that came out → the ends that may be told of them."""


class Died(BaseException):
    """The process has been killed."""


class Fate:
    """Counts steps and kills at the one numbered `at`, or never."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.step = 0
        self.killed = asyncio.Event()

    def pass_by(self, *_: object) -> None:
        self.step += 1
        if self.step == self.at:
            self.killed.set()
        if self.killed.is_set():
            raise Died


class Mortal:
    """Stands before an object whose every call is two steps: before it, and before it returns."""

    def __init__(self, living: Any, fate: Fate) -> None:
        self._living = living
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._living, name)
        if not callable(attribute):
            return attribute
        return self._async(attribute) if asyncio.iscoroutinefunction(attribute) else self._sync(attribute)

    def _sync(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def mortal(*arguments: Any) -> Any:
            self._fate.pass_by()
            result = call(*arguments)
            self._fate.pass_by()
            return result

        return mortal

    def _async(self, call: Callable[..., Any]) -> Callable[..., Any]:
        async def mortal(*arguments: Any) -> Any:
            self._fate.pass_by()
            result = await call(*arguments)
            self._fate.pass_by()
            return result

        return mortal


class World:
    """One machine, one server, one journal file, and any number of agents one after another."""

    def __init__(self, path: Path, machine: FakeMachine) -> None:
        self.path = path
        self.machine = machine
        self.server = FakeServer()

    @contextlib.asynccontextmanager
    async def agent(self, fate: Fate) -> AsyncIterator[None]:
        """Run an agent until the block is left or its fate comes."""
        journal = Journal(self.path)
        mortal: Any = Mortal(journal, fate)

        async def connect() -> Any:
            return Mortal(await self.server.connect(), fate)

        link = Link(connect, mortal, carry=inline, chance=random.Random(3))
        self.machine.at = fate.pass_by
        runner = Runner(Mortal(self.machine, fate), mortal, link, carry=inline)
        running = asyncio.create_task(runner.run())
        try:
            yield
        finally:
            fate.killed.set()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup, Died):
                await running
            journal.close()
            self.server.cut()
            self.machine.at = lambda step: None

    async def life(self, fate: Fate, order: Callable[[], None]) -> None:
        """Let an agent live until it dies or has said its last word; `order` is said when it is connected."""
        async with self.agent(fate):
            epoch, heard = self.server.epoch, len(self.server.heard)
            with contextlib.suppress(TimeoutError):
                await until(lambda: fate.killed.is_set() or self.server.epoch > epoch)
                if not fate.killed.is_set():
                    order()
                await until(lambda: fate.killed.is_set() or self.ended_since(heard), limit_s=400)

    def ended_since(self, heard: int) -> bool:
        """Whether an end was told in anything heard after the first `heard` messages."""
        news = self.server.heard[heard:]
        return any(isinstance(message, Report) and message.state.ended for message in news)

    async def verdict(self) -> MakeState:
        """Return what an undisturbed agent says when asked, also after the old order has come once more."""
        said = []
        async with self.agent(Fate()):
            epoch = self.server.epoch
            await until(lambda: self.server.epoch > epoch)
            for ask in (self.server.ask, self.server.order, self.server.ask):
                heard = len(self.server.heard)
                await asyncio.sleep(100)
                ask("c1")
                await until(lambda heard=heard: self.ended_since(heard))
                said.append(self.server.last("c1").state)
        assert said[0] == said[2], f"it changed its word: {said}"
        return said[2]


def faults_of(machine: FakeMachine, fault: str) -> FakeMachine:
    match fault:
        case "makes nothing":
            machine.makes_nothing = True
        case "breaks after the drink":
            machine.breaks = RuntimeError("the cable is out")
        case "breaks without a drink":
            machine.breaks, machine.makes_nothing = RuntimeError("the cable is out"), True
    return machine


async def steps_of(path: Path, fault: str) -> int:
    """Return how many steps an undisturbed life has."""
    world = World(path, faults_of(FakeMachine(brew_s=2), fault))
    fate = Fate()
    await world.life(fate, lambda: world.server.order("c1"))
    return fate.step


def check(world: World, verdict: MakeState, when: str) -> None:
    assert world.machine.calls.count("make") <= 1, f"told to make twice: {when}"
    assert world.machine.made <= 1, f"two drinks: {when}"
    assert verdict in TRUE_OF[world.machine.made], f"{verdict}, but {world.machine.made} drinks: {when}"
    numbered = {report.state for report in world.server.reports.values() if report.state.ended}
    assert numbered <= TRUE_OF[world.machine.made], f"{numbered} stored: {when}"


FAULTS = ["none", "makes nothing", "breaks after the drink", "breaks without a drink"]


@pytest.mark.parametrize("fault", FAULTS)
@in_virtual_time
async def test_a_death_at_any_step_makes_no_second_drink_and_no_lie(tmp_path: Path, fault: str):
    steps = await steps_of(tmp_path / "whole.db", fault)
    for at in range(1, steps + 1):
        world = World(tmp_path / f"{at}.db", faults_of(FakeMachine(brew_s=2), fault))
        fate = Fate(at)
        await world.life(fate, lambda world=world: world.server.order("c1"))
        check(world, await world.verdict(), f"death at step {at} of {steps}")


@in_virtual_time
async def test_deaths_while_settling_make_no_second_drink_and_no_lie(tmp_path: Path):
    steps = await steps_of(tmp_path / "whole.db", "none")
    chance = random.Random(11)
    for number in range(100):
        deaths = [chance.randint(1, steps), *(chance.randint(1, 30) for _ in range(chance.randint(1, 3)))]
        world = World(tmp_path / f"{number}.db", FakeMachine(brew_s=2))
        for at in deaths:
            say = chance.choice([world.server.order, world.server.ask])
            await world.life(Fate(at), lambda say=say: say("c1"))
        check(world, await world.verdict(), f"deaths at steps {deaths}")


@in_virtual_time
async def test_a_machine_silent_after_the_death_is_never_guessed(tmp_path: Path):
    steps = await steps_of(tmp_path / "whole.db", "none")
    for at in range(1, steps + 1, 3):
        world = World(tmp_path / f"{at}.db", FakeMachine(brew_s=2))
        await world.life(Fate(at), lambda world=world: world.server.order("c1"))
        world.machine.unreadable = Code.SERIAL_NO_ANSWER
        check(world, await world.verdict(), f"death at step {at} of {steps}")


@in_virtual_time
async def test_the_steps_cover_every_write_and_every_byte(tmp_path: Path):
    """A guard on this module itself: the deaths above do fall before and after the things that matter."""
    made, ends = set(), set()
    for at in range(1, await steps_of(tmp_path / "whole.db", "none") + 1):
        world = World(tmp_path / f"{at}.db", FakeMachine(brew_s=2))
        await world.life(Fate(at), lambda world=world: world.server.order("c1"))
        made.add(world.machine.made)
        ends.add(await world.verdict())
    assert made == {0, 1}
    assert {S.DONE, S.FAILED, S.EXPIRED, S.NOT_SEEN} <= ends
