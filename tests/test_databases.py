"""On which databases a test runs, and that a PostgreSQL of a run ends with it."""

import asyncio
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from tests.in_memory import temporary_folder
from tests.postgres_keeper import start_postgres

ENDS_WITHIN_S = 30.0

seen: list[str] = []


def test_a_test_that_says_nothing_runs_on_both(database_kind: str):
    seen.append(database_kind)
    assert seen == ["sqlite", "postgres"][: len(seen)]


@pytest.mark.one_database
def test_a_marked_test_runs_on_sqlite_alone(database_kind: str):
    assert database_kind == "sqlite"


async def test_a_run_that_is_killed_leaves_no_postgresql():
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(600)")
    folder = Path(tempfile.mkdtemp(dir=temporary_folder()))
    folder.chmod(0o755)
    try:
        address = await asyncio.to_thread(start_postgres, run.pid, folder)
        await (await asyncpg.connect(address)).close()
    finally:
        run.kill()
        await run.wait()
    async with asyncio.timeout(ENDS_WITHIN_S):
        while folder.exists():  # noqa: ASYNC110 - what removes it is no child of this process
            await asyncio.sleep(0.02)
    with pytest.raises(ConnectionRefusedError):
        await asyncpg.connect(address)
