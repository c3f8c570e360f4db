"""What an agent has said and is not stored yet. What came while the last was stored is stored together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import structlog

from agent import wire
from server.connection import Connection
from server.make_progress import StaleSession

log = structlog.get_logger()

Said: TypeAlias = wire.Report | wire.Machine
Store: TypeAlias = Callable[[Connection, list[Said]], Awaitable[None]]

MOST_WAITING = 64
"""Messages of one agent that wait to be stored; it is not listened to until there are fewer."""

MACHINE_WAITS_S = 0.01
"""How long a machine's state waits for the report that it mostly comes with."""


class Intake:
    """What one session says, in its order. When it cannot be stored the session ends: it is said again."""

    __slots__ = ("_connection", "_store", "_storing", "_timer", "_waiting")

    def __init__(self, connection: Connection, store: Store) -> None:
        self._connection = connection
        self._store = store
        self._waiting: list[Said] = []
        self._storing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, said: Said) -> None:
        """Have a message stored; it does not wait for that, unless too many wait already."""
        self._waiting.append(said)
        if self._storing is None:
            if isinstance(said, wire.Report):
                self._begin()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(MACHINE_WAITS_S, self._begin)
        while len(self._waiting) >= MOST_WAITING and self._storing is not None:
            await asyncio.wait([self._storing])

    async def finish(self) -> None:
        """The session has ended: what it has said is still stored."""
        if self._waiting and self._storing is None:
            self._begin()
        if (storing := self._storing) is not None:
            try:
                await asyncio.wait([storing])
            except asyncio.CancelledError:
                self.drop()
                raise

    def drop(self) -> None:
        """The process itself ends: store nothing more. The agent says it again, to whoever serves then."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._storing is not None:
            self._storing.cancel()

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._storing = asyncio.create_task(self._store_all())

    async def _store_all(self) -> None:
        try:
            while self._waiting:
                said, self._waiting = self._waiting, []
                await self._store(self._connection, said)
        except StaleSession:
            self._give_up()
        except Exception as error:
            log.error("agent session failed", device_uuid=self._connection.device_uuid, exc_info=error)
            self._give_up()
        finally:
            self._storing = None

    def _give_up(self) -> None:
        """Something was not stored: nor is what was said after it. The agent comes back and says it again."""
        self._waiting.clear()
        self._connection.end()
