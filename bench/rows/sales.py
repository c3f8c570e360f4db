"""Whole sales: how many a second, and how soon the machine hears of one, beside the stripped path.

A sale of ours: notification → provider read back → durable → command on the agent's disk → drink → result
stored. The provider's stand-in and the agents are processes of their own.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from bench.children import Child, child
from bench.host import processor_s
from bench.scale import Scale
from bench.service import running
from bench.shop import file_url, stock
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(
        what="sales, stored as made",
        ours="sales",
        unit="/s",
        bare="stripped sales",
        least=0.25,
        aim=0.5,
        more_is_better=True,
    ),
    Line(
        what="processor time of a sale on the server",
        ours="processor time",
        unit="µs",
        bare="stripped processor time",
    ),
    Line(
        what="notification → first byte on the serial line, p50 at 50 sales/s, 1 000 agents",
        ours="p50",
        unit="ms",
        bare="stripped p50",
        least=3,
        aim=1.5,
    ),
    Line(what="the same, p99", ours="p99", unit="ms", bare="stripped p99"),
)


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Start both paths with their agents, and orders for every run."""
    agents, orders = scale.agents, (scale.runs + 1) * (scale.sales + scale.paced_sales)
    shop = await stock(
        file_url(folder / "shop.db"), machines=agents, orders=orders, now=time.time_ns() // 1_000_000
    )
    async with (
        child(folder, "bench.provider") as provider,
        child(folder, "bench.stripped") as stripped,
        child(folder, "bench.stripped_clients") as clients,
        child(folder, "bench.fleet") as fleet,
    ):
        provider_port = (await provider.ask())["port"]
        stripped_port = (await stripped.ask(path=str(folder / "stripped.db"), orders=orders))["port"]
        async with running(folder, shop, provider_port) as service:
            await clients.ask(do="connect", port=stripped_port, clients=agents)
            tokens = list(shop.tokens.items())
            await fleet.ask(do="connect", port=service.port, tokens=tokens, folder=str(folder))
            unsold, unsold_stripped = count(), count()

            async def run() -> Figures:
                bare = await _sold(clients, stripped.pid, unsold_stripped, scale)
                ours = await _sold(fleet, service.pid, unsold, scale)
                return {**ours, **{f"stripped {name}": figure for name, figure in bare.items()}}

            yield run


async def _sold(load: Child, pid: int, unsold: "count[int]", scale: Scale) -> Figures:
    """Sell as fast as it goes, then at the pace; return what was measured, also of the server's processor."""
    spent_before = processor_s(pid)
    pace = {"at_once": scale.sales_at_once, "seconds": scale.sales_s}
    fast = await load.ask(do="sell", sales=_next(unsold, scale.sales, scale), **pace)
    spent = processor_s(pid) - spent_before
    paced = await load.ask(do="sell", sales=_next(unsold, scale.paced_sales, scale), per_s=scale.paced_per_s)
    return {
        "sales": fast["per_s"],
        "processor time": spent / fast["sold"] * 1e6,
        "p50": paced["p50_ms"],
        "p99": paced["p99_ms"],
    }


def _next(unsold: "count[int]", sales: int, scale: Scale) -> Sequence[tuple[int, int]]:
    """Return the next orders to sell, each with the place of its machine."""
    return [(number, number % scale.agents) for number in (next(unsold) for _ in range(sales))]
