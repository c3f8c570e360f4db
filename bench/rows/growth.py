"""How much later a machine hears of a sale when the database is full of finished orders.

Two servers with agents of their own, one over a database that has sold nothing yet; the same load goes to one
and to the other in turn, so that what else the machine does falls on both.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median

from bench.children import Child, child
from bench.scale import Scale
from bench.service import running
from bench.shop import file_url, stock
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(
        what="notification → first byte, p50 at {scale.grown_per_s:.0f} sales/s, with {scale.grown:,} "
        "finished orders beside none",
        ours="grown",
        unit="ms",
        bare="empty",
        least=1.15,
        aim=1.05,
    ),
)

TURNS = 5
"""How often each of them sells in one run."""

Turn = Callable[[], Awaitable[float]]


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Fill a database, and start both servers with their agents."""
    async with AsyncExitStack() as opened:
        port = (await (await opened.enter_async_context(child(folder, "bench.provider"))).ask())["port"]
        empty = await _selling(opened, folder / "empty", scale, 0, port)
        grown = await _selling(opened, folder / "grown", scale, scale.grown, port)

        async def run() -> Figures:
            turns = [(await empty(), await grown()) for _ in range(TURNS)]
            return {"empty": median(each[0] for each in turns), "grown": median(each[1] for each in turns)}

        yield run


async def _selling(
    opened: AsyncExitStack, folder: Path, scale: Scale, finished: int, provider_port: int
) -> Turn:
    """Start a server over so many finished orders; return what sells once and tells the median in ms."""
    folder.mkdir()
    now, machines = time.time_ns() // 1_000_000, scale.grown_agents
    orders = (scale.runs + 1) * TURNS * scale.grown_sales
    shop = await stock(file_url(folder / "shop.db"), machines=machines, orders=orders, now=now)
    if finished:
        async with child(folder, "bench.filler") as filler:
            await filler.ask(path=str(shop.path), orders=finished, machines=machines, now=now)
    service = await opened.enter_async_context(running(folder, shop, provider_port))
    fleet = await opened.enter_async_context(child(folder, "bench.fleet"))
    await fleet.ask(do="connect", port=service.port, tokens=list(shop.tokens.items()), folder=str(folder))
    return partial(_turn, fleet, count(), scale)


async def _turn(fleet: Child, unsold: "count[int]", scale: Scale) -> float:
    sales = [(number, number % scale.grown_agents) for number in islice(unsold, scale.grown_sales)]
    p50_ms: float = (await fleet.ask(do="sell", sales=sales, per_s=scale.grown_per_s))["p50_ms"]
    return p50_ms
