"""What is known of the commands: the journal, and what it missed while it could not be written.

A step is written first and said after. Only a broken journal turns that round: then a refusal or an end is
said at once, without a number, kept here, and written as soon as the journal works again.
"""

import asyncio
from collections.abc import Callable
from typing import NoReturn

import structlog

from agent import make
from agent.journal import Carry, Journal
from agent.journal_file import JournalError
from agent.link import Link
from agent.make import Record
from agent.wire import MakeState

log = structlog.get_logger()

RECEIVED_WITHIN_S = 0.1
"""How long an accepted command may wait to be written together with its start; by then `received` is said."""

PROBE_EVERY_S = 5.0
"""How often a journal that could not be written is tried again."""

PRUNE_EVERY_S = 24 * 3600.0


class Records:
    """Writes to the journal and tells the link.

    `changed` is called when a command's acceptance or start is written, and when the journal breaks or is
    mended: the machine may have to be told of in another way.
    """

    def __init__(self, journal: Journal, link: Link, carry: Carry, changed: Callable[[], None]) -> None:
        self._journal = journal
        self._link = link
        self._carry = carry
        self._changed = changed
        self._broken = asyncio.Event()
        self._unwritten: dict[str, Record] = {}
        self._accepted: Record | None = None
        self._accepting = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def broken(self) -> bool:
        """Whether the journal cannot be written, so that no new make may be taken."""
        return self._broken.is_set()

    async def find(self, command_id: str) -> Record | None:
        """Return a command, or None if it was never seen. Raises JournalError: it cannot be known."""
        if self._accepted is not None and self._accepted.command_id == command_id:
            await self._write_accepted(self._accepted)  # nothing is said of it before
        if command_id in self._unwritten:
            return self._unwritten[command_id]
        if not self._journal.may_know(command_id):
            return None
        try:
            return await self._carry(self._journal.find, command_id)
        except JournalError as error:
            self._failed(error)
            raise

    async def left_open(self) -> list[Record]:
        """Return the commands that have not ended. Raises JournalError."""
        return await self._carry(self._journal.open_commands)

    def accept(self, record: Record) -> None:
        """Take an accepted command, to be written with its start or its end, or alone if they are late.

        Until then nobody is told of it, and a power cut forgets it: it has moved nothing. If it cannot be
        written it is refused, and cannot be started.
        """
        self._accepted = record
        self._accepting.set()

    async def write_late(self) -> NoReturn:
        """Write accepted commands whose machine is slow to answer; for ever."""
        while True:
            await self._accepting.wait()
            self._accepting.clear()
            if (record := self._accepted) is not None:
                await asyncio.sleep(RECEIVED_WITHIN_S)
                try:
                    await self._write_accepted(record)
                except Exception:  # its start or its end will be written, and it with them
                    log.exception("acceptance not written by a mistake of ours", command=record.command_id)

    async def _write_accepted(self, record: Record) -> None:
        async with self._writing:
            if self._accepted is record:
                await self._first(self._journal.receive, record)
                self._accepted = None  # not before: until then it is looked for here
                self._changed()

    async def reject(self, record: Record) -> bool:
        """Write down a refusal. False: it could not be; it is refused all the same."""
        return await self._first(self._journal.reject, record)

    async def bury(self, record: Record) -> bool:
        """Write down a tombstone. False: it could not be, so it is refused instead."""
        return await self._first(self._journal.bury, record)

    async def start(self, record: Record) -> None:
        """Write down a start. Raises JournalError: it must not be started."""
        async with self._writing:
            if record.command_id in self._unwritten:
                raise JournalError(self._unwritten[record.command_id].said)
            try:
                await self._carry(self._journal.start, record)
            except JournalError as error:
                self._failed(error)
                raise
            self._accepted = None
        self._link.outbox_grew()
        self._changed()

    async def end(self, record: Record) -> None:
        """Write down an end, now or, if the journal is broken, later."""
        log.info("make ended", command=record.command_id, state=record.state, code=record.code)
        async with self._writing:
            if self._is_refused(record.command_id):
                return
            try:
                await self._carry(self._journal.end, record)
            except JournalError as error:
                self._failed(error)
                self._keep(record)
            else:
                self._link.outbox_grew()
            self._accepted = None

    async def all_stored(self) -> bool:
        """Say whether the server has stored every report. Raises JournalError."""
        return not await self._carry(self._journal.unsent_reports, 0, 1)

    async def mend(self) -> NoReturn:
        """Try a broken journal until it can be written, and write what it has missed; for ever."""
        while True:
            await self._broken.wait()
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                await self._carry(self._journal.probe)
                await self._write_the_missed()
            except JournalError as error:
                log.error("journal is still broken", reason=str(error))
                continue
            log.info("journal can be written again")
            self._broken.clear()
            self._link.outbox_grew()
            self._changed()

    async def prune(self) -> NoReturn:
        """Forget old commands every day."""
        while True:
            try:
                await self._carry(self._journal.prune)
            except JournalError as error:
                self._failed(error)
            await asyncio.sleep(PRUNE_EVERY_S)

    async def _first(self, write: Callable[[Record], None], record: Record) -> bool:
        """Write down a command seen for the first time; if that fails it is refused, and stays refused."""
        try:
            await self._carry(write, record)
        except JournalError as error:
            self._failed(error)
            self._keep(make.unsaved(record, str(error)))
            return False
        self._link.outbox_grew()
        return True

    def _is_refused(self, command_id: str) -> bool:
        """Whether it was refused because its acceptance could not be written."""
        kept = self._unwritten.get(command_id)
        return kept is not None and kept.state is MakeState.REJECTED

    async def _write_the_missed(self) -> None:
        while self._unwritten:
            command_id, record = next(iter(self._unwritten.items()))
            refused = record.state is MakeState.REJECTED
            await self._carry(self._journal.reject if refused else self._journal.end, record)
            if self._unwritten[command_id] is record:  # else a later word came meanwhile: it is next
                del self._unwritten[command_id]

    def _keep(self, record: Record) -> None:
        self._unwritten[record.command_id] = record
        self._link.tell(record.report())

    def _failed(self, error: JournalError) -> None:
        log.error("journal failed: no new make is taken", reason=str(error))
        self._broken.set()
        self._changed()
