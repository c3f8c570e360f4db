"""An agent put together as in the field, with a machine, a server and a clock that tests can command."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.journal import Carry, Journal
from agent.link import Link
from agent.runner import Runner
from tests.fakes.clock import inline, until
from tests.fakes.machine import FakeMachine
from tests.fakes.server import FakeServer


class Bench:
    """A machine, a server and a journal's file, which outlive the agents that a test starts among them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.machine = FakeMachine()
        self.server = FakeServer()
        self.now_ms = 1_700_000_000_000
        self.journal: Journal
        self.link: Link
        self.runner: Runner

    @contextlib.asynccontextmanager
    async def agent(
        self, *, welcomed: bool = True, drain_s: float = 150.0, carry: Carry = inline
    ) -> AsyncIterator[Runner]:
        """Run an agent inside the block; leaving the block is a power cut."""
        self.journal = Journal(self.path, lambda: self.now_ms)
        self.link = Link(self.server.connect, self.journal, carry=carry, chance=random.Random(1))
        self.runner = Runner(self.machine, self.journal, self.link, carry=carry, drain_s=drain_s)
        self.running = asyncio.create_task(self.runner.run())
        try:
            if welcomed:
                await until(lambda: self.link.connected)
            yield self.runner
        finally:
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running
            self.journal.close()
            self.server.cut()

    async def ended(self, command_id: str) -> None:
        """Wait until the server has stored the end of a command."""
        await until(lambda: any(state.ended for state in self.server.states(command_id)))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "agent.db")
