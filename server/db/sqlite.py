"""SQLite: writers that wait are committed together in one thread, readers do not wait for writers.

`synchronous=FULL`, nothing less durable.
"""

import asyncio
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import aiosqlite
import structlog

from server.db.transactions import Listeners, OnNotified, OnTouched, Row, Touched, Transaction
from server.errors import Conflict, DatabaseError, SettingError
from server.migrations import prepare_sqlite

log = structlog.get_logger()

T = TypeVar("T")
P = ParamSpec("P")

GROUP_LIMIT = 256
"""Transactions committed together at most: bounds how long the first of them waits."""

_PLACEHOLDER = re.compile(r"\$(\d+)")


@lru_cache(maxsize=1024)
def sqlite_text(sql: str) -> str:
    """Return the statement with SQLite's placeholders."""
    return _PLACEHOLDER.sub(r"?\1", sql)


def drive(connection: sqlite3.Connection, transaction: Transaction[T], touched: set[str] | None = None) -> T:
    """Run a transaction's statements on a SQLite connection and return its result; note what it touches."""
    try:
        statement = next(transaction)
        while True:
            rows = connection.execute(sqlite_text(statement.sql), statement.values).fetchall()
            if touched is not None and statement.touches is not None:
                touched.add(statement.touches)
            statement = transaction.send(rows)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value is not typed


def translated(error: BaseException) -> BaseException:
    """Return the driver's error as one of ours; any other error as it is."""
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(str(error))
    if isinstance(error, sqlite3.Error):
        return DatabaseError(f"{type(error).__name__}: {error}")
    return error


def open_sqlite(path: str) -> sqlite3.Connection:
    """Open a SQLite file as money needs it: WAL, durable commits, foreign keys."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@dataclass(frozen=True)
class _Job:
    transaction: Transaction[Any]
    done: "asyncio.Future[Any]"


class SqliteDatabase:
    """SQLite in one writer thread, with readers beside it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._writer = open_sqlite(path)
        self._reader: aiosqlite.Connection | None = None
        self._listeners = Listeners()
        self._thread = threading.Thread(target=self._write_jobs, name="database writer", daemon=True)

    async def start(self) -> None:
        """Open the reader and start the writer."""
        reader = await aiosqlite.connect(f"file:{self._path}?mode=ro", uri=True, isolation_level=None)
        reader.row_factory = sqlite3.Row
        await reader.execute("PRAGMA busy_timeout = 10000")
        self._reader = reader
        self._thread.start()

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Hand the transaction to the writer; see `Database.write`."""
        if self._reader is None:
            raise DatabaseError("the database is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(transaction(*args, **kwargs), done))
        return await done

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the statements on the reader; see `Database.read`."""
        if self._reader is None:
            raise DatabaseError("the database is closed")
        program = transaction(*args, **kwargs)
        try:
            statement = next(program)
            while True:
                rows = await self._reader.execute_fetchall(sqlite_text(statement.sql), statement.values)
                statement = program.send(cast(list[Row], rows))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's return value is not typed
        except sqlite3.Error as error:
            raise translated(error) from error

    def on_touched(self, callback: OnTouched) -> None:
        """See `Database.on_touched`; what other processes commit is not told."""
        self._listeners.on_touched(callback)

    async def notify(self, channel: str, payload: str) -> None:
        """Tell this process: there is no other server on a SQLite file."""
        self._listeners.tell_notified(channel, payload)

    def on_notified(self, channel: str, callback: OnNotified) -> None:
        """See `Database.on_notified`."""
        self._listeners.on_notified(channel, callback)

    async def close(self) -> None:
        """Commit what waits, then close both connections."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            await reader.close()
        self._writer.close()

    def _write_jobs(self) -> None:
        stopping = False
        while not stopping:
            group: list[_Job] = []
            job = self._jobs.get()
            while job is not None:
                group.append(job)
                if len(group) >= GROUP_LIMIT:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            stopping = job is None
            if group:
                outcomes = commit_together(self._writer, [job.transaction for job in group])
                self._tell([job.done for job in group], outcomes)

    def _tell(self, waiting: "list[asyncio.Future[Any]]", outcomes: "list[Outcome]") -> None:
        self._loop.call_soon_threadsafe(tell, self._listeners, waiting, outcomes)


class Outcome(NamedTuple):
    """What became of a transaction."""

    value: Any
    error: BaseException | None = None
    touched: Touched = frozenset()


def tell(listeners: Listeners, waiting: "Sequence[asyncio.Future[Any]]", outcomes: Sequence[Outcome]) -> None:
    """Tell the listeners what was touched, then each writer what became of its transaction."""
    listeners.tell_touched(order_id for outcome in outcomes for order_id in outcome.touched)
    for future, outcome in zip(waiting, outcomes, strict=True):
        if future.cancelled():
            continue  # its caller has gone; the transaction stands
        if outcome.error is None:
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome.error)


def commit_together(connection: sqlite3.Connection, group: Sequence[Transaction[Any]]) -> list[Outcome]:
    """Run each transaction whole, commit all with one sync, and return each one's value or error.

    One that fails is rolled back alone. When the commit itself fails, none is kept and all have the error.
    """
    outcomes: list[Outcome] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for transaction in group:
            outcomes.append(_run_alone(connection, transaction))
        connection.execute("COMMIT")
    except Exception as error:  # whatever it is, the writer lives on
        _roll_back(connection)
        return [Outcome(None, translated(error)) for _ in group]
    return outcomes


def _roll_back(connection: sqlite3.Connection) -> None:
    try:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:  # the next BEGIN says so to its callers
        log.critical("cannot roll back", why=str(error))


def _run_alone(connection: sqlite3.Connection, transaction: Transaction[Any]) -> Outcome:
    touched: set[str] = set()
    connection.execute("SAVEPOINT one")
    try:
        value = drive(connection, transaction, touched)
    except BaseException as error:  # the caller's error is the caller's to handle; the others go on
        if not connection.in_transaction:  # a full disk ends the whole transaction, not just this part
            raise
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return Outcome(None, translated(error))
    connection.execute("RELEASE one")
    return Outcome(value, None, frozenset(touched))


async def open_sqlite_database(path: str) -> SqliteDatabase:
    """Open the file, made or upgraded as needed. Raises SettingError."""
    if not Path(path).absolute().parent.is_dir():
        raise SettingError(f"DATABASE_URL: the folder of {path} does not exist")
    try:
        await asyncio.to_thread(prepare_sqlite, path)
        database = SqliteDatabase(path)
        await database.start()
    except sqlite3.Error as error:
        raise SettingError(f"DATABASE_URL: cannot open {path}: {error}") from error
    return database
