"""The shell of `make`: answers the server's commands, one make at a time, and looks at the machine meanwhile.

It decides nothing that `make` can decide, and says nothing that the journal has not written down first. How
one drink is driven through the machine is `maker`'s.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import NoReturn

import msgspec
import structlog

from agent import make
from agent.journal import Carry, Journal
from agent.journal_file import JournalError
from agent.link import Link
from agent.machine import Machine
from agent.make import Accept, Bury, Hindrance, Record, Reject, Repeat
from agent.maker import Maker
from agent.records import Records
from agent.wire import Code, MachineReport, MachineState, Make, MakeState, Query
from agent.wire import Machine as MachineChanged

log = structlog.get_logger()

INSPECT_EVERY_S = 10.0
"""How often an idle machine is looked at."""

DRAIN_S = 150.0
"""How long a stop waits for the drink that is being made."""

FAREWELL_LOOKS = 30
FAREWELL_S = 3.0
"""How long a stop waits for the server to store the last reports."""

LATE_PROOF_S = 600.0
"""How long after a make without proof evidence is still taken for it, if nothing was made since."""

INBOX_LIMIT = 256
"""Commands waiting for an answer: more than the server asks about at once when a session begins (100)."""


@dataclass(frozen=True)
class _Arrived:
    """A command, and the moment by the loop's clock at which its life ends."""

    message: Make | Query
    deadline: float


class Runner:
    """The agent: one machine, one journal, one link. `run` runs until `stop`; to cancel it is a power cut."""

    def __init__(
        self,
        machine: Machine,
        journal: Journal,
        link: Link,
        *,
        carry: Carry = asyncio.to_thread,
        inspect_every_s: float = INSPECT_EVERY_S,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._link = link
        self._records = Records(journal, link, carry, self._announce)
        self._inspect_every_s = inspect_every_s
        self._drain_s = drain_s
        self._stopping = asyncio.Event()
        self._maker = Maker(machine, self._start, may_start=lambda: not self._stopping.is_set())
        self._inbox: asyncio.Queue[_Arrived] = asyncio.Queue(INBOX_LIMIT)
        self._busy_with: str | None = None
        self._work: asyncio.Task[None] | None = None
        self._work_drain_s = 0.0
        self._look_now = asyncio.Event()
        self._unproved: tuple[Record, float] | None = None
        self._last_seen = MachineReport(MachineState.BUSY, said="not looked at yet")
        self._told: MachineReport | None = None

    # --- the agent's life -------------------------------------------------------------------------

    async def run(self) -> None:
        """Settle what the last run left open, serve until `stop`, and close the machine.

        Raises JournalError if the journal cannot be read at the start.
        """
        try:
            left_open = await self._records.left_open()
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                if left_open:
                    self._occupy("settling what the last run left open", self._settle(left_open))
                    self._announce()
                keeping = (self._records.write_late(), self._records.mend(), self._records.prune())
                works = (self._serve(), self._watch(), *keeping, self._link.run(self))
                running = [tasks.create_task(work) for work in works]
                await self._stopping.wait()
                await self._drain()
                await self._farewell()
                for task in running:
                    task.cancel()
        finally:
            await self._maker.close()

    def stop(self) -> None:
        """Take no new make, let one that has started end (`drain_s` at most), then let `run` return."""
        log.info("stopping", busy_with=self._busy_with)
        self._stopping.set()

    async def _drain(self) -> None:
        """Wait for the make under way, up to the limit. What is cut off is settled at the next start."""
        if self._work is not None:
            _, cut_off = await asyncio.wait([self._work], timeout=self._work_drain_s)
            for work in cut_off:
                log.error("work cut off: evidence decides at the next start", work=self._busy_with)
                work.cancel()

    async def _farewell(self) -> None:
        """Let the last reports reach the server, if it listens; the journal keeps them in any case."""
        for _ in range(FAREWELL_LOOKS):
            with contextlib.suppress(JournalError):
                if not self._link.connected or await self._records.all_stored():
                    return
            await asyncio.sleep(FAREWELL_S / FAREWELL_LOOKS)

    def _occupy(self, with_what: str, work: Coroutine[None, None, None], drain_s: float = 0.0) -> None:
        """Do `work` in a task; no make is taken until it has ended. A stop waits `drain_s` for it."""
        self._busy_with = with_what
        self._work_drain_s = drain_s
        self._work = self._tasks.create_task(work)
        self._work.add_done_callback(self._free)

    def _free(self, work: asyncio.Task[None]) -> None:
        self._busy_with = self._work = None
        self._look_now.set()

    # --- commands ---------------------------------------------------------------------------------

    def take(self, message: Make | Query) -> bool:
        """Take a command of the present session; its life is counted from here. False: too many wait."""
        life_s = make.life_s(message) if isinstance(message, Make) else 0.0
        try:
            self._inbox.put_nowait(_Arrived(message, _now() + life_s))
        except asyncio.QueueFull:
            return False
        return True

    async def _serve(self) -> NoReturn:
        while True:
            arrived = await self._inbox.get()
            command_id = arrived.message.command_id
            try:
                await self._answer(arrived)
            except JournalError:
                # It could not even be read whether the id is known: silence, and the server asks again.
                log.error("command not answered", command=command_id)
            except Exception:
                log.exception("command not answered by a mistake of ours", command=command_id)

    async def _answer(self, arrived: _Arrived) -> None:
        message = arrived.message
        known = await self._records.find(message.command_id)
        match self._decide(message, known, arrived.deadline - _now()):
            case Repeat(report):
                self._link.tell(report)
            case Reject(record):
                await self._records.reject(record)
            case Bury(record):
                if await self._records.bury(record):
                    self._link.tell(record.report())
            case Accept(record):
                self._records.accept(record)
                self._occupy(record.command_id, self._make(record, arrived.deadline), self._drain_s)

    def _decide(
        self, message: Make | Query, known: Record | None, left_s: float
    ) -> Accept | Reject | Bury | Repeat:
        if isinstance(message, Make):
            return make.answer_make(known, message, left_s, self._hindrance())
        return make.answer_query(known, message.command_id)

    def _hindrance(self) -> Hindrance | None:
        if self._records.broken:
            return Hindrance(Code.JOURNAL_ERROR, "the journal cannot be written")
        if self._stopping.is_set():
            return Hindrance(Code.AGENT_REJECTED_BUSY, "the agent is stopping")
        if self._busy_with is not None:
            return Hindrance(Code.AGENT_REJECTED_BUSY, f"busy with {self._busy_with}")
        return None

    # --- makes ------------------------------------------------------------------------------------

    async def _make(self, record: Record, deadline: float) -> None:
        log.info("make accepted", command=record.command_id, drink=record.drink_no, size=record.size)
        await self._end(await self._maker.make(record, deadline))

    async def _start(self, record: Record) -> None:
        await self._records.start(record)
        self._unproved = None

    async def _end(self, record: Record) -> None:
        if make.perhaps_unread(record):
            self._unproved = record, _now()
        await self._records.end(record)

    async def _settle(self, left_open: list[Record]) -> None:
        """End what was open when the last run ended: what was not started by word, the rest by evidence."""
        for record in left_open:
            if record.state is MakeState.RECEIVED:
                await self._end(make.restarted(record))
        for record in left_open:
            if record.state is MakeState.STARTED:
                await self._end(await self._maker.settle(record, Code.POWER_LOSS))

    def _provable_late(self) -> Record | None:
        """Return the last make if its machine could not be read then, can be now, and it was not long ago."""
        if self._unproved is None or self._last_seen.state is MachineState.OFFLINE:
            return None
        record, ended_at = self._unproved
        return record if _now() < ended_at + LATE_PROOF_S else None

    async def _prove_late(self, record: Record) -> None:
        """Ask for the evidence again, until the machine could be read once: it takes no make meanwhile."""
        outcome = await self._maker.evidence(record)
        if make.unreadable(outcome):
            return
        self._unproved = None
        if outcome.state is not MakeState.UNKNOWN:
            await self._end(make.judged(record, outcome, Code.POWER_LOSS))

    # --- the machine ------------------------------------------------------------------------------

    @property
    def machine_report(self) -> MachineReport:
        """The machine as it is known now; a broken journal is an error of the machine to the server."""
        seen = self._last_seen
        if self._records.broken:
            broken = "the agent's journal cannot be written"
            return MachineReport(MachineState.ERROR, seen.model, Code.JOURNAL_ERROR, broken)
        if self._busy_with is not None:
            return MachineReport(MachineState.BUSY, seen.model)
        return seen

    async def _watch(self) -> NoReturn:
        while True:
            if self._busy_with is None:
                seen = await self._maker.inspect()
                self._last_seen = msgspec.structs.replace(seen, said=seen.said[: make.SAID_LIMIT])
                self._announce()
                if self._busy_with is None and (record := self._provable_late()):
                    self._occupy("settling the last make", self._prove_late(record))
                    self._announce()
            try:
                async with asyncio.timeout(self._inspect_every_s):
                    await self._look_now.wait()
            except TimeoutError:
                continue
            self._look_now.clear()

    def _announce(self) -> None:
        report = self.machine_report
        if self._told is None or (report.state, report.code) != (self._told.state, self._told.code):
            self._told = report
            self._link.tell(MachineChanged(report))


def _now() -> float:
    """The loop's clock, in seconds: it never jumps, whatever the device thinks the date is."""
    return asyncio.get_running_loop().time()
