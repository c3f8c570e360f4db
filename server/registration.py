"""Receipts on their way to the cash register, as whole transactions."""

from typing import Any

from server.db import Transaction
from server.payments import ReceiptSnapshot
from server.progress import Rules, open_case
from server.store import cases, orders, payments, receipts
from server.store.rows import Payment, Receipt, Refund

CHECK_SOON_MS = 2_000
LATE_AFTER_MS = 24 * 3600 * 1000
"""A receipt that is not registered by then is put in front of a person, once; it is followed all the same."""


def expect_receipt(
    rules: Rules, payment: Payment, now: int, refund: Refund | None = None
) -> Transaction[None]:
    """The money was taken, or has gone back: its receipt is followed, if there is one that is told of."""
    if not rules.bodies(payment.scenario).tells_receipt(payment.body):
        return
    receipt = Receipt(
        receipt_id=refund.refund_id if refund else payment.payment_id,
        payment_id=payment.payment_id,
        kind="refund" if refund else "payment",
        status="pending",
        amount_minor=refund.amount_minor if refund else payment.amount_minor,
        storage_number=None,
        document_number=None,
        attribute=None,
        registered_at=None,
        tries=0,
        next_check_at=now + CHECK_SOON_MS,
        created_at=now,
        updated_at=now,
    )
    yield from receipts.add(receipt, payment)


def settle_receipt(
    rules: Rules, receipt_id: str, snapshot: ReceiptSnapshot, next_check_at: int, now: int
) -> Transaction[Receipt | None]:
    """Apply what the provider says of a receipt. None when it has not ended by that."""
    receipt = yield from receipts.get(receipt_id)
    if receipt is None or receipt.status != "pending":
        return None
    if snapshot.status == "pending":
        yield from look_later(rules, receipt_id, next_check_at, now)
        return None
    ended: dict[str, Any] = {"status": snapshot.status, "next_check_at": None, "updated_at": now}
    if snapshot.status == "succeeded":
        ended |= {
            "storage_number": snapshot.storage_number,
            "document_number": snapshot.document_number,
            "attribute": snapshot.attribute,
            "registered_at": snapshot.registered_at,
        }
        yield from cases.close("receipt_failed", receipt_id, now, "provider", "receipt_registered")
    else:
        yield from _tell(rules, receipt, now, "the cash register has refused it")
    return (yield from receipts.change(receipt, (yield from _order_id(receipt)), ended))


def look_later(rules: Rules, receipt_id: str, at: int, now: int) -> Transaction[None]:
    """Ask for the receipt again at `at`."""
    receipt = yield from receipts.get(receipt_id)
    if receipt is None or receipt.status != "pending":
        return
    later = {"next_check_at": at, "tries": receipt.tries + 1, "updated_at": now}
    yield from receipts.change(receipt, (yield from _order_id(receipt)), later)
    if now - receipt.created_at > LATE_AFTER_MS and not (
        yield from cases.known("receipt_failed", receipt_id)
    ):
        yield from _tell(rules, receipt, now, "not registered within a day")


def _tell(rules: Rules, receipt: Receipt, now: int, why: str) -> Transaction[None]:
    order = yield from orders.get((yield from _order_id(receipt)))
    told = f"receipt of {receipt.kind} {receipt.receipt_id}: {why}"
    yield from open_case(rules, "receipt_failed", receipt.receipt_id, now, told, order)


def _order_id(receipt: Receipt) -> Transaction[str]:
    payment = yield from payments.get(receipt.payment_id)
    assert payment is not None  # a foreign key
    return payment.order_id
