"""PostgreSQL: several processes at once, connections that are lost, commits that are not answered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from server.db import Touched, open_database, serializable
from server.db import postgres as module
from server.db.patience import Unreachable
from server.db.postgres import PostgresDatabase
from server.db.postgres_text import postgres_text, postgres_values
from server.db.transactions import EVERY_ORDER, Statement, Transaction
from server.errors import Conflict, DatabaseError, SettingError
from tests.databases import Databases
from tests.server.db.test_both import add, find_or_add, increment, names, question, touching, value

WAIT_S = 30.0


@pytest.fixture
async def url(postgres: Databases) -> str:
    return await postgres.empty()


@pytest.fixture
async def db(url: str) -> AsyncIterator[PostgresDatabase]:
    database = await opened(url)
    yield database
    await database.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[PostgresDatabase]:
    """The same database, in another process."""
    database = await opened(url)
    yield database
    await database.close()


async def opened(url: str) -> PostgresDatabase:
    database = await open_database(url, connections=6)
    assert isinstance(database, PostgresDatabase)
    return database


async def cut(url: str, query: str = "%") -> int:
    """End every other connection to the database whose last statement was like `query`; return how many."""
    connection = await asyncpg.connect(url)
    ended = await connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND query LIKE $1",
        query,
    )
    await connection.close()
    return len(ended)


# --- several processes --------------------------------------------------------------------------------


async def test_two_processes_do_what_one_writer_would(db: PostgresDatabase, other: PostgresDatabase):
    await db.write(add, "a", 0)
    await asyncio.gather(*(each.write(increment) for _ in range(20) for each in (db, other)))
    assert await db.read(value) == 40


async def test_one_of_two_processes_adds_what_both_look_for(db: PostgresDatabase, other: PostgresDatabase):
    found = await asyncio.gather(*(each.write(find_or_add, "a") for _ in range(5) for each in (db, other)))
    assert found.count(True) == 1


@serializable
def doctor_leaves(name: str) -> Transaction[bool]:
    """Leave, unless nobody else is on call: two who look at once must not both leave."""
    others = yield Statement(
        "SELECT count(*) AS n FROM merchants WHERE valid_until IS NULL AND name <> $1", (name,)
    )
    if others[0]["n"]:
        yield Statement("UPDATE merchants SET valid_until = 1 WHERE name = $1", (name,))
    return bool(others[0]["n"])


async def test_two_that_read_what_the_other_writes_do_not_both_stand(
    db: PostgresDatabase, other: PostgresDatabase
):
    for number in range(10):
        await db.write(question, "DELETE FROM merchants")
        await db.write(add, f"a{number}")
        await db.write(add, f"b{number}")
        left = await asyncio.gather(
            db.write(doctor_leaves, f"a{number}"), other.write(doctor_leaves, f"b{number}")
        )
        assert sorted(left) == [False, True]


# --- connections that are lost ------------------------------------------------------------------------


async def test_a_lost_connection_is_replaced(db: PostgresDatabase, url: str):
    await db.write(add, "a")
    assert await cut(url) >= 2
    assert await db.read(names) == ["a"]
    await db.write(add, "b")
    assert await db.read(names) == ["a", "b"]


async def test_what_was_not_committed_is_run_again_on_another_connection(db: PostgresDatabase, url: str):
    runs = 0

    def add_and_wait() -> Transaction[int]:
        nonlocal runs
        runs += 1
        yield from add("a")
        yield Statement("SELECT pg_sleep(CASE WHEN $1 = 1 THEN 30 ELSE 0 END)", (runs,))
        return runs

    task = asyncio.create_task(db.write(add_and_wait))
    async with asyncio.timeout(WAIT_S):
        while not await cut(url, "%pg_sleep(CASE%"):  # noqa: ASYNC110 - the truth is in the database
            await asyncio.sleep(0.01)
        assert await task == 2
    assert await db.read(names) == ["a"]


class Cut:
    """Loses the answer of the first COMMIT; `sent`: it had reached the database."""

    def __init__(self, patch: pytest.MonkeyPatch, sent: bool) -> None:
        self.commits = 0
        execute = module._Run._execute

        async def cutting(run: Any, sql: str) -> None:
            self.commits += sql == "COMMIT"
            if sql != "COMMIT" or self.commits > 1:
                await execute(run, sql)
                return
            if sent:
                await execute(run, sql)
            raise Unreachable("cut")

        patch.setattr(module._Run, "_execute", cutting)


@pytest.mark.parametrize(("sent", "commits"), [(True, 1), (False, 2)])
@pytest.mark.parametrize("returning", ["", " RETURNING change_id"])
async def test_a_commit_that_is_not_answered_is_looked_up_and_never_done_twice(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, sent: bool, commits: int, returning: str
):
    def buy() -> Transaction[str]:
        sql = "INSERT INTO changes (change_id, at, user_name, what) VALUES ($1, 1, 'x', 'y')"
        yield Statement(sql + returning, (f"change-{len(runs)}",), touches="order-1")
        runs.append(1)
        return "bought"

    runs: list[int] = []
    told: list[Touched] = []
    db.on_touched(told.append)
    line = Cut(monkeypatch, sent)
    assert await db.write(buy) == "bought"
    assert line.commits == commits
    assert await db.read(question, "SELECT count(*) FROM changes") == [(1,)]
    assert told == [{"order-1"}]


async def test_what_nobody_can_look_up_is_an_error_that_says_so(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
):
    Cut(monkeypatch, sent=True)
    monkeypatch.setattr(module, "_STATUS", "SELECT pg_xact_status(('9' || $1::text || '0000000')::xid8)")
    with pytest.raises(DatabaseError, match="not known whether"):
        await db.write(add, "a")


async def test_a_database_that_stays_away_is_an_error_after_a_while(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
):
    async def refused(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr("server.db.patience.OUTAGE_S", 0.1)
    monkeypatch.setattr(asyncpg.Pool, "acquire", refused)
    for call in (db.read(names), db.write(add, "a")):
        with pytest.raises(DatabaseError, match="refused"):
            await call


async def test_one_that_always_meets_others_is_a_conflict(
    db: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.db.patience.MEETINGS", 3)
    fails = "DO $$ BEGIN RAISE EXCEPTION 'met' USING ERRCODE = '40001'; END $$"
    with pytest.raises(Conflict, match="met others 3 times"):
        await db.write(question, fails)


# --- news ---------------------------------------------------------------------------------------------


async def heard(queue: "asyncio.Queue[Any]") -> Any:
    async with asyncio.timeout(WAIT_S):
        return await queue.get()


async def test_a_process_hears_what_another_touches(db: PostgresDatabase, other: PostgresDatabase):
    told: asyncio.Queue[Touched] = asyncio.Queue()
    other.on_touched(told.put_nowait)
    await db.write(touching, "a", "order-1")
    assert await heard(told) == {"order-1"}


@pytest.mark.parametrize("number", [1, 1001])
async def test_what_is_touched_again_while_it_is_told_is_told_again(
    db: PostgresDatabase, other: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, number: int
):
    told: asyncio.Queue[Touched] = asyncio.Queue()
    other.on_touched(told.put_nowait)
    orders = [f"order-{each}" for each in range(number)]
    execute = asyncpg.Connection.execute

    async def touch_after(connection: asyncpg.Connection, query: str, *values: Any) -> Any:
        answer = await execute(connection, query, *values)
        if "pg_notify" in query:
            monkeypatch.undo()
            await db.write(touching, "b", *orders)
        return answer

    monkeypatch.setattr(asyncpg.Connection, "execute", touch_after)
    await db.write(touching, "a", *orders)
    expected = {"order-0"} if number == 1 else {EVERY_ORDER}
    assert [await heard(told), await heard(told)] == [expected, expected]


async def test_more_than_one_message_can_hold_is_told_in_several(
    db: PostgresDatabase, other: PostgresDatabase
):
    told: asyncio.Queue[Touched] = asyncio.Queue()
    other.on_touched(told.put_nowait)
    orders = {f"order-{number:04}-{'я' * 100}" for number in range(100)}
    await db.write(touching, "a", *orders)
    missing = set(orders)
    while missing:
        missing -= await heard(told)
    assert not missing


async def test_more_than_anyone_wants_to_hear_is_told_as_everything(
    db: PostgresDatabase, other: PostgresDatabase
):
    told: asyncio.Queue[Touched] = asyncio.Queue()
    other.on_touched(told.put_nowait)
    await db.write(touching, "a", *(f"order-{number}" for number in range(1001)))
    assert await heard(told) == {EVERY_ORDER}


async def test_a_process_hears_what_another_says_and_itself_once(
    db: PostgresDatabase, other: PostgresDatabase
):
    here: asyncio.Queue[str | None] = asyncio.Queue()
    there: asyncio.Queue[str | None] = asyncio.Queue()
    db.on_notified("agents", here.put_nowait)
    other.on_notified("agents", there.put_nowait)
    await db.notify("agents", "dev-1")
    await db.notify("agents", "dev-2")
    assert [await heard(there), await heard(there)] == ["dev-1", "dev-2"]
    assert [here.get_nowait(), here.get_nowait()] == ["dev-1", "dev-2"]
    assert here.empty()


async def test_who_may_have_missed_something_is_told_to_look_at_everything(db: PostgresDatabase, url: str):
    told: asyncio.Queue[Touched] = asyncio.Queue()
    said: asyncio.Queue[str | None] = asyncio.Queue()
    db.on_touched(told.put_nowait)
    db.on_notified("agents", said.put_nowait)
    await cut(url)
    assert await heard(told) == {EVERY_ORDER}
    assert await heard(said) is None


async def test_news_that_cannot_be_read_are_a_reason_to_look_at_everything(db: PostgresDatabase, url: str):
    told: asyncio.Queue[Touched] = asyncio.Queue()
    db.on_touched(told.put_nowait)
    connection = await asyncpg.connect(url)
    await connection.execute("NOTIFY demitasse, 'hello'")
    await connection.close()
    assert await heard(told) == {EVERY_ORDER}


# --- texts and opening --------------------------------------------------------------------------------


async def test_a_nul_in_a_text_becomes_a_mark(db: PostgresDatabase):
    await db.write(add, "a\0b")
    assert await db.read(names) == ["a\N{REPLACEMENT CHARACTER}b"]
    assert postgres_values(("a\0", 1, None)) == ["a\N{REPLACEMENT CHARACTER}", 1, None]


def test_every_value_is_sent_with_its_type():
    text = postgres_text("SELECT $1, $2, $3, $4, $1", (1, "a", None, 0.5))
    assert text == ("SELECT $1::bigint, $2::text, $3, $4::float8, $1::bigint", False, False)


@pytest.mark.parametrize("wrong", [{"path": "/demitasse_is_not_there"}, {"netloc": "postgres@127.0.0.1:1"}])
async def test_a_database_that_cannot_be_opened_is_a_wrong_setting(
    postgres: Databases, wrong: dict[str, str]
):
    url = urlunsplit(urlsplit(postgres.address("postgres"))._replace(**wrong))
    with pytest.raises(SettingError, match=r"^DATABASE_URL: cannot open the database: "):
        await open_database(url)


async def test_a_wrong_address_is_told_without_its_password():
    with pytest.raises(SettingError, match="DATABASE_URL") as told:
        await open_database("postgresqll://anna:secret@host/x")
    assert "secret" not in str(told.value)
