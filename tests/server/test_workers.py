"""A pool of real processes on one port: they die and come back, and are replaced while customers buy.

The pool does not ask which database it is; `serve` does, and refuses SQLite. Here SQLite shows that much.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from server import workers
from server.__main__ import main
from server.serving import Place
from server.settings import Settings, environment
from server.workers import Pool
from tests.fakes.ports import free_port

WAIT_S = 60.0


class Running:
    """A pool of two workers over a new database."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self.port = free_port()
        self.log = folder / "pool.log"
        url = f"sqlite:///{folder}/pool.db"
        around = {**environment(), "DATABASE_URL": url, "PORT": str(self.port), "LOG_LEVEL": "INFO"}
        around["FOLDER"] = str(folder)
        self.pool = Pool(Settings(database_url=url, port=self.port, workers=2), around)
        self._session = session

    @property
    def pids(self) -> list[int]:
        """The ids of the workers that live."""
        processes = [slot.process for slot in self.pool._slots]
        return [each.pid for each in processes if each is not None and each.returncode is None]

    async def get(self, path: str) -> str:
        """Ask on a connection of its own, so that either worker may answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._session.get(url, headers={"Connection": "close"}) as answer:
            assert answer.status == 200
            return await answer.text()

    async def stay(self) -> int:
        """Ask again and again on one connection, until an answer says that it ends; return how often."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head, asked = b"", 0
        while b"Connection: close" not in head:
            writer.write(b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]))
            asked += 1
            await asyncio.sleep(0.05)  # the connection is idle mostly, as a customer's is
        writer.close()
        return asked

    async def until_pids(self, number: int, without: set[int]) -> None:
        """Wait until so many workers live, and none of these."""
        async with asyncio.timeout(WAIT_S):
            while len(self.pids) != number or without.intersection(self.pids):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@asynccontextmanager
async def a_pool(folder: Path) -> AsyncIterator[Running]:
    """A pool that is running; at the end nothing of it is left."""
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        running = Running(folder, session)
        task = asyncio.create_task(running.pool.run())
        yield running
        running.pool.stop()
        assert await task == 0
        assert running.pids == []


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(workers, "FIRST_PAUSE_S", 0.01)
    async with a_pool(tmp_path) as running:
        await running.until_pids(2, set())
        await running.get("/ready")
        yield running


async def test_workers_die_come_back_and_are_replaced_and_no_request_is_refused(running: Running):
    asked = 0
    over = asyncio.Event()

    async def ask() -> None:
        nonlocal asked
        while not over.is_set():
            await running.get("/health")
            asked += 1

    first = set(running.pids)
    asking = [asyncio.create_task(ask()) for _ in range(4)]
    staying = [asyncio.create_task(running.stay()) for _ in range(4)]
    await running.pool.replace()
    asked += sum(await asyncio.gather(*staying))
    assert len(running.pids) == 2 and not first.intersection(running.pids)
    over.set()
    await asyncio.gather(*asking)
    assert asked > 0

    killed = running.pids[0]
    os.kill(killed, signal.SIGKILL)
    await running.until_pids(2, {killed})
    await asyncio.gather(*(running.get("/ready") for _ in range(8)))

    for _ in range(10):
        await running.get("/ready")
    told = await running.get("/metrics")
    counted = [line for line in told.splitlines() if "request_seconds_count" in line]
    assert sum(float(line.split()[-1]) for line in counted if "/health" in line) in (0.0, asked)


async def test_a_replacement_that_is_asked_for_while_another_runs_comes_after_it(running: Running):
    first = running.pool._slots[0]
    async with asyncio.timeout(WAIT_S):
        for _ in range(2):
            old = first.process
            os.kill(os.getpid(), signal.SIGHUP)
            while first.process is old:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_nobody_waits_for_a_worker_that_does_not_accept(running: Running):
    stopped = running.pids[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        async with asyncio.timeout(WAIT_S / 2):
            await asyncio.gather(*(running.get("/health") for _ in range(32)))
    finally:
        os.kill(stopped, signal.SIGCONT)


async def test_nobody_waits_for_a_worker_that_is_dead(running: Running, monkeypatch: pytest.MonkeyPatch):
    pauses = asyncio.Event()

    async def pause(*_: object) -> None:
        pauses.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("server.workers._Pauses.pause", pause)
    os.kill(running.pids[0], signal.SIGKILL)
    async with asyncio.timeout(WAIT_S):
        await pauses.wait()
    await asyncio.gather(*(running.get("/ready") for _ in range(32)))
    assert len(running.pids) == 1


@pytest.mark.parametrize(
    ("accident", "start"),
    [
        pytest.param("kill -9 $$", 1, id="the first is killed"),
        pytest.param("kill -9 $$", 2, id="the second is killed"),
        pytest.param("exec sleep 1000", 2, id="the second hangs"),
    ],
)
async def test_a_worker_that_does_not_come_to_serve_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accident: str, start: int
):
    """The accident befalls the start with this number."""
    python = tmp_path / "python"
    count = "echo >> $FOLDER/starts; [ $(wc -l < $FOLDER/starts) = " + f"{start} ]"
    python.write_text(f'#!/bin/sh\n{count} && {accident}\nexec {sys.executable} "$@"\n', encoding="ascii")
    python.chmod(0o755)
    monkeypatch.setattr("server.workers.sys.executable", str(python))
    monkeypatch.setattr(workers, "STARTS_WITHIN_S", WAIT_S if "kill" in accident else 5.0)
    monkeypatch.setattr(workers, "FIRST_PAUSE_S", 0.01)
    async with a_pool(tmp_path) as running:
        await running.until_pids(2, set())
        await asyncio.gather(*(running.get("/ready") for _ in range(8)))
    assert len((tmp_path / "starts").read_text().splitlines()) >= 3


async def test_a_pool_that_is_stopped_leaves_no_worker_that_does_not_end_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logs: list[dict[str, Any]]
):
    python = tmp_path / "python"  # the first start of a pool may take what it takes; the second one hangs
    count = f'mkdir $FOLDER/started 2>&- && exec {sys.executable} "$@"'
    python.write_text(f"#!/bin/sh\n{count}\ntrap '' TERM\nexec sleep 1000\n", encoding="ascii")
    python.chmod(0o755)
    monkeypatch.setattr("server.workers.sys.executable", str(python))
    monkeypatch.setattr(workers, "STARTS_WITHIN_S", 0.5)
    monkeypatch.setattr(workers, "ENDS_WITHIN_S", 1.0)
    async with a_pool(tmp_path):
        async with asyncio.timeout(WAIT_S):
            while not (silent := [each["pid"] for each in logs if each.get("serves") is False]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert not [pid for pid in silent if Path(f"/proc/{pid}").exists()]


async def test_a_pool_that_is_stopped_while_its_workers_are_replaced_leaves_none(running: Running):
    old, (first, second) = running.pids, running.pool._slots
    replacing = asyncio.create_task(running.pool.replace())
    async with asyncio.timeout(WAIT_S):
        while not first.replacing.locked():  # noqa: ASYNC110
            await asyncio.sleep(0)
        running.pool.stop()
        await replacing
    assert first.process is not None and second.process is not None
    assert first.process.pid not in old and second.process.pid in old


async def test_the_first_start_takes_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workers, "STARTS_WITHIN_S", 0.0)  # which no process keeps
    monkeypatch.setattr(workers, "LONGEST_PAUSE_S", 0.0)
    async with a_pool(tmp_path) as running:
        await running.until_pids(1, set())
        await running.get("/ready")


async def test_a_pool_told_to_replace_its_workers_while_it_starts_has_none_too_many(tmp_path: Path):
    async with a_pool(tmp_path) as running:
        async with asyncio.timeout(WAIT_S):
            while not running.pool._lines:  # noqa: ASYNC110
                await asyncio.sleep(0)
            await running.pool.replace()
        await running.until_pids(2, set())
        assert set(running.pool._lines) == set(running.pids)


async def test_a_worker_for_which_there_is_no_process_is_started_when_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    start, starts = asyncio.create_subprocess_exec, 0

    async def start_mostly(*command: Any, **options: Any) -> asyncio.subprocess.Process:
        nonlocal starts
        starts += 1
        if starts in (1, 3):
            raise BlockingIOError("Resource temporarily unavailable")
        return await start(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start_mostly)
    monkeypatch.setattr(workers, "FIRST_PAUSE_S", 0.01)
    async with a_pool(tmp_path) as running:
        await running.until_pids(2, set())
        await running.get("/ready")
    assert starts == 4


def test_a_pool_on_sqlite_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["serve", "--workers", "2", "--database-url", f"sqlite:///{tmp_path}/x.db"]) == 2
    assert capsys.readouterr().err == (
        "WORKERS: more than 1 needs PostgreSQL: set DATABASE_URL, or WORKERS to 1\n"
    )


async def test_a_pool_whose_first_worker_is_wrongly_set_ends_with_its_code(tmp_path: Path):
    around = {**environment(), "DATABASE_URL": "nonsense"}
    assert await Pool(Settings(port=free_port(), workers=2), around).run() == 2


SUPERVISOR = """
import asyncio
from server.settings import environment, read_settings
from server.workers import Pool
asyncio.run(Pool(read_settings(environment(), {}), environment()).run())
"""


async def test_a_new_supervisor_takes_over_from_one_that_was_killed(tmp_path: Path):
    port = free_port()
    url = f"sqlite:///{tmp_path}/pool.db"
    around = {**environment(), "DATABASE_URL": url, "PORT": str(port), "WORKERS": "2"}
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", SUPERVISOR, env=around)
    timeout = aiohttp.ClientTimeout(total=WAIT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def serves() -> bool:
            try:
                async with session.get(f"http://127.0.0.1:{port}/ready") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        async with asyncio.timeout(WAIT_S):
            while not await serves():  # noqa: ASYNC110 - it is another process that comes to serve
                await asyncio.sleep(0.05)
        killed.kill()
        await killed.wait()
        running = asyncio.create_task((pool := Pool(Settings(port=port, workers=2), around)).run())
        async with asyncio.timeout(WAIT_S):
            while not any(slot.process for slot in pool._slots) or not await serves():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    pool.stop()
    assert await running == 0


async def test_a_new_supervisor_says_that_it_waits_for_a_port_that_is_taken(
    running: Running, logs: list[dict[str, object]]
):
    port, around = running.port, running.pool._around
    second = asyncio.create_task(Pool(Settings(port=port, workers=2), around).run())
    async with asyncio.timeout(WAIT_S):
        while not any("the port is taken" in str(each["event"]) for each in logs):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second


@pytest.mark.parametrize("how", ["its supervisor is killed", "it is asked to end"])
async def test_a_worker_that_still_starts_ends_when(how: str):
    ours, theirs = socket.socketpair()
    listens, database = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with listens, database, ours, theirs:
        database.setblocking(False)
        url = f"postgresql://demitasse@127.0.0.1:{database.getsockname()[1]}/demitasse"
        around = {**environment(), "DATABASE_URL": url}
        place = Place(1, (listens.fileno(),), theirs.fileno())
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", "serve", "--place", str(place)),
            env=around,
            pass_fds=(*place.sockets, place.line),
        )
        theirs.close()
        async with asyncio.timeout(WAIT_S):
            asked, _ = await asyncio.get_running_loop().sock_accept(database)
        with asked:  # a database that never answers
            if how == "its supervisor is killed":
                ours.close()
            else:
                worker.terminate()
            async with asyncio.timeout(workers.FREE_WITHIN_S):
                assert await worker.wait() == 0
