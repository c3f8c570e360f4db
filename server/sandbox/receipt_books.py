"""The sandbox bank's books of receipts: sent to the cash register, and what became of them there."""

import json

from server.db import Statement, Transaction
from server.sandbox import receipts
from server.sandbox.checks import refuse
from server.sandbox.receipts import Content

RECEIPTS_LIMIT = 30
"""Receipts of one payment, and of one refund, at most."""


def send(
    kind: str,
    payment_id: str,
    refund_id: str,
    content: Content,
    now_ms: int,
    registers_at: int,
    later_id: str = "",
) -> Transaction[Content]:
    """Write a receipt that is registered at `registers_at`.

    It has the id of its payment or refund; one that comes later than these has `later_id`.
    """
    about = {"payment_id": payment_id} | ({"refund_id": refund_id} if refund_id else {})
    made = receipts.new_receipt(f"rt-{later_id or refund_id or payment_id}", kind, about, content)
    yield Statement(
        "INSERT INTO sandbox_receipts (receipt_id, payment_id, status, body, created_at, settles_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        (made["id"], payment_id, made["status"], json.dumps(made), now_ms, registers_at),
    )
    return made


def came_later(receipt: Content) -> bool:
    """Say whether the receipt was sent by itself, and not with its payment or refund."""
    return bool(receipt["id"] != f"rt-{receipt.get('refund_id', receipt['payment_id'])}")


def receipt(receipt_id: str) -> Transaction[Content | None]:
    """Return the receipt."""
    rows = yield Statement("SELECT body FROM sandbox_receipts WHERE receipt_id = $1", (receipt_id,))
    return json.loads(rows[0]["body"]) if rows else None


def end(receipt_id: str, registered: bool, now_ms: int) -> Transaction[Content | None]:
    """Register a pending receipt, or let it fail, and return it; None: it has ended already."""
    before = yield from receipt(receipt_id)
    if before is None or before["status"] != "pending":
        return None
    rows = yield Statement("SELECT COUNT(*) AS so_far FROM sandbox_receipts WHERE status = 'succeeded'")
    after = (
        receipts.registered(before, rows[0]["so_far"] + 1, now_ms) if registered else receipts.failed(before)
    )
    yield Statement(
        "UPDATE sandbox_receipts SET body = $1, status = $2, settles_at = NULL WHERE receipt_id = $3",
        (json.dumps(after), after["status"], receipt_id),
    )
    return after


def check_room(payment_id: str, refund_id: str) -> Transaction[None]:
    """Refuse one more receipt of a payment, or of a refund, that has as many as it may have."""
    rows = yield Statement("SELECT body FROM sandbox_receipts WHERE payment_id = $1", (payment_id,))
    of_the_same = [row for row in rows if json.loads(row["body"]).get("refund_id", "") == refund_id]
    if len(of_the_same) >= RECEIPTS_LIMIT:
        refuse("refund_id" if refund_id else "payment_id", f"Has {RECEIPTS_LIMIT} receipts already")
