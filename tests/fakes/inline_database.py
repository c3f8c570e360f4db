"""A database for simulations: SQLite in memory, driven by the loop itself, since virtual time waits for none.

Transactions that wait are committed together by the server's own code, as its writer thread does. What is
committed outlives the `InlineDatabase`, since the connection is the caller's.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from server.db.sqlite import Outcome, commit_together, drive, tell, translated
from server.db.transactions import Listeners, OnNotified, OnTouched, Transaction
from server.migrations import schema_statements

P = ParamSpec("P")
T = TypeVar("T")


def new_connection() -> sqlite3.Connection:
    """Return a connection to a new database in memory that has the schema."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.deserialize(_empty())
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


class Gate:
    """What a process passes on its way to the database. A test overrides these to delay, refuse or kill."""

    def reading(self) -> None:
        """A read is about to run. May raise."""

    def committing(self) -> None:
        """A commit is about to happen. May raise: `sqlite3.Error` fails it, anything else drops it."""

    def committed(self) -> None:
        """A commit has happened and nobody knows it yet. May raise: then nobody is told."""

    def pause_s(self) -> float:
        """Return how long the next operation takes, in seconds."""
        return 0.0


class InlineDatabase:
    """Implements `server.db.Database`."""

    def __init__(self, connection: sqlite3.Connection, gate: Gate | None = None) -> None:
        self._connection = connection
        self._gate = gate or Gate()
        self._listeners = Listeners()
        self._waiting: list[tuple[Transaction[Any], asyncio.Future[Any]]] = []

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._waiting.append((transaction(*args, **kwargs), done))
        if len(self._waiting) == 1:
            loop.call_later(self._gate.pause_s(), self._commit)
        return await done

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        self._gate.reading()
        await asyncio.sleep(self._gate.pause_s())
        self._gate.reading()
        try:
            return drive(self._connection, transaction(*args, **kwargs))
        except sqlite3.Error as error:
            raise translated(error) from error

    async def glance(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.read(transaction, *args, **kwargs)

    def on_touched(self, callback: OnTouched) -> None:
        self._listeners.on_touched(callback)

    async def notify(self, channel: str, payload: str) -> None:
        self.hear(channel, payload)

    def hear(self, channel: str, payload: str) -> None:
        """Something is told on a channel, here or by another process."""
        self._listeners.tell_notified(channel, payload)

    def on_notified(self, channel: str, callback: OnNotified) -> None:
        self._listeners.on_notified(channel, callback)

    async def close(self) -> None:
        """Nothing to close: the connection is the caller's."""

    def _commit(self) -> None:
        group, self._waiting = self._waiting, []
        try:
            self._gate.committing()
            outcomes = commit_together(self._connection, [transaction for transaction, _ in group])
            self._gate.committed()
        except sqlite3.Error as error:
            outcomes = [Outcome(None, translated(error)) for _ in group]
        except BaseException:  # the process is dead: nobody is there to be told
            return
        tell(self._listeners, [done for _, done in group], outcomes)


def _empty() -> bytes:
    """Return the image of a database that has the schema and no rows."""
    if not _IMAGE:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(schema_statements())
        _IMAGE.append(connection.serialize())
        connection.close()
    return _IMAGE[0]


_IMAGE: list[bytes] = []
