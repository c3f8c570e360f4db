"""Fiscal receipts of payments and refunds, on their way to the cash register."""

from typing import Any

from server.db import Statement, Transaction
from server.store.payments import READ_LEASE_MS
from server.store.rows import Payment, Receipt, columns, from_row, insert, many, one, update

_RECEIPT = columns(Receipt)


def get(receipt_id: str) -> Transaction[Receipt | None]:
    """The receipt by the id of its payment or refund, or None."""
    return one(
        Receipt, (yield Statement(f"SELECT {_RECEIPT} FROM receipts WHERE receipt_id = $1", (receipt_id,)))
    )


def of_order(order_id: str) -> Transaction[list[Receipt]]:
    """The receipts of an order's payments and refunds, the oldest first."""
    rows = yield Statement(
        f"SELECT {_RECEIPT} FROM receipts "
        "WHERE payment_id IN (SELECT payment_id FROM payments WHERE order_id = $1) "
        "ORDER BY created_at, kind, receipt_id",
        (order_id,),
    )
    return many(Receipt, rows)


def add(receipt: Receipt, payment: Payment) -> Transaction[None]:
    """A receipt of the payment to be followed; harmless when it is followed already."""
    sql, values = insert("receipts", receipt)
    yield Statement(f"{sql} ON CONFLICT (receipt_id) DO NOTHING", values, touches=payment.order_id)


def change(receipt: Receipt, order_id: str, changes: dict[str, Any]) -> Transaction[Receipt | None]:
    """Write just `changes` if the receipt still has `receipt`'s status; None: someone was first."""
    sql, values = update(
        "receipts", changes, "receipt_id = $1 AND status = $2", receipt.receipt_id, receipt.status
    )
    rows = yield Statement(f"{sql} RETURNING {_RECEIPT}", values, touches=order_id)
    return from_row(Receipt, rows[0]) if rows else None


def claim(now: int, limit: int = 50) -> Transaction[list[Receipt]]:
    """Receipts to ask the provider about now; no other process gets them before their lease is over."""
    rows = yield Statement(
        "UPDATE receipts SET next_check_at = $2 WHERE next_check_at <= $1 "
        "AND receipt_id IN (SELECT receipt_id "
        f"FROM receipts WHERE next_check_at <= $1 ORDER BY created_at DESC LIMIT $3) RETURNING {_RECEIPT}",
        (now, now + READ_LEASE_MS, limit),
    )
    return many(Receipt, rows)


def next_check() -> Transaction[int | None]:
    """When a receipt must be asked for next, or None."""
    rows = yield Statement("SELECT min(next_check_at) AS at FROM receipts WHERE next_check_at IS NOT NULL")
    at: int | None = rows[0]["at"]
    return at
