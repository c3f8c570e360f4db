"""Brings make commands to the agents and their reports into the orders: the shell of `order` and `make`.

Everything it has to do stands in the database first. Being told (`kick`) only makes it look sooner, so a
process that dies and starts again goes on where it was.
"""

from collections.abc import Callable, Sequence
from functools import partial

import structlog

from agent import wire
from agent.wire import Code
from server import make_progress
from server.agents import Agents
from server.connection import Connection
from server.db import Database
from server.due import DueWork, Work, every
from server.intake import Said
from server.make import ANSWER_WITHIN_MS, IN_FLIGHT, State
from server.make_progress import GRACE_MS, StaleSession
from server.progress import Change, Rules
from server.store import makes
from server.store.rows import Make

log = structlog.get_logger()

WAITING = "command_waiting"
"""The channel on which a process says for which device a command waits that it cannot send itself."""

LOOK_EVERY_S = 1.0
"""How long a command waits at most when that word was lost."""


class Dispatch:
    """Sends what waits, asks about what is silent, and ends what is over."""

    def __init__(
        self,
        db: Database,
        agents: Agents,
        rules: Rules,
        now_ms: Callable[[], int],
        follow: Callable[[Change], None],
    ) -> None:
        self._db = db
        self._agents = agents
        self._rules = rules
        self._now_ms = now_ms
        self._follow = follow
        self._kicked: set[str] = set()
        self._work = DueWork("dispatch", self._due, self._next_at, now_ms)
        db.on_notified(WAITING, self._heard)

    def kick(self, device_uuid: str) -> None:
        """A command may be waiting for this device: look now."""
        self._kicked.add(device_uuid)
        self._work.start(("device", device_uuid), partial(self._send_kicked, device_uuid))

    def send_claimed(self, make: Make) -> None:
        """Send a command that was claimed for a session of this process.

        If that has ended, the device's next session is asked about it.
        """
        connection = self._agents.connection(make.device_uuid)
        if connection is not None and connection.epoch == make.epoch:
            self._send(make, connection)

    def wake(self) -> None:
        """A command may be due: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def watch(self) -> None:
        """Find commands that wait for devices connected here and that nobody tells of, until cancelled."""
        await every(LOOK_EVERY_S, self._find_waiting)

    async def _due(self) -> list[Work]:
        work: list[Work] = [(("device", uuid), partial(self._send_kicked, uuid)) for uuid in self._kicked]
        now, at = self._now_ms(), await self._next_at()
        if at is not None and at <= now:
            ours = (self._agents.server_id, now, now + ANSWER_WITHIN_MS)
            for make in await self._db.write(makes.claim_due, *ours):
                work.append((("make", make.command_id), partial(self.look_at, make)))
        return work

    async def _next_at(self) -> int | None:
        return await self._db.glance(makes.next_wake, self._agents.server_id)

    # --- sending ------------------------------------------------------------------------------------

    async def _send_kicked(self, device_uuid: str) -> None:
        self._kicked.discard(device_uuid)  # before looking: a kick that comes meanwhile looks again
        try:
            await self.send_waiting(device_uuid)
        except Exception:
            self.kick(device_uuid)  # it still waits
            raise

    async def send_waiting(self, device_uuid: str) -> None:
        """Send the command that has waited longest, if the device is connected and its machine is free.

        If it is not connected here, the process that it is connected to is told.
        """
        connection = self._agents.connection(device_uuid)
        if connection is None:
            await self._db.notify(WAITING, device_uuid)
            return
        session = (device_uuid, connection.epoch, connection.journal_id)
        try:
            make = await self._db.write(make_progress.claim_make, *session, self._now_ms())
        except StaleSession:
            connection.end()
            await self._db.notify(WAITING, device_uuid)
            return
        if make is not None:
            self._send(make, connection)

    def _send(self, make: Make, connection: Connection) -> None:
        """Send a command that was claimed for this session."""
        self._work.expect(make.wake_at or 0)
        try:
            frame = wire.encode(self._message(make, connection))
        except Exception as error:  # whatever it is, nothing was sent: the customer must not wait
            self._work.start(("make", make.command_id), partial(self._give_up, make, error))
            return
        connection.post_frame(frame)
        log.info("make command sent", **command(make), epoch=connection.epoch)

    def _heard(self, device_uuid: str | None) -> None:
        """A process says for which device a command waits. What was lost (None) `watch` finds."""
        if device_uuid is not None and self._agents.connection(device_uuid) is not None:
            self.kick(device_uuid)

    async def _find_waiting(self) -> None:
        for device_uuid in await self._db.glance(makes.waiting_devices, self._now_ms()):
            self._heard(device_uuid)

    def _message(self, make: Make, connection: Connection) -> wire.Make:
        now = self._now_ms()
        return wire.Make(
            epoch=connection.epoch,
            command_id=make.command_id,
            order_id=make.order_id,
            drink_no=make.drink_no,
            size=make.size,
            ttl_ms=max(0, make.expires_at - now),
            issued_at_ms=now,
            price_minor=make.price_minor,
        )

    async def _give_up(self, make: Make, error: Exception) -> None:
        said = f"{type(error).__name__}: {error}"
        change = await self._db.write(
            make_progress.give_up_make,
            self._rules,
            make.command_id,
            State.REJECTED,
            Code.INTERNAL_ERROR,
            said,
            self._now_ms(),
        )
        self._tell(change)
        self.kick(make.device_uuid)

    # --- what the agents say ------------------------------------------------------------------------

    async def session_began(self, connection: Connection) -> None:
        """Ask where each command stands that was sent and not settled, then send what waits."""
        now = self._now_ms()
        unsettled, waits = await self._db.glance(makes.open_or_waiting, connection.device_uuid, now)
        for make in unsettled:
            connection.post(wire.Query(epoch=connection.epoch, command_id=make.command_id))
        if waits:
            self.kick(connection.device_uuid)

    async def take_in(self, connection: Connection, said: Sequence[Said]) -> None:
        """Take in what a session has said; when this returns it is stored. Raises StaleSession."""
        reports = [message for message in said if isinstance(message, wire.Report)]
        here = self._agents.connection(connection.device_uuid) is connection
        free = here and any(report.state.ended for report in reports)
        session = (connection.device_uuid, connection.epoch, connection.journal_id)
        taken = (self._rules, *session, said, free, self._now_ms())
        changes, next_make = await self._db.write(make_progress.take_in, *taken)
        if next_make is not None:
            self._send(next_make, connection)
        for report, change in zip(reports, changes, strict=True):
            await self._tell_of(report, change, connection)

    async def _tell_of(self, report: wire.Report, change: Change | None, connection: Connection) -> None:
        if change is None:  # else the record of the order's change says it all
            log.info(
                "agent reported",
                device_uuid=connection.device_uuid,
                command_id=report.command_id,
                state=report.state,
                code=report.code,
                said=report.said,
            )
        self._tell(change)
        if report.state.ended and change is None:
            await self._warn_if_unknown(connection, report)

    async def _warn_if_unknown(self, connection: Connection, report: wire.Report) -> None:
        """A command that is in no book of ours: the database is an older one, restored from a backup."""
        if await self._db.read(makes.get, report.command_id) is None:
            log.error(
                "report of a command that nobody here has given",
                device_uuid=connection.device_uuid,
                command_id=report.command_id,
                state=report.state,
                said=report.said,
            )

    # --- deadlines ----------------------------------------------------------------------------------

    async def look_at(self, make: Make) -> None:
        """Do what is due for a command that was claimed: end it unsent, ask the agent, or tell a person."""
        now = self._now_ms()
        if make.state == State.QUEUED:
            self._tell(await self._db.write(make_progress.expire_queued, self._rules, make.command_id, now))
        elif make.state == State.SENT and now < make.expires_at + GRACE_MS:
            connection = self._agents.connection(make.device_uuid)
            if connection is not None:
                connection.post(wire.Query(epoch=connection.epoch, command_id=make.command_id))
        elif make.state in IN_FLIGHT:
            assert make.wake_at is not None  # it was claimed until then
            overdue = (self._rules, make.command_id, make.wake_at, now)
            self._tell(await self._db.write(make_progress.overdue_make, *overdue))
            self.kick(make.device_uuid)

    def _tell(self, change: Change | None) -> None:
        if change is not None:
            self._follow(change)


def command(make: Make) -> dict[str, object]:
    """Return every parameter of a make command, for the log."""
    return {
        "order_id": make.order_id,
        "device_uuid": make.device_uuid,
        "command_id": make.command_id,
        "attempt_no": make.attempt_no,
        "drink_no": make.drink_no,
        "size": make.size,
        "price_minor": make.price_minor,
        "expires_at": make.expires_at,
    }
