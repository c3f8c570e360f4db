"""One connection to the server, from `Hello` to its loss: who says what, and when. It keeps nothing.

One task hears, one writes, one pings, one sends the outbox; the first to find the connection gone ends all.
"""

import asyncio
import random
import re
import secrets
from typing import NoReturn, Protocol

import structlog

from agent import wire
from agent.journal import Carry, Journal
from agent.journal_file import JournalError
from agent.wire import MachineReport, Make, Message, Query, Welcome

log = structlog.get_logger()

WELCOME_LIMIT_S = 10.0
"""How long the server may take to answer `Hello`."""

WINDOW = 20
"""Reports on their way at a time; more wait for `Stored`, so that a long absence ends without a flood."""

REPEAT_AFTER_S = 10.0
"""Reports whose `Stored` has not come by then are sent again."""

FAULTS_LIMIT = 20
"""Frames not understood in one session after which it is given up."""

ID_LIMIT = 100
ID = re.compile(rf"[!-~]{{1,{ID_LIMIT}}}")
"""A command id: short, so that a `Hello` with many of them fits its frame."""

OUTGOING_LIMIT = 256
"""Messages waiting to be written; more are not kept, since the server asks again."""


class LinkLost(Exception):
    """There is no connection, or no more. `welcomed` says whether the session had begun."""

    welcomed = False


class TokenRefused(LinkLost):
    """The server does not know this agent's token."""


class Channel(Protocol):
    """A connection that carries frames of text, in order."""

    async def send(self, text: str) -> None:
        """Send one frame. Raises LinkLost."""

    async def receive(self) -> str | None:
        """Return the next frame, or None once the connection is closed or broken."""

    async def close(self) -> None:
        """Close. May be called twice; raises nothing."""


class Desk(Protocol):
    """Who takes the server's commands."""

    @property
    def machine_report(self) -> MachineReport:
        """The machine as it is known now."""

    def take(self, message: Make | Query) -> bool:
        """Take a command, to be answered by `Link.tell` or the outbox. False: too many wait already."""


class Session:
    """One session over `channel`; `stale` counts commands of others, `faults` frames not understood."""

    def __init__(
        self, channel: Channel, journal: Journal, desk: Desk, *, carry: Carry, chance: random.Random
    ) -> None:
        self._channel = channel
        self._journal = journal
        self._desk = desk
        self._carry = carry
        self._chance = chance
        self._welcome: Welcome | None = None
        self._outgoing: asyncio.Queue[Message] = asyncio.Queue(OUTGOING_LIMIT)
        self._outbox = asyncio.Event()
        self._on_the_way: set[int] = set()
        self._stored: set[int] = set()
        self.stale = 0
        self.faults = 0

    @property
    def welcomed(self) -> bool:
        """Whether the server has answered `Hello`."""
        return self._welcome is not None

    def tell(self, message: Message) -> None:
        """Say something that nobody keeps, after what is already waiting."""
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("message not said: the connection takes no more", kind=type(message).__name__)

    def outbox_grew(self) -> None:
        """Send what the journal's outbox now has."""
        self._outbox.set()

    async def talk(self, boot_id: str, version: str) -> NoReturn:
        """Hold the session until it is lost, which is told by raising LinkLost."""
        try:
            await self._greet(boot_id, version)
            self._outbox.set()
            await self._converse()
        except LinkLost as lost:
            lost.welcomed = self.welcomed
            raise

    async def _converse(self) -> NoReturn:
        """Run the four tasks until one finds the connection gone, and tell why.

        Not in a TaskGroup: one of Python 3.11 that ends for an error swallows a cancellation of the whole.
        """
        works = (self._listen, self._write, self._ping, self._send_outbox)
        tasks = [asyncio.create_task(work()) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if not isinstance(end, LinkLost | asyncio.CancelledError):
                raise end
        raise LinkLost("; ".join(str(end) for end in ends if isinstance(end, LinkLost)))

    # --- the four tasks ---------------------------------------------------------------------------

    async def _listen(self) -> NoReturn:
        while True:
            text = await self._hear(wire.DEAD_AFTER_S)
            try:
                message = wire.decode_from_server(text)
            except wire.WireError as error:
                self._fault(str(error))
            else:
                self._heed(message)

    async def _write(self) -> NoReturn:
        while True:
            await self._send(await self._outgoing.get())

    async def _ping(self) -> NoReturn:
        said = self._welcome.heartbeat_s if self._welcome else wire.HEARTBEAT_S
        heartbeat = min(max(said, 1.0), wire.HEARTBEAT_S)
        while True:
            await asyncio.sleep(heartbeat * (1 - self._chance.random() / 4))
            self.tell(wire.Ping())

    async def _send_outbox(self) -> NoReturn:
        sent = 0
        while True:
            try:
                async with asyncio.timeout(REPEAT_AFTER_S if self._on_the_way else None):
                    await self._outbox.wait()
            except TimeoutError:
                log.warning("server has not stored reports, sent again", reports=len(self._on_the_way))
                self._on_the_way.clear()
                sent = 0
            self._outbox.clear()
            try:
                sent = await self._send_reports(sent)
                await self._forget_stored()
            except JournalError as error:
                log.error("outbox is not read or cleared", reason=str(error))
                await asyncio.sleep(REPEAT_AFTER_S)
                self._outbox.set()

    # --- what they do -----------------------------------------------------------------------------

    async def _send_reports(self, sent: int) -> int:
        """Send what there is room for above `sent`, return the last number sent."""
        room = WINDOW - len(self._on_the_way)
        if room <= 0:
            return sent
        for report in await self._carry(self._journal.unsent_reports, sent, room):
            sent = report.seq or sent
            self._on_the_way.add(sent)
            await self._outgoing.put(report)
        return sent

    async def _forget_stored(self) -> None:
        """Forget what the server has stored: after sending, since on a full disk only this fails."""
        if stored := tuple(self._stored):
            await self._carry(self._journal.stored, stored)
            self._stored.difference_update(stored)

    async def _greet(self, boot_id: str, version: str) -> None:
        try:
            open_makes = await self._carry(self._journal.open_makes)
        except JournalError as error:
            log.error("open makes are not told", reason=str(error))
            open_makes = ()
        journal = self._journal
        machine = self._desk.machine_report
        nonce = secrets.token_hex(8)
        await self._send(
            wire.Hello(
                wire.PROTOCOL,
                version,
                boot_id,
                journal.journal_id,
                journal.journal_high,
                machine,
                open_makes,
                nonce,
            )
        )
        try:
            async with asyncio.timeout(WELCOME_LIMIT_S):
                self._welcome = await self._await_welcome(nonce)
        except TimeoutError:
            raise LinkLost(f"no welcome in {WELCOME_LIMIT_S:.0f} s") from None
        log.info("server welcomes this agent", epoch=self._welcome.epoch)

    async def _await_welcome(self, nonce: str) -> Welcome:
        while True:
            text = await self._hear(WELCOME_LIMIT_S)
            try:
                message = wire.decode_from_server(text)
            except wire.WireError as error:
                self._fault(str(error))
                continue
            if not isinstance(message, Welcome):
                self._heed(message)
            elif message.nonce in (nonce, ""):  # a server from before the nonce says none
                return message
            else:
                self._fault("this welcome answers another hello")

    async def _hear(self, limit_s: float) -> str:
        try:
            async with asyncio.timeout(limit_s):
                text = await self._channel.receive()
        except TimeoutError:
            raise LinkLost(f"nothing heard for {limit_s:.0f} s") from None
        if text is None:
            raise LinkLost("the connection was closed")
        return text

    async def _send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(wire.DEAD_AFTER_S):
                await self._channel.send(wire.encode(message))
        except TimeoutError:
            raise LinkLost(f"nothing could be sent for {wire.DEAD_AFTER_S:.0f} s") from None

    def _heed(self, message: wire.ServerMessage) -> None:
        match message:
            case Make() | Query():
                self._pass_on(message)
            case wire.Stored(seq=seq) if not 0 < seq <= self._journal.journal_high:
                self._fault(f"no report has the number {seq}")
            case wire.Stored(seq=seq):
                self._on_the_way.discard(seq)
                self._stored.add(seq)
                self._outbox.set()
            case wire.Fault(text=text):
                log.error("server did not understand this agent", reason=text)
            case Welcome():
                self._fault("welcome came twice")
            case wire.Pong():
                pass

    def _pass_on(self, message: Make | Query) -> None:
        epoch = self._welcome.epoch if self._welcome else None
        if message.epoch != epoch:
            self.stale += 1
            log.warning(
                "command of another session dropped",
                command=message.command_id,
                theirs=message.epoch,
                ours=epoch,
            )
        elif not ID.fullmatch(message.command_id):
            self._fault(f"command_id: 1 to {ID_LIMIT} printable ASCII characters are possible")
        elif not self._desk.take(message):
            log.warning("too many commands at once: one is not taken", command=message.command_id)
            self.tell(wire.Fault(f"too many commands at once: {message.command_id} is not taken"))

    def _fault(self, text: str) -> None:
        self.faults += 1
        log.warning("frame not understood", reason=text, faults=self.faults)
        if self.faults >= FAULTS_LIMIT:
            raise LinkLost(f"{self.faults} frames were not understood")
        self.tell(wire.Fault(text[:200]))
