"""Processes of a measurement: started, talked to by lines of JSON, and surely ended.

A child of this package answers each line on its standard input by one on its standard output, and ends when
the input does. `bench.tied` ends what could not be ended so.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.tied import tied

ENDS_WITHIN_S = 15.0
LINE_LIMIT = 64 * 1024 * 1024
ROOT = Path(__file__).resolve().parents[1]

Said = dict[str, Any]


class ChildFailed(Exception):
    """A process of the measurement ended, or could not do what it was asked."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def spawned(
    log: Path, *arguments: str, environment: Mapping[str, str] | None = None, pipe: int | None = None
) -> asyncio.subprocess.Process:
    """Start `python -m ARGUMENTS`, tied to this process; what it says on standard error goes to `log`."""
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            *tied(signal.SIGKILL, "", sys.executable, "-m", *arguments),
            env={**os.environ, **(environment or {})},
            cwd=ROOT,
            stdin=pipe or asyncio.subprocess.DEVNULL,
            stdout=pipe or file,
            stderr=file,
            limit=LINE_LIMIT,
        )


async def ended(process: asyncio.subprocess.Process, number: signal.Signals = signal.SIGTERM) -> None:
    """Ask a process to end, and end it when it does not."""
    if process.returncode is None:
        process.send_signal(number)
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Child:
    """A process of this package that does what it is asked."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ask(self, **order: Any) -> Said:
        """Have it do something and return what it says. Raises ChildFailed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"a process ended: see {self._log}\n{last_words(self._log)}")
        said: Said = json.loads(line)
        return said


def last_words(log: Path, lines: int = 15) -> str:
    """Return the end of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


@asynccontextmanager
async def child(folder: Path, module: str) -> AsyncIterator[Child]:
    """Run a module of this package as a process, for as long as the context lasts."""
    log = folder / f"{module}.log"
    process = await spawned(log, module, pipe=asyncio.subprocess.PIPE)
    try:
        yield Child(process, log)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await ended(process)


async def obey(do: Callable[[Said], Awaitable[Said]]) -> None:
    """In the child: do what each line of the standard input asks, and answer, until it ends."""
    reader = asyncio.StreamReader(LINE_LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await do(json.loads(line))), flush=True)
