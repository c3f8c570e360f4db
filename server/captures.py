"""Takes held money once its drink is made: each capture is sent until the provider's answer is final."""

from collections.abc import Callable, Iterable
from functools import partial

import structlog

from server import held_money
from server.db import Database
from server.due import DueWork, Work
from server.errors import Unavailable
from server.key_life import is_old, key_for
from server.metrics import CAPTURES
from server.payments import Declined, PaymentSnapshot, PaymentStatus, ProviderError
from server.payments.accounts import Account, Accounts
from server.payments.counted import counted, patience_ms
from server.progress import Rules
from server.store import payments
from server.store.rows import Capture, Payment
from server.till import Till

log = structlog.get_logger()

PAUSE_MS = 5_000
LONGEST_PAUSE_MS = 600_000


class Captures:
    """Sends captures and follows them."""

    def __init__(
        self, db: Database, accounts: Accounts, till: Till, rules: Rules, now_ms: Callable[[], int]
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._till = till
        self._rules = rules
        self._now_ms = now_ms
        self._work = DueWork("captures", self._due, self._next_at, now_ms)

    def wake(self) -> None:
        """Held money may be waiting: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def _due(self) -> Iterable[Work]:
        now = self._now_ms()
        at = await self._db.glance(payments.next_capture)
        due = await self._db.write(payments.claim_captures, now) if at is not None and at <= now else []
        return [(capture.payment_id, partial(self._work_in_time, capture)) for capture in due]

    async def _next_at(self) -> int | None:
        return await self._db.glance(payments.next_capture)

    async def _work_in_time(self, capture: Capture) -> None:
        """Work on a capture that was claimed, unless that was too long ago: then it is due again."""
        if self._now_ms() < (capture.next_try_at or 0):
            await self._work_on(capture)

    async def _work_on(self, capture: Capture) -> None:
        """Take the money, or find out what became of it; the provider's answer decides."""
        payment = await self._db.read(payments.get, capture.payment_id)
        assert payment is not None  # a foreign key
        try:
            account = await self._accounts.of(payment.merchant_id, payment.scenario)
            snapshot = await self._take(capture, payment, account)
        except (ProviderError, Unavailable) as error:
            await self._again_later(capture, str(error), patience_ms(error))
            return
        await self._till.settle(payment, account, snapshot, "capture")
        if snapshot.status is PaymentStatus.WAITING_FOR_CAPTURE:
            await self._again_later(capture, "still held", 0)

    async def _take(self, capture: Capture, payment: Payment, account: Account) -> PaymentSnapshot:
        """Ask for the money. Refused for good, the payment itself says whether it was taken already."""
        provider, held = account.provider, payment.provider_payment_id or ""
        now = self._now_ms()
        if is_old(capture.created_at, now):
            snapshot = await counted("fetch_payment", provider.fetch_payment(held, hold=True))
            if snapshot.status is not PaymentStatus.WAITING_FOR_CAPTURE:
                return snapshot
        try:
            key = key_for(capture.idempotence_key, capture.created_at, now)
            snapshot = await counted("capture_payment", provider.capture_payment(held, capture.body, key))
            CAPTURES.labels(snapshot.status).inc()
        except Declined as error:
            snapshot = await counted("fetch_payment", provider.fetch_payment(held, hold=True))
            if snapshot.status is PaymentStatus.WAITING_FOR_CAPTURE:
                await self._give_up(capture, str(error))
        return snapshot

    async def _give_up(self, capture: Capture, why: str) -> None:
        CAPTURES.labels("refused").inc()
        log.error("capture refused by the provider", payment_id=capture.payment_id, why=why)
        await self._db.write(
            held_money.capture_refused, self._rules, capture.payment_id, why[:500], self._now_ms()
        )

    async def _again_later(self, capture: Capture, why: str, at_least_ms: int) -> None:
        log.warning("held money not taken yet; repeated", payment_id=capture.payment_id, why=why)
        now = self._now_ms()
        pause = min(PAUSE_MS * 2 ** min(capture.tries, 10), LONGEST_PAUSE_MS)
        at = now + max(at_least_ms, pause)
        about = (self._rules, capture.payment_id, at, why[:500], now)
        await self._db.write(held_money.try_capture_later, *about)
