"""Whole sales go on while the server is replaced twice: each order ends as one drink, none fails.

Two workers on PostgreSQL are replaced one after another, and not one request may fail. On SQLite there is one
process, which nothing replaces: what its stop means to a sale is told in `tests/processes/test_servers.py`.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.databases import Databases
from tests.processes.customer import Customer, Purchase
from tests.processes.site import Machine, Site, until

MACHINES, TIMES = 3, 2
REPLACED = "every worker was replaced"


class Selling:
    """A customer at each machine who buys one drink after another until he is told to stop."""

    def __init__(self, customer: Customer, machines: list[Machine]) -> None:
        self.bought: list[Purchase] = []
        self._customer = customer
        self._over = asyncio.Event()
        self._buyers = [asyncio.create_task(self._buy(machine)) for machine in machines]

    async def _buy(self, machine: Machine) -> None:
        while not self._over.is_set():
            self.bought.append(await self._customer.buys(machine))

    async def goes_on(self) -> None:
        """Wait until each machine has sold one more drink."""
        enough = len(self.bought) + len(self._buyers)
        await until(lambda: len(self.bought) >= enough or self._one_has_failed(), "sales go on")

    def number_at(self, machine: Machine) -> int:
        """How many were bought at the machine."""
        return sum(bought.machine is machine for bought in self.bought)

    def _one_has_failed(self) -> bool:
        return any(buyer.done() for buyer in self._buyers)

    async def ends(self) -> None:
        """Let each customer finish. Raises what one of them has met."""
        self._over.set()
        await asyncio.gather(*self._buyers)


async def replace_workers(site: Site) -> None:
    """Replace every worker by a new one that serves already."""
    before = site.server.said().count(REPLACED)
    workers = set(site.server.children())
    site.server.signal(signal.SIGHUP)
    await until(lambda: site.server.said().count(REPLACED) > before, "the workers are replaced")
    assert not workers.intersection(site.server.children())


@asynccontextmanager
async def selling_at(site: Site, **session: Any) -> AsyncIterator[Selling]:
    """Sell at a site; at the end every order has become its one drink."""
    async with site, Customer(site, **session) as customer:
        machines = await asyncio.gather(*(site.machine("--brew-s", "0.3") for _ in range(MACHINES)))
        try:
            selling = Selling(customer, machines)
            yield selling
            await selling.ends()
            for bought in selling.bought:
                bought.made(poured=selling.number_at(bought.machine))
        except BaseException as error:
            error.add_note(site.logs(machines))
            raise


def unanswered() -> tuple[list[str], aiohttp.TraceConfig]:
    """Return a list that requests without an answer will be noted in, and what notes them."""
    noted: list[str] = []
    tracing = aiohttp.TraceConfig()

    async def note(_: object, __: object, failed: aiohttp.TraceRequestExceptionParams) -> None:
        noted.append(f"{failed.method} {failed.url}: {failed.exception!r}")

    tracing.on_request_exception.append(note)
    return noted, tracing


async def test_no_sale_and_no_request_fails_while_every_worker_is_replaced_twice(
    tmp_path: Path, postgres: Databases
):
    url = await postgres.make(f"demitasse_{postgres.owner}_replaced")
    site = Site(tmp_path / "pool", MACHINES, DATABASE_URL=url, WORKERS=2, LOG_LEVEL="INFO")
    noted, tracing = unanswered()
    one_each = aiohttp.TCPConnector(force_close=True)
    async with selling_at(site, connector=one_each, trace_configs=[tracing]) as selling:
        await selling.goes_on()
        for _ in range(TIMES):
            await replace_workers(site)
            await selling.goes_on()
    assert noted == []
