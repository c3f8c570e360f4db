"""What every database promises, tried on each kind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.db import EVERY_ORDER, Database, Statement, Touched, Transaction, open_database
from server.errors import Conflict, DatabaseError


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, connections=6)
    try:
        yield database
    finally:
        await database.close()


def add(name: str, at: int = 1) -> Transaction[str]:
    yield Statement("INSERT INTO merchants (merchant_id, name, updated_at) VALUES ($1, $1, $2)", (name, at))
    return name


def add_both(first: str, second: str) -> Transaction[None]:
    yield from add(first)
    yield from add(second)


def add_and_fail(name: str, order_id: str | None = None) -> Transaction[None]:
    yield Statement("SELECT 1", touches=order_id)
    yield from add(name)
    raise ValueError("after the insert")


def touching(name: str, *order_ids: str) -> Transaction[str]:
    for order_id in order_ids:
        yield Statement("SELECT 1", touches=order_id)
    return (yield from add(name))


def find_or_add(name: str) -> Transaction[bool]:
    found = yield Statement("SELECT name FROM merchants WHERE merchant_id = $1", (name,))
    if not found:
        yield from add(name)
    return not found


def names() -> Transaction[list[str]]:
    return [row["name"] for row in (yield Statement("SELECT name FROM merchants ORDER BY name"))]


def value() -> Transaction[int]:
    rows = yield Statement("SELECT updated_at AS n FROM merchants WHERE merchant_id = 'a'")
    counted: int = rows[0]["n"]
    return counted


def increment() -> Transaction[int]:
    """Read, then write what was read plus one: lost when two do it at once and nobody looks."""
    counted = yield from value()
    yield Statement("UPDATE merchants SET updated_at = $1 WHERE merchant_id = 'a'", (counted + 1,))
    return counted + 1


def question(sql: str, *values: Any) -> Transaction[list[Any]]:
    return [tuple(dict(row).values()) for row in (yield Statement(sql, values))]


async def test_a_transaction_returns_what_it_says(db: Database):
    assert await db.write(add, "a") == "a"
    assert await db.read(names) == ["a"]


async def test_a_transaction_that_fails_leaves_nothing(db: Database):
    with pytest.raises(ValueError, match="after the insert"):
        await db.write(add_and_fail, "a")
    assert await db.read(names) == []


async def test_a_transaction_is_all_or_nothing(db: Database):
    await db.write(add, "b")
    with pytest.raises(Conflict):
        await db.write(add_both, "a", "b")
    assert await db.read(names) == ["b"]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) "
        "VALUES ('nobody', 'Sandbox', '{}', 1)",
        "INSERT INTO merchants (merchant_id, name, updated_at) VALUES ('a', NULL, 1)",
        "INSERT INTO users VALUES ('anna', 'king', '', 1, 1)",
    ],
    ids=["a reference", "a missing value", "a check"],
)
async def test_what_breaks_a_rule_of_the_schema_is_a_conflict(db: Database, sql: str):
    with pytest.raises(Conflict):
        await db.write(question, sql)


@pytest.mark.parametrize("call", ["read", "write", "glance"])
async def test_what_is_no_sql_is_a_database_error(db: Database, call: str):
    with pytest.raises(DatabaseError, match="syntax error"):
        await getattr(db, call)(question, "SELEKT")


@pytest.mark.parametrize("call", ["read", "glance"])
async def test_a_reader_cannot_write(db: Database, call: str):
    with pytest.raises(DatabaseError, match=r"read-?only"):
        await getattr(db, call)(add, "a")


async def test_a_glance_sees_what_was_committed(db: Database):
    await db.write(add, "a")
    assert await db.glance(names) == ["a"]


async def test_a_change_returns_rows_only_when_it_says_so(db: Database):
    insert = "INSERT INTO merchants (merchant_id, name, updated_at) VALUES ($1, $1, 1)"
    assert await db.write(question, insert, "a") == []
    assert await db.write(question, f"{insert} RETURNING merchant_id", "b") == [("b",)]
    assert await db.write(question, "DELETE FROM merchants") == []


async def test_a_value_is_as_wide_as_our_columns(db: Database):
    await db.write(add, "a", 2**62)
    assert (
        await db.write(question, "UPDATE merchants SET updated_at = $1 + 5 WHERE name = $2", 2**60, "a") == []
    )
    assert await db.read(question, "SELECT updated_at, valid_until FROM merchants") == [(2**60 + 5, None)]


async def test_those_who_change_the_same_wait_for_each_other(db: Database):
    await db.write(add, "a", 0)
    told = await asyncio.gather(*(db.write(increment) for _ in range(20)))
    assert sorted(told) == list(range(1, 21))
    assert await db.read(value) == 20


async def test_one_of_many_adds_what_all_look_for(db: Database):
    found = await asyncio.gather(*(db.write(find_or_add, "a") for _ in range(20)))
    assert sorted(found) == [False] * 19 + [True]


async def test_what_a_commit_touched_is_told_before_its_writer(db: Database):
    told: list[Any] = []
    db.on_touched(told.append)
    task = asyncio.create_task(db.write(touching, "a", "order-1", EVERY_ORDER))
    task.add_done_callback(lambda _: told.append("written"))
    await task
    assert told == [{"order-1", EVERY_ORDER}, "written"]


async def test_what_was_not_committed_touched_nothing(db: Database):
    told: list[Touched] = []
    db.on_touched(told.append)
    with pytest.raises(ValueError, match="after the insert"):
        await db.write(add_and_fail, "a", "order-1")
    assert told == []


async def test_who_listens_to_a_channel_hears_what_is_said_there(db: Database):
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    db.on_notified("agents", heard.put_nowait)
    await db.notify("others", "order-1")
    await db.notify("agents", "dev-1")
    async with asyncio.timeout(30.0):
        assert await heard.get() == "dev-1"
    assert heard.empty()


@pytest.mark.parametrize("steps", range(8))
async def test_cancelling_at_any_step_leaves_a_database_that_works(db: Database, steps: int):
    task = asyncio.create_task(db.write(add_both, "a", "b"))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await db.write(add, "c")
    assert await db.read(names) in (["a", "b", "c"], ["c"])


@pytest.mark.parametrize("call", ["read", "write", "glance"])
async def test_a_closed_database_says_so_at_once(db: Database, call: str):
    await db.close()
    with pytest.raises(DatabaseError, match="closed"):
        await getattr(db, call)(names)


async def test_what_was_begun_is_committed_before_closing(db: Database, database_url: str):
    tasks = [asyncio.create_task(db.write(add, name)) for name in "ab"]
    await asyncio.sleep(0)
    await db.close()
    await asyncio.gather(*tasks)
    again = await open_database(database_url)
    assert await again.read(names) == ["a", "b"]
    await again.close()


async def test_closing_twice_is_harmless(db: Database):
    await db.close()
    await db.close()
