"""Drives one command through the machine: check, journal the start, make, ask the evidence. One at a time.

From the journalled start on, whatever breaks, the machine is only read and never told to make again.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agent import make
from agent.journal_file import JournalError
from agent.machine import Machine, MachineError, Outcome
from agent.make import Record
from agent.wire import Actuated, Code, MachineReport, MachineState, MakeState

log = structlog.get_logger()

INSPECT_LIMIT_S = 20.0
PREPARE_LIMIT_S = 60.0
BUSY_AGAIN_S = 2.0
"""How long after a busy machine's refusal it is asked again."""

MAKE_LIMIT_S = 150.0
"""Longer than any drink; the driver's own limits are tighter. The server waits 180 s for a result."""

RECONCILE_LIMIT_S = 150.0
EVIDENCE_FOR_S = 60.0
"""How long a machine that cannot be read is asked again: after a power cut it may start after this board."""

EVIDENCE_EVERY_S = 5.0


class Maker:
    """The machine behind a lock, so that it is asked one thing at a time.

    `write_start` journals a started record and raises JournalError if it cannot; `may_start` is asked just
    before.
    """

    def __init__(
        self,
        machine: Machine,
        write_start: Callable[[Record], Awaitable[None]],
        may_start: Callable[[], bool],
    ) -> None:
        self._machine = machine
        self._write_start = write_start
        self._may_start = may_start
        self._line = asyncio.Lock()

    async def make(self, record: Record, deadline: float) -> Record:
        """Make the drink of a received command; return how it ended. Raises nothing.

        It is not started after `deadline` (by the loop's clock).
        """
        async with self._line:
            after = await self._start(record, deadline)
            if after.state is not MakeState.STARTED:
                return after
            outcome, cause, said = await self._make(after)
        if outcome is None or make.unreadable(outcome):
            return await self.settle(after, cause, said)
        return make.judged(after, outcome, cause)

    async def settle(self, record: Record, cause: Code, said: str = "") -> Record:
        """Decide a started command by evidence; a machine that cannot be read is asked for a minute."""
        clock = asyncio.get_running_loop()
        give_up = clock.time() + EVIDENCE_FOR_S
        while True:
            outcome = await self.evidence(record)
            if not make.unreadable(outcome) or clock.time() >= give_up:
                return make.judged(record, outcome, cause, said)
            await asyncio.sleep(EVIDENCE_EVERY_S)

    async def evidence(self, record: Record) -> Outcome:
        """Ask the machine once what became of a started command. Raises nothing."""
        async with self._line:
            try:
                async with asyncio.timeout(RECONCILE_LIMIT_S):
                    return await self._machine.reconcile(record.request, record.before)
            except Exception as error:
                code, said = _reason(error)
                return Outcome(MakeState.UNKNOWN, code, Actuated.UNKNOWN, said=said)

    async def inspect(self) -> MachineReport:
        """Look at the machine. Raises nothing."""
        async with self._line:
            try:
                async with asyncio.timeout(INSPECT_LIMIT_S):
                    return await self._machine.inspect()
            except Exception as error:
                code, said = _reason(error)
                return MachineReport(MachineState.OFFLINE, code=code, said=said)

    async def close(self) -> None:
        """Release the machine."""
        await self._machine.close()

    async def _start(self, record: Record, deadline: float) -> Record:
        """Return the record journalled as started, or its end if it must not be started."""
        try:
            before = await self._prepare(record, deadline)
        except Exception as error:
            return make.unable(record, *_reason(error))
        if not self._may_start():
            return make.restarted(record)
        if asyncio.get_running_loop().time() >= deadline:
            return make.too_late(record)
        try:
            started = make.started(record, before)
            await self._write_start(started)
        except JournalError as error:
            return make.unable(record, Code.JOURNAL_ERROR, str(error))
        return started

    async def _prepare(self, record: Record, deadline: float) -> str:
        """Return the evidence from before. A machine that is busy (it rinses) is waited for in the life."""
        clock = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(PREPARE_LIMIT_S):
                    return await self._machine.prepare(record.request)
            except MachineError as error:
                too_late = clock.time() + BUSY_AGAIN_S >= deadline
                if error.code is not Code.AGENT_REJECTED_BUSY or too_late or not self._may_start():
                    raise
            await asyncio.sleep(BUSY_AGAIN_S)

    async def _make(self, record: Record) -> tuple[Outcome | None, Code, str]:
        """Return what the driver says of the make (None: it broke), the code if it gives none, and why."""
        try:
            async with asyncio.timeout(MAKE_LIMIT_S):
                outcome = await self._machine.make(record.request, record.before)
        except Exception as error:
            return None, *_reason(error)
        return outcome, Code.MACHINE_ERROR, ""


def _reason(error: Exception) -> tuple[Code, str]:
    """Return the code of what went wrong with the machine, and the words for a technician."""
    if isinstance(error, MachineError):
        return error.code, error.said or str(error)
    if isinstance(error, TimeoutError):
        return Code.SERIAL_NO_ANSWER, "the driver did not come to an end in time"
    log.error("the driver failed", exc_info=error)
    return Code.INTERNAL_ERROR, f"{type(error).__name__}: {error}"
