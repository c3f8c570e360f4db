"""Gives money back: each refund is sent with its saved key and body until the provider's answer is final."""

from collections.abc import Callable, Iterable
from functools import partial

import structlog

from server import money_back
from server.db import Database
from server.due import DueWork, Work
from server.errors import Unavailable
from server.key_life import is_old, key_for
from server.metrics import REFUNDS
from server.payments import (
    Declined,
    PaymentSnapshot,
    PaymentStatus,
    Provider,
    ProviderError,
    RefundSnapshot,
    RefundStatus,
)
from server.payments.accounts import Account, Accounts
from server.payments.counted import counted, patience_ms
from server.progress import Rules
from server.store import payments
from server.store.rows import Payment, Refund
from server.till import Till

log = structlog.get_logger()

FRESH_MS = 300_000
FAST_MS, SLOW_MS = 2_000, 60_000
"""Pause between two tries of a fresh and of an older refund."""


class Refunds:
    """Sends refunds and follows them."""

    def __init__(
        self, db: Database, accounts: Accounts, till: Till, rules: Rules, now_ms: Callable[[], int]
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._till = till
        self._rules = rules
        self._now_ms = now_ms
        self._work = DueWork("refunds", self._due, self._next_at, now_ms)

    def wake(self) -> None:
        """A refund may be waiting: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def _due(self) -> Iterable[Work]:
        now = self._now_ms()
        at = await self._db.glance(payments.next_refund)
        due = await self._db.write(payments.claim_refunds, now) if at is not None and at <= now else []
        return [(refund.refund_id, partial(self._work_in_time, refund)) for refund in due]

    async def _next_at(self) -> int | None:
        return await self._db.glance(payments.next_refund)

    async def follow(self, refund_id: str) -> None:
        """Ask now what became of a refund, unless a process is just about it: its word is as good."""
        refund = await self._db.write(payments.take_refund, refund_id, self._now_ms())
        if refund is not None:
            await self._work_on(refund)

    async def _work_in_time(self, refund: Refund) -> None:
        """Work on a refund that was claimed, unless that was too long ago: then it is due again."""
        if self._now_ms() < (refund.leased_until or 0):
            await self._work_on(refund)

    async def _work_on(self, refund: Refund) -> None:
        """Send a refund, or ask what became of it, until the provider's answer is final."""
        try:
            try:
                ended = await self._further(refund)
            except Declined as error:
                ended = await self._refused(refund, str(error))
        except (ProviderError, Unavailable) as error:
            await self._again_later(refund, error)
            return
        self._tell(ended)

    async def adopt(self, payment: Payment, snapshot: RefundSnapshot) -> None:
        """Take a refund into our books that somebody made at the provider."""
        log.warning("refund made by hand", payment_id=payment.payment_id, refund=snapshot.provider_refund_id)
        REFUNDS.labels("adopted").inc()
        now = self._now_ms()
        change = await self._db.write(money_back.adopt_refund, self._rules, payment.payment_id, snapshot, now)
        self._till.tell([change])

    async def _again_later(self, refund: Refund, error: Exception) -> None:
        log.warning("refund not answered; repeated", refund_id=refund.refund_id, why=str(error))
        now = self._now_ms()
        at = now + max(patience_ms(error), self._pause_ms(refund))
        await self._db.write(
            money_back.try_refund_later, self._rules, refund.refund_id, at, str(error)[:500], now
        )

    async def _further(self, refund: Refund) -> Refund | None:
        payment = await self._db.read(payments.get, refund.payment_id)
        assert payment is not None  # a foreign key
        account = await self._accounts.of(payment.merchant_id, payment.scenario)
        provider = account.provider
        if refund.kind == "release":
            return await self._release(refund, payment, account)
        if refund.provider_refund_id is not None:
            snapshot = await counted("fetch_refund", provider.fetch_refund(refund.provider_refund_id))
        elif is_old(refund.created_at, self._now_ms()):
            return await self._look_for(refund, payment, account)
        else:
            snapshot = await counted(
                "create_refund", provider.create_refund(refund.body, refund.idempotence_key)
            )
        return await self._settle(refund, snapshot)

    async def _release(self, refund: Refund, payment: Payment, account: Account) -> Refund | None:
        """Give held money back; whatever the provider then says of the payment decides."""
        provider, held = account.provider, payment.provider_payment_id or ""
        try:
            snapshot = await self._asked_to_release(refund, provider, held)
        except Declined as error:
            snapshot = await counted("fetch_payment", provider.fetch_payment(held, hold=True))
            if snapshot.status is PaymentStatus.WAITING_FOR_CAPTURE:
                return await self._give_up(refund, str(error))
        await self._till.settle(payment, account, snapshot, "refund")
        now = await self._db.read(payments.get_refund, refund.refund_id)
        if now is not None and now.status == "pending":
            at = self._now_ms() + self._pause_ms(refund)
            await self._db.write(
                money_back.try_refund_later,
                self._rules,
                refund.refund_id,
                at,
                f"still {snapshot.status}",
                self._now_ms(),
            )
        return now

    async def _asked_to_release(self, refund: Refund, provider: Provider, held: str) -> PaymentSnapshot:
        """Ask for the money to go back; with a new key, when the old one may be forgotten and it is held."""
        now = self._now_ms()
        if is_old(refund.created_at, now):
            snapshot = await counted("fetch_payment", provider.fetch_payment(held, hold=True))
            if snapshot.status is not PaymentStatus.WAITING_FOR_CAPTURE:
                return snapshot
        key = key_for(refund.idempotence_key, refund.created_at, now)
        return await counted("release_payment", provider.release_payment(held, refund.body, key))

    async def _look_for(self, refund: Refund, payment: Payment, account: Account) -> Refund | None:
        """The key is too old to repeat: adopt what the provider lists, or call a person."""
        if await self._adopted(refund, payment, account):
            return await self._db.read(payments.get_refund, refund.refund_id)
        return await self._give_up(refund, "not answered within 23 hours, and the provider lists none")

    async def _refused(self, refund: Refund, why: str) -> Refund | None:
        """Refused for good: perhaps it was given back by hand already; else a person must act."""
        payment = await self._db.read(payments.get, refund.payment_id)
        assert payment is not None  # a foreign key
        account = await self._accounts.of(payment.merchant_id, payment.scenario)
        if await self._adopted(refund, payment, account):
            return await self._db.read(payments.get_refund, refund.refund_id)
        return await self._give_up(refund, why)

    async def _adopted(self, refund: Refund, payment: Payment, account: Account) -> bool:
        """Take over a refund of the same sum that the provider lists; return whether there was one."""
        for snapshot in await account.provider.refunds_of(payment.provider_payment_id or ""):
            if snapshot.status is not RefundStatus.CANCELED and snapshot.amount_minor == refund.amount_minor:
                await self._settle(refund, snapshot)
                return True
        return False

    async def _give_up(self, refund: Refund, why: str) -> Refund | None:
        log.error("refund refused by the provider", refund_id=refund.refund_id, why=why)
        return await self._db.write(
            money_back.refund_refused, self._rules, refund.refund_id, why[:500], self._now_ms()
        )

    async def _settle(self, refund: Refund, snapshot: RefundSnapshot) -> Refund | None:
        now = self._now_ms()
        return await self._db.write(
            money_back.settle_refund,
            self._rules,
            refund.refund_id,
            snapshot,
            now + self._pause_ms(refund),
            now,
        )

    def _pause_ms(self, refund: Refund) -> int:
        fresh = self._now_ms() - refund.created_at < FRESH_MS
        return FAST_MS if fresh else SLOW_MS

    def _tell(self, refund: Refund | None) -> None:
        if refund is not None and refund.status != "pending":
            REFUNDS.labels(refund.status).inc()
            log.info(
                "refund ended", refund_id=refund.refund_id, order_id=refund.order_id, status=refund.status
            )
