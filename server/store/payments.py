"""Payments, refunds and the notifications that hint at them."""

from collections.abc import Sequence
from typing import Any

from server.db import Statement, Transaction
from server.store.rows import (
    Capture,
    Notification,
    Payment,
    Refund,
    columns,
    from_row,
    insert,
    many,
    one,
    update,
)

_PAYMENT, _REFUND, _NOTIFICATION = columns(Payment), columns(Refund), columns(Notification)
_CAPTURE = columns(Capture)

READ_LEASE_MS = 5_000
WRITE_LEASE_MS = 40_000
"""How long a process that has taken something up has it to itself: longer than the provider may take."""

_WRITES, _SENDS = "status = 'creating'", "provider_refund_id IS NULL"
_FREE = "(leased_until IS NULL OR leased_until <= $1)"
_LEASED = {
    "payments": "next_check_at",
    "captures": "next_try_at",
    "refunds": "next_try_at",
    "receipts": "next_check_at",
    "notifications": "next_try_at",
}


def _lease(column: str, writes: str) -> str:
    """Return the assignments of a lease: until $2 where the provider is asked to do something, else $3."""
    until = f"CASE WHEN {writes} THEN $2 ELSE $3 END"
    return f"{column} = {until}, leased_until = {until}"


def get(payment_id: str) -> Transaction[Payment | None]:
    """The payment by our id, or None."""
    rows = yield Statement(f"SELECT {_PAYMENT} FROM payments WHERE payment_id = $1", (payment_id,))
    return one(Payment, rows)


def by_provider_id(provider_payment_id: str) -> Transaction[list[Payment]]:
    """Payments by the provider's id: one, unless two providers gave the same."""
    rows = yield Statement(
        f"SELECT {_PAYMENT} FROM payments WHERE provider_payment_id = $1", (provider_payment_id,)
    )
    return many(Payment, rows)


def of_order(order_id: str) -> Transaction[list[Payment]]:
    """All payment attempts of an order, first to last."""
    rows = yield Statement(
        f"SELECT {_PAYMENT} FROM payments WHERE order_id = $1 ORDER BY attempt_no", (order_id,)
    )
    return many(Payment, rows)


def waiting(order_id: str) -> Transaction[Payment | None]:
    """The order's newest payment that waits for its customer, or None."""
    rows = yield Statement(
        f"SELECT {_PAYMENT} FROM payments WHERE order_id = $1 AND status = 'pending' "
        "ORDER BY attempt_no DESC LIMIT 1",
        (order_id,),
    )
    return one(Payment, rows)


def books(merchant_id: str, scenario: str, since: int) -> Transaction[tuple[list[Payment], list[Refund]]]:
    """Every payment of an account since then, and every refund since then."""
    about = (merchant_id, scenario, since)
    mine = "merchant_id = $1 AND scenario = $2"
    paid = yield Statement(f"SELECT {_PAYMENT} FROM payments WHERE created_at >= $3 AND {mine}", about)
    back = yield Statement(
        f"SELECT {_REFUND} FROM refunds WHERE created_at >= $3 AND EXISTS (SELECT 1 FROM payments "
        f"WHERE payments.payment_id = refunds.payment_id AND {mine})",
        about,
    )
    return many(Payment, paid), many(Refund, back)


def add(payment: Payment) -> Transaction[None]:
    """A new payment attempt, with its key and body, before the provider hears of it."""
    yield Statement(*insert("payments", payment))


def change(payment: Payment, changes: dict[str, Any]) -> Transaction[Payment | None]:
    """Write just `changes` if the payment still has `payment`'s status; None: someone was first.

    Nobody has it to himself any more.
    """
    freed = {**changes, "leased_until": None}
    sql, values = update(
        "payments", freed, "payment_id = $1 AND status = $2", payment.payment_id, payment.status
    )
    rows = yield Statement(f"{sql} RETURNING {_PAYMENT}", values, touches=payment.order_id)
    return from_row(Payment, rows[0]) if rows else None


def claim_checks(now: int, limit: int = 50) -> Transaction[list[Payment]]:
    """Payments to ask the provider about now, newest first: an old one must not keep a new one waiting.

    No other process gets them before their lease is over.
    """
    rows = yield Statement(
        f"UPDATE payments SET {_lease('next_check_at', _WRITES)} WHERE next_check_at <= $1 "
        f"AND payment_id IN (SELECT payment_id FROM payments WHERE next_check_at <= $1 AND {_FREE} "
        f"ORDER BY +created_at DESC LIMIT $4) RETURNING {_PAYMENT}",  # not by the index of all that ever were
        (now, now + WRITE_LEASE_MS, now + READ_LEASE_MS, limit),
    )
    return sorted(many(Payment, rows), key=lambda payment: -payment.created_at)


def take(payment_id: str, statuses: Sequence[str], now: int) -> Transaction[Payment | None]:
    """Take a payment to ask about it now; None when another has it, or its status is none of these."""
    listed = ", ".join(f"'{status}'" for status in statuses)
    rows = yield Statement(
        f"UPDATE payments SET {_lease('next_check_at', _WRITES)} "
        f"WHERE payment_id = $4 AND status IN ({listed}) AND {_FREE} RETURNING {_PAYMENT}",
        (now, now + WRITE_LEASE_MS, now + READ_LEASE_MS, payment_id),
    )
    return one(Payment, rows)


def add_refund(refund: Refund) -> Transaction[None]:
    """A new refund, with its key and body. Raises Conflict when the payment has one already."""
    yield Statement(*insert("refunds", refund))


def get_refund(refund_id: str) -> Transaction[Refund | None]:
    """The refund by our id, or None."""
    rows = yield Statement(f"SELECT {_REFUND} FROM refunds WHERE refund_id = $1", (refund_id,))
    return one(Refund, rows)


def open_refund(provider_refund_id: str) -> Transaction[Refund | None]:
    """The refund under way that has this id at its provider, or None."""
    rows = yield Statement(
        f"SELECT {_REFUND} FROM refunds WHERE next_try_at > 0 AND provider_refund_id = $1",
        (provider_refund_id,),
    )
    return one(Refund, rows)


def refund_of(payment_id: str) -> Transaction[Refund | None]:
    """The payment's refund that is under way or done, or None."""
    rows = yield Statement(
        f"SELECT {_REFUND} FROM refunds WHERE payment_id = $1 AND status IN ('pending', 'succeeded')",
        (payment_id,),
    )
    return one(Refund, rows)


def refunds_of_order(order_id: str) -> Transaction[list[Refund]]:
    """All refunds of an order's payments, also those that failed."""
    rows = yield Statement(
        f"SELECT {_REFUND} FROM refunds WHERE order_id = $1 ORDER BY created_at, refund_id", (order_id,)
    )
    return many(Refund, rows)


def refund_ids(payment_id: str) -> Transaction[set[str | None]]:
    """The provider's ids of a payment's refunds; None is in it when one's is not known yet."""
    rows = yield Statement("SELECT provider_refund_id FROM refunds WHERE payment_id = $1", (payment_id,))
    return {row["provider_refund_id"] for row in rows}


def change_refund(refund: Refund, changes: dict[str, Any]) -> Transaction[Refund | None]:
    """Write just `changes` if the refund still has `refund`'s status; None: someone was first.

    Nobody has it to himself any more.
    """
    freed = {**changes, "leased_until": None}
    sql, values = update("refunds", freed, "refund_id = $1 AND status = $2", refund.refund_id, refund.status)
    rows = yield Statement(f"{sql} RETURNING {_REFUND}", values)
    return from_row(Refund, rows[0]) if rows else None


def claim_refunds(now: int, limit: int = 50) -> Transaction[list[Refund]]:
    """Refunds to send or to ask for now; no other process gets them before their lease is over."""
    rows = yield Statement(
        f"UPDATE refunds SET {_lease('next_try_at', _SENDS)} WHERE next_try_at <= $1 AND refund_id IN ("
        f"SELECT refund_id FROM refunds WHERE next_try_at <= $1 AND {_FREE} "
        f"ORDER BY next_try_at LIMIT $4) RETURNING {_REFUND}",
        (now, now + WRITE_LEASE_MS, now + READ_LEASE_MS, limit),
    )
    return many(Refund, rows)


def take_refund(refund_id: str, now: int) -> Transaction[Refund | None]:
    """Take a refund to send or ask for it now; None when another process has it, or it is over."""
    rows = yield Statement(
        f"UPDATE refunds SET {_lease('next_try_at', _SENDS)} "
        f"WHERE refund_id = $4 AND status = 'pending' AND {_FREE} RETURNING {_REFUND}",
        (now, now + WRITE_LEASE_MS, now + READ_LEASE_MS, refund_id),
    )
    return one(Refund, rows)


def add_capture(capture: Capture) -> Transaction[None]:
    """Held money is to be taken, with its key and body; once per payment."""
    sql, values = insert("captures", capture)
    yield Statement(f"{sql} ON CONFLICT (payment_id) DO NOTHING", values)


def get_capture(payment_id: str) -> Transaction[Capture | None]:
    """The capture of a payment, or None."""
    rows = yield Statement(f"SELECT {_CAPTURE} FROM captures WHERE payment_id = $1", (payment_id,))
    return one(Capture, rows)


def change_capture(capture: Capture, changes: dict[str, Any]) -> Transaction[Capture | None]:
    """Write just `changes` if the capture still has `capture`'s status; None: someone was first."""
    sql, values = update(
        "captures", changes, "payment_id = $1 AND status = $2", capture.payment_id, capture.status
    )
    rows = yield Statement(f"{sql} RETURNING {_CAPTURE}", values)
    return from_row(Capture, rows[0]) if rows else None


def claim_captures(now: int, limit: int = 50) -> Transaction[list[Capture]]:
    """Captures to send now; no other process gets them before their lease is over."""
    rows = yield Statement(
        "UPDATE captures SET next_try_at = $2 WHERE next_try_at <= $1 AND payment_id IN (SELECT payment_id "
        f"FROM captures WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $3) RETURNING {_CAPTURE}",
        (now, now + WRITE_LEASE_MS, limit),
    )
    return many(Capture, rows)


def next_capture() -> Transaction[int | None]:
    """When a capture must be sent next, or None."""
    rows = yield Statement("SELECT min(next_try_at) AS at FROM captures WHERE next_try_at IS NOT NULL")
    at: int | None = rows[0]["at"]
    return at


def next_check() -> Transaction[int | None]:
    """When a payment must be asked for next, or None."""
    rows = yield Statement("SELECT min(next_check_at) AS at FROM payments WHERE next_check_at IS NOT NULL")
    at: int | None = rows[0]["at"]
    return at


def next_refund() -> Transaction[int | None]:
    """When a refund must be sent or asked for next, or None."""
    rows = yield Statement("SELECT min(next_try_at) AS at FROM refunds WHERE next_try_at IS NOT NULL")
    at: int | None = rows[0]["at"]
    return at


def next_notification() -> Transaction[int | None]:
    """When a notification must be worked on next, or None."""
    rows = yield Statement("SELECT min(next_try_at) AS at FROM notifications WHERE handled_at IS NULL")
    at: int | None = rows[0]["at"]
    return at


def keep_notification(notification: Notification) -> Transaction[None]:
    """Keep a notification; one that comes again waits to be handled again."""
    sql, values = insert("notifications", notification)
    yield Statement(
        f"{sql} ON CONFLICT (notification_id) DO UPDATE SET handled_at = NULL, "
        "next_try_at = excluded.next_try_at, received_at = excluded.received_at",
        values,
    )


def open_notifications(provider: str, most: int) -> Transaction[int]:
    """How many of the provider's notifications are not confirmed yet; `most`, if there are more."""
    rows = yield Statement(
        "SELECT count(*) AS n FROM (SELECT 1 AS found FROM notifications "
        "WHERE handled_at IS NULL AND provider = $1 LIMIT $2) AS waiting",
        (provider, most),
    )
    count: int = rows[0]["n"]
    return count


def claim_notifications(now: int, limit: int = 50) -> Transaction[list[Notification]]:
    """Notifications to be confirmed now; no other process gets them before their lease is over."""
    rows = yield Statement(
        "UPDATE notifications SET next_try_at = $2 WHERE next_try_at <= $1 AND notification_id IN (SELECT "
        "notification_id FROM notifications WHERE handled_at IS NULL AND next_try_at <= $1 "
        f"ORDER BY next_try_at LIMIT $3) RETURNING {_NOTIFICATION}",
        (now, now + WRITE_LEASE_MS, limit),
    )
    return many(Notification, rows)


def change_notification(notification_id: str, changes: dict[str, Any]) -> Transaction[None]:
    """Write just `changes`."""
    yield Statement(*update("notifications", changes, "notification_id = $1", notification_id))


def unmatched_notifications(limit: int) -> Transaction[list[Notification]]:
    """The newest notifications that fit nothing of ours."""
    rows = yield Statement(
        f"SELECT {_NOTIFICATION} FROM notifications WHERE outcome LIKE 'unmatched%' "
        "ORDER BY received_at DESC LIMIT $1",
        (limit,),
    )
    return many(Notification, rows)


def forget_leases(now: int) -> Transaction[None]:
    """The only server starts: what a dead process had taken up is due at once."""
    for table in ("payments", "refunds"):
        column = _LEASED[table]
        yield Statement(
            f"UPDATE {table} SET leased_until = NULL WHERE {column} > 0 AND leased_until > $1", (now,)
        )
    for table, column in _LEASED.items():
        unhandled = "AND handled_at IS NULL " if table == "notifications" else ""
        yield Statement(
            f"UPDATE {table} SET {column} = $1 WHERE {column} > $1 AND {column} <= $2 {unhandled}",
            (now, now + WRITE_LEASE_MS),
        )
