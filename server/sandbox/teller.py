"""The sandbox bank at work: does by its books what the API, the payment page and the clock ask for."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from server.db import Database, Transaction
from server.sandbox import bank, demands, lists, receipt_books, store
from server.sandbox.faults import Faults
from server.sandbox.store import Delays

log = structlog.get_logger()

Json = dict[str, Any]
T = TypeVar("T")


def new_object_id() -> str:
    """Return an id of 36 characters that looks like YooKassa's."""
    return f"{secrets.token_hex(4)}-000f-5000-{secrets.token_hex(2)}-{secrets.token_hex(6)}"


class Teller:
    """One bank over one database.

    `page_url()` + payment id is where customers pay. `tell` is called when something may be due: a
    notification was written, or a payment or refund that will end by itself.
    """

    def __init__(
        self,
        db: Database,
        page_url: Callable[[], str],
        now_ms: Callable[[], int],
        delays: Delays,
        faults: Faults,
        tell: Callable[[], None],
    ) -> None:
        self._db = db
        self._page_url = page_url
        self._now_ms = now_ms
        self._delays = delays
        self._faults = faults
        self._tell = tell

    async def create_payment(self, key: str, request_hash: str, body: Json) -> store.Answer:
        """Open a payment, or repeat the answer that the key had."""

        def act(post: store.Post) -> Transaction[bank.Object]:
            return (yield from store.create_payment(post, demands.payment_demand(body), self._page_url()))

        return await self._once(key, request_hash, act)

    async def create_refund(self, key: str, request_hash: str, body: Json) -> store.Answer:
        """Open a refund, or repeat the answer that the key had."""
        canceled_because = self._faults.refunds_canceled_because

        def act(post: store.Post) -> Transaction[bank.Object]:
            return (yield from store.create_refund(post, demands.refund_demand(body), canceled_because))

        return await self._once(key, request_hash, act)

    async def create_receipt(self, key: str, request_hash: str, body: Json) -> store.Answer:
        """Send a receipt that comes after its payment, or repeat the answer that the key had."""

        def act(post: store.Post) -> Transaction[bank.Object]:
            return (yield from store.create_receipt(post, demands.receipt_demand(body)))

        return await self._once(key, request_hash, act)

    async def capture(self, payment_id: str, key: str, request_hash: str, body: Json) -> store.Answer:
        """Take the money that is held."""

        def act(post: store.Post) -> Transaction[bank.Object]:
            demand = demands.capture_demand(body)

            def change(payment: bank.Object) -> tuple[bank.Object, bank.Event]:
                return bank.captured(payment, demand, post.now_ms)

            return (yield from store.change_payment(payment_id, change, post.now_ms, post.delays.receipt_ms))

        return await self._once(key, request_hash, act)

    async def cancel(self, payment_id: str, key: str, request_hash: str) -> store.Answer:
        """Give back the money that is held; a payment that nobody has paid yet cannot be canceled."""

        def act(post: store.Post) -> Transaction[bank.Object]:
            return (
                yield from store.change_payment(
                    payment_id, bank.released, post.now_ms, post.delays.receipt_ms
                )
            )

        return await self._once(key, request_hash, act)

    async def pay(self, payment_id: str, method: str = "") -> bank.Object:
        """Let the customer pay by `method`, "" being the first that is open to him.

        Raises Refused when the payment is unknown, has ended, or is not open to the method.
        """
        now_ms = self._now_ms()
        return await self._change(payment_id, lambda payment: bank.paid(payment, now_ms, method))

    async def decline(self, payment_id: str, reason: str = "general_decline") -> bank.Object:
        """Let the customer's bank say no. Raises Refused when the payment is unknown or has ended."""
        return await self._change(payment_id, lambda payment: bank.declined(payment, reason))

    async def expire(self, payment_id: str) -> bank.Object:
        """Let the time of a payment or of a hold be over. Raises Refused when it is unknown or has ended."""
        return await self._change(payment_id, bank.expired)

    async def manual_refund(self, payment_id: str, amount_minor: int) -> bank.Object:
        """Give money back by hand in the merchant's cabinet, as no request has asked. Raises Refused."""
        await self.catch_up()
        demand = demands.RefundDemand(payment_id, amount_minor, "By hand")
        post = self._post("", "")
        return await self._told(
            self._db.write(store.create_refund, post, demand, self._faults.refunds_canceled_because)
        )

    async def payment(self, payment_id: str) -> bank.Object | None:
        """Return the payment with what the bank keeps for itself."""
        await self.catch_up()
        return await self._db.read(store.payment, payment_id)

    async def refund(self, refund_id: str) -> bank.Object | None:
        """Return the refund."""
        await self.catch_up()
        return await self._db.read(store.refund, refund_id)

    async def receipt(self, receipt_id: str) -> bank.Object | None:
        """Return the receipt."""
        await self.catch_up()
        return await self._db.read(receipt_books.receipt, receipt_id)

    async def list_payments(self, demand: demands.ListDemand) -> bank.Object:
        """Return a page of payments."""
        await self.catch_up()
        return await self._db.read(lists.list_payments, demand)

    async def list_refunds(self, demand: demands.ListDemand) -> bank.Object:
        """Return a page of refunds."""
        await self.catch_up()
        return await self._db.read(lists.list_refunds, demand)

    async def list_receipts(self, demand: demands.ListDemand) -> bank.Object:
        """Return a page of receipts."""
        await self.catch_up()
        return await self._db.read(lists.list_receipts, demand)

    async def catch_up(self) -> None:
        """Do what time has brought to payments, refunds and receipts."""
        now_ms = self._now_ms()
        due = await self._db.read(store.due, now_ms)
        for payment_id in due.payments:
            await self._db.write(store.expire_payment, payment_id, now_ms)
        for refund_id in due.refunds:
            canceled_because = self._faults.refunds_canceled_because
            await self._db.write(store.settle_refund, refund_id, canceled_because, now_ms)
        for receipt_id in due.receipts:
            await self._db.write(store.end_receipt, receipt_id, not self._faults.receipts_fail, now_ms)
        if due.payments or due.refunds:
            self._tell()

    async def _once(self, key: str, request_hash: str, act: store.Act) -> store.Answer:
        await self.catch_up()
        return await self._told(self._db.write(store.answer_once, self._post(key, request_hash), act))

    def _post(self, key: str, request_hash: str) -> store.Post:
        replays_are_old = self._faults.replays_are_old
        return store.Post(key, request_hash, new_object_id(), self._now_ms(), self._delays, replays_are_old)

    async def _change(self, payment_id: str, change: store.Change) -> bank.Object:
        await self.catch_up()
        now_ms, delay_ms = self._now_ms(), self._delays.receipt_ms
        after = await self._told(self._db.write(store.change_payment, payment_id, change, now_ms, delay_ms))
        log.info("sandbox payment changed", payment=payment_id, status=after["status"])
        return after

    async def _told(self, change: Awaitable[T]) -> T:
        done = await change
        self._tell()
        return done
