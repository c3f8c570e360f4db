"""PostgreSQL: a write has to itself what it decides by, so together writes do what SQLite's one writer would.

`postgres_locks` says what that is. A write that met another is run again from its beginning. A connection
that was lost is replaced; what was on it is run again only if it is known not to be committed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from server.db.news import News
from server.db.patience import InDoubt, MetAnother, Patience, Unreachable, Violation
from server.db.postgres_text import postgres_text, postgres_values
from server.db.transactions import (
    Listeners,
    OnNotified,
    OnTouched,
    Row,
    Statement,
    Transaction,
    is_serializable,
)
from server.errors import DatabaseError, SettingError
from server.migrations.postgres import prepare_postgres

T = TypeVar("T")
P = ParamSpec("P")

Connection = PoolConnectionProxy

ANSWER_WITHIN_S = 10.0
"""How long one statement may take, and one connection may take to be made."""

CLOSE_WITHIN_S = 10.0

WRITERS = 6
"""Transactions that write at a time, of one process, at most: they share the waits for the disk.

With 2 a third is lost, and with 12 nothing is won. Sixteen sales at once, at twenty machines, never met.
"""

_EVERYWHERE = {
    "application_name": "demitasse",
    "synchronous_commit": "on",
    "jit": "off",  # compiling costs more than any of our statements
    "idle_in_transaction_session_timeout": "15000",  # a process that stands still blocks nobody
}
_WRITING = {"default_transaction_isolation": "repeatable read"}
_BEGIN, _BEGIN_SERIALIZABLE = "BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE"
_READING = {"default_transaction_read_only": "on"}

_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_MET_ANOTHER = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)


def translated(error: BaseException, connection_lost: bool = False) -> BaseException:
    """Return the driver's error as one of ours; any other error as it is."""
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, _LOST) or connection_lost:
        return Unreachable(told)
    if isinstance(error, _MET_ANOTHER):
        return MetAnother(told)
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return Violation(told)
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return DatabaseError(told)
    return error


class PostgresDatabase:
    """Connections that write, some that read, and one that tells and hears what was changed."""

    def __init__(self, url: str, connections: int) -> None:
        writers = max(1, min(WRITERS, connections - 2))
        self._writers = _pool(url, writers, _WRITING)
        self._readers = _pool(url, max(1, connections - writers - 1), _READING)
        self._listeners = Listeners()
        self._news = News(lambda: _connect(url), self._listeners)
        self._working: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def start(self) -> None:
        """Begin to hear other processes. Connections are made when they are needed."""
        await self._readers
        await self._writers
        await self._news.start()

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the transaction until it is committed; see `Database.write`. It may be run several times.

        Its caller may be cancelled: the transaction goes on to its end, whatever that is.
        """
        begin = _BEGIN_SERIALIZABLE if is_serializable(transaction) else _BEGIN
        return await self._to_its_end(self._until_committed(begin, lambda: transaction(*args, **kwargs)))

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the statements on a reader; see `Database.read`."""
        return await self._to_its_end(self._until_read(lambda: transaction(*args, **kwargs)))

    async def glance(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the statements on a reader; see `Database.glance`."""
        return await self.read(transaction, *args, **kwargs)

    def on_touched(self, callback: OnTouched) -> None:
        """See `Database.on_touched`; what other processes commit is told as well."""
        self._listeners.on_touched(callback)

    async def notify(self, channel: str, payload: str) -> None:
        """See `Database.notify`."""
        self._listeners.tell_notified(channel, payload)
        self._news.notify(channel, payload)

    def on_notified(self, channel: str, callback: OnNotified) -> None:
        """See `Database.on_notified`."""
        self._listeners.on_notified(channel, callback)

    async def close(self) -> None:
        """Finish what was begun, then close every connection."""
        self._closed = True
        await asyncio.gather(*self._working, return_exceptions=True)
        await self._news.close()
        for pool in (self._writers, self._readers):
            try:
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work also when its caller is cancelled: a query that is broken off costs its connection."""
        if self._closed:
            work.close()
            raise DatabaseError("the database is closed")
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    async def _until_read(self, begin: Callable[[], Transaction[T]]) -> T:
        patience = Patience()
        while True:
            try:
                async with _connection(self._readers) as connection:
                    return await _Run(connection).drive(begin())
            except (MetAnother, Unreachable) as error:
                await patience.wait(error)

    # --- writing ------------------------------------------------------------------------------------

    async def _until_committed(self, begin: str, program: Callable[[], Transaction[T]]) -> T:
        patience = Patience()
        while True:
            try:
                return await self._attempt(begin, program())
            except (MetAnother, Violation, Unreachable) as error:
                await patience.wait(error)

    async def _attempt(self, begin: str, program: Transaction[T]) -> T:
        """Run the transaction once and commit it. Raises what `Patience` knows when it may be run again."""
        try:
            async with _connection(self._writers) as connection:
                run = _Run(connection)
                value = await run.in_transaction(begin, program)
        except InDoubt as doubt:
            if not await self._was_committed(doubt):
                raise Unreachable(str(doubt)) from doubt
            value = doubt.value
        self._listeners.tell_touched(run.touched)
        self._news.touched(run.touched)
        return value

    async def _was_committed(self, doubt: InDoubt) -> bool:
        """Ask the database what became of a transaction whose commit was not answered."""
        patience = Patience(doubt.SETTLED_WITHIN_S)
        while True:
            try:
                async with _connection(self._readers) as connection:
                    status = await connection.fetchval(_STATUS, doubt.number)
            except Unreachable as error:
                status = str(error)
            except (
                asyncpg.PostgresError
            ) as error:  # it does not know the number: another database stands there
                raise DatabaseError(f"it is not known whether the transaction was kept: {error}") from error
            if status in ("committed", "aborted"):
                return bool(status == "committed")
            await patience.wait(Unreachable(f"it is not known whether the transaction was kept: {status}"))


_STATUS = "SELECT pg_xact_status($1::text::xid8)"


class _Run:
    """One run of a transaction on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._writes = False
        self._changes = False
        self._number: str | None = None
        self.touched: set[str] = set()

    async def in_transaction(self, begin: str, program: Transaction[T]) -> T:
        """Run the transaction and commit it. Raises InDoubt when the commit was not answered."""
        self._writes = True
        try:
            await self._execute(begin)
            value = await self.drive(program)
            if self._changes and self._number is None:
                self._number = (await self._fetch("SELECT pg_current_xact_id()::text", ()))[0][0]
        except BaseException:
            await self._roll_back()
            raise
        try:
            await self._execute("COMMIT")
        except Unreachable as error:
            _end(self._connection)
            if self._number is None:
                raise
            raise InDoubt(self._number, value, str(error)) from error
        return value

    async def drive(self, program: Transaction[T]) -> T:
        """Run the statements and return the transaction's result."""
        try:
            statement = next(program)
            while True:
                statement = program.send(await self._rows(statement))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # a generator's return value is not typed

    async def _rows(self, statement: Statement) -> Sequence[Row]:
        text = postgres_text(statement.sql, statement.values, self._writes)
        rows = await self._fetch(text.sql, postgres_values(statement.values))
        if statement.touches is not None:
            self.touched.add(statement.touches)
        self._changes = self._changes or text.changes
        if not text.tells_number:
            return rows
        if rows:
            self._number = rows[0]["number"]
        return ()

    async def _fetch(self, sql: str, values: Sequence[Any]) -> Sequence[Any]:
        try:
            return await self._connection.fetch(sql, *values)
        except Exception as error:
            raise translated(error, _is_lost(self._connection)) from error

    async def _execute(self, sql: str) -> None:
        try:
            await self._connection.execute(sql)
        except Exception as error:
            raise translated(error, _is_lost(self._connection)) from error

    async def _roll_back(self) -> None:
        try:
            await self._execute("ROLLBACK")
        except DatabaseError:
            _end(self._connection)
        except BaseException:  # cancelled: a connection with an open transaction must not go back to its pool
            _end(self._connection)
            raise


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # its pool has taken it back, as it does with one that was closed
        return True


def _end(connection: Connection) -> None:
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


@asynccontextmanager
async def _connection(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """Take a connection that works, for as long as the block lasts."""
    try:
        connection = await pool.acquire()
    except Exception as error:
        raise translated(error) from error
    try:
        yield connection
    finally:
        with suppress(*_LOST, asyncpg.InterfaceError):  # what was lost is replaced when it is needed
            await pool.release(connection)


def _pool(url: str, size: int, settings: dict[str, str]) -> asyncpg.Pool:
    return asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        reset=_leave_as_it_is,
        timeout=ANSWER_WITHIN_S,
        command_timeout=ANSWER_WITHIN_S,
        statement_cache_size=1000,
        max_cached_statement_lifetime=0,
        server_settings={**_EVERYWHERE, **settings},
    )


async def _connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        url, timeout=ANSWER_WITHIN_S, command_timeout=ANSWER_WITHIN_S, server_settings=_EVERYWHERE
    )


async def _leave_as_it_is(connection: asyncpg.Connection) -> None:
    """A connection keeps nothing from one transaction to the next: there is nothing to reset."""


async def open_postgres_database(url: str, connections: int) -> PostgresDatabase:
    """Open the database, made or upgraded as needed. Raises SettingError."""
    try:
        connection = await _connect(url)
        try:
            await prepare_postgres(connection)
        finally:
            await connection.close()
        database = PostgresDatabase(url, connections)
        await database.start()
    except (*_LOST, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, DatabaseError) as error:
        raise SettingError(f"DATABASE_URL: cannot open the database: {error}") from error
    return database
