"""What payments and refunds do to orders, as whole transactions.

One function applies what the provider says of a payment, whoever asked (notification, timer, return page), so
that the same truth heard five times changes the order once.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from server import held_money
from server.db import Transaction
from server.errors import AlreadyDecided, BadRequest, NotFound
from server.order import PAYABLE, Event, Status
from server.payments import Method, NewPayment, PaymentSnapshot, PaymentStatus
from server.progress import BY_HAND, EXTRA_PAYMENT, Change, Rules, add_refund, happen, open_case
from server.registration import expect_receipt
from server.store import cases, devices, orders, payments
from server.store.rows import Order, Payment

CHECK_SOON_MS = 2_000
UNPAYABLE_AFTER_MS = 65 * 60 * 1000
"""A payment whose creation was never answered cannot be paid any more: its provider ends it after an hour."""

OPEN = ("creating", "pending", "held")
"""Statuses of a payment that its provider may still change by itself."""
TAKEN = (PaymentStatus.WAITING_FOR_CAPTURE, PaymentStatus.SUCCEEDED)
"""The money is with us, or held for us."""

PAY_AGAIN = frozenset({Status.CREATED, Status.NOT_PAID})


@dataclass(frozen=True)
class Wish:
    """How a customer wants to pay."""

    method: Method = Method.CARD
    email: str | None = None
    """Where the receipts go."""


# --- the customer pays --------------------------------------------------------------------------------


def start_payment(
    rules: Rules,
    order_id: str,
    merchant_id: str,
    wish: Wish,
    asked_for: Callable[[Order, str, int, str | None], NewPayment],
    now: int,
) -> Transaction[tuple[Payment, Change | None]]:
    """Return the payment to pay the order with: the one under way, or a new one, written before any call.

    The new one is leased to the caller.
    `asked_for` makes the request from the order, our payment id, the attempt's number and what the drink's
    receipt says. A customer who changes the method or the address of the receipt has two payments; the second
    to be paid goes back.
    Raises NotFound, BadRequest (the order's time is over, no e-mail), AlreadyDecided (it is paid).
    """
    order = yield from orders.get(order_id)
    if order is None:
        raise NotFound("order_not_found", order_id)
    check_payable(order, now)
    attempts = yield from payments.of_order(order_id)
    moved = wish.email is not None and wish.email != order.email
    for attempt in attempts:
        unmade = attempt.status == "creating"
        if attempt.method == wish.method and not moved and (unmade or _can_be_paid(attempt)):
            return replace(attempt, leased_until=None), None
    attempt_no = len(attempts) + 1
    payment_id = rules.new_id("pay")
    drink_receipt = yield from devices.drink_receipt(order.device_uuid, order.drink_no)
    new = asked_for(order, payment_id, attempt_no, drink_receipt)
    if moved:
        order = yield from orders.change(order, {"email": wish.email, "updated_at": now})
    payment = Payment(
        payment_id=payment_id,
        order_id=order_id,
        attempt_no=attempt_no,
        scenario=order.payment_scenario,
        merchant_id=merchant_id,
        method=wish.method,
        amount_minor=order.price_minor,
        currency=order.currency,
        idempotence_key=payment_id,
        body=rules.bodies(order.payment_scenario).payment_body(new),
        provider_payment_id=None,
        confirmation_url=None,
        confirmation_kind=None,
        status="creating",
        detail="",
        checks=0,
        next_check_at=now + payments.WRITE_LEASE_MS,
        created_at=now,
        updated_at=now,
        leased_until=now + payments.WRITE_LEASE_MS,
    )
    yield from payments.add(payment)
    if order.status not in PAY_AGAIN:
        return payment, None
    change = yield from happen(rules, order, Event.PAYMENT_STARTED, now, "customer")
    return payment, change


def _can_be_paid(attempt: Payment) -> bool:
    """Whether it is known where the customer pays; of one whose creation was never answered it may not be."""
    return attempt.status == "pending" and attempt.confirmation_url is not None


def check_payable(order: Order, now: int) -> None:
    """Raise AlreadyDecided when the order is paid or over, BadRequest when its time is."""
    if order.status not in PAYABLE:
        raise AlreadyDecided(
            "order_not_payable", f"order {order.order_id} is {order.status}", order.device_uuid
        )
    if now > order.expires_at:
        raise BadRequest("order_expired", f"order {order.order_id}", order.device_uuid)


def payment_created(payment_id: str, snapshot: PaymentSnapshot, now: int) -> Transaction[Payment | None]:
    """The provider has the payment: keep its id and where the customer pays."""
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status != "creating":
        return payment
    changes = {
        "status": "pending",
        "provider_payment_id": snapshot.provider_payment_id,
        "confirmation_url": snapshot.confirmation.url if snapshot.confirmation else None,
        "confirmation_kind": snapshot.confirmation.kind if snapshot.confirmation else None,
        "next_check_at": now + CHECK_SOON_MS,
        "updated_at": now,
    }
    return (yield from payments.change(payment, changes))


def payment_refused(rules: Rules, payment_id: str, detail: str, now: int) -> Transaction[Change | None]:
    """The provider will not have the payment: the order may be tried again."""
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status != "creating":
        return None
    yield from payments.change(
        payment, {"status": "failed", "detail": detail, "next_check_at": None, "updated_at": now}
    )
    return (yield from _payment_over(rules, payment, now, detail))


def payment_not_known(rules: Rules, payment_id: str, detail: str, now: int) -> Transaction[Change | None]:
    """The provider does not know the payment, and it can no longer be paid: a person looks for its money."""
    payment = yield from payments.get(payment_id)
    if payment is None or payment.status not in OPEN:
        return None
    order = yield from orders.get(payment.order_id)
    told = f"payment {payment.provider_payment_id}: {detail}"
    yield from open_case(rules, "payment_mismatch", payment_id, now, told, order)
    yield from payments.change(
        payment, {"status": "failed", "detail": detail, "next_check_at": None, "updated_at": now}
    )
    return (yield from _payment_over(rules, payment, now, detail))


def look_later(payment_id: str, at: int | None, now: int) -> Transaction[None]:
    """Ask the provider about the payment again at `at`."""
    payment = yield from payments.get(payment_id)
    if payment is not None and payment.status in OPEN:
        yield from payments.change(
            payment, {"next_check_at": at, "checks": payment.checks + 1, "updated_at": now}
        )


# --- what the provider says of a payment ----------------------------------------------------------------


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


@dataclass(frozen=True)
class Settled:
    """What a payment's snapshot led to: changes of the order, and whether money was found astray."""

    changes: tuple[Change, ...] = ()
    astray: str = ""
    known: bool = True


def settle_payment(
    rules: Rules,
    payment_id: str,
    snapshot: PaymentSnapshot,
    account_id: str,
    test: bool | None,
    next_check_at: int,
    now: int,
    cause: str,
) -> Transaction[Settled]:
    """Apply what the provider says of a payment. The same again changes nothing."""
    payment = yield from payments.get(payment_id)
    if payment is None:
        return Settled(known=False)
    if payment.status == "creating":  # its notification was faster than the answer to its creation
        payment = (yield from payment_created(payment_id, snapshot, now)) or payment
    if payment.status not in OPEN and not (yield from _found_after_all(payment, snapshot)):
        return Settled()
    wrong = mismatch(payment, snapshot, account_id, test)
    if wrong is not None and snapshot.status is not PaymentStatus.CANCELED:  # that is an end without money
        return (yield from _astray(rules, payment, snapshot, wrong, now))
    match payment.status, snapshot.status:
        case "held", PaymentStatus.SUCCEEDED:
            yield from held_money.was_taken(rules, payment, now)
            return Settled()
        case "held", PaymentStatus.CANCELED:
            return _settled((yield from held_money.went_back(rules, payment, snapshot.reason, now)))
        case _, PaymentStatus.CANCELED:
            changes = {"status": "canceled", "detail": snapshot.reason}
            yield from payments.change(payment, {**changes, "next_check_at": None, "updated_at": now})
            return _settled((yield from _payment_over(rules, payment, now, snapshot.reason)))
        case "pending" | "canceled" | "failed", status if status in TAKEN:
            return (yield from _paid(rules, payment, snapshot, next_check_at, now, cause))
    yield from look_later(payment_id, next_check_at, now)
    return Settled()


def _found_after_all(payment: Payment, snapshot: PaymentSnapshot) -> Transaction[bool]:
    """Whether a payment that had ended without money has some; what we released has not."""
    if payment.status not in ("canceled", "failed") or snapshot.status not in TAKEN:
        return False
    return (yield from payments.refund_of(payment.payment_id)) is None


def _settled(change: Change | None) -> Settled:
    return Settled((change,) if change else ())


def _astray(
    rules: Rules, payment: Payment, snapshot: PaymentSnapshot, wrong: str, now: int
) -> Transaction[Settled]:
    """Money, or the claim of it, that is not what we asked for: nothing moves, a person looks, once."""
    yield from look_later(payment.payment_id, now + 60_000, now)
    if (yield from cases.known("payment_mismatch", payment.payment_id)):
        return Settled()
    order = yield from orders.get(payment.order_id)
    detail = f"payment {snapshot.provider_payment_id} ({snapshot.status}): {wrong}"
    yield from open_case(rules, "payment_mismatch", payment.payment_id, now, detail, order)
    return Settled(astray=detail)


def _paid(
    rules: Rules, payment: Payment, snapshot: PaymentSnapshot, next_check_at: int, now: int, cause: str
) -> Transaction[Settled]:
    held = snapshot.status is PaymentStatus.WAITING_FOR_CAPTURE
    changes = {
        "status": "held" if held else "succeeded",
        "provider_payment_id": snapshot.provider_payment_id,  # not known yet if its creation was given up
        "next_check_at": next_check_at if held else None,  # what is held may still go back by itself
        "updated_at": now,
    }
    paid = yield from payments.change(payment, changes)
    if paid is not None and not held:
        yield from expect_receipt(rules, paid, now)
    order = yield from orders.get(payment.order_id)
    if paid is None or order is None:
        return Settled()
    if order.status not in PAYABLE or order.status == Status.CREATED:
        yield from _give_back_extra(rules, paid, order, now, cause)
        return Settled(astray=f"payment {payment.payment_id} came while the order was {order.status}")
    if snapshot.refunded_minor:
        return (yield from _paid_and_given_back(rules, order, now, cause))
    started = order.payment_started_at or order.created_at
    late = now > order.expires_at or now - started > rules.late_after_ms
    event = Event.PAID_LATE if late else Event.PAYMENT_SUCCEEDED
    return Settled(((yield from happen(rules, order, event, now, cause)),))


def _paid_and_given_back(rules: Rules, order: Order, now: int, cause: str) -> Transaction[Settled]:
    """Somebody has given money of it back by hand before we knew that it came: it buys no drink.

    Our own refund then finds what was given back, or has a person look.
    """
    paid = yield from happen(rules, order, Event.PAID_LATE, now, cause)
    over = yield from happen(rules, paid.after, Event.MONEY_BACK, now, cause, said=BY_HAND)
    return Settled((paid, over))


def _give_back_extra(rules: Rules, payment: Payment, order: Order, now: int, cause: str) -> Transaction[None]:
    """A second payment of an order, or one of an order that is over: it goes back by itself."""
    yield from add_refund(rules, payment, now, EXTRA_PAYMENT)
    note = f"payment {payment.payment_id} came when the order was {order.status}; it goes back"
    yield from orders.add_event(order.order_id, now, "extra_payment", order.status, order.status, cause, note)


def _payment_over(rules: Rules, payment: Payment, now: int, detail: str) -> Transaction[Change | None]:
    """A payment ended without money: the order may be tried again, unless another attempt is under way."""
    order = yield from orders.get(payment.order_id)
    newest = (yield from payments.of_order(payment.order_id))[-1]
    if order is None or order.status != Status.PENDING or newest.payment_id != payment.payment_id:
        return None
    return (yield from happen(rules, order, Event.PAYMENT_CANCELED, now, "provider", said=detail))


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
