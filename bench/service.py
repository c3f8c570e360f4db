"""The measured server: `python -m server serve`, as an operator starts it, with everything switched on."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import ChildFailed, ended, free_port, last_words, spawned
from bench.http_line import HttpLine, get
from bench.shop import Shop

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.05
LONG_S = "3600"
"""Longer than a measurement: how long the waiting orders may take until their money comes."""


class Service:
    """A server on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, shop: Shop, provider_port: int | None, workers: int) -> None:
        self.port = free_port()
        self._log = folder / "server.log"
        self._process: asyncio.subprocess.Process | None = None
        self._environment = {
            "DATABASE_URL": shop.url,
            "PORT": str(self.port),
            "CREDENTIALS_KEY": shop.key,
            "YOOKASSA_API_URL": f"http://127.0.0.1:{provider_port or free_port()}/v3",
            "FAST_TRACK_LIMIT_S": LONG_S,
            "LOG_LEVEL": "INFO",
            "WORKERS": str(workers),
        }

    @property
    def pid(self) -> int:
        """Its process id; of several workers, their supervisor's."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it; return when it can serve. Raises ChildFailed."""
        self._process = await spawned(self._log, "server", "serve", environment=self._environment)
        deadline = time.monotonic() + READY_WITHIN_S
        while not await self._ready():
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise ChildFailed(f"the server does not start\n{last_words(self._log)}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            await ended(self._process)
            self._process = None

    async def ask(self, path: str) -> bytes:
        """Return the whole answer to a GET."""
        line = await HttpLine.open(self.port)
        try:
            return await line.ask(get(path))
        finally:
            line.close()

    async def _ready(self) -> bool:
        try:
            return (await self.ask("/ready")).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


@asynccontextmanager
async def running(
    folder: Path, shop: Shop, provider_port: int | None = None, workers: int = 1
) -> AsyncIterator[Service]:
    """Run a server for as long as the context lasts."""
    service = Service(folder, shop, provider_port, workers)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()
