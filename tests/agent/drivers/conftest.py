"""A simulated machine on a real pseudo-terminal, and a driver in a hurry."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.drivers.jura import JuraMachine
from agent.drivers.jura_dialogue import Timing
from agent.drivers.jura_simulated import Behaviour
from agent.drivers.jura_simulator import JuraSimulator
from agent.machine import Outcome, Request

HURRY = Timing(
    reply_s=0.3,
    poll_s=0.02,
    settle_s=0.2,
    reconcile_s=0.3,
    brew_limit_s=0.7,
    group_pause_s=0.0,
    gap_s=0.03,
    quiet_s=0.03,
)
PRODUCTS = {"espresso": {"small": "FA:04", "medium": "FA:04"}, "hot water": {"small": "FA:06"}}
ESPRESSO = Request("espresso", "small")


@dataclass
class Bench:
    """One machine, its driver, and what came out."""

    simulator: JuraSimulator
    driver: JuraMachine
    ledger: Path

    async def buy(self) -> Outcome:
        """Make an espresso as the agent does."""
        return await self.driver.make(ESPRESSO, await self.driver.prepare(ESPRESSO))

    @property
    def keys_heard(self) -> int:
        """How often a key was pressed."""
        return sum(text.startswith("FA:") for text in self.simulator.machine.heard)

    @property
    def poured(self) -> int:
        """How many drinks really came out."""
        return len(self.ledger.read_text().splitlines()) if self.ledger.exists() else 0


class Benches:
    """Builds benches in a folder and clears them away."""

    def __init__(self, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack

    async def __call__(
        self,
        counters: list[int] | None = None,
        profile: str = "auto",
        timing: Timing = HURRY,
        **behaviour: object,
    ) -> Bench:
        how = Behaviour(**({"brew_s": 0.15, "group_gap_s": 0.0} | behaviour))
        ledger = self._folder / "ledger"
        simulator = JuraSimulator(self._folder / "tty", how, counters, ledger)
        await self._stack.enter_async_context(simulator)
        driver = JuraMachine(str(simulator.link), profile, PRODUCTS, timing)
        self._stack.push_async_callback(driver.close)
        return Bench(simulator, driver, ledger)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Benches]:
    async with contextlib.AsyncExitStack() as stack:
        yield Benches(tmp_path, stack)


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait until `condition` holds, but not for ever."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for happens outside this loop
            await asyncio.sleep(0.01)


def ledger_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
