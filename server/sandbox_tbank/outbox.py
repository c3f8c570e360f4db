"""The sandbox T-Bank's notifications, written with the events that they tell of; delivered by `courier`."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from server.db import Statement, Transaction
from server.payments.tbank_api import token
from server.sandbox_tbank.bank import TERMINAL_KEY, Event

PASSWORD = "sandbox"
"""Known to everyone: the bank has no real money."""

LEASE_MS = 20_000
"""For so long a notification is one process's to deliver: longer than that may take."""

CARD = {"CardId": 322264, "Pan": "430000******0777", "ExpDate": "1135"}


class Notice(NamedTuple):
    """A notification to deliver."""

    notification_id: str
    address: str
    body: str
    created_at: int
    tries: int


def body_of(event: Event, password: str = PASSWORD) -> str:
    """Return the signed notification: the payment at that moment. Those of SBP know no card."""
    payment = event.payment
    fields: dict[str, Any] = {
        "TerminalKey": TERMINAL_KEY,
        "OrderId": payment.order_id,
        "Success": event.status != "REJECTED",
        "Status": event.status,
        "PaymentId": int(payment.payment_id),  # a number here and a text in answers, as T-Bank does
        "ErrorCode": payment.error_code,
        "Amount": payment.left_minor,
        **(CARD if payment.method == "card" else {}),
    }
    return json.dumps({**fields, "Token": token(fields, password)})


def notify(events: Sequence[Event], now_ms: int) -> Transaction[None]:
    """Write the notifications of events. Without an address, which `Init` gives, there are none."""
    for event in events:
        if event.payment.notification_url:
            notification_id = f"{event.payment.payment_id}/{event.payment.events:06}"
            yield from write_notice(notification_id, event.payment.notification_url, body_of(event), now_ms)


def write_notice(notification_id: str, address: str, body: str, now_ms: int) -> Transaction[None]:
    """Write a notification that is due at once."""
    yield Statement(
        "INSERT INTO sandbox_tbank_notifications"
        " (notification_id, address, body, created_at, next_try_at, tries) VALUES ($1, $2, $3, $4, $4, 0)",
        (notification_id, address, body, now_ms),
    )


def claim_notices(now_ms: int, at_most: int) -> Transaction[list[Notice]]:
    """Return the notifications to deliver now, the oldest event first; they go to nobody else meanwhile."""
    names = Notice._fields
    rows = yield Statement(
        "UPDATE sandbox_tbank_notifications SET next_try_at = $2 WHERE next_try_at <= $1"
        " AND notification_id IN (SELECT notification_id FROM sandbox_tbank_notifications"
        " WHERE next_try_at <= $1 ORDER BY created_at, notification_id LIMIT $3)"
        f" RETURNING {', '.join(names)}",
        (now_ms, now_ms + LEASE_MS, at_most),
    )
    notices = [Notice(*(row[name] for name in names)) for row in rows]
    return sorted(notices, key=lambda notice: (notice.created_at, notice.notification_id))


def notice_tried(notice: Notice, next_try_at: int | None) -> Transaction[None]:
    """Write that a notification was sent; None: it is over."""
    yield Statement(
        "UPDATE sandbox_tbank_notifications SET tries = tries + 1, next_try_at = $1"
        " WHERE notification_id = $2",
        (next_try_at, notice.notification_id),
    )
