"""Follows fiscal receipts until the cash register has them: the provider is asked, since it tells nobody."""

from collections.abc import Callable, Iterable
from functools import partial

import structlog

from server import registration
from server.db import Database
from server.due import DueWork, Work
from server.errors import Unavailable
from server.metrics import RECEIPTS
from server.payments import ProviderError, ReceiptSnapshot
from server.payments.accounts import Accounts
from server.payments.counted import counted, patience_ms
from server.progress import Rules
from server.store import payments, receipts
from server.store.rows import Receipt

log = structlog.get_logger()

FRESH_MS, OLD_MS = 300_000, 24 * 3600 * 1000
FAST_MS, SLOW_MS, SLOWEST_MS = 2_000, 60_000, 3600 * 1000
"""Pause between two questions about a fresh, an older and an old receipt."""


class Receipts:
    """Asks providers about receipts that are not registered yet."""

    def __init__(self, db: Database, accounts: Accounts, rules: Rules, now_ms: Callable[[], int]) -> None:
        self._db = db
        self._accounts = accounts
        self._rules = rules
        self._now_ms = now_ms
        self._work = DueWork("receipts", self._due, self._next_at, now_ms)

    def wake(self) -> None:
        """A receipt may be due: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def _due(self) -> Iterable[Work]:
        now = self._now_ms()
        at = await self._db.glance(receipts.next_check)
        due = await self._db.write(receipts.claim, now) if at is not None and at <= now else []
        return [(receipt.receipt_id, partial(self._check_in_time, receipt)) for receipt in due]

    async def _next_at(self) -> int | None:
        return await self._db.glance(receipts.next_check)

    async def _check_in_time(self, receipt: Receipt) -> None:
        """Ask about a receipt that was claimed, unless that was too long ago: then it is due again."""
        if self._now_ms() < (receipt.next_check_at or 0):
            await self._check(receipt)

    async def _check(self, receipt: Receipt) -> None:
        """Ask the provider about a receipt and apply its answer."""
        now = self._now_ms()
        try:
            snapshot = await self._ask(receipt)
        except (ProviderError, Unavailable) as error:
            log.warning("receipt cannot be asked for", receipt_id=receipt.receipt_id, why=str(error))
            at = now + max(patience_ms(error), _pause_ms(receipt, now))
            await self._db.write(registration.look_later, self._rules, receipt.receipt_id, at, now)
            return
        at = now + _pause_ms(receipt, now)
        if snapshot is None:  # not sent to the register yet
            await self._db.write(registration.look_later, self._rules, receipt.receipt_id, at, now)
            return
        settled = (self._rules, receipt.receipt_id, snapshot, at, now)
        self._tell(await self._db.write(registration.settle_receipt, *settled))

    async def _ask(self, receipt: Receipt) -> ReceiptSnapshot | None:
        """Return the receipt as the provider has it; one that was made after a refused one counts."""
        payment = await self._db.read(payments.get, receipt.payment_id)
        assert payment is not None  # a foreign key
        refund_id = None
        if receipt.kind == "refund":
            refund = await self._db.read(payments.get_refund, receipt.receipt_id)
            refund_id = refund.provider_refund_id if refund else None
        account = await self._accounts.of(payment.merchant_id, payment.scenario)
        call = account.provider.receipts_of(payment.provider_payment_id or "", refund_id)
        told = [each for each in await counted("receipts_of", call) if each.kind == receipt.kind]
        registered = [each for each in told if each.status == "succeeded"]
        return next(iter([*registered, *told]), None)

    @staticmethod
    def _tell(ended: Receipt | None) -> None:
        if ended is not None:
            RECEIPTS.labels(ended.status).inc()
            tell = log.info if ended.status == "succeeded" else log.error
            tell("receipt ended", receipt_id=ended.receipt_id, status=ended.status)


def _pause_ms(receipt: Receipt, now: int) -> int:
    age = now - receipt.created_at
    if age < FRESH_MS:
        return FAST_MS
    return SLOW_MS if age < OLD_MS else SLOWEST_MS
