"""Money that is not what we asked for, as whole transactions: nothing moves, and a person looks."""

import json

from server.db import Transaction
from server.payment_ends import look_later
from server.payments import PaymentSnapshot, PaymentStatus
from server.progress import Rules, open_case
from server.store import cases, orders
from server.store.rows import Payment

TAKEN = (PaymentStatus.WAITING_FOR_CAPTURE, PaymentStatus.SUCCEEDED)
"""The money is with us, or held for us."""


def mismatch(payment: Payment, snapshot: PaymentSnapshot, account_id: str, test: bool | None) -> str | None:
    """Return what is wrong when the provider's payment is not the one we asked for; None: it is.

    `test` is whether the account is a test shop's; None: it cannot be told.
    """
    if snapshot.amount_minor != payment.amount_minor:
        return f"amount is {snapshot.amount_minor}, not {payment.amount_minor} kopecks"
    if snapshot.currency != payment.currency:
        return f"currency is {snapshot.currency}, not {payment.currency}"
    if snapshot.account_id is not None and snapshot.account_id != account_id:
        return f"it was paid to shop {snapshot.account_id}, not {account_id}"
    if test is not None and snapshot.test is not test:
        return f"test is {snapshot.test}, and the shop's is {test}"
    if snapshot.metadata.get("order_id", payment.order_id) != payment.order_id:
        return f"it is for order {snapshot.metadata.get('order_id')!r}, not {payment.order_id}"
    return None


def went_astray(
    rules: Rules, payment: Payment, snapshot: PaymentSnapshot, wrong: str, now: int
) -> Transaction[str]:
    """Money, or the claim of it, that is not what we asked for: return what a person is told, once."""
    yield from look_later(payment.payment_id, now + 60_000, now)
    detail = f"payment {snapshot.provider_payment_id} ({snapshot.status}): {wrong}"
    if (yield from cases.told("payment_mismatch", payment.payment_id, detail)):
        return ""
    order = yield from orders.get(payment.order_id)
    yield from open_case(rules, "payment_mismatch", payment.payment_id, now, detail, order)
    return detail


def keep_stray_money(
    rules: Rules, snapshot: PaymentSnapshot, merchant_id: str, now: int
) -> Transaction[None]:
    """Money that the provider confirms and that fits no payment of ours: kept, and shown to a person."""
    detail = json.dumps(
        {
            "merchant": merchant_id,
            "provider_payment_id": snapshot.provider_payment_id,
            "status": snapshot.status,
            "amount_minor": snapshot.amount_minor,
            "currency": snapshot.currency,
            "metadata": dict(snapshot.metadata),
        },
        ensure_ascii=False,
    )
    order_id = snapshot.metadata.get("order_id")
    order = (yield from orders.get(order_id)) if order_id else None
    yield from open_case(rules, "stray_money", snapshot.provider_payment_id, now, detail, order)
