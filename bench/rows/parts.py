"""What two bare parts take of this machine, so that the other figures can be held against them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import child
from bench.scale import Scale
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(what="bare durable commit (UPDATE, INSERT), one at a time, p50", ours="commit", unit="ms"),
    Line(what="bare WebSocket echo (aiohttp), one at a time, p50", ours="echo", unit="ms"),
)


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Start a bare server and what asks it."""
    async with child(folder, "bench.bare") as bare, child(folder, "bench.parts") as parts:
        port = (await bare.ask(body=""))["port"]

        async def run() -> Figures:
            path = str(folder / "commits.db")
            commit = await parts.ask(do="commit", path=path, times=scale.part_times)
            echo = await parts.ask(do="echo", port=port, times=scale.part_times)
            return {"commit": commit["p50_ms"], "echo": echo["p50_ms"]}

        yield run
