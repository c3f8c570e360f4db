"""A notification's way through the database, as whole transactions: kept, and ended by what it led to."""

from collections.abc import Callable
from dataclasses import dataclass

from server.db import Transaction
from server.payment_ends import OPEN
from server.payments import Hint
from server.payments.tbank_codes import refund_told
from server.store import devices, payments
from server.store.rows import Notification, Payment

UNMATCHED_TRIES = 5
"""Looks for a payment that no shop of ours knows, before it counts as forged."""

TELL_OF_MONEY = frozenset({"payment.succeeded", "payment.waiting_for_capture", "CONFIRMED", "AUTHORIZED"})
"""Events, YooKassa's and T-Bank's, which say that money has come."""

MOST_STRANGE = 200
"""Notifications of one provider that are being worked on while another stranger's is taken."""


@dataclass(frozen=True)
class Ours:
    """A notification that is about a payment of ours was kept. `taken` is ours to ask about, if any is."""

    taken: Payment | None = None


def names(hint: Hint) -> bool:
    """Whether what it tells of is the state of one payment, and not that of a refund."""
    return hint.kind == "payment" and refund_told(hint.event) is None


def to_ask(hint: Hint, now: int) -> Transaction[Payment | None]:
    """The payment of ours that a notification names, unless somebody is asking about it already."""
    ours = (yield from payments.by_provider_id(hint.object_id)) if names(hint) else []
    if len(ours) != 1 or ours[0].status not in OPEN or (ours[0].leased_until or 0) > now:
        return None
    return ours[0]


def keep_ours(notification: Notification, hint: Hint, now: int) -> Transaction[Ours | None]:
    """Keep the notification if it is about a payment or a refund of ours, and take the payment; None: not."""
    about = hint.payment_id or hint.object_id
    ours = yield from payments.by_provider_id(about)
    if ours and hint.object_id != about:  # anyone may name a payment with it
        known = yield from payments.refund_ids(ours[0].payment_id)
        ours = ours if hint.object_id in known or None in known else []
    if not ours:
        return None
    yield from payments.keep_notification(notification)
    if not names(hint) or len(ours) > 1:
        return Ours()
    return Ours((yield from payments.take(ours[0].payment_id, OPEN, now)))


def keep_strange(notification: Notification) -> Transaction[bool]:
    """Keep the notification if not too many are being worked on; return whether it was kept.

    On PostgreSQL those that come in one moment may be some more.
    """
    if (yield from payments.open_notifications(notification.provider, MOST_STRANGE)) >= MOST_STRANGE:
        return False
    yield from payments.keep_notification(notification)
    return True


def asked(notification: Notification, now_ms: Callable[[], int]) -> Transaction[str | None]:
    """The payments that a notification names were asked for: return what became of it; None: try again."""
    after = yield from payments.by_provider_id(notification.object_id)
    for payment in after:
        yield from devices.heard(payment.merchant_id, payment.scenario, notification.received_at)
    # asked and answered: the timer goes on if the provider did not answer or says pending
    outcome: str | None = "/".join(payment.status for payment in after)
    denied = all(payment.status in ("canceled", "failed") for payment in after)
    young = notification.tries + 1 < UNMATCHED_TRIES
    if notification.event in TELL_OF_MONEY and denied and young:
        outcome = None  # forged, or the answer was of some time ago: nobody else will ask again
    yield from done(notification, outcome, now_ms())
    return outcome


def done(notification: Notification, outcome: str | None, now: int) -> Transaction[None]:
    """Write what became of a notification; None: it is tried again."""
    changes: dict[str, object] = {"tries": notification.tries + 1}
    if outcome is None:
        changes["next_try_at"] = now + min(60_000, 1_000 * 2**notification.tries)
    else:
        changes |= {"handled_at": now, "outcome": outcome, "next_try_at": None}
    yield from payments.change_notification(notification.notification_id, changes)
