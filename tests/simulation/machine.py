"""A coffee machine of iron, which outlives every agent, and the driver through which an agent works it.

The driver is honest: it says `done` and `failed` only on proof. The iron knows what was really poured.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.machine import MachineError, Outcome, Request
from agent.wire import Actuated, Code, MachineReport, MachineState, MakeState
from tests.simulation import plan
from tests.simulation.life import Life

KEY_BYTES = 3
COUNTS_LATE_S = 20.0
"""Longest time by which the counter lags behind the drink."""

SURE_AFTER_S = COUNTS_LATE_S + 5
"""An idle machine whose counter has not moved for so long has not made the drink."""

WATCH_S = 100.0
POLL_S = 5.0


@dataclass
class Brew:
    """One key press that the machine took."""

    command_id: str
    drink_no: str
    begun_at: float
    ends_at: float
    counted_at: float
    counts: int
    poured: bool


@dataclass
class Iron:
    """The hardware. `told` has the command of each key whose last byte arrived, also if it was refused."""

    faults: plan.Machine
    chance: random.Random
    stormy: Callable[[], bool]
    now: Callable[[], float]
    brews: list[Brew] = field(default_factory=list)
    told: list[tuple[str, float]] = field(default_factory=list)
    mute_until: float = 0.0
    broken: Code | None = None

    def happens(self, how_often: float) -> bool:
        return how_often > 0 and self.chance.random() < how_often and self.stormy()

    def press(self, command_id: str, drink_no: str) -> bool:
        """Take the key, or refuse it; return whether it was taken."""
        now = self.now()
        self.told.append((command_id, now))
        if self.busy or self.happens(self.faults.refuse):
            return False
        long = self.happens(self.faults.slow)
        ends_at = now + (self.chance.uniform(60, 170) if long else self.chance.uniform(5, 25))
        poured = not self.happens(self.faults.break_down)
        lag = self.chance.uniform(1, COUNTS_LATE_S) if self.happens(self.faults.count_late) else 0.0
        counts = (2 if self.happens(self.faults.count_twice) else 1) if poured else 0
        self.brews.append(Brew(command_id, drink_no, now, ends_at, ends_at + lag, counts, poured))
        return True

    @property
    def busy(self) -> bool:
        return bool(self.brews) and self.now() < self.brews[-1].ends_at

    @property
    def mute(self) -> bool:
        return self.now() < self.mute_until

    @property
    def stopped_midway(self) -> bool:
        """Whether it shows that its last drink was not finished."""
        return bool(self.brews) and not self.busy and not self.brews[-1].poured

    def count(self) -> int:
        """The counter, as it can be read now."""
        now = self.now()
        return sum(brew.counts for brew in self.brews if brew.counted_at <= now)

    def poured(self) -> list[Brew]:
        """The drinks that have come out by now."""
        now = self.now()
        return [brew for brew in self.brews if brew.poured and brew.ends_at <= now]


class Driver:
    """Implements `agent.machine.Machine` for one life of an agent; `making` tells which command is driven."""

    def __init__(self, iron: Iron, life: Life, making: Callable[[], str]) -> None:
        self._iron = iron
        self._life = life
        self._making = making

    async def inspect(self) -> MachineReport:
        try:
            await self._talk()
        except MachineError as error:
            return MachineReport(MachineState.OFFLINE, code=error.code, said=error.said)
        return MachineReport(MachineState.BUSY if self._iron.busy else MachineState.READY, "IRON")

    async def prepare(self, request: Request) -> str:
        await self._talk()
        if self._iron.busy:
            raise MachineError(Code.AGENT_REJECTED_BUSY, "busy")
        count = self._iron.count()
        await self._talk()
        if self._unsettled():
            raise MachineError(Code.AGENT_REJECTED_BUSY, "the counter still moves")
        return str(count)

    async def make(self, request: Request, before: str) -> Outcome:
        cut_at = (
            self._iron.chance.randint(0, KEY_BYTES) if self._iron.happens(self._iron.faults.cut) else None
        )
        taken = False
        for byte in range(KEY_BYTES):
            self._life.step()
            if byte == cut_at:
                raise MachineError(Code.SERIAL_NO_ANSWER, "the line was lost within the key")
            if byte == KEY_BYTES - 1:
                taken = self._iron.press(self._making(), request.drink_no)
        self._life.step()
        if cut_at == KEY_BYTES:
            raise MachineError(Code.SERIAL_NO_ANSWER, "the line was lost after the key")
        if not taken:
            return Outcome(MakeState.FAILED, Code.MACHINE_ERROR, Actuated.NO, "status", "key refused")
        return await self._watch(int(before), sure_after_s=WATCH_S)

    async def reconcile(self, request: Request, before: str) -> Outcome:
        return await self._watch(int(before), sure_after_s=SURE_AFTER_S)

    async def close(self) -> None:
        pass

    async def _watch(self, before: int, sure_after_s: float) -> Outcome:
        now = self._iron.now
        give_up = now() + WATCH_S
        idle_since: float | None = None
        while True:
            try:
                await self._talk()
            except MachineError as error:
                if now() >= give_up:
                    return Outcome(MakeState.UNKNOWN, error.code, Actuated.UNKNOWN, said=error.said)
                idle_since = None
                await asyncio.sleep(POLL_S)
                continue
            if not self._iron.busy:
                idle_since = now() if idle_since is None else idle_since
                if outcome := self._verdict(before, now() - idle_since >= sure_after_s):
                    return outcome
            if now() >= give_up:
                return Outcome(MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN, said="no proof")
            await asyncio.sleep(POLL_S)

    def _verdict(self, before: int, sure: bool) -> Outcome | None:
        """Return what an idle machine proves; None: nothing yet."""
        grown = self._iron.count() - before
        if grown == 1:
            return Outcome(MakeState.DONE, None, Actuated.YES, "counter_delta")
        if grown:
            return Outcome(MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN, said=f"+{grown}")
        if self._iron.stopped_midway:
            return Outcome(MakeState.FAILED, Code.NO_WATER, Actuated.PARTIAL, "status", "stopped midway")
        return Outcome(MakeState.FAILED, None, Actuated.NO, "counter_delta", "not moved") if sure else None

    def _unsettled(self) -> bool:
        """Say whether the counter may still move for an earlier drink."""
        return bool(self._iron.brews) and self._iron.now() < self._iron.brews[-1].ends_at + SURE_AFTER_S

    async def _talk(self) -> None:
        self._life.step()
        await asyncio.sleep(0.1)
        self._life.step()
        if self._iron.mute:
            await asyncio.sleep(1.0)
            raise MachineError(Code.SERIAL_NO_ANSWER, "silent")
