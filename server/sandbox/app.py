"""The sandbox put together: one bank with its API, its page and its notifications."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import structlog
from aiohttp import web

from server.db import Database
from server.errors import DatabaseError
from server.sandbox import bank, outbox, page, store
from server.sandbox.api import PREFIX, Api
from server.sandbox.courier import Courier
from server.sandbox.faults import Faults
from server.sandbox.teller import Teller

log = structlog.get_logger()

NOTIFICATION_PATH = "/v1/yook-pay-webhook"
LONGEST_SLEEP_S = 60.0
PAUSE_AFTER_ERROR_S = 1.0


def utc_now_ms() -> int:
    """Return the time, in UTC milliseconds."""
    return time.time_ns() // 1_000_000


class Sandbox:
    """A bank without money at `base_url`, which is the server's own address; it may be set later.

    Put `routes()` into the application, and keep `running()` open while it serves. Refunds stay pending for
    `refund_delay_ms`, 0 ending them at once; receipts are registered after `receipt_delay_ms`.
    """

    def __init__(
        self,
        db: Database,
        session: aiohttp.ClientSession,
        base_url: str,
        shop_name: str = "Demitasse",
        refund_delay_ms: int = 2000,
        receipt_delay_ms: int = 3000,
        now_ms: Callable[[], int] = utc_now_ms,
        faults: Faults | None = None,
    ) -> None:
        self.base_url = base_url
        self.faults = faults if faults is not None else Faults()
        self._db = db
        self._now_ms = now_ms
        self._woken = asyncio.Event()
        delays = store.Delays(refund_delay_ms, receipt_delay_ms)
        self.teller = Teller(db, self._page_url, now_ms, delays, self.faults, self.wake)
        self.api = Api(self.teller, self.faults, self.do_due)
        self._page = page.Page(self.teller, shop_name)
        self._courier = Courier(db, session, self._notification_url, now_ms, self.faults)

    @property
    def api_url(self) -> str:
        """The base URL for a client of the API."""
        return self.base_url.rstrip("/") + PREFIX

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the API and of the payment page."""
        return [*self.api.routes(), *self._page.routes()]

    def wake(self) -> None:
        """Look now for what is due: something was written, or the clock was moved."""
        self._woken.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver notifications and let time pass at the bank, until the end of the block."""
        await self._db.write(store.forget_old_keys, self._now_ms())
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._work(), name="sandbox")
            try:
                yield
            finally:
                work.cancel()

    async def do_due(self) -> None:
        """Do once all that is due by now; `running` does this by itself."""
        await self.teller.catch_up()
        await self._courier.deliver_due()

    async def forge(self, event: bank.Event) -> None:
        """Send a notification of something that has not happened. For tests."""
        await self._db.write(outbox.notify, event, self._now_ms())
        self.wake()

    async def _work(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.do_due()
                sleep_s = await self._until_due_s()
            except DatabaseError as error:
                log.error("the sandbox cannot use its books; it tries again", error=str(error))
                sleep_s = PAUSE_AFTER_ERROR_S
            with suppress(TimeoutError):  # not wait_for: Python 3.11's loses a cancellation that meets a wake
                async with asyncio.timeout(sleep_s):
                    await self._woken.wait()

    async def _until_due_s(self) -> float:
        due_at = await self._db.read(store.next_due_at)
        if due_at is None:
            return LONGEST_SLEEP_S
        return min(max(due_at - self._now_ms(), 0) / 1000, LONGEST_SLEEP_S)

    def _page_url(self) -> str:
        return self.base_url.rstrip("/") + page.PATH

    def _notification_url(self) -> str:
        return self.base_url.rstrip("/") + NOTIFICATION_PATH
