"""Takes payments: creates them at the provider and asks what became of them. The shell of `settlement`.

A payment's row is written with its key and exact body before the provider hears of it, and is worked on until
the provider's answer is final: again after an error, again after a restart, with the same key and body.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from server import payment_ends, settlement
from server.db import Database
from server.due import DueWork, Work
from server.errors import Unavailable
from server.key_life import is_old
from server.metrics import NOTIFICATIONS
from server.payments import (
    Declined,
    Misconfigured,
    NotFound,
    PaymentSnapshot,
    ProviderError,
)
from server.payments.accounts import Account, Accounts
from server.payments.counted import counted, patience_ms
from server.progress import Change, Rules
from server.settlement import Then
from server.store import payments
from server.store.rows import Payment

log = structlog.get_logger()

R = TypeVar("R")
Answer = tuple[Account, PaymentSnapshot]

CLOCKS_DIFFER_MS = 60_000
"""What a provider says was made so long before we asked for it may be the same."""

LOOK_AGAIN_S = 0.05
"""Pause between two looks whether another process has let go of a payment."""


@dataclass(frozen=True)
class Pace:
    """How often providers are asked, in milliseconds."""

    fast_ms: int
    slow_ms: int
    fast_until_ms: int
    """Age at which a payment stops being asked for often."""
    longest_pause_s: float = 5.0
    """The table is looked at this often even when nothing is due, in seconds."""


class Till:
    """Has payments created and asks providers about them."""

    def __init__(
        self,
        db: Database,
        accounts: Accounts,
        rules: Rules,
        pace: Pace,
        now_ms: Callable[[], int],
        follow: Callable[[Change], None],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._rules = rules
        self._pace = pace
        self._now_ms = now_ms
        self._follow = follow
        self._work = DueWork("till", self._due, self._next_at, now_ms, pace.longest_pause_s)

    def wake(self) -> None:
        """A payment may be due: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def _due(self) -> Iterable[Work]:
        now = self._now_ms()
        at = await self._db.glance(payments.next_check)
        due = await self._db.write(payments.claim_checks, now) if at is not None and at <= now else []
        return [(payment.payment_id, partial(self._ask_in_time, payment)) for payment in due]

    async def _next_at(self) -> int | None:
        return await self._db.glance(payments.next_check)

    # --- asking the provider ------------------------------------------------------------------------

    async def check(self, payment_id: str, cause: str) -> None:
        """Ask the provider about a payment and apply its answer. Harmless when nothing has changed."""
        payment = await self.take(payment_id, payment_ends.OPEN)
        if payment is not None:
            await self._ask(payment, cause)

    async def take(self, payment_id: str, statuses: Sequence[str]) -> Payment | None:
        """Have a payment to oneself, when whoever has it lets go; None when its status is none of these."""
        while True:
            taken = await self._db.write(payments.take, payment_id, statuses, self._now_ms())
            if taken is not None:
                return taken
            payment = await self._db.glance(payments.get, payment_id)
            if payment is None or payment.status not in statuses:
                return None
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _ask_in_time(self, payment: Payment) -> None:
        """Ask about a payment that was claimed, unless that was too long ago: then it is due again."""
        if self._now_ms() < (payment.leased_until or 0):
            await self._ask(payment, "timer")

    async def fetch(self, payment: Payment) -> Answer:
        """Return what the provider says of a payment. Raises ProviderError or Unavailable."""
        account = await self._accounts.of(payment.merchant_id, payment.scenario)
        call = account.provider.fetch_payment(payment.provider_payment_id or "", self.is_hold(payment))
        return account, await counted("fetch_payment", call)

    async def ask(
        self, payment: Payment, cause: str, then: Then[R], asking: Awaitable[Answer] | None = None
    ) -> R:
        """Ask about a payment that was taken and apply the answer; `then` is written together with it.

        `asking` is the question, if it is under way.
        """
        answer = await self._answer(payment, asking or self.fetch(payment))
        if answer is None:
            return await self._db.write(then)
        return await self._settle(payment, *answer, cause, then)

    async def _ask(self, payment: Payment, cause: str) -> None:
        if payment.status == "creating":
            await self._create_again(payment)
        elif (answer := await self._answer(payment, self.fetch(payment))) is not None:
            await self.settle(payment, *answer, cause)

    async def _answer(self, payment: Payment, asking: Awaitable[Answer]) -> Answer | None:
        """Return what the provider says of a payment; None: it says nothing, and that is written."""
        try:
            return await asking
        except NotFound as error:
            await self._not_known(payment, str(error))
        except (ProviderError, Unavailable) as error:
            log.warning("payment cannot be asked for", payment_id=payment.payment_id, why=str(error))
            await self._cannot_ask(payment, error)
        return None

    async def _not_known(self, payment: Payment, why: str) -> None:
        """The provider no longer knows a payment that it made: perhaps the shop's account was changed."""
        now = self._now_ms()
        if now - payment.created_at < payment_ends.UNPAYABLE_AFTER_MS:
            await self._later(payment)
            return
        log.error("payment not known to its provider", payment_id=payment.payment_id, why=why)
        change = await self._db.write(
            payment_ends.payment_not_known, self._rules, payment.payment_id, why, now
        )
        self.tell([change])

    async def create(self, payment: Payment) -> Payment | None:
        """Create a payment that was taken at its provider, or repeat that; None: refused, or not answered."""
        try:
            account = await self._accounts.of(payment.merchant_id, payment.scenario)
            snapshot = await counted(
                "create_payment", account.provider.create_payment(payment.body, payment.idempotence_key)
            )
        except (Declined, Misconfigured) as error:
            log.error("payment refused by the provider", payment_id=payment.payment_id, why=str(error))
            change = await self._db.write(
                payment_ends.payment_refused, self._rules, payment.payment_id, str(error), self._now_ms()
            )
            self.tell([change])
            return None
        except (ProviderError, Unavailable) as error:
            log.warning("payment not answered; repeated", payment_id=payment.payment_id, why=str(error))
            await self._cannot_ask(payment, error)
            return None
        return await self._db.write(settlement.payment_created, payment.payment_id, snapshot, self._now_ms())

    async def _create_again(self, payment: Payment) -> None:
        """Repeat a creation that was not answered; one that nobody can pay any more is looked for instead."""
        now = self._now_ms()
        if now - payment.created_at < payment_ends.UNPAYABLE_AFTER_MS:
            await self.create(payment)
            return
        try:
            account = await self._accounts.of(payment.merchant_id, payment.scenario)
            since = payment.created_at - CLOCKS_DIFFER_MS
            call = account.provider.find_payment(payment.payment_id, since)
            found = await counted("find_payment", call)
        except (ProviderError, Unavailable) as error:
            await self._not_found_yet(payment, error)
            return
        if found is not None:
            await self.settle(payment, account, found, "list")
            return
        change = await self._db.write(
            payment_ends.payment_refused, self._rules, payment.payment_id, "never answered", now
        )
        self.tell([change])

    async def _not_found_yet(self, payment: Payment, error: Exception) -> None:
        """Look again later; in the end a person does."""
        now = self._now_ms()
        if not is_old(payment.created_at, now):
            await self._cannot_ask(payment, error)
            return
        log.error("payment never answered", payment_id=payment.payment_id, why=str(error))
        lost = payment_ends.payment_not_known
        self.tell([await self._db.write(lost, self._rules, payment.payment_id, str(error)[:500], now)])

    async def settle(self, payment: Payment, account: Account, snapshot: PaymentSnapshot, cause: str) -> None:
        """Apply what the provider says of a payment."""
        await self._settle(payment, account, snapshot, cause, settlement.nothing)

    async def _settle(
        self, payment: Payment, account: Account, snapshot: PaymentSnapshot, cause: str, then: Then[R]
    ) -> R:
        """Apply what the provider says of a payment, in one transaction with `then`."""
        now = self._now_ms()
        about = (payment.payment_id, snapshot, account.account_id, account.test)
        at = now + self._pause_ms(payment, now)
        settle = partial(settlement.settle_payment, self._rules, *about, at, now, cause)
        settled, told = await self._db.write(settlement.in_turn, settle, then)
        if settled.astray:
            NOTIFICATIONS.labels("astray").inc()
            log.error(
                "money astray", payment_id=payment.payment_id, order_id=payment.order_id, why=settled.astray
            )
        self.tell(settled.changes)
        return told

    async def _later(self, payment: Payment) -> None:
        now = self._now_ms()
        at = now + self._pause_ms(payment, now)
        await self._db.write(payment_ends.look_later, payment.payment_id, at, now)

    async def _cannot_ask(self, payment: Payment, error: Exception) -> None:
        now = self._now_ms()
        at = now + max(patience_ms(error), self._pause_ms(payment, now))
        why = str(error)[:500]
        await self._db.write(payment_ends.cannot_ask, self._rules, payment.payment_id, at, why, now)

    def _pause_ms(self, payment: Payment, now: int) -> int:
        fresh = payment.status != "held" and now - payment.created_at <= self._pace.fast_until_ms
        return self._pace.fast_ms if fresh else self._pace.slow_ms

    def is_hold(self, payment: Payment) -> bool:
        """Return whether the payment's money was to be held first."""
        return self._rules.bodies(payment.scenario).is_hold(payment.body)

    def tell(self, changes: Iterable[Change | None]) -> None:
        """Tell of each change, and wake who has to do what follows."""
        for change in changes:
            if change is not None:
                self._follow(change)
