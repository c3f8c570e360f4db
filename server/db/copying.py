"""Copies everything from one database to an empty one, of either kind: all of it or nothing."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any, Protocol

import asyncpg

from server.db.postgres_text import postgres_values
from server.db.sqlite import open_sqlite
from server.errors import DatabaseError, SettingError
from server.migrations import schema_statements

ROWS = 1_000
"""Rows that are carried at a time."""

_OF_PROCESSES = ("schema_version", "servers")
TABLES = [
    name for name in re.findall(r"CREATE TABLE (\w+)", schema_statements()) if name not in _OF_PROCESSES
]
"""Each after those that it refers to."""

Rows = list[tuple[Any, ...]]
Sums = dict[str, int]
"""Of a table: how many rows it has, and the sum of each column of money."""


class Side(Protocol):
    """One of the two databases, in one transaction."""

    async def columns(self, table: str) -> list[str]:
        """Return the names of the table's columns."""

    def rows(self, table: str, columns: list[str]) -> AsyncIterator[Rows]:
        """Yield the table's rows."""

    async def add(self, table: str, columns: list[str], rows: Rows) -> None:
        """Add rows."""

    async def one(self, sql: str) -> list[Any]:
        """Return the only row of a query."""


async def copy(source_url: str, target_url: str) -> dict[str, Sums]:
    """Copy every table, verify it, and return what each has. Both databases have the present schema.

    Raises SettingError when the target is not empty, DatabaseError when it did not become the same.
    """
    try:
        async with _side(source_url) as source, _side(target_url) as target:
            for table in TABLES:
                if (await target.one(f"SELECT count(*) FROM {table}"))[0]:
                    raise SettingError(f"--to: the database is not empty: it has rows in {table}")
            return {table: await _copy(table, source, target) for table in TABLES}
    except (sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DatabaseError(f"cannot copy, nothing is kept: {type(error).__name__}: {error}") from error


async def _copy(table: str, source: Side, target: Side) -> Sums:
    columns = await target.columns(table)
    async for rows in source.rows(table, columns):
        await target.add(table, columns, rows)
    money = [name for name in columns if name.endswith("_minor")]
    summed = ", ".join(["count(*)", *(f"coalesce(sum({name}), 0)" for name in money)])
    before, after = [
        [int(value) for value in await side.one(f"SELECT {summed} FROM {table}")] for side in (source, target)
    ]
    if before != after:
        raise DatabaseError(f"{table} did not become the same: {before} here, {after} there; nothing is kept")
    return dict(zip(["rows", *money], after, strict=True))


@asynccontextmanager
async def _side(url: str) -> AsyncIterator[Side]:
    """Open one database; what was added is committed at the end, unless something failed."""
    if url.startswith("sqlite:///"):
        with closing(open_sqlite(url.removeprefix("sqlite:///"))) as file:
            file.execute("BEGIN IMMEDIATE")  # a server that is still there cannot write meanwhile
            yield _Sqlite(file)
            file.execute("COMMIT")
        return
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            yield _Postgres(connection)
    finally:
        await connection.close()


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def columns(self, table: str) -> list[str]:
        return [row["name"] for row in self._connection.execute(f"PRAGMA table_info({table})")]

    async def rows(self, table: str, columns: list[str]) -> AsyncIterator[Rows]:
        cursor = self._connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
        while rows := cursor.fetchmany(ROWS):
            yield [tuple(row) for row in rows]

    async def add(self, table: str, columns: list[str], rows: Rows) -> None:
        marks = ", ".join("?" for _ in columns)
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    async def one(self, sql: str) -> list[Any]:
        return list(self._connection.execute(sql).fetchone())


class _Postgres:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def columns(self, table: str) -> list[str]:
        named = (
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 "
            "AND table_schema = current_schema()"
        )
        return [row["column_name"] for row in await self._connection.fetch(named, table)]

    async def rows(self, table: str, columns: list[str]) -> AsyncIterator[Rows]:
        cursor = await self._connection.cursor(f"SELECT {', '.join(columns)} FROM {table}")
        while rows := await cursor.fetch(ROWS):
            yield [tuple(row) for row in rows]

    async def add(self, table: str, columns: list[str], rows: Rows) -> None:
        taken = [tuple(postgres_values(row)) for row in rows]
        await self._connection.copy_records_to_table(table, records=taken, columns=columns)

    async def one(self, sql: str) -> list[Any]:
        (row,) = await self._connection.fetch(sql)
        return list(row.values())
