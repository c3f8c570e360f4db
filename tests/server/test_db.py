"""The database: whole transactions, committed together, and what happens when it fails."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.db import EVERY_ORDER, Database, Statement, Touched, Transaction, open_database
from server.db.sqlite import SqliteDatabase, commit_together, open_sqlite, sqlite_text
from server.errors import Conflict, DatabaseError, SettingError

WAIT_S = 30.0


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(f"sqlite:///{tmp_path / 'test.db'}")
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


def add_and_fail(name: str) -> Transaction[None]:
    yield from add(name)
    raise ValueError("after the insert")


def names() -> Transaction[list[str]]:
    rows = yield Statement("SELECT name FROM merchants ORDER BY name")
    return [row["name"] for row in rows]


def question(sql: str, *values: Any) -> Transaction[list[Any]]:
    rows = yield Statement(sql, values)
    return [tuple(dict(row).values()) for row in rows]


async def soon(awaited: Any) -> Any:
    async with asyncio.timeout(WAIT_S):
        return await awaited


# --- one transaction ----------------------------------------------------------------------------------


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


async def test_what_breaks_a_rule_of_the_schema_is_a_conflict(db: Database):
    with pytest.raises(Conflict, match="FOREIGN KEY"):
        await db.write(
            question,
            "INSERT INTO credentials (merchant_id, scenario, body, updated_at) "
            "VALUES ('nobody', 'Sandbox', '{}', 1) RETURNING merchant_id",
        )


@pytest.mark.parametrize("call", ["read", "write"])
async def test_what_is_no_sql_is_a_database_error(db: Database, call: str):
    with pytest.raises(DatabaseError, match="OperationalError"):
        await getattr(db, call)(question, "SELEKT")


async def test_a_reader_cannot_write(db: Database):
    with pytest.raises(DatabaseError, match="readonly"):
        await db.read(add, "a")


async def test_a_write_is_durable_and_foreign_keys_hold(db: Database):
    assert await db.write(question, "PRAGMA synchronous") == [(2,)]
    assert await db.write(question, "PRAGMA foreign_keys") == [(1,)]
    assert await db.write(question, "PRAGMA journal_mode") == [("wal",)]


def test_a_placeholder_may_stand_twice():
    assert sqlite_text("SELECT $1, $12, $1") == "SELECT ?1, ?12, ?1"


# --- many at once -------------------------------------------------------------------------------------


class Gate:
    """Holds the writer inside a transaction, so that others have to wait together behind it."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def transaction(self) -> Transaction[None]:
        yield Statement("SELECT 1")
        self.entered.set()
        self.opened.wait(WAIT_S)

    async def hold(self, db: Database) -> "asyncio.Task[None]":
        held = asyncio.create_task(db.write(self.transaction))
        await asyncio.to_thread(self.entered.wait, WAIT_S)
        return held


async def waiting(db: Database, *transactions: tuple[Any, ...]) -> "list[asyncio.Task[Any]]":
    tasks = [asyncio.create_task(db.write(*transaction)) for transaction in transactions]
    await asyncio.sleep(0)  # each has handed its transaction over
    return tasks


async def test_one_that_fails_does_not_disturb_those_committed_with_it(db: Database):
    gate = Gate()
    held = await gate.hold(db)
    tasks = await waiting(db, (add, "a"), (add_and_fail, "b"), (add, "a"), (add, "c"))
    gate.opened.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await held
    assert [type(outcome) for outcome in outcomes] == [str, ValueError, Conflict, str]
    assert await db.read(names) == ["a", "c"]


async def test_those_that_wait_are_committed_together(db: Database, monkeypatch: pytest.MonkeyPatch):
    sizes = []

    def counting(connection: sqlite3.Connection, group: list[Any]) -> Any:
        sizes.append(len(group))
        return commit_together(connection, group)

    monkeypatch.setattr("server.db.sqlite.commit_together", counting)
    gate = Gate()
    held = await gate.hold(db)
    tasks = await waiting(db, *((add, f"{number:03}") for number in range(300)))
    gate.opened.set()
    await asyncio.gather(held, *tasks)
    assert sizes == [1, 256, 44]
    assert len(await db.read(names)) == 300


async def test_a_later_one_sees_what_an_earlier_one_of_the_group_did(db: Database):
    gate = Gate()
    held = await gate.hold(db)
    tasks = await waiting(db, (add, "a"), (names,))
    gate.opened.set()
    assert await asyncio.gather(held, *tasks) == [None, "a", ["a"]]


async def test_readers_do_not_wait_for_the_writer(db: Database):
    await db.write(add, "a")
    gate = Gate()
    held = await gate.hold(db)
    assert await soon(db.read(names)) == ["a"]
    assert not held.done()
    gate.opened.set()
    await held


async def test_what_is_not_committed_is_not_read(db: Database):
    gate = Gate()

    def add_and_wait() -> Transaction[None]:
        yield from add("a")
        yield from gate.transaction()

    task = asyncio.create_task(db.write(add_and_wait))
    await asyncio.to_thread(gate.entered.wait, WAIT_S)
    assert await db.read(names) == []
    gate.opened.set()
    await task
    assert await db.read(names) == ["a"]


async def test_a_caller_that_is_cancelled_leaves_no_transaction_open(db: Database):
    gate = Gate()
    held = await gate.hold(db)
    (task,) = await waiting(db, (add, "a"))
    task.cancel()
    held.cancel()
    gate.opened.set()
    assert await soon(db.write(add, "b")) == "b"
    assert await db.read(names) == ["a", "b"]


@pytest.mark.parametrize("steps", range(12))
async def test_cancelling_at_any_step_leaves_a_database_that_works(db: Database, steps: int):
    task = asyncio.create_task(db.write(add_both, "a", "b"))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await soon(db.write(add, "c"))
    assert await db.read(names) in (["a", "b", "c"], ["c"])


# --- who is told ----------------------------------------------------------------------------------------


def touching(name: str, *order_ids: str) -> Transaction[str]:
    for order_id in order_ids:
        yield Statement("SELECT 1", touches=order_id)
    return (yield from add(name))


def touching_and_failing(order_id: str) -> Transaction[None]:
    yield from touching("never", order_id)
    raise ValueError("after the touch")


async def test_what_a_commit_touched_is_told_before_its_writer(db: Database):
    told: list[Any] = []
    db.on_touched(told.append)
    task = asyncio.create_task(db.write(touching, "a", "order-1", EVERY_ORDER))
    task.add_done_callback(lambda _: told.append("written"))
    await task
    assert told == [{"order-1", EVERY_ORDER}, "written"]


async def test_what_a_group_touched_is_told_at_once_without_that_which_failed(db: Database):
    told: list[Touched] = []
    db.on_touched(told.append)
    gate = Gate()
    held = await gate.hold(db)
    tasks = await waiting(db, (touching, "a", "order-1"), (touching_and_failing, "order-2"), (add, "b"))
    gate.opened.set()
    await asyncio.gather(held, *tasks, return_exceptions=True)
    await db.write(touching, "c", "order-3")
    assert told == [{"order-1"}, {"order-3"}]


async def test_what_cannot_be_committed_touches_nothing(db: Database):
    told: list[Touched] = []
    db.on_touched(told.append)
    failing(db, "COMMIT")
    with pytest.raises(DatabaseError):
        await soon(db.write(touching, "a", "order-1"))
    assert told == []


async def test_a_listener_that_fails_disturbs_neither_writer_nor_listener(db: Database):
    def fails(touched: Touched) -> None:
        raise ValueError("in the listener")

    told: list[Touched] = []
    db.on_touched(fails)
    db.on_touched(told.append)
    assert await soon(db.write(touching, "a", "order-1")) == "a"
    assert told == [{"order-1"}]


async def test_who_listens_to_a_channel_hears_what_is_said_there(db: Database):
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    db.on_notified("agents", heard.put_nowait)
    await db.notify("others", "order-1")
    await db.notify("agents", "dev-1")
    assert await soon(heard.get()) == "dev-1"
    assert heard.empty()


# --- a database that fails ----------------------------------------------------------------------------


class Failing:
    """A connection whose `COMMIT` (or another statement) fails as on a full disk, once."""

    def __init__(self, connection: sqlite3.Connection, statement: str, forget: bool = False) -> None:
        self._connection, self._statement, self._forget = connection, statement, forget
        self.left = 1

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        if sql.startswith(self._statement) and self.left:
            self.left -= 1
            if self._forget:  # SQLite rolls the whole transaction back by itself when the disk is full
                self._connection.execute("ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(sql, values)

    def close(self) -> None:
        self._connection.close()


def failing(db: Database, statement: str, forget: bool = False) -> Failing:
    assert isinstance(db, SqliteDatabase)
    connection = Failing(db._writer, statement, forget)
    db._writer = connection  # type: ignore[assignment]
    return connection


@pytest.mark.parametrize(
    ("statement", "forget"),
    [
        ("BEGIN", False),
        ("SAVEPOINT", False),
        ("INSERT", False),
        ("INSERT", True),
        ("RELEASE", True),
        ("COMMIT", False),
        ("COMMIT", True),
    ],
)
async def test_a_full_disk_fails_whoever_waits_and_the_next_works(db: Database, statement: str, forget: bool):
    gate = Gate()
    held = await gate.hold(db)
    tasks = await waiting(db, (add, "a"), (add, "b"))
    failing(db, statement, forget)
    gate.opened.set()
    outcomes = await soon(asyncio.gather(held, *tasks, return_exceptions=True))
    told = [str(outcome) for outcome in outcomes if isinstance(outcome, DatabaseError)]
    assert set(told) == {"OperationalError: database or disk is full"}
    kept = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert await db.read(names) == kept
    assert await soon(db.write(add, "c")) == "c"
    assert await db.read(names) == [*kept, "c"]


def test_all_that_were_to_be_committed_together_fail_together():
    connection = open_sqlite(":memory:")
    connection.execute("CREATE TABLE merchants (merchant_id TEXT, name TEXT, updated_at INT)")
    outcomes = commit_together(Failing(connection, "COMMIT"), [add("a"), add("b")])  # type: ignore[arg-type]
    assert [str(error) for _, error, _ in outcomes] == ["OperationalError: database or disk is full"] * 2
    assert connection.execute("SELECT count(*) FROM merchants").fetchone()[0] == 0
    connection.close()


async def test_a_rollback_that_fails_does_not_end_the_writer(db: Database):
    connection = failing(db, "COMMIT")
    connection.execute_was = connection.execute  # type: ignore[attr-defined]

    def execute(sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        cursor = connection.execute_was(sql, values)  # type: ignore[attr-defined]
        if sql == "ROLLBACK":
            raise sqlite3.OperationalError("disk I/O error")
        return cursor  # type: ignore[no-any-return]

    connection.execute = execute  # type: ignore[method-assign]
    with pytest.raises(DatabaseError, match="full"):
        await soon(db.write(add, "a"))
    assert await soon(db.write(add, "b")) == "b"


@pytest.mark.parametrize("call", ["read", "write"])
async def test_a_closed_database_says_so_at_once(db: Database, call: str):
    await db.close()
    with pytest.raises(DatabaseError, match="closed"):
        await soon(getattr(db, call)(names))


async def test_what_waits_is_committed_before_closing(db: Database, tmp_path: Path):
    tasks = await waiting(db, (add, "a"), (add, "b"))
    await db.close()
    await asyncio.gather(*tasks)
    again = await open_database(f"sqlite:///{tmp_path / 'test.db'}")
    assert await again.read(names) == ["a", "b"]
    await again.close()


async def test_closing_twice_is_harmless(db: Database):
    await db.close()
    await db.close()


# --- opening ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "sqlite", "sqlite:///", "mysql://x/y", "demitasse.db", "sqlite://x.db"])
async def test_an_address_of_no_database_is_a_wrong_setting(url: str):
    with pytest.raises(SettingError, match="DATABASE_URL"):
        await open_database(url)


async def test_a_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path):
    with pytest.raises(SettingError, match="does not exist"):
        await open_database(f"sqlite:///{tmp_path / 'none' / 'test.db'}")


async def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path):
    (tmp_path / "test.db").write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(SettingError, match="cannot open"):
        await open_database(f"sqlite:///{tmp_path / 'test.db'}")
