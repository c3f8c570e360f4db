"""How many polls of a live order's status are answered, beside an aiohttp handler with the same bytes."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bench.children import child
from bench.host import processor_s
from bench.scale import Scale
from bench.service import running
from bench.shop import file_url, order_name, stock
from bench.table import Figures, Line

LINES: tuple[Line, ...] = (
    Line(
        what="order status polls",
        ours="polls",
        unit="/s",
        bare="bare handler, same bytes",
        least=0.75,
        aim=0.9,
        more_is_better=True,
    ),
    Line(
        what="processor time of a poll",
        ours="processor time of a poll",
        unit="µs",
        bare="processor time of a bare answer",
    ),
)


@asynccontextmanager
async def prepared(folder: Path, scale: Scale) -> AsyncIterator[Callable[[], Awaitable[Figures]]]:
    """Start a server with live orders, a bare one, and the load."""
    names = [order_name(number) for number in range(scale.poll_connections)]
    shop = await stock(
        file_url(folder / "shop.db"), machines=1, orders=len(names), now=time.time_ns() // 1_000_000
    )
    async with (
        running(folder, shop) as service,
        child(folder, "bench.bare") as bare,
        child(folder, "bench.http_load") as load,
    ):
        answer = await service.ask(f"/v1/order-status/{names[0]}")
        bare_port = (await bare.ask(body=answer.partition(b"\r\n\r\n")[2].decode()))["port"]

        async def asked(pid: int, port: int, path: str) -> tuple[float, float]:
            """Return answers per second, and microseconds of processor for each."""
            spent_before = processor_s(pid)
            paths = [path + name for name in names]
            said = await load.ask(port=port, paths=paths, seconds=scale.poll_s)
            return said["per_s"], (processor_s(pid) - spent_before) / said["answers"] * 1e6

        async def run() -> Figures:
            bare_per_s, bare_us = await asked(bare.pid, bare_port, "/ready-answer/")
            per_s, us = await asked(service.pid, service.port, "/v1/order-status/")
            return {
                "bare handler, same bytes": bare_per_s,
                "polls": per_s,
                "processor time of a poll": us,
                "processor time of a bare answer": bare_us,
            }

        yield run
