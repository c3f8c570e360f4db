"""Ten thousand agents on one server: what each costs, how quick a command is, how soon they are back.

The agents are stand-ins that speak the wire. A command's round trip is from the moment at which the server
takes it up to send it until the agent's word that it was received has come: in between is a durable commit.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from statistics import quantiles

from bench.children import Child, ChildFailed, child
from bench.host import processor_s, resident_bytes
from bench.http_line import HttpLine, post
from bench.notification import notification
from bench.scale import Scale
from bench.selling import at_a_pace
from bench.service import Service, running
from bench.shop import Shop, file_url, order_name, stock
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(
        what="memory per idle agent",
        ours="memory",
        unit="KiB",
        bare="bare memory",
        least=2,
        aim=1.3,
    ),
    Line(what="processor for 10 000 idle agents that ping", ours="idle", unit="%"),
    Line(
        what="round trip of a command beside 10 000 idle agents, p99",
        ours="round trip",
        unit="ms",
        least=20,
        aim=5,
    ),
    Line(what="10 000 agents back after a restart", ours="back", unit="s", least=30, aim=10),
)
IDLE_S = 5.0
SOLD_WITHIN_S, LOOK_EVERY_S = 60.0, 0.2


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Make the shop; each run starts its servers anew, since memory is measured from the start."""
    now, orders = time.time_ns() // 1_000_000, (scale.runs + 1) * scale.crowd_sales
    shop = await stock(file_url(folder / "shop.db"), machines=scale.crowd, orders=orders, now=now)
    unsold = count()

    async def run() -> Figures:
        async with child(folder, "bench.crowd") as crowd, child(folder, "bench.provider") as provider:
            bare = await _bare(folder, crowd, list(shop.tokens))
            numbers = [next(unsold) for _ in range(scale.crowd_sales)]
            provider_port = (await provider.ask())["port"]
            async with running(folder, shop, provider_port) as service:
                return {**bare, **await _ours(service, shop, crowd, numbers, scale.paced_per_s)}

    yield run


async def _bare(folder: Path, crowd: Child, names: list[str]) -> Figures:
    async with child(folder, "bench.bare") as bare:
        port = (await bare.ask(body=""))["port"]
        empty = resident_bytes(bare.pid)
        await crowd.ask(do="come", port=port, path="/echo", tokens=[(name, None) for name in names])
        memory = (resident_bytes(bare.pid) - empty) / len(names) / 1024
        await crowd.ask(do="leave")
        return {"bare memory": memory}


async def _ours(service: Service, shop: Shop, crowd: Child, numbers: list[int], per_s: float) -> Figures:
    empty = resident_bytes(service.pid)
    tokens = list(shop.tokens.items())
    await crowd.ask(do="come", port=service.port, path="/v1/agent", tokens=tokens)
    memory = (resident_bytes(service.pid) - empty) / len(tokens) / 1024
    idle = await _idle_percent(service.pid)
    await _sell(service, shop, numbers, per_s)
    round_trip = _round_trip_p99_ms(shop, numbers)
    await service.stop()
    restarted = time.monotonic()
    await service.start()
    said = await crowd.ask(do="back", since=restarted)
    await crowd.ask(do="leave")
    return {
        "memory": memory,
        "idle": idle,
        "round trip": round_trip,
        "back": said["last_at"] - restarted,
    }


async def _idle_percent(pid: int) -> float:
    """Return how much of one core a process takes when nothing happens."""
    spent_before, begun = processor_s(pid), time.monotonic()
    await asyncio.sleep(IDLE_S)
    return (processor_s(pid) - spent_before) / (time.monotonic() - begun) * 100


async def _sell(service: Service, shop: Shop, numbers: list[int], per_s: float) -> None:
    """Have the orders paid at a pace; return when the last result is stored."""
    line = await HttpLine.open(service.port)
    one_at_a_time = asyncio.Lock()

    async def pay(number: int) -> float:
        async with one_at_a_time:
            await line.ask(post("/v1/yook-pay-webhook", notification(number)))
        return 0.0

    await at_a_pace(pay, numbers, per_s)
    line.close()
    for _ in range(int(SOLD_WITHIN_S / LOOK_EVERY_S)):
        if _rows(shop, "SELECT count(*) FROM makes WHERE state = 'done'")[0][0] > numbers[-1]:
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise ChildFailed(f"not all drinks were made in {SOLD_WITHIN_S:.0f} s")


def _round_trip_p99_ms(shop: Shop, numbers: list[int]) -> float:
    marks = ", ".join("?" * len(numbers))
    taken = _rows(
        shop,
        f"SELECT received_at - sent_at FROM makes WHERE order_id IN ({marks})",
        *map(order_name, numbers),
    )
    return quantiles([float(row[0]) for row in taken], n=100)[98]


def _rows(shop: Shop, query: str, *values: str) -> list[tuple[int]]:
    with closing(sqlite3.connect(f"file:{shop.path}?mode=ro", uri=True)) as database:
        return database.execute(query, values).fetchall()
