"""A site in real processes: a server with the sandbox bank, simulated machines, and an agent beside each.

Everything lives in one folder and on one free port of loopback; each process is ended by its own id.
"""

import asyncio
import inspect
import itertools
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from server.commands import give_token
from server.db import open_database
from server.tokens import token_hash
from tests.fakes.ports import free_port

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.2
ENDS_WITHIN_S = 30.0
LOG_LINES, LOG_WIDTH = 25, 400

DRINKS = {"espresso": 9000, "coffee": 11000, "tea": 8000}
"""What every machine has on its menu, small, with the price in kopecks."""
KEYS = {"espresso": "FA:04", "coffee": "FA:09"}
"""What every agent knows of it: tea is on the menu by mistake."""


async def until(
    true: Callable[[], bool | Awaitable[bool]], what: str, within_s: float = READY_WITHIN_S
) -> None:
    """Wait until something is true of another process; fail when it does not become so in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = true()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(LOOK_EVERY_S)


class Process:
    """One process of the site: it may be killed and started again, and goes on with the same log."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._environment = environment
        self._arguments = arguments
        self._running: subprocess.Popen[bytes] | None = None
        self.device: Path | None = None
        """The link to its pseudo-terminal: gone with it, or it would soon lead to another machine's."""

    def start(self, *more: str) -> None:
        """Start it, this time with more arguments; it must not be running."""
        assert self._running is None
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-m", *self._arguments, *more],
                env=os.environ | self._environment | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """End it without a warning, as a power cut would."""
        assert self._running is not None
        self._running.kill()
        self._running.wait()
        self._running = None
        if self.device is not None:
            self.device.unlink(missing_ok=True)

    def ask_to_end(self) -> None:
        """Ask it to end, if it runs."""
        if self._running is not None:
            self._running.terminate()

    def stop(self) -> None:
        """Ask it to end, and end it when it does not. May be called when it does not run."""
        self.ask_to_end()
        if self._running is None:
            return
        try:
            self._running.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it must be running."""
        assert self._running is not None
        self._running.send_signal(number)

    def children(self) -> list[int]:
        """Return the ids of the processes that it has started."""
        assert self._running is not None
        listed = Path(f"/proc/{self._running.pid}/task/{self._running.pid}/children")
        return [int(number) for number in listed.read_text().split()]

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended by us."""
        return self._running is not None

    def has_ended(self) -> bool:
        """Whether it has ended by itself, or as it was asked to."""
        return self._running is not None and self._running.poll() is not None

    @property
    def exit_code(self) -> int | None:
        """The exit code of a process that has ended."""
        return self._running.returncode if self._running is not None else None

    def said(self) -> str:
        """Return its log."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Machine:
    """A simulated machine and its agent: its serial port, what came out of it, what its agent keeps."""

    def __init__(self, device_uuid: str, folder: Path, simulator: Process, agent: Process) -> None:
        self.device_uuid = device_uuid
        self.port = folder / f"{device_uuid}.tty"
        self.ledger = folder / f"{device_uuid}.ledger"
        self.journal = folder / f"{device_uuid}-agent.db"
        self.simulator = simulator
        self.agent = agent

    @property
    def poured(self) -> int:
        """How many drinks really came out. A command that no agent may send fails the test."""
        entries = [json.loads(line) for line in self.ledger.read_text().splitlines()]
        assert not [entry for entry in entries if "FORBIDDEN" in entry]
        return len(entries)

    def heard(self, command: str) -> int:
        """How often the machine was sent a command that begins so."""
        return self.simulator.said().count(f'"text": "{command}')

    async def hears(self, command: str, times: int = 1) -> None:
        """Wait until the machine was sent the command so often."""
        await until(lambda: self.heard(command) >= times, f"{self.device_uuid} hears {command}")


class Site:
    """A server and up to `places` machines. Use as an async context manager; `settings` are the server's."""

    def __init__(self, folder: Path, places: int, **settings: object) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = folder / "site.db"
        self._names = [f"{folder.name}-{number:03}" for number in range(places)]
        self._free = iter(self._names)
        self._environment = {
            "DATABASE_URL": f"sqlite:///{self.database}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "SANDBOX": "1",
            **{name: str(value) for name, value in settings.items()},
        }
        self.server = Process("server", folder, self._environment, "server", "serve")
        self._processes = [self.server]

    async def __aenter__(self) -> "Site":
        shop = self.folder / "shop.toml"
        shop.write_text(_shop(self._names), encoding="utf-8")
        await self.run("load", str(shop))
        await self._give_tokens()
        self.server.start()
        try:
            await self.ready()
        except BaseException as error:
            error.add_note(self.logs())
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        """End everything. An agent would wait for its drink, and there is nobody left to want it."""
        server, *others = self._processes
        for process in others:
            if process.runs:
                process.kill()
        server.stop()

    async def run(self, *arguments: str, typed: str = "") -> str:
        """Run a command of the server to its end; return what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", *arguments),
            env=os.environ | self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output, errors = await process.communicate(typed.encode())
        assert process.returncode == 0, errors.decode()
        return output.decode()

    async def machine(
        self, *behaviour: str, agent_server: str = "", make_limit_s: float | None = None
    ) -> Machine:
        """Place the next machine, started with options of the simulator, and start its agent."""
        name = next(self._free)
        simulator, agent, config = f"{name}-machine", f"{name}-agent", self.folder / f"{name}.toml"
        port, ledger, counters = (
            str(self.folder / f"{name}.{kind}") for kind in ("tty", "ledger", "counters")
        )
        simulate = ("agent", "simulate", "jura", "--link", port, "--ledger", ledger, "--state", counters)
        placed = Machine(
            name,
            self.folder,
            self._process(simulator, *simulate, "--brew-s", "1", *behaviour),
            self._process(agent, "agent", "run", "--config", str(config)),
        )
        placed.simulator.device = placed.port
        placed.ledger.touch()
        server = agent_server or f"ws://127.0.0.1:{self.port}/v1/agent"
        config.write_text(
            _agent_config(server, name, placed.journal, placed.port, make_limit_s), encoding="utf-8"
        )
        placed.simulator.start()
        await until(placed.port.is_symlink, f"{placed.port} appears")
        placed.agent.start()
        return placed

    def _process(self, name: str, *arguments: str) -> Process:
        process = Process(name, self.folder, {}, *arguments)
        self._processes.append(process)
        return process

    async def _give_tokens(self) -> None:
        db = await open_database(self._environment["DATABASE_URL"])
        for name in self._names:
            assert await db.write(give_token, name, token_hash(f"token-of-{name}"))
        await db.close()

    async def ready(self) -> None:
        """Wait until the server answers."""
        async with aiohttp.ClientSession() as session:

            async def answers() -> bool:
                try:
                    async with session.get(f"{self.url}/ready") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            await until(answers, "the server is ready")

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return rows of the server's database."""
        if not self._environment["DATABASE_URL"].startswith("sqlite:"):
            with ThreadPoolExecutor(1) as aside:  # where no loop runs yet
                return aside.submit(_postgres_rows, self._environment["DATABASE_URL"], sql, values).result()
        database = sqlite3.connect(self.database)
        try:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, values)]
        finally:
            database.close()

    def machine_state(self, machine: Machine) -> str | None:
        """Return the machine's state as its agent told it; None while no agent is connected."""
        connected = "SELECT machine_state FROM agents WHERE device_uuid = ? AND connected_at IS NOT NULL"
        return next((row["machine_state"] for row in self.rows(connected, machine.device_uuid)), None)

    def open_cases(self, order_id: str) -> list[str]:
        """Return the kinds of the order's cases that wait for a person."""
        rows = self.rows("SELECT kind FROM cases WHERE order_id = ? AND closed_at IS NULL", order_id)
        return [row["kind"] for row in rows]

    def logs(self, machines: Iterable[Machine] = ()) -> str:
        """Return the last lines of the logs: of the machines, and what the server says of them."""
        names = [machine.device_uuid for machine in machines]
        parts = []
        for process in self._processes:
            lines = process.said().splitlines()
            if process is self.server:
                lines = [line for line in lines if line[:1] != "{" or any(name in line for name in names)]
            elif not process.name.startswith(tuple(names)):
                continue
            parts += [f"--- {process.name}", *(line[:LOG_WIDTH] for line in lines[-LOG_LINES:])]
        return "\n".join(parts)


def _postgres_rows(url: str, sql: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
    """Return rows of a PostgreSQL; SQLite's placeholders become its own."""
    numbers = itertools.count(1)

    async def fetch() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url)
        try:
            text = re.sub(r"\?", lambda _: f"${next(numbers)}", sql)
            return [dict(row) for row in await connection.fetch(text, *values)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def _shop(names: list[str]) -> str:
    drinks = "".join(
        f'[[devices.drinks]]\ndrink_no = "{drink}"\nname = "{drink}"\nprices = {{ small = {price} }}\n'
        for drink, price in DRINKS.items()
    )
    devices = "".join(
        f"""
[[devices]]
device_uuid = "{name}"
merchant = "m1"
location = "ул. Ленина, {number}"
payment_scenario = "Sandbox"
client_info_make_failed = 'Позвоните <a href="tel:+74951234567">+7 495 123-45-67</a>'
{drinks}"""
        for number, name in enumerate(names, 1)
    )
    return f'[[merchants]]\nid = "m1"\nname = "Кофе у дома"\nvalid_until = 2099-12-31\n{devices}'


def _agent_config(server: str, name: str, journal: Path, port: Path, make_limit_s: float | None) -> str:
    products = "".join(f'[machine.products.{drink}]\nsmall = "{key}"\n' for drink, key in KEYS.items())
    return f"""server = "{server}"
token = "token-of-{name}"
journal = "{journal}"
[machine]
driver = "jura"
port = "{port}"
{f"make_limit_s = {make_limit_s}" if make_limit_s else ""}
{products}"""
