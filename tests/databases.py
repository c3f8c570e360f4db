"""A pytest plugin: an empty database for a test, SQLite and PostgreSQL in turn.

PostgreSQL is the one in `TEST_DATABASE_URL` (whose user may create databases), or one that is started from a
package for all processes of this run. Each process has databases of its own there and empties one before it
is used again, which takes a tenth of the time of making another. A SQLite database is a copy of one that was
opened once.

Marked with `one_database`, tests run on SQLite alone: for those whose every question to the database is asked
on both by others.
"""

import fcntl
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from server.migrations import prepare_sqlite, schema_statements
from server.migrations.postgres import prepare_postgres
from tests.in_memory import temporary_folder
from tests.postgres_keeper import start_postgres

TABLES = [name for name in re.findall(r"CREATE TABLE (\w+)", schema_statements()) if name != "schema_version"]
EMPTY = "; ".join(f"DELETE FROM {name}" for name in reversed(TABLES))
"""Others refer to what is made before them, so the newest go first."""


@pytest.fixture(scope="session")
def postgres_url(testrun_uid: str) -> str:
    """The address of a PostgreSQL for this run.

    Not in pytest's own folder: started by root it runs as another user, who may not look in there.
    """
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given
    folder = temporary_folder() / f"demitasse-postgres-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with open(folder / "address", "a+", encoding="utf-8") as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        shared.seek(0)
        address = shared.read()
        if not address:
            run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
            address = start_postgres(run, folder)
            shared.write(address)
    return address


class Databases:
    """This process's databases in PostgreSQL, by name."""

    def __init__(self, url: str, owner: str) -> None:
        self._url = url
        self.owner = owner
        self._made: set[str] = set()

    async def empty(self, name: str = "test") -> str:
        """Return the address of a database that has the schema and no rows."""
        database = f"demitasse_{self.owner}_{name}"
        url = self.address(database)
        new = database not in self._made
        if new:
            await self.make(database)
            self._made.add(database)
        connection = await asyncpg.connect(url, command_timeout=60)
        try:
            await (prepare_postgres(connection) if new else connection.execute(EMPTY))
        finally:
            await connection.close()
        return url

    async def make(self, database: str) -> str:
        """Make a database that has nothing in it, in place of one of this name; return its address."""
        connection = await asyncpg.connect(self._url)
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {database}")
        finally:
            await connection.close()
        return self.address(database)

    def address(self, database: str) -> str:
        """Return the address of a database of this server."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def postgres(postgres_url: str, worker_id: str) -> Databases:
    """PostgreSQL, for a test that wants nothing else."""
    return Databases(postgres_url, worker_id)


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the mark."""
    config.addinivalue_line("markers", "one_database: run on SQLite alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that has a database once on each kind, unless it or its file says on which."""
    marks = list(metafunc.definition.iter_markers())
    chosen = any(mark.name == "parametrize" and mark.args[0] == "database_kind" for mark in marks)
    if "database_kind" in metafunc.fixturenames and not chosen:
        alone = any(mark.name == "one_database" for mark in marks)
        metafunc.parametrize("database_kind", ["sqlite"] if alone else ["sqlite", "postgres"])


@pytest.fixture(scope="session")
def opened_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with the schema and no rows."""
    path = tmp_path_factory.mktemp("sqlite") / "opened_once.db"
    prepare_sqlite(str(path))
    return path


@pytest.fixture
async def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; a test that takes it runs on each kind."""
    if database_kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("opened_once"), tmp_path / "shop.db")
        return f"sqlite:///{tmp_path / 'shop.db'}"
    databases: Databases = request.getfixturevalue("postgres")
    return await databases.empty()
