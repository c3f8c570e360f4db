"""The agents that are connected: who they are, what they say, and how a message reaches one.

A session is one socket of one device. The newest wins: its epoch grows in the database, and whatever an older
one still says or does is ignored. Decisions are not taken here: reports go to the `Listener`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from agent import wire
from server.acceptance import accept
from server.connection import Channel, Connection
from server.db import Database
from server.due import every
from server.errors import DemitasseError
from server.intake import Intake, Said
from server.make import Session
from server.metrics import FAULTY_FRAMES, SESSIONS
from server.store import devices

log = structlog.get_logger()

HELLO_WITHIN_S = 10.0
NONCE_LIMIT = 64
LARGEST_SEQ = 2**63 - 1
"""The largest number that a database holds."""
FAULTS_LIMIT = 20
"""Frames that are not the protocol, in one session, before it is closed."""
ACCEPTED = "session_accepted"
"""The channel on which a process says `EPOCH DEVICE`: that session is the newest, any older one ends."""
LISTEN_EVERY_S = 1.0
PARTING_S = 1.5
"""How long a process that stops takes at most to part from its agents."""
LOOK_EVERY_S = 10.0
"""How long an older session lives on at most when that word was lost, and it says nothing."""


class Listener(Protocol):
    """Who takes in what the agents say."""

    async def session_began(self, connection: Connection) -> None:
        """A session was accepted: ask for what is open, send what waits."""

    async def take_in(self, connection: Connection, said: Sequence[Said]) -> None:
        """What an agent has said, in its order: when this returns it is stored. Raises StaleSession."""


class Agents:
    """Runs the sessions of this process, `server_id`, and knows the newest connection of each device here."""

    def __init__(self, db: Database, server_id: str, now_ms: Callable[[], int]) -> None:
        self.server_id = server_id
        self._db = db
        self._now_ms = now_ms
        self._connections: dict[str, Connection] = {}
        self._left: dict[str, tuple[int, int]] = {}
        """By device, epoch and end of a session whose end could not be written."""
        self.listener: Listener | None = None
        db.on_notified(ACCEPTED, self._accepted_elsewhere)

    def connection(self, device_uuid: str) -> Connection | None:
        """The device's connection on this process, or None when there is none, or one that is ending."""
        connection = self._connections.get(device_uuid)
        return None if connection is None or connection.ended else connection

    def session(self, device_uuid: str) -> Session | None:
        """Epoch and journal of the device's session on this process, if any; for any thread."""
        connection = self.connection(device_uuid)
        return None if connection is None else (connection.epoch, connection.journal_id)

    def everyone(self) -> list[Connection]:
        """All connections on this process."""
        return list(self._connections.values())

    def close_all(self) -> None:
        """End every session on this process: the agents come back, here or elsewhere."""
        for connection in self.everyone():
            connection.end()

    async def part_from_all(self) -> None:
        """End every session, not all in one moment: the agents will connect elsewhere together."""
        ending = self.everyone()
        for connection in ending:
            connection.end()
            await asyncio.sleep(min(PARTING_S / len(ending), 0.001))

    async def watch(self) -> None:
        """Look that the database and the sessions here agree, until cancelled."""
        await every(LOOK_EVERY_S, self.look)

    async def look(self) -> None:
        """Write who has left if that was not possible then; end what is not its device's newest session."""
        for device_uuid, left in list(self._left.items()):
            await self._write_left(device_uuid, *left)
            if self._left[device_uuid] == left:
                del self._left[device_uuid]
        await self._end_older()

    async def listen(self) -> None:
        """End the sessions that are silent, until cancelled: one look at all instead of a timer for each."""
        await every(LISTEN_EVERY_S, self._end_silent)

    async def _end_silent(self) -> None:
        silent_since = asyncio.get_running_loop().time() - wire.DEAD_AFTER_S + LISTEN_EVERY_S
        for connection in self.everyone():
            if connection.heard_at < silent_since and not connection.ended:
                log.info("agent is silent", device_uuid=connection.device_uuid, epoch=connection.epoch)
                connection.end()

    async def _end_older(self) -> None:
        here = self.everyone()
        if await self._db.read(devices.number_held_by, self.server_id) == len(here):
            return
        newest = await self._db.read(devices.held_by, self.server_id)
        for connection in here:
            uuid = connection.device_uuid
            if newest.get(uuid) != connection.epoch and self._connections.get(uuid) is connection:
                self._end(connection)

    def _accepted_elsewhere(self, told: str | None) -> None:
        """A process says which session it has accepted. What was lost (None) `watch` finds."""
        epoch, _, device_uuid = (told or "0 ").partition(" ")
        connection = self._connections.get(device_uuid)
        if connection is not None and connection.epoch < int(epoch):
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        log.info("an older session gives way", device_uuid=connection.device_uuid, epoch=connection.epoch)
        connection.end()

    async def converse(self, channel: Channel, device_uuid: str) -> None:
        """Run a device's session until it ends. Never raises for what the peer does."""
        try:
            hello = await self._hear_hello(channel)
            if hello is None:
                log.info("closed before hello, as a doctor does", device_uuid=device_uuid)
                await channel.close()
                return
            connection = await self._accept(channel, device_uuid, hello)
        except (wire.WireError, TimeoutError, ConnectionError, DemitasseError) as error:
            FAULTY_FRAMES.inc()
            log.warning(
                "agent session refused", device_uuid=device_uuid, why=str(error) or "no hello in time"
            )
            await channel.close()
            return
        try:
            await self._run(connection)
        finally:
            await self._part(connection)

    async def _hear_hello(self, channel: Channel) -> wire.Hello | None:
        """Return how the agent greets; None when it goes without a word."""
        async with asyncio.timeout(HELLO_WITHIN_S):
            text = await channel.receive()
        if text is None:
            return None
        hello = wire.decode_from_agent(text)
        if not isinstance(hello, wire.Hello):
            raise wire.WireError(f"the first frame must be hello, not {type(hello).__name__}")
        if hello.protocol != wire.PROTOCOL:
            raise wire.WireError(f"agent speaks protocol {hello.protocol}, this server {wire.PROTOCOL}")
        return hello

    async def _accept(self, channel: Channel, device_uuid: str, hello: wire.Hello) -> Connection:
        agent, former = await self._db.write(accept, device_uuid, self.server_id, hello, self._now_ms())
        journal_id = agent.journal_id or hello.journal_id
        connection = Connection(device_uuid, agent.epoch, journal_id, channel)
        older = self._connections.get(device_uuid)
        self._connections[device_uuid] = connection
        if older is not None:
            self._end(older)
        SESSIONS.set(len(self._connections))
        connection.post(
            wire.Welcome(
                epoch=agent.epoch,
                server_time_ms=self._now_ms(),
                acked_seq=agent.acked_seq,
                nonce=hello.nonce[:NONCE_LIMIT],
            )
        )
        log.info(
            "agent connected",
            device_uuid=device_uuid,
            epoch=agent.epoch,
            agent_version=hello.agent_version,
            machine_state=hello.machine.state,
            machine_model=hello.machine.model,
        )
        if former not in (None, self.server_id):
            await self._db.notify(ACCEPTED, f"{agent.epoch} {device_uuid}")
        return connection

    async def _run(self, connection: Connection) -> None:
        """Take in what the agent says until the session ends. One task: there are ten thousand of them."""
        assert self.listener is not None  # set by the composition root before the first socket
        connection.begin()
        intake = Intake(connection, self._store)
        try:
            await self.listener.session_began(connection)
            await self._read(connection, intake)
        except asyncio.CancelledError:
            if not connection.was_cut_off():
                intake.drop()
                raise
        except ConnectionError:
            return
        except Exception as error:  # nothing was asked: the agent comes back and is asked then
            log.error("agent session failed", device_uuid=connection.device_uuid, exc_info=error)
        finally:
            connection.leave()
            await intake.finish()
            await connection.finish()

    async def _store(self, connection: Connection, said: list[Said]) -> None:
        assert self.listener is not None
        await self.listener.take_in(connection, said)
        for message in said:
            if isinstance(message, wire.Report) and message.seq is not None and not connection.ended:
                connection.post(wire.Stored(seq=message.seq))

    async def _read(self, connection: Connection, intake: Intake) -> None:
        clock = asyncio.get_running_loop()
        while True:
            try:
                text = await connection.channel.receive()
                if text is None:
                    return
                connection.heard_at = clock.time()
                message = _checked(wire.decode_from_agent(text))
            except wire.WireError as error:
                if not self._tolerate(connection, error):
                    return
                continue
            if self._connections.get(connection.device_uuid) is not connection:
                return
            if isinstance(message, Said):
                await intake.put(message)
            elif not self._answer(connection, message):
                return

    def _tolerate(self, connection: Connection, error: wire.WireError) -> bool:
        """Answer a frame that is not the protocol; return whether the session goes on."""
        FAULTY_FRAMES.inc()
        connection.faults += 1
        log.warning("frame is not the protocol", device_uuid=connection.device_uuid, why=str(error)[:300])
        if connection.faults > FAULTS_LIMIT:
            return False
        connection.post(wire.Fault(text=str(error)[:300]))
        return True

    def _answer(self, connection: Connection, message: wire.AgentMessage) -> bool:
        """Do what a message asks that is not stored; return whether the session goes on."""
        match message:
            case wire.Ping():
                connection.post(wire.Pong())
            case wire.Fault():
                FAULTY_FRAMES.inc()
                log.warning(
                    "agent did not understand", device_uuid=connection.device_uuid, why=message.text[:300]
                )
            case wire.Hello():
                return self._tolerate(connection, wire.WireError("hello came twice"))
        return True

    async def _part(self, connection: Connection) -> None:
        newest = self._connections.get(connection.device_uuid) is connection
        if newest:
            del self._connections[connection.device_uuid]
            SESSIONS.set(len(self._connections))
        await connection.channel.close()
        log.info("agent disconnected", device_uuid=connection.device_uuid, epoch=connection.epoch)
        device_uuid, left = connection.device_uuid, (connection.epoch, self._now_ms())
        try:
            await self._write_left(device_uuid, *left)
        except DemitasseError as error:
            log.error("cannot record yet that an agent left", device_uuid=device_uuid, why=str(error))
            self._left[device_uuid] = max(left, self._left.get(device_uuid, left))

    async def _write_left(self, device_uuid: str, epoch: int, at: int) -> None:
        """Write that a session has ended, unless the device has a newer one."""
        gone = {"connected_at": None, "server_id": None, "last_seen_at": at}
        await self._db.write(devices.change_agent, device_uuid, epoch, gone)


def _checked(message: wire.AgentMessage) -> wire.AgentMessage:
    """Return the message. Raises WireError when its number is none that an agent gives."""
    if isinstance(message, wire.Report) and not 0 < (message.seq or 1) <= LARGEST_SEQ:
        raise wire.WireError(f"a report's seq is between 1 and {LARGEST_SEQ}")
    return message
