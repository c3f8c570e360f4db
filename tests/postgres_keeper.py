"""`python -m tests.postgres_keeper PID FOLDER`: keeps a PostgreSQL while the process PID runs.

It says the address on its standard output once the database answers. However that process ends, PostgreSQL
ends too, and it ends with this one.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from bench.postgres import postgres
from tests.fakes.ports import free_port

ROOT = Path(__file__).resolve().parents[1]

IN_A_HURRY = ("fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0")
"""Nobody cares what a power cut would leave of a test."""


def start_postgres(run: int, folder: Path) -> str:
    """Start a PostgreSQL in `folder` for the process `run`; return its address. Raises RuntimeError."""
    told, tell = os.pipe()
    try:
        os.posix_spawn(  # no subprocess.Popen, which complains when nobody waits for its end
            sys.executable,
            [sys.executable, "-m", "tests.postgres_keeper", str(run), str(folder)],
            {**os.environ, "PYTHONPATH": str(ROOT)},
            file_actions=[(os.POSIX_SPAWN_DUP2, tell, 1)],
        )
    finally:
        os.close(tell)
    with open(told, encoding="utf-8") as answer:
        address = answer.readline().strip()
    if not address:
        raise RuntimeError("PostgreSQL does not start; why is written above")
    return address


async def keep(run: int, folder: Path) -> None:
    """Keep a PostgreSQL in `folder` until the process ends, then remove the folder."""
    ended = asyncio.Event()
    watched = os.pidfd_open(run)
    asyncio.get_running_loop().add_reader(watched, ended.set)
    try:
        async with postgres(folder, *IN_A_HURRY, port=free_port()) as server:
            sys.stdout.write(f"{server.address()}\n")
            sys.stdout.close()
            await ended.wait()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    os.setsid()  # what interrupts the run from a terminal does not end the database under its last tests
    asyncio.run(keep(int(sys.argv[1]), Path(sys.argv[2])))
