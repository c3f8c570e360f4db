"""What becomes of money that is only held, as whole transactions: taken, or gone back."""

from server.db import Transaction
from server.key_life import is_old
from server.money_back import refund_over
from server.order import AWAITS_DRINK, Event, Status
from server.progress import Change, Rules, add_refund, happen, open_case
from server.registration import expect_receipt
from server.store import cases, orders, payments
from server.store.rows import Capture, Payment


def was_taken(rules: Rules, payment: Payment, now: int) -> Transaction[None]:
    """The held money is ours now. If it was to go back, it goes back as a refund."""
    yield from orders.get(payment.order_id)  # nobody begins to give it back meanwhile
    over = {"status": "succeeded", "next_check_at": None, "updated_at": now}
    taken = yield from payments.change(payment, over)
    if taken is not None:
        yield from expect_receipt(rules, taken, now)
    capture = yield from payments.get_capture(payment.payment_id)
    if capture is not None and capture.status != "succeeded":  # also one that was taken by hand in the end
        yield from payments.change_capture(
            capture, {"status": "succeeded", "next_try_at": None, "updated_at": now}
        )
        yield from cases.close("capture_failed", payment.payment_id, now, "provider", "captured")
    release = yield from payments.refund_of(payment.payment_id)
    if taken is None or release is None or release.kind != "release":
        return
    detail = "the held money was taken before it was released"
    ended = {"status": "failed", "detail": detail, "next_try_at": None, "updated_at": now}
    yield from payments.change_refund(release, ended)
    yield from add_refund(rules, taken, now, release.reason)


def went_back(rules: Rules, payment: Payment, reason: str, now: int) -> Transaction[Change | None]:
    """The held money is no longer held: released by us, or by its bank when the time was over."""
    change = yield from _nobody_asked_for_it(rules, payment, reason, now)
    over = {"status": "canceled", "detail": reason, "next_check_at": None, "updated_at": now}
    yield from payments.change(payment, over)
    for release in (yield from payments.refunds_of_order(payment.order_id)):
        if release.payment_id == payment.payment_id and release.status != "succeeded":  # also one given up
            yield from refund_over(rules, release, {"status": "succeeded", "updated_at": now}, reason, now)
    capture = yield from payments.get_capture(payment.payment_id)
    if capture is not None and capture.status == "pending":
        yield from capture_refused(rules, payment.payment_id, f"the hold has ended: {reason}", now)
    return change


def _nobody_asked_for_it(rules: Rules, payment: Payment, reason: str, now: int) -> Transaction[Change | None]:
    """The bank gave the money back of an order whose drink is still owed: the order has failed."""
    order = yield from orders.get(payment.order_id)
    refunds = yield from payments.refunds_of_order(payment.order_id)
    if order is None or any(refund.payment_id == payment.payment_id for refund in refunds):
        return None  # it was on its way back, also if the provider would not have it: one too many
    if order.status not in AWAITS_DRINK and order.status != Status.MANUAL_MAKE:
        return None
    said = f"the hold has ended: {reason}"
    return (yield from happen(rules, order, Event.MONEY_BACK, now, "provider", said=said))


def capture_refused(rules: Rules, payment_id: str, detail: str, now: int) -> Transaction[Capture | None]:
    """The money of a drink that was made cannot be taken: a person must know."""
    capture = yield from payments.get_capture(payment_id)
    payment = yield from payments.get(payment_id)
    if capture is None or payment is None or capture.status != "pending":
        return None
    ended = {"status": "failed", "detail": detail, "next_try_at": None, "updated_at": now}
    failed = yield from payments.change_capture(capture, ended)
    order = yield from orders.get(payment.order_id)
    yield from open_case(rules, "capture_failed", payment_id, now, detail, order)
    return failed


def try_capture_later(rules: Rules, payment_id: str, at: int, detail: str, now: int) -> Transaction[None]:
    """Send the capture again at `at`, with the same body; after a day a person is told."""
    capture = yield from payments.get_capture(payment_id)
    if capture is not None and capture.status == "pending":
        changes = {"next_try_at": at, "tries": capture.tries + 1, "detail": detail, "updated_at": now}
        yield from payments.change_capture(capture, changes)
        payment = yield from payments.get(payment_id)
        if is_old(capture.created_at, now) and not (yield from cases.known("capture_failed", payment_id)):
            order = (yield from orders.get(payment.order_id)) if payment is not None else None
            told = f"not answered for a day: {detail}"
            yield from open_case(rules, "capture_failed", payment_id, now, told, order)
