"""How a load sells: notifications posted as fast as they go or at a pace, and what was measured of each."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from statistics import median, quantiles

from bench.children import Said

Sell = Callable[[int], Awaitable[float]]
"""Sells one order, returns when its drink was stored as made; gives the seconds to the first serial byte."""


async def at_once(sell: Sell, numbers: Sequence[int], workers: int, seconds: float) -> Said:
    """Sell orders, so many at a time, as long as told or until none is left; return how many a second."""
    waiting = iter(numbers)
    begun = time.monotonic()
    until = begun + seconds
    sold = sum(await asyncio.gather(*(_one_after_another(sell, waiting, until) for _ in range(workers))))
    return {"per_s": sold / (time.monotonic() - begun), "sold": sold}


async def _one_after_another(sell: Sell, numbers: Iterator[int], until: float) -> int:
    sold = 0
    while time.monotonic() < until and (number := next(numbers, None)) is not None:
        await sell(number)
        sold += 1
    return sold


async def at_a_pace(sell: Sell, numbers: Sequence[int], per_s: float) -> Said:
    """Sell the orders at a steady pace; return the milliseconds to the first serial byte."""
    begun = time.monotonic()
    sales = []
    for place, number in enumerate(numbers):
        await asyncio.sleep(begun + place / per_s - time.monotonic())
        sales.append(asyncio.ensure_future(sell(number)))
    taken_ms = [seconds * 1000 for seconds in await asyncio.gather(*sales)]
    return {"p50_ms": median(taken_ms), "p99_ms": quantiles(taken_ms, n=100)[98]}
