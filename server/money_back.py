"""What becomes of a refund, as whole transactions: sent again, ended, refused, adopted."""

from server.db import Transaction
from server.key_life import is_old
from server.order import AWAITS_DRINK, Event, Status
from server.payments import RefundSnapshot, RefundStatus
from server.progress import BY_HAND, EXTRA_PAYMENT, Change, Rules, happen, open_case
from server.registration import expect_receipt
from server.store import cases, orders, payments
from server.store.rows import Order, Payment, Refund

DAY_MS = 24 * 3600 * 1000
STUCK_AFTER_MS = 3 * DAY_MS
"""A refund by SBP reaches the customer the next day (payments/refunds); a card's is told at once."""


def settle_refund(
    rules: Rules, refund_id: str, snapshot: RefundSnapshot, next_try_at: int, now: int
) -> Transaction[Refund | None]:
    """Apply what the provider says of a refund. None when it changes nothing."""
    refund = yield from payments.get_refund(refund_id)
    if refund is None or refund.status != "pending":
        return None
    known = {"provider_refund_id": snapshot.provider_refund_id, "updated_at": now}
    match snapshot.status:
        case RefundStatus.SUCCEEDED if snapshot.amount_minor == refund.amount_minor:
            return (yield from refund_over(rules, refund, {**known, "status": "succeeded"}, "", now))
        case RefundStatus.CANCELED:
            return (
                yield from refund_over(rules, refund, {**known, "status": "failed"}, snapshot.reason, now)
            )
    waiting = {**known, "next_try_at": next_try_at, "tries": refund.tries + 1}
    yield from payments.change_refund(refund, waiting)
    yield from _tell_if_stuck(rules, refund, now)
    return None


def _tell_if_stuck(rules: Rules, refund: Refund, now: int) -> Transaction[None]:
    """A refund that does not end is put in front of a person; it is followed all the same."""
    if now - refund.created_at >= STUCK_AFTER_MS:
        days = (now - refund.created_at) // DAY_MS
        yield from _tell(rules, refund, now, f"still pending at the provider after {days} days")


def _tell(rules: Rules, refund: Refund, now: int, detail: str) -> Transaction[None]:
    """Tell a person of a refund, once."""
    if not (yield from cases.known("refund_failed", refund.refund_id)):
        order = yield from orders.get(refund.order_id)
        yield from open_case(rules, "refund_failed", refund.refund_id, now, detail, order)


def refund_refused(rules: Rules, refund_id: str, detail: str, now: int) -> Transaction[Refund | None]:
    """The provider will not give the money back: a person must."""
    refund = yield from payments.get_refund(refund_id)
    if refund is None or refund.status != "pending":
        return None
    return (yield from refund_over(rules, refund, {"status": "failed", "updated_at": now}, detail, now))


def refund_over(
    rules: Rules, refund: Refund, changes: dict[str, object], detail: str, now: int
) -> Transaction[Refund | None]:
    """End a refund with `changes`; one that failed is a case."""
    ended = yield from payments.change_refund(refund, {**changes, "detail": detail, "next_try_at": None})
    order = yield from orders.get(refund.order_id)
    if ended is None or order is None:
        return None
    if order.refund_status is not None and refund.reason != EXTRA_PAYMENT:
        order = yield from orders.change(order, {"refund_status": ended.status, "updated_at": now})
    yield from orders.add_event(
        order.order_id, now, f"refund_{ended.status}", order.status, order.status, "provider", detail
    )
    if ended.status == "failed":
        yield from open_case(rules, "refund_failed", refund.refund_id, now, detail, order)
    else:
        yield from cases.close("refund_failed", refund.refund_id, now, "provider", "refund_succeeded")
        yield from _expect_receipt(rules, ended, now)
    return ended


def _expect_receipt(rules: Rules, refund: Refund, now: int) -> Transaction[None]:
    """Money that had been taken has gone back: that has a receipt too."""
    payment = yield from payments.get(refund.payment_id)
    if payment is not None and refund.kind == "refund":
        yield from expect_receipt(rules, payment, now, refund)


def try_refund_later(rules: Rules, refund_id: str, at: int, detail: str, now: int) -> Transaction[None]:
    """Send or ask for the refund again at `at`, with the same key and body; after a day a person is told."""
    refund = yield from payments.get_refund(refund_id)
    if refund is not None and refund.status == "pending":
        changes = {"next_try_at": at, "tries": refund.tries + 1, "detail": detail, "updated_at": now}
        yield from payments.change_refund(refund, changes)
        if is_old(refund.created_at, now):
            yield from _tell(rules, refund, now, f"not answered for a day: {detail}")


# --- refunds made by hand at the provider -------------------------------------------------------------


def adopt_refund(
    rules: Rules, payment_id: str, snapshot: RefundSnapshot, now: int
) -> Transaction[Change | None]:
    """Take a refund into our books that somebody made at the provider. The same again changes nothing.

    A drink that is still owed is not owed any more. A refund of a part is for a person to understand.
    """
    payment = yield from payments.get(payment_id)
    order = (yield from orders.get(payment.order_id)) if payment is not None else None
    if payment is None or order is None or snapshot.status is RefundStatus.CANCELED:
        return None
    if (yield from cases.known("payment_mismatch", payment_id)) and payment.status != "succeeded":
        yield from _adopt_astray(rules, payment, snapshot, order, now)
        return None
    if (yield from payments.refund_of(payment_id)) is not None:
        return None
    if snapshot.amount_minor != payment.amount_minor or payment.status != "succeeded":
        yield from _have_understood(rules, snapshot, order, now)
        return None
    earlier = [
        refund
        for refund in (yield from payments.refunds_of_order(order.order_id))
        if refund.payment_id == payment_id
    ]
    extra = any(refund.reason == EXTRA_PAYMENT for refund in earlier)
    adopted = _adopted(rules, payment, snapshot, EXTRA_PAYMENT if extra else BY_HAND, now)
    yield from payments.add_refund(adopted)
    if adopted.status == "succeeded":
        yield from _expect_receipt(rules, adopted, now)
    for refund in earlier:
        yield from cases.close("refund_failed", refund.refund_id, now, "provider", "refund_adopted")
    change = None
    if not extra and (order.status in AWAITS_DRINK or order.status == Status.MANUAL_MAKE):
        change = yield from happen(rules, order, Event.MONEY_BACK, now, "provider", said=BY_HAND)
        order = change.after
    if not extra and order.refund_status != adopted.status:
        order = yield from orders.change(order, {"refund_status": adopted.status, "updated_at": now})
    note = f"{snapshot.provider_refund_id}: {BY_HAND}"
    yield from orders.add_event(
        order.order_id, now, "refund_adopted", order.status, order.status, "provider", note
    )
    return change


def _have_understood(rules: Rules, snapshot: RefundSnapshot, order: Order, now: int) -> Transaction[None]:
    told = f"refund {snapshot.provider_refund_id} of {snapshot.amount_minor} kopecks was made by hand"
    yield from open_case(rules, "books_differ", snapshot.provider_refund_id, now, told, order)


def _adopt_astray(
    rules: Rules, payment: Payment, snapshot: RefundSnapshot, order: Order, now: int
) -> Transaction[None]:
    """Take in what was given back of money that was not what we asked for: the order never had that money.

    Until it has gone back nothing is written: its end is told as well.
    """
    if snapshot.status is not RefundStatus.SUCCEEDED:
        return
    known = yield from payments.refund_of(payment.payment_id)
    if known is not None and known.provider_refund_id == snapshot.provider_refund_id:
        return
    if known is not None or not snapshot.amount_minor:
        yield from _have_understood(rules, snapshot, order, now)
        return
    yield from payments.add_refund(_adopted(rules, payment, snapshot, EXTRA_PAYMENT, now))
    note = f"{snapshot.provider_refund_id}, {snapshot.amount_minor} kopecks of another sum: {BY_HAND}"
    yield from orders.add_event(
        order.order_id, now, "refund_adopted", order.status, order.status, "provider", note
    )


def _adopted(rules: Rules, payment: Payment, snapshot: RefundSnapshot, reason: str, now: int) -> Refund:
    pending = snapshot.status is RefundStatus.PENDING
    return Refund(
        refund_id=rules.new_id("refund"),
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        kind="refund",
        amount_minor=snapshot.amount_minor,
        currency=snapshot.currency,
        reason=reason,
        idempotence_key=f"by-hand-{snapshot.provider_refund_id}",
        body="",
        provider_refund_id=snapshot.provider_refund_id,
        status="pending" if pending else "succeeded",
        detail="",
        tries=0,
        next_try_at=now if pending else None,
        created_at=now,
        updated_at=now,
    )
