"""SQLite: writers that wait are committed together in one thread, readers do not wait for writers.

`synchronous=FULL`, nothing less durable. A transaction is carried to its thread whole: what costs is the hop
between threads, not the disk (a hop per statement took half of a sale's processor time).
"""

import asyncio
import queue
import re
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

import structlog

from server.db.transactions import Listeners, OnNotified, OnTouched, Touched, Transaction
from server.errors import Conflict, DatabaseError, SettingError
from server.migrations import prepare_sqlite

log = structlog.get_logger()

T = TypeVar("T")
P = ParamSpec("P")

GROUP_LIMIT = 256
"""Transactions committed together at most: bounds how long the first of them waits."""

READERS = 4
"""Transactions that read at a time: a long report must not keep an order's page waiting."""

STATEMENTS_KEPT = 512
"""Statements that a connection keeps compiled: more than the server has."""

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
    connection = _connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _connect(path: str, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS_KEPT, uri=uri
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA busy_timeout = 10000")
    return connection


def open_reader(path: str) -> sqlite3.Connection:
    """Open a SQLite file for questions only."""
    return _connect(f"file:{path}?mode=ro", uri=True)


def open_glancer(path: str) -> sqlite3.Connection:
    """Open a SQLite file for questions from the loop, which must not wait for whoever has the file."""
    connection = open_reader(path)
    connection.execute("PRAGMA busy_timeout = 0")
    return connection


class Readers:
    """Threads that read, each by a connection of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._threads = ThreadPoolExecutor(READERS, "database reader")

    async def run(self, transaction: Transaction[T]) -> T:
        """Run a transaction that only selects. Raises what SQLite raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._drive, transaction)

    def close(self) -> None:
        """Let what is being read end, then close the connections."""
        self._threads.shutdown()
        for connection in self._opened:
            connection.close()

    def _drive(self, transaction: Transaction[T]) -> T:
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = open_reader(self._path)
            self._opened.append(connection)
        return drive(connection, transaction)


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
        self._readers: Readers | None = None
        self._listeners = Listeners()
        self._thread = threading.Thread(target=self._write_jobs, name="database writer", daemon=True)

    def start(self) -> None:
        """Start the writer and the readers."""
        self._readers = Readers(self._path)
        self._glancer = open_glancer(self._path)
        self._thread.start()

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Hand the transaction to the writer; see `Database.write`."""
        if self._readers is None:
            raise DatabaseError("the database is closed")
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(transaction(*args, **kwargs), done))
        return await done

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Carry the transaction to a reader; see `Database.read`."""
        if self._readers is None:
            raise DatabaseError("the database is closed")
        try:
            return await self._readers.run(transaction(*args, **kwargs))
        except sqlite3.Error as error:
            raise translated(error) from error

    async def glance(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the statements here and now; see `Database.glance`."""
        if self._readers is None:
            raise DatabaseError("the database is closed")
        try:
            return drive(self._glancer, transaction(*args, **kwargs))
        except sqlite3.OperationalError:  # somebody has the file to himself: the loop must not wait for him
            return await self.read(transaction, *args, **kwargs)
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
        """Commit what waits, let what is being read end, then close the connections."""
        if self._readers is not None:
            readers, self._readers = self._readers, None
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)
            await asyncio.to_thread(readers.close)
            self._glancer.close()
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
        database.start()
    except sqlite3.Error as error:
        raise SettingError(f"DATABASE_URL: cannot open {path}: {error}") from error
    return database
