"""A sandbox bank on loopback with a shop beside it: its client, its webhook, and a clock that tests move."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import aiohttp_jinja2
import jinja2
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.db import Database, open_database
from server.payments import Credentials, PaymentSnapshot, yookassa_api
from server.payments.yookassa import Yookassa
from server.sandbox import ACCOUNT_ID, SECRET_KEY, Sandbox
from server.sandbox.app import NOTIFICATION_PATH
from tests.fakes.asked import asked_for

PAGE = "{{ shop_name }}|{{ payment.amount_text }}|{{ payment.status }}|{{ payment.return_url }}"
WAIT_S = 30.0
RECEIPT_DELAY_MS = 3000


@dataclass
class Clock:
    """UTC milliseconds that stand still until they are moved."""

    now_ms: int = 1_795_163_400_129

    def __call__(self) -> int:
        return self.now_ms

    def pass_minutes(self, minutes: float) -> None:
        self.now_ms += round(minutes * 60_000)


@dataclass
class Webhook:
    """The shop's address for notifications."""

    statuses: deque[int] = field(default_factory=deque)
    """What it answers next; then 200."""
    received: list[dict[str, Any]] = field(default_factory=list)
    peers: list[str | None] = field(default_factory=list)
    """The address that each came from."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self._changed:
            self.received.append(body)
            self.peers.append(request.remote)
            self._changed.notify_all()
        return web.Response(status=self.statuses.popleft() if self.statuses else 200)

    async def until(self, true: Callable[[list[dict[str, Any]]], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: true(self.received))

    @property
    def events(self) -> list[str]:
        return [body["event"] for body in self.received]


@dataclass
class Street:
    """Everything that a test of the bank needs."""

    sandbox: Sandbox
    shop: Yookassa
    webhook: Webhook
    clock: Clock
    session: aiohttp.ClientSession
    db: Database

    def body(self, amount_minor: int = 15000, **otherwise: Any) -> str:
        """Return the body of a payment."""
        return yookassa_api.payment_body(asked_for(amount_minor=amount_minor, **otherwise))

    async def create(self, key: str = "pay-1", **options: Any) -> PaymentSnapshot:
        """Return a payment that waits for its customer."""
        return await self.shop.create_payment(self.body(**options), key)

    async def paid(self, key: str = "pay-1", **options: Any) -> PaymentSnapshot:
        """Return a payment after its customer has paid."""
        payment = await self.create(key, **options)
        await self.sandbox.teller.pay(payment.provider_payment_id)
        return await self.shop.fetch_payment(payment.provider_payment_id)

    async def refund(self, payment: PaymentSnapshot, amount_minor: int, key: str = "refund-1") -> Any:
        """Return a refund of the payment."""
        about = (payment.provider_payment_id, amount_minor, "RUB", "Не приготовлен", self.body())
        body = yookassa_api.refund_body(*about)
        return await self.shop.create_refund(body, key)

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return status and body of a bare call of the API, JSON or text; `key` is the Idempotence-Key."""
        headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_ID, SECRET_KEY)}
        if key := options.pop("key", ""):
            headers["Idempotence-Key"] = key
        headers |= options.pop("headers", {})
        url = self.sandbox.api_url + path
        async with self.session.request(method, url, headers=headers, **options) as response:
            read = response.json if response.content_type == "application/json" else response.text
            return response.status, await read()


@asynccontextmanager
async def a_street(
    database_url: str, clock: Clock | None = None, refund_delay_ms: int = 2000, timeout_s: float = 5.0
) -> AsyncIterator[Street]:
    """Open a bank over the database at `database_url`; `running` is for the test to begin."""
    clock, webhook = clock or Clock(), Webhook()
    db = await open_database(database_url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        sandbox = Sandbox(
            db, session, "http://127.0.0.1", "Demitasse", refund_delay_ms, RECEIPT_DELAY_MS, clock
        )
        server = TestServer(_application(sandbox, webhook))
        await server.start_server()
        sandbox.base_url = str(server.make_url(""))
        shop = Yookassa(session, Credentials(ACCOUNT_ID, SECRET_KEY), sandbox.api_url, timeout_s, timeout_s)
        try:
            yield Street(sandbox, shop, webhook, clock, session, db)
        finally:
            await server.close()
            await db.close()


def _application(sandbox: Sandbox, webhook: Webhook) -> web.Application:
    app = web.Application()
    aiohttp_jinja2.setup(app, loader=jinja2.DictLoader({"sandbox/pay.html": PAGE}))
    app.add_routes([*sandbox.routes(), web.post(NOTIFICATION_PATH, webhook.receive)])
    return app
