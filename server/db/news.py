"""What was changed, told from process to process by PostgreSQL's NOTIFY.

It is sent right after the commit and not in it, since commits that notify wait for each other. So it may be
lost; whenever it could have been, everyone is told to look at everything.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import asyncpg
import msgspec
import structlog

from server.db.transactions import Listeners

log = structlog.get_logger()

CHANNEL = "demitasse"
TOUCHED = ""
"""Stands where a channel's name is expected for the orders that were touched."""

ENOUGH = 1_000
"""News that wait to be sent at most; instead of more, everyone is told to look at everything."""

LIMIT_BYTES = 7_000
"""Of one NOTIFY; PostgreSQL takes just under 8000."""

AGAIN_S = 0.5
"""Pause between two attempts to connect."""

PULSE_S = 10.0
"""How often a silent connection is tried, since one that is cut without a word looks like a silent one."""

Item = tuple[str, str]
Message = list[Item] | None
"""What was said on which channel; None: look at everything."""


class News:
    """Keeps one connection that hears the other processes and tells them what happens here."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], listeners: Listeners) -> None:
        self._connect = connect
        self._listeners = listeners
        self._told = 0
        """How often something was to be told."""
        self._waiting: dict[Item, int] = {}
        """By the last time that it was to be told: what comes again while it is sent is sent again."""
        self._too_many_at = 0
        self._wake = asyncio.Event()
        self._heard_first = asyncio.Event()
        self._own_pid = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, and return when the other processes are heard."""
        self._task = asyncio.create_task(self._run())
        await self._heard_first.wait()

    async def close(self) -> None:
        """Tell what waits, unless the connection is lost, and stop."""
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    while self._waiting and not self._task.done():
                        self._wake.set()
                        await asyncio.sleep(0.01)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def touched(self, order_ids: Iterable[str]) -> None:
        """Tell the other processes which orders look different now."""
        for order_id in order_ids:
            self._tell((TOUCHED, order_id))

    def notify(self, channel: str, payload: str) -> None:
        """Tell the other processes something on a channel."""
        self._tell((channel, payload))

    def _tell(self, item: Item) -> None:
        self._told += 1
        self._waiting[item] = self._told
        if len(self._waiting) > ENOUGH:
            self._waiting.clear()
            self._too_many_at = self._told
        self._wake.set()

    # --- the connection -----------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._live(await self._connect())
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("news of other processes are not heard", why=f"{type(error).__name__}: {error}")
            await asyncio.sleep(AGAIN_S)

    async def _live(self, connection: asyncpg.Connection) -> None:
        """Hear and tell until the connection is lost."""
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            self._own_pid = connection.get_server_pid()
            await connection.add_listener(CHANNEL, self._hear)
            if self._heard_first.is_set():
                self._listeners.tell_everything()
            self._heard_first.set()
            while not connection.is_closed():
                await self._send(connection)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PULSE_S):
                        await self._wake.wait()
                self._wake.clear()
        finally:
            connection.terminate()

    async def _send(self, connection: asyncpg.Connection) -> None:
        now = self._told
        if self._too_many_at:
            await connection.execute(_NOTIFY, CHANNEL, "null")
            if self._too_many_at <= now:
                self._too_many_at = 0
        messages = list(_messages(self._waiting))
        for message, items in messages:
            await connection.execute(_NOTIFY, CHANNEL, message)
            for item in items:
                if self._waiting.get(item, now) <= now:
                    self._waiting.pop(item, None)
        if not messages:
            await connection.execute("SELECT 1")

    def _hear(self, connection: Any, pid: int, channel: str, payload: Any) -> None:
        if pid == self._own_pid:
            return  # who listens here was told at once
        try:
            message = msgspec.json.decode(payload, type=Message)
        except msgspec.DecodeError:
            log.warning("news that cannot be read", payload=payload[:200])
            message = None
        if message is None:
            self._listeners.tell_everything()
            return
        self._listeners.tell_touched(told for where, told in message if where == TOUCHED)
        for where, told in message:
            if where != TOUCHED:
                self._listeners.tell_notified(where, told)


_NOTIFY = "SELECT pg_notify($1, $2)"


def _messages(waiting: Iterable[Item]) -> Iterator[tuple[str, list[Item]]]:
    """Yield texts that are short enough for one NOTIFY, each with what it tells."""
    encoded: list[bytes] = []
    items: list[Item] = []
    size = 0
    for item in waiting:
        told = msgspec.json.encode(item)
        if items and size + len(told) > LIMIT_BYTES:
            yield f"[{b','.join(encoded).decode()}]", items
            encoded, items, size = [], [], 0
        encoded.append(told)
        items.append(item)
        size += len(told) + 1
    if items:
        yield f"[{b','.join(encoded).decode()}]", items
