"""Two transactions in two processes, of which the second has looked at everything before the first began."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from server.db import Database, Statement, Transaction, serializable
from server.db.transactions import is_serializable
from server.errors import DemitasseError
from server.sandbox import checks
from server.sandbox_tbank import refusals
from tests.databases import TABLES

Deed = Callable[[], Transaction[Any]]
Outcome = tuple[str, ...]
Pair = tuple[Deed, Deed, Deed]
"""What was before, and two who meet."""

GATE = 7
WAITING = (
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database "
    "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
)


def pair(scene: Any, first: Any, second: Any) -> Pair:
    """Return them so that each line of a table of pairs is checked for itself."""
    return scene, first, second


def late(deed: Deed) -> Deed:
    """Return the same, that has its view of the database and then waits for the gate."""

    def waiting() -> Transaction[Any]:
        yield Statement("SELECT pg_advisory_xact_lock_shared($1)", (GATE,))
        return (yield from deed())

    return serializable(waiting) if is_serializable(deed) else waiting


async def told(db: Database, deed: Deed) -> str:
    """Return what the deed gives or how it was refused."""
    try:
        return repr(await db.write(deed))
    except (DemitasseError, checks.Refused, refusals.Refused) as error:
        return f"{type(error).__name__}: {error}"


async def everything(db: Database) -> Outcome:
    """Return all rows of all tables."""
    return tuple([line for table in TABLES for line in await db.read(_lines, table)])


def _lines(table: str) -> Transaction[list[str]]:
    rows = yield Statement(f"SELECT * FROM {table}")
    return sorted(f"{table}: {dict(row)}" for row in rows)


async def one_after_another(db: Database, first: Deed, second: Deed) -> tuple[str, str, Outcome]:
    """Return what the first and the second give, and what is in the database then."""
    answers = await told(db, first), await told(db, second)
    return (*answers, await everything(db))


async def meeting(url: str, db: Database, other: Database, first: Deed, second: Deed) -> Any:
    """Return the same, when the second has looked before the first began and writes when that has ended."""
    gate = await asyncpg.connect(url)
    try:
        await gate.execute(f"SELECT pg_advisory_lock({GATE})")
        task = asyncio.create_task(told(other, late(second)))
        async with asyncio.timeout(30):
            while not await gate.fetch(WAITING):  # noqa: ASYNC110 - the truth is in the database
                await asyncio.sleep(0.002)
        before = await told(db, first)
        await gate.execute(f"SELECT pg_advisory_unlock({GATE})")
        return before, await task, await everything(db)
    finally:
        await gate.close()
