"""Compares our books with a provider's: every movement of money must stand in both. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.payments import PaymentSnapshot, PaymentStatus, RefundSnapshot, RefundStatus
from server.store.rows import Payment, Refund

_SAYS = {
    PaymentStatus.PENDING: ("creating", "pending", "failed"),
    PaymentStatus.WAITING_FOR_CAPTURE: ("held",),
    PaymentStatus.SUCCEEDED: ("succeeded",),
    PaymentStatus.CANCELED: ("canceled", "failed", "creating", "pending"),
}
"""What the provider says of a payment → what ours may say. An end that brings no money may be news to us."""

_SAYS_OF_REFUND = {
    RefundStatus.PENDING: ("pending",),
    RefundStatus.SUCCEEDED: ("pending", "succeeded"),
    RefundStatus.CANCELED: ("pending", "failed"),
}


@dataclass(frozen=True)
class Difference:
    """One movement on which the books differ. `subject` is the provider's id; ours where it has none."""

    subject: str
    order_id: str | None
    text: str


def differences(
    payments: Sequence[Payment],
    refunds: Sequence[Refund],
    their_payments: Sequence[PaymentSnapshot],
    their_refunds: Sequence[RefundSnapshot],
    since_ms: int = 0,
) -> list[Difference]:
    """Return what differs. Theirs are all since `since_ms`; ours may reach further back."""
    back = [refund for refund in refunds if refund.kind == "refund"]
    return [
        *_of_payments(payments, their_payments, since_ms),
        *_of_refunds(back, their_refunds, since_ms),
    ]


def _of_payments(
    ours: Sequence[Payment], theirs: Sequence[PaymentSnapshot], since_ms: int
) -> Iterable[Difference]:
    known = {payment.provider_payment_id: payment for payment in ours}
    told = {snapshot.provider_payment_id for snapshot in theirs}
    for snapshot in theirs:
        payment = known.get(snapshot.provider_payment_id)
        about = snapshot.provider_payment_id, snapshot.metadata.get("order_id")
        if payment is None:
            if snapshot.status in (PaymentStatus.SUCCEEDED, PaymentStatus.WAITING_FOR_CAPTURE):
                yield Difference(*about, f"payment of {_sum(snapshot)} {snapshot.status}: not in our books")
        elif snapshot.amount_minor != payment.amount_minor or snapshot.currency != payment.currency:
            yield Difference(*about, f"payment of {_sum(snapshot)}: {_sum(payment)} in our books")
        elif payment.status not in _SAYS[snapshot.status]:
            yield Difference(*about, f"payment is {snapshot.status}: {payment.status} in our books")
    for payment in ours:
        missing = payment.provider_payment_id not in told and payment.created_at >= since_ms
        if payment.status in ("held", "succeeded") and missing:
            subject = payment.provider_payment_id or payment.payment_id
            yield Difference(subject, payment.order_id, f"payment of {_sum(payment)}: not in the provider's")


def _of_refunds(
    ours: Sequence[Refund], theirs: Sequence[RefundSnapshot], since_ms: int
) -> Iterable[Difference]:
    known = {refund.provider_refund_id: refund for refund in ours}
    told = {snapshot.provider_refund_id for snapshot in theirs}
    for snapshot in theirs:
        refund = known.get(snapshot.provider_refund_id)
        if refund is None:
            if snapshot.status is not RefundStatus.CANCELED:
                text = f"refund of {_sum(snapshot)} {snapshot.status}: not in our books"
                yield Difference(snapshot.provider_refund_id, None, text)
        elif snapshot.amount_minor != refund.amount_minor:
            text = f"refund of {_sum(snapshot)}: {_sum(refund)} in our books"
            yield Difference(snapshot.provider_refund_id, refund.order_id, text)
        elif refund.status not in _SAYS_OF_REFUND[snapshot.status]:
            text = f"refund is {snapshot.status}: {refund.status} in our books"
            yield Difference(snapshot.provider_refund_id, refund.order_id, text)
    for refund in ours:
        missing = refund.provider_refund_id not in told and refund.created_at >= since_ms
        if refund.status == "succeeded" and missing:
            subject = refund.provider_refund_id or refund.refund_id
            yield Difference(subject, refund.order_id, f"refund of {_sum(refund)}: not in the provider's")


def _sum(movement: PaymentSnapshot | RefundSnapshot | Payment | Refund) -> str:
    return f"{movement.amount_minor // 100}.{movement.amount_minor % 100:02} {movement.currency}"
