"""How many notifications about payments that are not ours are taken at a time.

Anyone may post one, and each makes us ask every shop. One of ours is never refused; any other that is refused
is sent again by its provider, since it was not answered 200.
"""

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from server.attempts import network_of
from server.db import Transaction
from server.store import payments
from server.store.rows import Notification

PER_NETWORK = RateLimitItemPerMinute(60, namespace="stranger")
MOST_OPEN = 200
"""Notifications of one provider that are being worked on while another stranger's is taken."""


class Senders:
    """Counts the strangers of each network, in memory, for this process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def may_send(self, address: str) -> bool:
        """Count one; return whether its network has not sent too many within a minute."""
        return self._limiter.hit(PER_NETWORK, network_of(address))


def keep_ours(notification: Notification, provider_payment_id: str) -> Transaction[bool]:
    """Keep the notification if it is about a payment or a refund of ours; return whether it is."""
    ours = yield from payments.by_provider_id(provider_payment_id)
    if ours and notification.object_id != provider_payment_id:  # anyone may name a payment with it
        known = yield from payments.refund_ids(ours[0].payment_id)
        ours = ours if notification.object_id in known or None in known else []
    if not ours:
        return False
    yield from payments.keep_notification(notification)
    return True


def keep_strange(notification: Notification) -> Transaction[bool]:
    """Keep the notification if not too many are being worked on; return whether it was kept."""
    if (yield from payments.open_notifications(notification.provider, MOST_OPEN)) >= MOST_OPEN:
        return False
    yield from payments.keep_notification(notification)
    return True
