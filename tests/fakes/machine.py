"""A coffee machine that does what a test tells it, counts its drinks, and proves them by that count."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.machine import MachineError, Outcome, Request
from agent.wire import Actuated, Code, MachineReport, MachineState, MakeState

READY = MachineReport(MachineState.READY, "FAKE 1")


@dataclass
class FakeMachine:
    """Implements `agent.machine.Machine`. `made` is the counter in its hardware, which outlives every agent;
    `made_for` names the drink_no of each.

    `refuses` is raised by `prepare`; `breaks` by `make`, after the drink is made unless `makes_nothing`;
    `unreadable` makes every reading fail; `stays_silent` returns UNKNOWN instead of the truth.
    `at` is told the name of each step before it happens, and may raise.
    """

    made: int = 0
    made_for: list[str] = field(default_factory=list)
    brew_s: float = 20.0
    prepare_s: float = 0.1
    refuses: Exception | None = None
    breaks: Exception | None = None
    makes_nothing: bool = False
    unreadable: Code | None = None
    outcome: Outcome | None = None
    report: MachineReport = READY
    at: Callable[[str], None] = lambda step: None
    calls: list[str] = field(default_factory=list)
    overlapping: bool = False
    closed: int = 0
    _in_use: bool = False

    async def inspect(self) -> MachineReport:
        with self._one_at_a_time("inspect"):
            await asyncio.sleep(0.01)
            if self.unreadable:
                return MachineReport(MachineState.OFFLINE, code=self.unreadable, said="silent")
            return self.report

    async def prepare(self, request: Request) -> str:
        with self._one_at_a_time("prepare"):
            await asyncio.sleep(self.prepare_s)
            if self.unreadable:
                raise MachineError(self.unreadable, "silent")
            if self.refuses:
                raise self.refuses
            return str(self.made)

    async def make(self, request: Request, before: str) -> Outcome:
        with self._one_at_a_time("make"):
            if not self.makes_nothing:
                self.made += 1
                self.made_for.append(request.drink_no)
            self.at("key pressed")
            await asyncio.sleep(self.brew_s)
            self.at("brewed")
            if self.breaks:
                raise self.breaks
            return self.outcome or self._evidence(before)

    async def reconcile(self, request: Request, before: str) -> Outcome:
        with self._one_at_a_time("reconcile"):
            await asyncio.sleep(0.1)
            return self._evidence(before)

    async def close(self) -> None:
        self.closed += 1

    def _evidence(self, before: str) -> Outcome:
        if self.unreadable:
            return Outcome(MakeState.UNKNOWN, self.unreadable, Actuated.UNKNOWN, said="silent")
        if self.made == int(before) + 1:
            return Outcome(MakeState.DONE, actuated=Actuated.YES, evidence="counter_delta")
        if self.made == int(before):
            return Outcome(MakeState.FAILED, None, Actuated.NO, "counter_delta", "the counter stands still")
        return Outcome(MakeState.UNKNOWN, None, Actuated.UNKNOWN, "counter_delta", "several drinks")

    def _one_at_a_time(self, step: str) -> "_Use":
        self.calls.append(step)
        self.at(step)
        return _Use(self)


class _Use:
    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    def __enter__(self) -> None:
        self._machine.overlapping |= self._machine._in_use
        self._machine._in_use = True

    def __exit__(self, *_: object) -> None:
        self._machine._in_use = False
