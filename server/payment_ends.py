"""How a payment ends without its money, and how long one is asked for, as whole transactions."""

from server.db import Transaction
from server.key_life import is_old
from server.order import Event, Status
from server.progress import Change, Rules, happen, open_case
from server.store import cases, orders, payments
from server.store.rows import Payment

UNPAYABLE_AFTER_MS = 65 * 60 * 1000
"""A payment whose creation was never answered cannot be paid any more: its provider ends it after an hour."""

OPEN = ("creating", "pending", "held")
"""Statuses of a payment that its provider may still change by itself."""

# --- the end ------------------------------------------------------------------------------------------


def payment_refused(rules: Rules, payment_id: str, detail: str, now: int) -> Transaction[Change | None]:
    """The provider will not have the payment: the order may be tried again."""
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status != "creating":
        return None
    yield from payments.change(
        payment, {"status": "failed", "detail": detail, "next_check_at": None, "updated_at": now}
    )
    return (yield from payment_over(rules, payment, now, detail))


def payment_not_known(rules: Rules, payment_id: str, detail: str, now: int) -> Transaction[Change | None]:
    """The provider does not know the payment, and it can no longer be paid: a person looks for its money."""
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status not in OPEN:
        return None
    payment = yield from answered(payment, now)
    order = yield from orders.get(payment.order_id)
    told = f"payment {payment.provider_payment_id}: {detail}"
    yield from open_case(rules, "payment_mismatch", payment_id, now, told, order)
    yield from payments.change(
        payment, {"status": "failed", "detail": detail, "next_check_at": None, "updated_at": now}
    )
    return (yield from payment_over(rules, payment, now, detail))


def end_by_hand(
    rules: Rules, payment_id: str, user: str, reason: str, now: int
) -> Transaction[Change | None]:
    """A person has settled the money at the provider: it is not asked for any more, and the order goes on.

    Held money stays asked for: its bank ends the hold.
    """
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status not in ("creating", "pending"):
        return None
    detail = f"{user}: {reason}"
    ended = {"status": "failed", "detail": detail, "next_check_at": None, "updated_at": now}
    yield from payments.change(payment, ended)
    change = yield from payment_over(rules, payment, now, reason, user)
    order = yield from orders.get(payment.order_id)
    if change is None and order is not None:
        note = f"payment {payment_id} was ended: {reason}"
        yield from orders.add_event(
            order.order_id, now, "payment_ended", order.status, order.status, user, note
        )
    return change


def payment_over(
    rules: Rules, payment: Payment, now: int, detail: str, cause: str = "provider"
) -> Transaction[Change | None]:
    """A payment ended without money: the order may be tried again, unless another attempt is under way."""
    order = yield from orders.get(payment.order_id)
    newest = (yield from payments.of_order(payment.order_id))[-1]
    if order is None or order.status != Status.PENDING or newest.payment_id != payment.payment_id:
        return None
    return (yield from happen(rules, order, Event.PAYMENT_CANCELED, now, cause, said=detail))


# --- until then ---------------------------------------------------------------------------------------


def look_later(payment_id: str, at: int | None, now: int) -> Transaction[None]:
    """The provider has answered, and it is not over: ask again at `at`."""
    payment = yield from payments.get(payment_id)
    if payment is not None and payment.status in OPEN:
        payment = yield from answered(payment, now)
        yield from payments.change(
            payment, {"next_check_at": at, "checks": payment.checks + 1, "updated_at": now}
        )


def cannot_ask(rules: Rules, payment_id: str, at: int, why: str, now: int) -> Transaction[None]:
    """The provider could not be asked, or did not answer: again at `at`; after a day a person is told."""
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status not in OPEN:
        return
    since = payment.unasked_since or now
    changes = {"next_check_at": at, "checks": payment.checks + 1, "updated_at": now, "unasked_since": since}
    yield from payments.change(payment, changes)
    if is_old(since, now) and not (yield from _is_told(payment, since)):
        order = yield from orders.get(payment.order_id)
        told = f"payment {payment.provider_payment_id}, not answered for a day: {why}"
        yield from open_case(rules, "payment_unasked", payment_id, now, told, order)


def _is_told(payment: Payment, since: int) -> Transaction[bool]:
    """Whether a person knows of this silence; money that is to be taken or given back has its own case."""
    capture = yield from payments.get_capture(payment.payment_id)
    refund = yield from payments.refund_of(payment.payment_id)
    if capture is not None or refund is not None:
        return True
    return (yield from cases.known("payment_unasked", payment.payment_id, since))


def answered(payment: Payment, now: int) -> Transaction[Payment]:
    """Return the payment whose provider has answered: what a person was told of its silence is over."""
    if payment.unasked_since is None:
        return payment
    yield from cases.close("payment_unasked", payment.payment_id, now, "provider", "answered")
    changed = yield from payments.change(payment, {"unasked_since": None, "updated_at": now})
    return changed or payment
