"""Hears providers' notifications. Each is only a hint: the provider is asked before anything moves.

A notification is stored, then acknowledged, then worked on until the provider has confirmed or denied it.
Money that fits no order of ours is kept and shown, never thrown away.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TypeVar

import structlog

from server import hints, payment_ends, strangers, stray_money
from server.db import Database
from server.due import DueWork, Work
from server.errors import TooMany, Unavailable
from server.hints import TELL_OF_MONEY, UNMATCHED_TRIES
from server.known_archives import Archives
from server.metrics import NOTIFICATIONS
from server.payments import (
    Hint,
    NotFound,
    PaymentSnapshot,
    PaymentStatus,
    Provider,
    ProviderError,
    RefundSnapshot,
)
from server.payments.accounts import Account, Accounts
from server.payments.counted import counted
from server.payments.tbank_codes import refund_told
from server.progress import Rules
from server.refunds import Refunds
from server.store import payments
from server.store.rows import Notification, Payment
from server.till import Answer, Till

log = structlog.get_logger()

ARCHIVED = "archived"
"""What becomes of a late word about a payment that was moved to an archive."""

ASKED_MEANWHILE = 64
"""Payments that are asked about while their notifications are being stored, at most; others afterwards."""

LIFE_MS = 24 * 3600 * 1000
"""How long an answer is waited for that could say whose it is: as long as YooKassa repeats a notification."""

Snapshot = TypeVar("Snapshot", PaymentSnapshot, RefundSnapshot)


class Notifications:
    """Keeps notifications and works on them."""

    def __init__(
        self,
        db: Database,
        accounts: Accounts,
        till: Till,
        refunds: Refunds,
        rules: Rules,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._archives = Archives(db)
        self._accounts = accounts
        self._till = till
        self._refunds = refunds
        self._rules = rules
        self._now_ms = now_ms
        self._senders = strangers.Senders()
        self._asking: set[asyncio.Task[Answer]] = set()
        self._work = DueWork("notifications", self._due, self._next_at, now_ms)

    def wake(self) -> None:
        """A notification may be due: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def _due(self) -> Iterable[Work]:
        now = self._now_ms()
        at = await self._db.glance(payments.next_notification)
        due = await self._db.write(payments.claim_notifications, now) if at is not None and at <= now else []
        return [(notification.notification_id, partial(self.work_on, notification)) for notification in due]

    async def _next_at(self) -> int | None:
        return await self._db.glance(payments.next_notification)

    async def keep(self, provider: str, hint: Hint, body: str, sender: str | None = None) -> None:
        """Store a notification; when this returns it will be worked on, whatever happens.

        `sender` is the address of one who has not proved who he is. Raises TooMany or Unavailable when it is
        not about a payment of ours and he, or all of them, have sent too many such.
        """
        now = self._now_ms()
        name = hashlib.sha256(f"{provider}|{hint.event}|{hint.object_id}".encode()).hexdigest()[:32]
        lease_ends = now + payments.WRITE_LEASE_MS  # taken up here and now, by `work_on`
        kept = Notification(name, provider, hint.event, hint.object_id, body, now, None, "", 0, lease_ends)
        asking = await self._begin_to_ask(hint, now)
        taken = await self._keep(kept, hint, sender)
        NOTIFICATIONS.labels("stored").inc()
        self._work.start(name, partial(self.work_on, kept, taken, asking))

    async def _begin_to_ask(self, hint: Hint, now: int) -> "asyncio.Task[Answer] | None":
        """Ask while the notification is being stored: the two need not wait for each other."""
        if len(self._asking) >= ASKED_MEANWHILE:
            return None
        payment = await self._db.glance(hints.to_ask, hint, now)
        if payment is None:
            return None
        asking = asyncio.create_task(self._till.fetch(payment))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        return asking

    def _asked(self, asking: "asyncio.Task[Answer]") -> None:
        """An answer has come, or none: nobody needs it if somebody else has taken the payment."""
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()

    async def _keep(self, kept: Notification, hint: Hint, sender: str | None) -> Payment | None:
        """Store a notification; return the payment that it names if that was taken to be asked about."""
        ours = await self._db.write(hints.keep_ours, kept, hint, kept.received_at)
        if ours is not None:
            return ours.taken
        if sender is None:
            await self._db.write(payments.keep_notification, kept)
        else:
            await self._keep_strange(kept, sender)
        return None

    async def _keep_strange(self, kept: Notification, sender: str) -> None:
        about = f"{kept.provider} {kept.object_id} from {sender}"
        if not self._senders.may_send(sender):
            NOTIFICATIONS.labels("refused").inc()
            raise TooMany("too_many_requests", f"notifications that are not ours: {about}")
        if not await self._db.write(hints.keep_strange, kept):
            NOTIFICATIONS.labels("refused").inc()
            raise Unavailable("service_unavailable", f"too many notifications that are not ours: {about}")

    async def work_on(
        self,
        notification: Notification,
        taken: Payment | None = None,
        asking: "asyncio.Task[Answer] | None" = None,
    ) -> None:
        """Ask the provider about what a notification names, and apply the answer.

        `taken` is the one payment that it names, if that was taken to be asked about; `asking` the question.
        Both are of no use when that was too long ago: others may have asked since.
        """
        asked = partial(hints.asked, notification, self._now_ms)
        try:
            if taken is not None and self._now_ms() < (taken.leased_until or 0):
                _count(await self._till.ask(taken, "notification", asked, asking))
                return
            if notification.event.startswith("refund."):
                outcome = await self._hear_of_refund(notification)
            elif ours := await self._db.read(payments.by_provider_id, notification.object_id):
                await self._ask_about(ours)
                if refund_told(notification.event) is not None:
                    await self._hear_of_refunds_of(ours)
                _count(await self._db.write(asked))
                return
            elif await self._is_archived(notification):
                outcome = ARCHIVED
            else:
                outcome = await self._hear_of_stranger(notification)
        except (ProviderError, Unavailable) as error:
            log.warning("notification not confirmed yet", object_id=notification.object_id, why=str(error))
            young = self._now_ms() - notification.received_at < LIFE_MS
            outcome = None if young else "unmatched: no answer to it in a day"
        await self._db.write(hints.done, notification, outcome, self._now_ms())
        _count(outcome)

    async def _is_archived(self, notification: Notification) -> bool:
        """Whether it tells nothing new of a payment that an archive has. Money for one without is news."""
        archived = await self._archives.payments(notification.object_id)
        paid = any(payment.status == "succeeded" for payment in archived)
        return paid or (bool(archived) and notification.event not in TELL_OF_MONEY)

    async def _ask_about(self, ours: list[Payment]) -> None:
        for payment in ours:
            if payment.status in ("canceled", "failed"):
                await self._check_ended(payment)
            else:
                await self._till.check(payment.payment_id, "notification")

    async def _check_ended(self, payment: Payment) -> None:
        account = await self._accounts.of(payment.merchant_id, payment.scenario)
        snapshot = await counted(
            "fetch_payment",
            account.provider.fetch_payment(payment.provider_payment_id or "", self._till.is_hold(payment)),
        )
        await self._till.settle(payment, account, snapshot, "notification")

    async def _hear_of_stranger(self, notification: Notification) -> str | None:
        """A payment that no row of ours has: a creation still unanswered, stray money, or a forgery."""
        last = notification.tries + 1 >= UNMATCHED_TRIES
        found = await self._seek(
            notification,
            "fetch_payment",
            # held, of whoever has not said so: what is not taken by the last look is money that is held
            lambda shop: shop.fetch_payment(notification.object_id, hold=last),
        )
        if found is not None:
            known = await self._know_stranger(*found)
            if known is not None:
                return known
        if not last:
            return None
        if found is not None:
            return f"unmatched: not ours, {found[1].status}"
        log.error(
            "notification fits nothing", provider=notification.provider, object_id=notification.object_id
        )
        return "unmatched: no shop of ours has it"

    async def _know_stranger(self, account: Account, snapshot: PaymentSnapshot) -> str | None:
        """Return what became of it; None: it may still become money, or the answer was an old one."""
        ours = await self._db.read(payments.get, snapshot.metadata.get("payment_id", ""))
        if ours is not None and ours.provider_payment_id in (None, snapshot.provider_payment_id):
            own = await self._accounts.of(ours.merchant_id, ours.scenario)
            if own.account_id == account.account_id:  # not one that another merchant put our id into
                await self._settle_found(ours, own, snapshot.provider_payment_id)
                return "matched by its metadata"
        if snapshot.status in (PaymentStatus.SUCCEEDED, PaymentStatus.WAITING_FOR_CAPTURE):
            now = self._now_ms()
            await self._db.write(
                stray_money.keep_stray_money, self._rules, snapshot, account.merchant_id, now
            )
            log.error("money that fits no order", provider_payment_id=snapshot.provider_payment_id)
            return "unmatched: money that fits no order"
        return None if snapshot.status is PaymentStatus.PENDING else f"unmatched: not ours, {snapshot.status}"

    async def _settle_found(self, ours: Payment, own: Account, provider_payment_id: str) -> None:
        """Ask once more, now that it is known whether its money was to be held first."""
        call = own.provider.fetch_payment(provider_payment_id, self._till.is_hold(ours))
        await self._till.settle(ours, own, await counted("fetch_payment", call), "notification")

    async def _hear_of_refund(self, notification: Notification) -> str | None:
        ours = await self._db.read(payments.open_refund, notification.object_id)
        if ours is not None:
            await self._refunds.follow(ours.refund_id)
            return "refund followed"
        found = await self._seek(
            notification, "fetch_refund", lambda shop: shop.fetch_refund(notification.object_id)
        )
        if found is None:
            again = notification.tries + 1 < UNMATCHED_TRIES
            return None if again else "unmatched: no shop of ours has it"
        for payment in await self._db.read(payments.by_provider_id, found[1].provider_payment_id):
            return await self._match_refund(payment, found[1])
        if await self._archives.payments(found[1].provider_payment_id):
            return ARCHIVED
        return "unmatched: refund of a payment that is not ours"

    async def _hear_of_refunds_of(self, ours: list[Payment]) -> None:
        """T-Bank tells of a refund by its payment's status."""
        for payment in ours:
            account = await self._accounts.of(payment.merchant_id, payment.scenario)
            call = account.provider.refunds_of(payment.provider_payment_id or "")
            for snapshot in await counted("refunds_of", call):
                await self._match_refund(payment, snapshot)

    async def _match_refund(self, payment: Payment, snapshot: RefundSnapshot) -> str:
        """Follow a refund of ours, or take in one that was made by hand; return what became of it."""
        if payment.status in payment_ends.OPEN:  # that its money came is not known yet
            await self._till.check(payment.payment_id, "notification")
        refund = await self._db.read(payments.refund_of, payment.payment_id)
        other = refund is not None and refund.provider_refund_id not in (None, snapshot.provider_refund_id)
        if refund is None or (other and refund.status == "succeeded"):
            await self._refunds.adopt(payment, snapshot)
            return "refund made by hand, adopted"
        if refund.status == "pending":
            await self._refunds.follow(refund.refund_id)
            return "refund followed"
        return "refund known"

    async def _seek(
        self, notification: Notification, call: str, ask: Callable[[Provider], Awaitable[Snapshot]]
    ) -> tuple[Account, Snapshot] | None:
        """Ask each shop of ours; None: none of them has it.

        Raises ProviderError when none has it and one could not be asked.
        """
        doubt: ProviderError | None = None
        for account in await self._accounts.candidates(notification.provider):
            try:
                return account, await counted(call, ask(account.provider))
            except NotFound:
                continue
            except ProviderError as error:
                doubt = error
        if doubt is not None:
            raise doubt
        return None


def _count(outcome: str | None) -> None:
    if outcome is not None:
        NOTIFICATIONS.labels("unmatched" if outcome.startswith("unmatched") else "handled").inc()
