"""PostgreSQL databases: made, upgraded, and refused when they are newer or something else's."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from server import migrations
from server.errors import SettingError
from server.migrations.postgres import FIRST, prepare_postgres
from tests.databases import Databases

COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default "
    "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
)


@pytest.fixture
async def url(postgres: Databases) -> str:
    """A database that has nothing in it."""
    return await postgres.make("demitasse_bare_" + postgres.owner)


async def on(url: str, work: Callable[[asyncpg.Connection], Awaitable[object]]) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await work(connection)
    finally:
        await connection.close()


async def run(url: str, sql: str) -> None:
    await on(url, lambda connection: connection.execute(sql))


async def test_a_new_database_has_the_present_version(url: str):
    await on(url, prepare_postgres)
    version = await on(url, lambda connection: connection.fetchval("SELECT version FROM schema_version"))
    assert version == max(migrations.steps())


async def test_processes_that_come_at_once_make_it_once(url: str):
    await asyncio.gather(*(on(url, prepare_postgres) for _ in range(4)))
    assert await on(url, lambda connection: connection.fetchval("SELECT count(*) FROM schema_version")) == 1


async def test_a_database_of_a_newer_program_is_refused(url: str):
    await on(url, prepare_postgres)
    await run(url, "UPDATE schema_version SET version = 1000")
    with pytest.raises(SettingError, match="has version 1000"):
        await on(url, prepare_postgres)


async def test_a_database_older_than_the_first_is_refused(url: str):
    await on(url, prepare_postgres)
    await run(url, f"UPDATE schema_version SET version = {FIRST - 1}")
    with pytest.raises(SettingError, match=f"no PostgreSQL database of version {FIRST - 1}"):
        await on(url, prepare_postgres)


@pytest.mark.parametrize(
    "table", ["CREATE TABLE drinks (x TEXT)", "CREATE TABLE schema_version (version INT)"]
)
async def test_a_database_of_something_else_is_left_alone(url: str, table: str):
    await run(url, table)
    with pytest.raises(SettingError, match="something else"):
        await on(url, prepare_postgres)


@pytest.mark.parametrize("had", ["", "DROP TABLE login_attempts;"])
async def test_a_database_of_the_third_version_gets_login_attempts_once(url: str, had: str):
    await on(url, prepare_postgres)
    whole = await on(url, lambda connection: connection.fetch(COLUMNS))
    await run(url, f"{had} UPDATE schema_version SET version = 3")
    await on(url, prepare_postgres)
    assert await on(url, lambda connection: connection.fetch(COLUMNS)) == whole
    version = await on(url, lambda connection: connection.fetchval("SELECT version FROM schema_version"))
    assert version == max(migrations.steps())


async def test_later_steps_are_climbed_in_postgresqls_own_words_where_it_has_some(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await on(url, prepare_postgres)
    newest = max(migrations.steps())
    for path in migrations.steps().values():
        (tmp_path / path.name).write_text(path.read_text())
    both, own = f"{newest + 1:03}_both", f"{newest + 2:03}_own"
    (tmp_path / f"{both}.sql").write_text("ALTER TABLE merchants ADD COLUMN motto TEXT;")
    (tmp_path / f"{own}.sql").write_text("PRAGMA user_version = 1;")
    (tmp_path / f"{own}.postgres.sql").write_text("ALTER TABLE merchants ALTER COLUMN motto SET DEFAULT '';")
    monkeypatch.setattr(migrations, "STEPS", tmp_path)
    await on(url, prepare_postgres)
    version = await on(url, lambda connection: connection.fetchval("SELECT version FROM schema_version"))
    columns = await on(url, lambda connection: connection.fetch(COLUMNS))
    assert version == newest + 2
    assert ("merchants", "motto", "text", "YES", "''::text") in [tuple(row) for row in columns]


async def test_a_step_that_fails_leaves_the_database_as_it_was(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await on(url, prepare_postgres)
    newest = max(migrations.steps())
    for path in migrations.steps().values():
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / f"{newest + 1:03}_bad.sql").write_text("ALTER TABLE merchants ADD COLUMN motto TEXT; SELEKT;")
    monkeypatch.setattr(migrations, "STEPS", tmp_path)
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await on(url, prepare_postgres)
    columns = await on(url, lambda connection: connection.fetch(COLUMNS))
    assert isinstance(columns, list)
    assert "motto" not in [row["column_name"] for row in columns]
