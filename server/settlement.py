"""What payments and refunds do to orders, as whole transactions.

One function applies what the provider says of a payment, whoever asked (notification, timer, return page), so
that the same truth heard five times changes the order once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from server import held_money
from server.db import Transaction
from server.errors import AlreadyDecided, BadRequest, NotFound
from server.order import PAYABLE, Event, Status
from server.payment_ends import OPEN, answered, look_later, payment_over
from server.payments import Method, NewPayment, PaymentSnapshot, PaymentStatus
from server.progress import BY_HAND, EXTRA_PAYMENT, Change, Rules, add_refund, happen
from server.registration import expect_receipt
from server.store import devices, orders, payments
from server.store.rows import Order, Payment
from server.stray_money import TAKEN, mismatch, went_astray

CHECK_SOON_MS = 2_000

PAY_AGAIN = frozenset({Status.CREATED, Status.NOT_PAID})


T = TypeVar("T")
R = TypeVar("R")
Then = Callable[[], Transaction[R]]


def nothing() -> Transaction[None]:
    """Do nothing: what follows when nothing does."""
    return
    yield


def in_turn(first: Then[T], then: Then[R]) -> Transaction[tuple[T, R]]:
    """Do the one, then the other; return what both return."""
    return (yield from first()), (yield from then())


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
        "unasked_since": None,
    }
    return (yield from payments.change(payment, changes))


# --- what the provider says of a payment ----------------------------------------------------------------


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
    payment = yield from answered(payment, now)
    wrong = mismatch(payment, snapshot, account_id, test)
    if wrong is not None and snapshot.status in TAKEN:  # until then there is no money, and may never be
        return Settled(astray=(yield from went_astray(rules, payment, snapshot, wrong, now)))
    match payment.status, snapshot.status:
        case "held", PaymentStatus.SUCCEEDED:
            yield from held_money.was_taken(rules, payment, now)
            return Settled()
        case "held", PaymentStatus.CANCELED:
            return _settled((yield from held_money.went_back(rules, payment, snapshot.reason, now)))
        case _, PaymentStatus.CANCELED:
            changes = {"status": "canceled", "detail": snapshot.reason}
            yield from payments.change(payment, {**changes, "next_check_at": None, "updated_at": now})
            return _settled((yield from payment_over(rules, payment, now, snapshot.reason)))
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
