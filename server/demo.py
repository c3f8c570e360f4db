"""The demo: everything on one machine, in real processes, without credentials.

A server with the sandbox banks, simulated machines behind pseudo-terminals, and a real agent beside each:
one machine works, one runs out of water, and one is of a merchant at T-Bank. `--once` buys one drink from
each as a customer would.
"""

import argparse
import asyncio
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import fields
from pathlib import Path

import aiohttp

from server import demo_customer
from server.demo_shop import MACHINES, DemoMachine, agent_config, shop
from server.errors import DemitasseError
from server.settings import Settings, environment

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
STOP_WITHIN_S = 10.0
TECHNICIAN = ("demo", "espresso-doppio")


class DemoFailed(DemitasseError):
    """A part of the demo did not start or ended by itself."""


def add_command(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> argparse.ArgumentParser:
    """Add `demo` to the command line; return its parser."""
    parser = subparsers.add_parser("demo", help="sell coffee from simulated machines on this computer")
    parser.add_argument(
        "--once",
        action="store_true",
        help="buy one drink from each machine over HTTP, print what happened, and stop",
    )
    parser.set_defaults(run=run)
    return parser


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the demo until it is stopped, or once. Returns the exit code."""
    names = [setting.name for setting in fields(Settings)]
    flags = {name.upper(): value for name in names if (value := getattr(options, name)) is not None}
    return asyncio.run(_demo(settings, flags, once=options.once))


async def _demo(settings: Settings, flags: Mapping[str, str], once: bool) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGHUP: its terminal was closed
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="demitasse-demo-")))
        showing = asyncio.create_task(_show(Demo(folder, _free_port(settings), flags, stack), once))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            showing.cancel()
            await asyncio.wait({showing})
            return 1 if once else 0
        stopping.cancel()
        return await showing


async def _show(demo: "Demo", once: bool) -> int:
    await demo.start()
    if once:
        return await demo_customer.buy_from_each(demo.url, [machine.device_uuid for machine in MACHINES])
    print(demo.greeting(), flush=True)
    await demo.watch()
    return 0


class Demo:
    """The processes of the demo, each ended when the stack is. They get its flags as their environment."""

    def __init__(self, folder: Path, port: int, flags: Mapping[str, str], stack: AsyncExitStack) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._stack = stack
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        around = {name: value for name, value in environment().items() if not name.startswith("AGENT_")}
        self._environment = {
            **around,
            **flags,
            "DATABASE_URL": f"sqlite:///{folder}/demo.db",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "BASE_URL": self.url,
            "SANDBOX": "1",
            "WORKERS": "1",
            "PYTHONUNBUFFERED": "1",
        }

    async def start(self) -> None:
        """Start everything and wait until both machines can be bought from. Raises DemoFailed."""
        (self._folder / "shop.toml").write_text(shop(), encoding="utf-8")
        await self._once("server", "load", str(self._folder / "shop.toml"))
        await self._once("server", "user", "add", TECHNICIAN[0], "--role", "operator", typed=TECHNICIAN[1])
        await self._process("server", "server", "serve")
        await self._until(self._serving, "the server does not answer")
        for machine in MACHINES:
            await self._start_machine(machine)
        await self._until(self._selling, "the machines did not connect")

    async def _start_machine(self, machine: DemoMachine) -> None:
        name, port = machine.device_uuid, self._folder / f"{machine.device_uuid}.tty"

        async def plugged() -> bool:
            return port.exists()

        token = await self._once("server", "device", "token", name)
        config = self._folder / f"{name}.toml"
        config.write_text(
            agent_config(self.url, token.split()[-1], self._folder, name, port), encoding="utf-8"
        )
        await self._process(
            f"{name}-machine", "agent", "simulate", "jura", "--link", str(port), *machine.behaviour
        )
        await self._until(plugged, f"there is no {port}")
        await self._process(f"{name}-agent", "agent", "run", "--config", str(config))

    async def _serving(self) -> bool:
        return await self._shows("/ready", "")

    async def _selling(self) -> bool:
        return all([await self._shows(f"/m/{machine.device_uuid}", "/v1/pay?") for machine in MACHINES])

    async def _shows(self, path: str, words: str) -> bool:
        """Return whether a page is there and holds the words."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
                return answer.ok and words in await answer.text()
        except aiohttp.ClientError:
            return False

    async def _until(self, true: Callable[[], Awaitable[bool]], complaint: str) -> None:
        """Look until it is true. Raises DemoFailed when a process ends, or after READY_WITHIN_S."""
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not await true():
                    self._check_alive()
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise DemoFailed(f"{complaint} within {READY_WITHIN_S:.0f} s\n{self._logs()}") from None

    async def watch(self) -> None:
        """Wait until a process ends by itself: that is a DemoFailed."""
        ends = [asyncio.create_task(process.wait()) for process in self._processes.values()]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
        self._check_alive()

    def greeting(self) -> str:
        """Return what the user reads: which addresses to open."""
        name, password = TECHNICIAN
        works, fails, tbank = (f"{self.url}/m/{machine.device_uuid}" for machine in MACHINES)
        return (
            "\nDemitasse is running. Open in a browser:\n\n"
            f"  a machine that works        {works}\n"
            f"  a machine without water     {fails}\n"
            f"  a merchant at T-Bank        {tbank}\n"
            f"  technicians' pages          {self.url}/tech/   (name {name}, password {password})\n\n"
            "Choose a drink, pay at a sandbox bank (no real money) by card or SBP, and watch the order.\n"
            "A card's money is held until the drink is made; SBP is paid at once. The first two machines\n"
            "give a fiscal receipt, whose code comes onto the order's page.\n"
            "The second machine fails, says why, and the money goes back. 20 s later its tank is full,\n"
            "until the next drink.\n"
            f"Logs are in {self._folder}. Ctrl+C ends everything.\n"
        )

    # --- processes ----------------------------------------------------------------------------------

    async def _once(self, module: str, *arguments: str, typed: str = "") -> str:
        process = await asyncio.create_subprocess_exec(
            *_python(module, arguments),
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate(typed.encode())
        finally:
            await _end(process)
        if process.returncode != 0:
            raise DemoFailed(f"{module} {' '.join(arguments)} failed:\n{errors.decode()}")
        return output.decode()

    async def _process(self, name: str, module: str, *arguments: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *_python(module, arguments),
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl+C reaches the demo alone, which ends them in order
            )
        self._processes[name] = process
        self._stack.push_async_callback(_end, process)

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            if process.returncode is not None:
                raise DemoFailed(f"{name} ended with exit code {process.returncode}\n{self._logs()}")

    def _logs(self) -> str:
        """Return the last lines of each process's log."""
        parts = []
        for path in sorted(self._folder.glob("*.log")):
            last = path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
            parts.append("\n".join([f"--- {path.stem}", *last]))
        return "\n".join(parts)


def _python(module: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port(settings: Settings) -> int:
    """Return the port of the settings, or a free one when it is taken."""
    for port in (settings.port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise DemoFailed("no free port on this computer")
