"""One campaign: sell under faults, let everything settle, and count."""

import asyncio
import itertools
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.chaos import books
from tests.chaos.breaker import Breaker
from tests.chaos.customer import Astonished, Customer
from tests.chaos.plan import Errand, errand
from tests.processes.site import Site

SETTINGS = {
    "ORDER_EXPIRATION_MINUTES": 2,
    "MAKE_LIFE_S": 35,
    "MAKE_RESULT_S": 25,
    "MANUAL_MAKE_S": 20,
    "UNKNOWN_REFUND_S": 60,
    "FAST_TRACK_LIMIT_S": 20,
    "SLOW_TRACK_INTERVAL_S": 10,
    "LOG_LEVEL": "INFO",
}
"""Waits of people made short, so that their ends are seen too."""

CUSTOMERS_A_MACHINE = 1.5
"""Some wait for a machine that makes another's drink."""

SETTLES_WITHIN_S = 180.0
LOOK_EVERY_S = 1.0
TELL_EVERY_S = 20.0
CUSTOMER_TIMEOUT_S = 15.0

ON_THEIR_WAY = {
    "orders": "SELECT 1 FROM orders WHERE refund_status = 'pending' OR status = 'manual_make'"
    " OR (status IN ('paid', 'make_pending') AND failure_code IS NULL)",
    "commands": "SELECT 1 FROM makes WHERE state IN ('queued', 'sent', 'received', 'started')",
    "refunds": "SELECT 1 FROM refunds WHERE status = 'pending'",
    "payments": "SELECT 1 FROM payments p JOIN sandbox_payments b ON b.payment_id = p.provider_payment_id"
    " WHERE p.status IN ('creating', 'pending') AND b.status IN ('succeeded', 'canceled')",
    "unanswered payments": "SELECT 1 FROM payments WHERE status = 'creating'",
    "notifications": "SELECT 1 FROM notifications WHERE handled_at IS NULL",
    "agents away": "SELECT 1 FROM agents WHERE connected_at IS NULL",
}
"""What still moves by itself, soon."""


@dataclass
class Campaign:
    """`orders` purchases at `machines` machines. `say` is told how it goes, `draw` gives the plan."""

    folder: Path
    orders: int
    machines: int
    seed: int
    say: Callable[[str], None]
    draw: Callable[[int, int, int], Errand] = errand
    settings: Mapping[str, object] = field(default_factory=dict)
    """Of the server, beside `SETTINGS`."""
    over: int = 0
    surprises: list[str] = field(default_factory=list)
    """What no fault excuses: answers that the server never gives, processes that ended by themselves."""
    broke: Counter[str] = field(default_factory=Counter)
    waited: list[str] = field(default_factory=list)
    """What was still on its way when the time to settle was over."""
    tail: str = ""

    async def run(self) -> tuple[books.Books, books.Verdict]:
        """Sell, settle, end every process, and return what the books say."""
        site = Site(self.folder / "chaos", places=self.machines, **SETTINGS, **self.settings)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(site)
            breaker = Breaker(site, stack)
            stack.push_async_callback(breaker.give_up)  # before the site ends: nothing starts again
            self.broke = breaker.broke
            await breaker.set_up(self.machines)
            watching = asyncio.create_task(self._watch(breaker))
            stack.callback(watching.cancel)
            killing = asyncio.create_task(
                breaker.kill_workers() if "WORKERS" in self.settings else _nothing()
            )
            stack.callback(killing.cancel)
            await self._sell(site, breaker)
            watching.cancel()
            killing.cancel()
            self.say("faults end; everything may settle")
            await breaker.calm()
            await self._settle(site, breaker)
            machines = [place.machine for place in breaker.places]
        found = books.read(site, machines)
        verdict = books.judge(found)
        if verdict.broken or self.surprises or found.forbidden:
            self.tail = "\n".join([*_histories(site, verdict), site.logs(machines)])
        return found, verdict

    async def _sell(self, site: Site, breaker: Breaker) -> None:
        numbers = iter(range(self.orders))
        timeout = aiohttp.ClientTimeout(total=CUSTOMER_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            customers = max(1, round(self.machines * CUSTOMERS_A_MACHINE))
            await asyncio.gather(
                *(self._sell_to_each(numbers, session, site, breaker) for _ in range(customers))
            )

    async def _sell_to_each(
        self, numbers: Iterator[int], session: aiohttp.ClientSession, site: Site, breaker: Breaker
    ) -> None:
        for number in numbers:
            customer = Customer(session, site, breaker, self.draw(self.seed, number, self.machines))
            try:
                await customer.run()
            except Astonished as surprise:
                self.surprises.append(str(surprise))
            self.over += 1

    async def _watch(self, breaker: Breaker) -> None:
        """Tell how it goes, and notice processes that end by themselves."""
        began = time.monotonic()
        for look in itertools.count(1):
            await asyncio.sleep(LOOK_EVERY_S)
            for name in set(breaker.dead()).difference(self.surprises):
                self.surprises.append(name)
                self.say(f"{name} has ended by itself")
            if look % (TELL_EVERY_S / LOOK_EVERY_S) == 0:
                broke = ", ".join(f"{times} {what}" for what, times in sorted(breaker.broke.items()))
                self.say(f"{time.monotonic() - began:5.0f} s  {self.over} of {self.orders} orders; {broke}")

    async def _settle(self, site: Site, breaker: Breaker) -> None:
        deadline = time.monotonic() + SETTLES_WITHIN_S
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_EVERY_S)
            self.waited = [what for what, question in ON_THEIR_WAY.items() if site.rows(question)]
            if any(_untold(place.machine.journal) for place in breaker.places):
                self.waited.append("reports of agents")
            quiet = 0 if self.waited else quiet + 1


async def _nothing() -> None:
    """Kill no workers, where there are none."""


def _histories(site: Site, verdict: books.Verdict) -> Iterator[str]:
    """Tell what happened to each order that is wrong."""
    for order_id in dict.fromkeys(words.partition(":")[0] for words in verdict.broken):
        yield f"--- {order_id}"
        for row in site.rows("SELECT * FROM order_events WHERE order_id = ? ORDER BY seq", order_id):
            yield "{at} {from_status} → {to_status}: {event} by {cause} {detail}".format_map(row)
        for row in site.rows("SELECT * FROM makes WHERE order_id = ? ORDER BY attempt_no", order_id):
            yield "{command_id} at {device_uuid}: {state} {code} {said}".format_map(row)


def _untold(journal: Path) -> bool:
    """Whether an agent has a report that the server has not stored, or a make that has not ended."""
    database = sqlite3.connect(journal)
    try:
        open_make = "SELECT 1 FROM commands WHERE state IN ('received', 'started')"
        return bool(database.execute(f"SELECT 1 FROM outbox UNION {open_make} LIMIT 1").fetchall())
    finally:
        database.close()
