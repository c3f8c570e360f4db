"""A sandbox T-Bank on loopback with a shop beside it: requests, a webhook, and a clock that tests move."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp_jinja2
import jinja2
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.db import Database, open_database
from server.payments import Credentials, PaymentSnapshot, tbank_api
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY, TbankSandbox
from server.texts import text

HOOK = "/hooks/tbank"
SHOP = Credentials(TERMINAL_KEY, PASSWORD)
TEMPLATES = Path(__file__).parents[3] / "templates"
WAIT_S = 30.0


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

    answers: deque[tuple[int, str]] = field(default_factory=deque)
    """What it answers next; then 200 and OK."""
    received: list[dict[str, Any]] = field(default_factory=list)
    meeting: asyncio.Barrier | None = None
    """Those that come meet here before they are answered."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        tbank_api.parse_notification(raw)
        async with self._changed:
            self.received.append(await request.json())
            self._changed.notify_all()
        if self.meeting is not None:
            async with asyncio.timeout(WAIT_S):
                await self.meeting.wait()
        status, words = self.answers.popleft() if self.answers else (200, "OK")
        return web.Response(status=status, text=words)

    async def until(self, true: Callable[[list[dict[str, Any]]], bool]) -> None:
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: true(self.received))

    @property
    def statuses(self) -> list[str]:
        return [body["Status"] for body in self.received]

    @property
    def genuine(self) -> list[bool]:
        return [tbank_api.verify(body, PASSWORD) for body in self.received]


@dataclass
class Street:
    """Everything that a test of the bank needs."""

    sandbox: TbankSandbox
    webhook: Webhook
    clock: Clock
    session: aiohttp.ClientSession
    db: Database

    async def call(self, method: str, body: str) -> Any:
        """Return the JSON of a call, which is HTTP 200 whatever it says."""
        async with self.session.post(f"{self.sandbox.api_url}/{method}", data=body.encode()) as response:
            assert response.status == 200
            return await response.json()

    async def ask(self, method: str, **asked: Any) -> Any:
        """Return the JSON of a call with these fields, signed."""
        return await self.call(method, json.dumps(signed(asked)))

    def init_body(self, order_id: str = "p1", amount_minor: int = 15000, **about: Any) -> str:
        """Return the body of an `Init` that may be paid for 15 minutes."""
        asked: dict[str, Any] = {
            "description": "Капучино",
            "two_stage": False,
            "due_at_ms": self.clock() + 15 * 60_000,
            "notification_url": self.sandbox.base_url + HOOK,
            "success_url": "https://shop.example/o/1",
            "fail_url": "https://shop.example/o/1?failed",
            **about,
        }
        return tbank_api.init_body(SHOP, tbank_api.Init(order_id, amount_minor, **asked))

    async def new(self, order_id: str = "p1", amount_minor: int = 15000, **about: Any) -> str:
        """Return the id of a payment that waits for its customer."""
        answer = await self.call("Init", self.init_body(order_id, amount_minor, **about))
        assert answer["Success"], answer
        return str(answer["PaymentId"])

    async def paid(self, order_id: str = "p1", **about: Any) -> str:
        """Return the id of a payment after its customer has paid by card."""
        payment_id = await self.new(order_id, **about)
        await self.sandbox.teller.pay(payment_id)
        return payment_id

    async def paid_by_sbp(self, order_id: str = "p1", **about: Any) -> str:
        """Return the id of a payment after its customer has paid through SBP."""
        payment_id = await self.new(order_id, **about)
        await self.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id))
        await self.sandbox.teller.pay(payment_id)
        return payment_id

    async def cancel(self, payment_id: str, amount_minor: int = 15000, request_id: str = "r1") -> Any:
        """Return the answer to a `Cancel`."""
        return await self.call("Cancel", tbank_api.cancel_body(SHOP, payment_id, amount_minor, request_id))

    async def status(self, payment_id: str) -> str:
        """Return where the payment stands, in T-Bank's word."""
        answer = await self.call("GetState", tbank_api.get_state_body(SHOP, payment_id))
        return str(answer["Status"])

    async def snapshot(self, payment_id: str, two_stage: bool = False) -> PaymentSnapshot:
        """Return the payment as a client reads it."""
        url = f"{self.sandbox.api_url}/GetState"
        async with self.session.post(url, data=tbank_api.get_state_body(SHOP, payment_id)) as response:
            answer = tbank_api.read_answer(response.status, await response.read(), reading=True)
        return tbank_api.payment(answer, two_stage)

    @contextmanager
    def notices_meet(self, number: int) -> Iterator[None]:
        """Answer no notification before so many have come."""
        self.webhook.meeting = asyncio.Barrier(number)
        yield
        self.webhook.meeting = None


def signed(asked: dict[str, Any]) -> dict[str, Any]:
    """Return a request of this terminal with its token."""
    body = {"TerminalKey": TERMINAL_KEY, **asked}
    return {**body, "Token": tbank_api.token(body, PASSWORD)}


def told(answer: Any) -> Any:
    """Return the answer of a call as a client reads it; raises ProviderError."""
    return tbank_api.read_answer(200, json.dumps(answer).encode())


@asynccontextmanager
async def a_street(
    database_url: str, clock: Clock | None = None, refund_delay_ms: int = 2000
) -> AsyncIterator[Street]:
    """Open a bank over the database at `database_url`; `running` is for the test to begin."""
    clock, webhook = clock or Clock(), Webhook()
    db = await open_database(database_url)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        sandbox = TbankSandbox(db, session, "http://127.0.0.1", refund_delay_ms=refund_delay_ms, now_ms=clock)
        server = TestServer(_application(sandbox, webhook))
        await server.start_server()
        sandbox.base_url = str(server.make_url(""))
        try:
            yield Street(sandbox, webhook, clock, session, db)
        finally:
            await server.close()
            await db.close()


def _application(sandbox: TbankSandbox, webhook: Webhook) -> web.Application:
    app = web.Application()
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = aiohttp_jinja2.setup(app, loader=loader, autoescape=True)
    environment.globals |= {"static": "/static/{}".format, "text": text}
    app.add_routes([*sandbox.routes(), web.post(HOOK, webhook.receive)])
    return app
