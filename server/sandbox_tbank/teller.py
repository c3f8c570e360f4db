"""The sandbox T-Bank at work: does by its books what the API, the payment page and the clock ask for."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import structlog

from server.db import Database
from server.sandbox_tbank import bank, demands, store
from server.sandbox_tbank.bank import Payment
from server.sandbox_tbank.faults import Faults
from server.sandbox_tbank.refusals import Refused

log = structlog.get_logger()

Body = Mapping[str, Any]
T = TypeVar("T")


def new_payment_id() -> str:
    """Return an id of ten digits that looks like T-Bank's."""
    return str(4_000_000_000 + secrets.randbelow(5_000_000_000))


class Teller:
    """One bank over one database.

    `page_url()` + payment id is where customers pay. `tell` is called when something may be due: a
    notification was written, or a payment that will change by itself. Every method of the API takes the
    request's object and raises Refused.
    """

    def __init__(
        self,
        db: Database,
        page_url: Callable[[], str],
        now_ms: Callable[[], int],
        refund_delay_ms: int,
        faults: Faults,
        tell: Callable[[], None],
    ) -> None:
        self._db = db
        self._page_url = page_url
        self._now_ms = now_ms
        self._refund_delay_ms = refund_delay_ms
        self._faults = faults
        self._tell = tell

    # The API. ---------------------------------------------------------------------------------------

    async def init(self, body: Body) -> store.Answer:
        """Open a payment."""
        now_ms = self._now_ms()
        demand = demands.init_demand(body, now_ms, self._faults.receipts_required)
        made = await self._told(self._db.write(store.create_payment, demand, new_payment_id(), now_ms))
        return bank.answer(made, PaymentURL=self._page_url() + made.payment_id)

    async def get_state(self, body: Body) -> store.Answer:
        """Tell where a payment stands."""
        return bank.answer(await self.payment(demands.payment_id(body)))

    async def confirm(self, body: Body) -> store.Answer:
        """Take money that is held."""
        amount_minor = demands.confirm_amount(body)
        change = partial(bank.confirmed, amount_minor=amount_minor, receipt=body.get("Receipt"))
        return bank.answer(await self._change(demands.payment_id(body), change))

    async def cancel(self, body: Body) -> store.Answer:
        """Give money back, or end a payment that nobody has paid."""
        await self.catch_up()
        demand, now_ms, faults = demands.cancel_demand(body), self._now_ms(), self._faults
        return await self._told(
            self._db.write(
                store.cancel_payment,
                demand,
                now_ms,
                now_ms + self._refund_delay_ms,
                faults.only_new_is_canceled,
                faults.replays_are_old,
            )
        )

    async def check_order(self, body: Body) -> store.Answer:
        """List the payments of an order."""
        await self.catch_up()
        order_id = demands.order_id(body)
        found = await self._db.read(store.payment_of_order, order_id)
        if found is None:
            raise Refused("335", f"OrderId {order_id}")
        return bank.order_answer(order_id, found)

    async def get_qr(self, body: Body) -> store.Answer:
        """Make a code of SBP: a link that leads to this bank's own page."""
        demands.check_qr(body)
        after = await self._change(demands.payment_id(body), bank.with_qr)
        link = self._page_url() + after.payment_id
        return bank.answer(after, Data=link, PaymentId=int(after.payment_id))

    async def sbp_pay_test(self, body: Body) -> store.Answer:
        """Let a payment of SBP be paid, refused or expire."""
        status = demands.sbp_test_result(body)
        change = partial(bank.tested, status=status, now_ms=self._now_ms())
        await self._change(demands.payment_id(body), change)
        return {"Success": True, "ErrorCode": "0", "Message": "OK", "Details": "0"}

    # The customer. ----------------------------------------------------------------------------------

    async def show(self, payment_id: str) -> Payment:
        """Let the customer open the page. Raises Refused when there is no such payment."""
        found = await self.payment(payment_id)
        return await self._change(payment_id, bank.shown) if found.status == "NEW" else found

    async def pay(self, payment_id: str) -> Payment:
        """Let the customer pay. Raises Refused when the payment is unknown or has ended."""
        return await self._change(payment_id, partial(bank.paid, now_ms=self._now_ms()))

    async def decline(self, payment_id: str, error_code: str = "1051") -> Payment:
        """Let the customer's bank say no. Raises Refused when the payment is unknown or has ended."""
        return await self._change(payment_id, partial(bank.rejected, error_code=error_code))

    # The books. -------------------------------------------------------------------------------------

    async def payment(self, payment_id: str) -> Payment:
        """Return the payment. Raises Refused when there is none."""
        await self.catch_up()
        return await self._db.read(store.payment, payment_id)

    async def catch_up(self) -> None:
        """Do what time has brought: payments that expire, holds that end, refunds that settle."""
        now_ms = self._now_ms()
        due = await self._db.read(store.due, now_ms)
        for payment_id in due:
            await self._db.write(store.pass_time, payment_id, now_ms, self._faults.refunds_fail)
        if due:
            self._tell()

    async def _change(self, payment_id: str, change: store.Change) -> Payment:
        await self.catch_up()
        after = await self._told(self._db.write(store.change_payment, payment_id, change, self._now_ms()))
        log.info("sandbox T-Bank payment changed", payment=payment_id, status=after.status)
        return after

    async def _told(self, change: Awaitable[T]) -> T:
        done = await change
        self._tell()
        return done
