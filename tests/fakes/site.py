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
from server.sandbox_tbank import PASSWORD as TBANK_PASSWORD
from server.sandbox_tbank import TERMINAL_KEY
from server.shop_file import MerchantEntry
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
    "order-sbp",
)
"""An order in each status that customers and technicians meet; `order-1` is not paid yet."""
CASE = "case-0009"
"""Of `order-unknown`."""
AGENT_TOKEN = "token of dev-2"
PASSWORD = "кофе и булочка"

TERMINAL = {"TBank": {"terminal_key": TERMINAL_KEY, "password": TBANK_PASSWORD}}
_RECEIPT = """
    INSERT INTO receipts (receipt_id, payment_id, kind, status, amount_minor, storage_number, document_number,
        attribute, registered_at, created_at, updated_at)
    SELECT payment_id, payment_id, 'payment', 'succeeded', amount_minor, '9999078900005430', '39021',
        '3214567890', '2026-11-20T11:31:10.000+03:00', 0, 0 FROM payments WHERE order_id = 'order-made'
"""


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
        await users.add("anna", "technician", PASSWORD, replace=True)
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
        await self._sell_by_sbp(fleet)
        await self.shop.change(_RECEIPT)
        await self.shop.change(
            "UPDATE orders SET email = 'anna@coffee.example' WHERE order_id = 'order-made'"
        )
        assert await self.shop.column("SELECT case_id FROM cases") == [CASE]

    async def _sell_by_sbp(self, fleet: Fleet) -> None:
        """Let T-Bank wait for `order-sbp`."""
        merchant = MerchantEntry(id="m2", name="Кофе через дорогу", credentials=TERMINAL)
        await self.shop.load(machine("dev-5", merchant="m2", payment_scenario="TBank"), merchant=merchant)
        await fleet.connect("dev-5")
        assert (await self.shop.scan("order-sbp", deviceUuid="dev-5")).status == 302
        wish = {"order_id": "order-sbp", "method": "sbp"}
        assert (await self.shop.post("/v1/initiate-payment", json=wish)).status == 200

    def bank_id(self, order_id: str) -> str:
        """Return the provider's id of an order's payment; what is no order's comes back as it is."""
        sql = (
            "SELECT provider_payment_id FROM payments WHERE order_id = $1 AND provider_payment_id IS NOT NULL"
        )
        return next(iter(self.run(self.shop.column(sql, order_id))), order_id)


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
