"""What an agent takes of a small board: its memory, and its processor time while nobody buys.

The real agent beside a simulated Jura and a real server. What only tests install (rich, which the log's
library loads where it finds it) is kept from it, as it is not on a board.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import ChildFailed, ended, last_words, spawned
from bench.host import processor_s, resident_bytes
from bench.scale import Scale
from bench.service import running
from bench.shop import device_name, file_url, stock
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(what="memory of an agent", ours="memory", unit="MiB", least=45, aim=30),
    Line(what="processor of an idle agent", ours="processor", unit="%", least=1, aim=0.3),
)

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.2


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Start a server, a machine and its agent."""
    shop = await stock(file_url(folder / "shop.db"), machines=1, orders=0, now=time.time_ns() // 1_000_000)
    port, log = folder / "coffee.tty", folder / "agent.log"
    board = folder / "board"
    board.mkdir()
    (board / "rich.py").write_text('raise ImportError("not on a board")\n', encoding="utf-8")
    simulator = await spawned(folder / "machine.log", "agent", "simulate", "jura", "--link", str(port))
    try:
        async with running(folder, shop) as service:
            await _until(port.is_symlink, folder / "machine.log")
            config = folder / "agent.toml"
            config.write_text(
                f'server = "ws://127.0.0.1:{service.port}/v1/agent"\n'
                f'token = "{shop.tokens[device_name(0)]}"\njournal = "{folder / "agent.db"}"\n'
                f'[machine]\ndriver = "jura"\nport = "{port}"\n',
                encoding="utf-8",
            )
            agent = await spawned(
                log, "agent", "run", "--config", str(config), environment={"PYTHONPATH": str(board)}
            )
            try:
                await _until(lambda: "welcomes" in log.read_text(encoding="utf-8"), log)

                async def run() -> Figures:
                    spent, begun = processor_s(agent.pid), time.monotonic()
                    await asyncio.sleep(scale.idle_s)
                    passed = time.monotonic() - begun
                    return {
                        "memory": resident_bytes(agent.pid) / 2**20,
                        "processor": (processor_s(agent.pid) - spent) / passed * 100,
                    }

                yield run
            finally:
                await ended(agent)
    finally:
        await ended(simulator)


async def _until(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not true():
        if time.monotonic() > deadline:
            raise ChildFailed(f"not ready in {READY_WITHIN_S:.0f} s\n{last_words(log)}")
        await asyncio.sleep(LOOK_EVERY_S)
