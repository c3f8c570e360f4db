"""Brings a PostgreSQL database to the present schema, whichever process comes first.

The first version that PostgreSQL had is `FIRST`: what led to it is the history of SQLite files.
"""

import asyncpg

from server.errors import SettingError
from server.migrations import check_version, postgres_steps, schema_statements

FIRST = 3

_LOCK = 3_706_291_455
"""Of `pg_advisory_xact_lock`: ours alone, as long as nobody else in the same database draws it."""

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


async def prepare_postgres(connection: asyncpg.Connection) -> None:
    """Make or upgrade the database, in one transaction. Raises SettingError for one of a newer program."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        version = await _version(connection)
        if version is None:
            await connection.execute(schema_statements())
        else:
            await _climb(connection, version)


async def _version(connection: asyncpg.Connection) -> int | None:
    tables = {row["tablename"] for row in await connection.fetch(_TABLES)}
    if not tables:
        return None
    version = None
    if "schema_version" in tables:
        version = await connection.fetchval("SELECT version FROM schema_version")
    if version is None:
        raise SettingError("DATABASE_URL: the database is of something else (no schema_version in it)")
    return int(version)


async def _climb(connection: asyncpg.Connection, version: int) -> None:
    known = postgres_steps()
    newest = max(known)
    check_version(version, newest)
    if version < FIRST:
        raise SettingError(f"DATABASE_URL: there is no PostgreSQL database of version {version}")
    for number in range(version + 1, newest + 1):
        await connection.execute(known[number].read_text(encoding="utf-8"))
        await connection.execute("UPDATE schema_version SET version = $1", number)
