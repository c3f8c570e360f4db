"""Whole sales over PostgreSQL: how many more two server processes make than one.

Both sell in turn over databases of the same PostgreSQL, which is as durable as one is by default. Provider
and agents are processes of their own, and share the cores with all of it.
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count, islice
from pathlib import Path

from bench.children import Child, child
from bench.host import busy_s, family, processor_s
from bench.postgres import Postgres, postgres
from bench.scale import Scale
from bench.service import Service, running
from bench.shop import stock
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(
        what="sales on PostgreSQL, two server processes beside one",
        ours="two sales",
        unit="/s",
        bare="one sales",
        least=1.4,
        aim=1.8,
        more_is_better=True,
    ),
    Line(what="processor time of a sale on the servers", ours="two servers", unit="µs", bare="one servers"),
    Line(what="and in PostgreSQL", ours="two postgres", unit="µs", bare="one postgres"),
    Line(
        what="how much of all cores that took, with agents and provider",
        ours="two busy",
        unit="%",
        bare="one busy",
    ),
)

Turn = Callable[[], Awaitable[Figures]]


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Start PostgreSQL, and over it one server of one process and one of two, each with agents of its own."""
    async with AsyncExitStack() as opened:
        store = await opened.enter_async_context(postgres(folder))
        port = (await (await opened.enter_async_context(child(folder, "bench.provider"))).ask())["port"]
        turns = [
            await _selling(opened, folder / name, scale, store, port, workers)
            for name, workers in (("one", 1), ("two", 2))
        ]

        async def run() -> Figures:
            return {name: figure for turn in turns for name, figure in (await turn()).items()}

        yield run


async def _selling(
    opened: AsyncExitStack, folder: Path, scale: Scale, store: Postgres, provider_port: int, workers: int
) -> Turn:
    """Start a server of so many processes over a database of its own; return what sells and measures once."""
    folder.mkdir()
    machines, orders = scale.shared_agents, (scale.runs + 1) * scale.shared_sales
    url = await store.make(folder.name)
    shop = await stock(url, machines=machines, orders=orders, now=time.time_ns() // 1_000_000)
    service = await opened.enter_async_context(running(folder, shop, provider_port, workers))
    fleet = await opened.enter_async_context(child(folder, "bench.fleet"))
    await fleet.ask(do="connect", port=service.port, tokens=list(shop.tokens.items()), folder=str(folder))
    return partial(_turn, folder.name, fleet, service, store, count(), scale)


async def _turn(
    name: str, fleet: Child, service: Service, store: Postgres, unsold: "count[int]", scale: Scale
) -> Figures:
    sales = [(number, number % scale.shared_agents) for number in islice(unsold, scale.shared_sales)]
    before = _spent_s(service, store)
    begun = time.monotonic()
    sold = await fleet.ask(do="sell", sales=sales, at_once=scale.sales_at_once, seconds=scale.sales_s)
    took_s = time.monotonic() - begun
    spent = zip(before, _spent_s(service, store), strict=True)
    servers, database, busy = (after - had for had, after in spent)
    return {
        f"{name} sales": sold["per_s"],
        f"{name} servers": servers / sold["sold"] * 1e6,
        f"{name} postgres": database / sold["sold"] * 1e6,
        f"{name} busy": busy / took_s / (os.cpu_count() or 1) * 100,
    }


def _spent_s(service: Service, store: Postgres) -> tuple[float, float, float]:
    """Return the processor time that the servers, PostgreSQL and the whole machine have used."""
    return _family_s(service.pid), _family_s(store.pid), busy_s()


def _family_s(pid: int) -> float:
    return sum(map(processor_s, family(pid)))
