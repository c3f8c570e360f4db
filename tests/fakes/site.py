"""A shop whose server runs in a thread of its own, for clients that block; with orders of every kind."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from argon2 import PasswordHasher

from agent.wire import Actuated, Code, MakeState
from server import keys
from server.users import Users
from tests.fakes.shop import Shop, a_shop, machine
from tests.server.fleet import Fleet

R = TypeVar("R")

WAIT_S = 20.0
ORDERS = (
    "order-1",
    "order-pending",
    "order-made",
    "order-late",
    "order-failed",
    "order-unknown",
    "order-paid",
    "order-received",
)
"""An order in each status that customers and technicians meet; `order-1` is not paid yet."""
CASE = "case-0009"
"""Of `order-unknown`."""
AGENT_TOKEN = "token of dev-2"
PASSWORD = "кофе и булочка"


@dataclass(frozen=True)
class SignedIn:
    """Somebody's browser and program."""

    cookies: dict[str, str]
    csrf: str
    program_token: str


@dataclass
class Site:
    """The running server. `dev-1` sells, `dev-2` has never been connected."""

    shop: Shop
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.shop.settings.public_url

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine beside the server and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(WAIT_S)

    def sign_in(self) -> SignedIn:
        """Begin a new session of anna, and give her programs a new token."""
        return self.run(self._sign_in())

    async def _sign_in(self) -> SignedIn:
        users = Users(self.shop.db, self.shop.clock)
        await users.add("anna", "technician", PASSWORD)
        begun = await users.log_in("anna", PASSWORD, "127.0.0.1")
        session = await users.session(begun.token)
        assert session is not None
        program_token = await users.new_program_token("anna")
        return SignedIn({"demitasse_session": begun.token}, session.csrf, program_token)

    async def fill(self) -> None:
        """Bring machines, orders and cases into the database."""
        fleet = Fleet(self.shop.db, self.shop.clock, self.shop.app[keys.RULES])
        await self.shop.load(machine("dev-2"))
        await fleet.connect("dev-1")
        assert (await self.shop.scan("order-1")).status == 302
        await self.shop.at_bank("order-pending")
        made = await fleet.sell("dev-1", "order-made")
        await fleet.report(made, MakeState.DONE, actuated=Actuated.YES)
        await fleet.sell_late("dev-1", "order-late")
        await fleet.fail("dev-1", "order-failed", Code.NO_WATER)
        await fleet.lose_sight("dev-1", "order-unknown")
        for device_uuid, order_id in (("dev-3", "order-paid"), ("dev-4", "order-received")):
            await fleet.add(device_uuid, "ул. Мира, 7")
            await fleet.connect(device_uuid)
            make = await fleet.sell(device_uuid, order_id)
        await fleet.report(make, MakeState.RECEIVED)
        assert await self.shop.column("SELECT case_id FROM cases") == [CASE]


@contextlib.contextmanager
def a_site(folder: Path, **settings: Any) -> Iterator[Site]:
    """Run a filled shop beside the test."""
    quick = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch, _a_loop() as loop:
        patch.setattr("server.passwords.PasswordHasher", quick)
        opening = a_shop(folder, **settings)
        site = Site(asyncio.run_coroutine_threadsafe(opening.__aenter__(), loop).result(WAIT_S), loop)
        try:
            site.run(site.fill())
            yield site
        finally:
            site.run(opening.__aexit__(None, None, None))


@contextlib.contextmanager
def _a_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run a loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="site")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
