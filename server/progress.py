"""What happens to orders, as whole transactions: the pure tables joined with the rows.

Each change of an order is written together with its history and with what must follow from it (a make
command, a refund, a case), so that a process that dies right after loses nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agent.wire import Code
from server import order as order_core
from server.db import Transaction
from server.make import Session, SessionOf, State, no_session, sent_in
from server.order import Effect, Event, Status
from server.payments import Bodies
from server.store import cases, devices, makes, orders, payments
from server.store.rows import Capture, Case, Make, Order, Payment, Refund

EXTRA_PAYMENT = "Заказ уже оплачен или завершён"
"""Reason of a refund that is not the order's own: of a second payment, or of one that came too late."""

BY_HAND = "Возврат в кабинете банка"
"""Reason of a refund that somebody made at the provider, and that we have taken into our books."""


@dataclass(frozen=True)
class Rules:
    """The settings and makers that transactions need, so that they read no clock and no environment."""

    make_life_ms: int
    make_result_ms: int
    manual_make_ms: int
    late_after_ms: int
    unknown_refund_ms: int
    """How long an order of unknown outcome waits for evidence or a person, before its money goes back."""
    new_id: Callable[[str], str]
    bodies: Callable[[str], Bodies]
    """Scenario → what makes the exact requests to save."""
    session_of: SessionOf = no_session
    """Where a new command may be sent at once; called from the database's thread."""


@dataclass(frozen=True)
class Change:
    """What one event did to an order, with what followed. `make` is the attempt it came from, if any.

    `claimed` is the command that the same transaction took for sending to a session of this process.
    """

    before: Order
    after: Order
    event: Event
    effects: tuple[Effect, ...] = ()
    code: Code | None = None
    said: str = ""
    make: Make | None = None
    claimed: Make | None = None


def happen(
    rules: Rules,
    order: Order,
    event: Event,
    now: int,
    cause: str,
    *,
    code: Code | None = None,
    said: str = "",
    make: Make | None = None,
    life_until: int | None = None,
) -> Transaction[Change]:
    """Let `event` happen to the order: write what changes, its history and what must follow.

    Raises IllegalTransition when the event cannot happen now; nothing is written then.
    """
    core = order_core.Order(
        order_id=order.order_id,
        status=Status(order.status),
        refund=order_core.Refund(order.refund_status) if order.refund_status else None,
        failure=Code(order.failure_code) if order.failure_code else None,
    )
    decided, effects = order_core.advance(core, event, code)
    changes = _changes(rules, order, decided, event, now, said)
    if Effect.SEND_MAKE in effects:
        changes["attempt_no"] = order.attempt_no + 1
    after = order
    if changes:
        after = yield from orders.change(order, {**changes, "updated_at": now})
    detail = f"{code}: {said}" if code else said
    yield from orders.add_event(order.order_id, now, event, order.status, after.status, cause, detail)
    for effect in effects:
        yield from _follow(rules, after, effect, now, cause, event, detail)
    if Effect.CAPTURE in effects and not (yield from capture_held(rules, after, now)):
        effects = tuple(effect for effect in effects if effect is not Effect.CAPTURE)
    claimed = None
    if Effect.SEND_MAKE in effects:
        claimed = yield from _queue_make(rules, after, now, life_until or now + rules.make_life_ms)
    return Change(order, after, event, effects, code, said, make, claimed)


def _changes(
    rules: Rules, order: Order, decided: order_core.Order, event: Event, now: int, said: str
) -> dict[str, Any]:
    """Return the columns that differ from the row."""
    wanted: dict[str, Any] = {
        "status": decided.status.value,
        "refund_status": decided.refund.value if decided.refund else None,
        "failure_code": decided.failure.value if decided.failure else None,
        "deadline_at": _deadline(rules, order, decided, now),
    }
    if decided.failure != order.failure_code:
        wanted["failure_said"] = said if decided.failure else None
    if event in (Event.PAYMENT_SUCCEEDED, Event.PAID_LATE):
        wanted["paid_at"] = now
    if event is Event.PAYMENT_STARTED:
        wanted["payment_started_at"] = now
    return {name: value for name, value in wanted.items() if getattr(order, name) != value}


def _deadline(rules: Rules, order: Order, decided: order_core.Order, now: int) -> int | None:
    """Return when the order ends by itself, if nothing else ends it."""
    if decided.status is Status.MANUAL_MAKE:
        return now + rules.manual_make_ms
    if decided.status in order_core.AWAITS_DRINK and decided.failure is not None:
        return order.deadline_at or now + rules.unknown_refund_ms
    return order.expires_at if decided.status is Status.CREATED else None


def _follow(
    rules: Rules,
    order: Order,
    effect: Effect,
    now: int,
    cause: str,
    event: Event,
    detail: str,
) -> Transaction[None]:
    match effect:
        case Effect.REFUND:
            yield from refund_order(rules, order, now)
        case Effect.OPEN_CASE:
            yield from open_case(rules, "outcome_unknown", order.order_id, now, detail, order)
        case Effect.BOOK_LOSS:
            yield from open_case(rules, "delivered_and_refunded", order.order_id, now, detail, order)
        case Effect.CLOSE_CASE:
            yield from cases.close("outcome_unknown", order.order_id, now, cause, event, detail)
        case Effect.CANCEL_MAKES:
            yield from makes.cancel_queued(order.order_id, now)


def _queue_make(rules: Rules, order: Order, now: int, life_until: int) -> Transaction[Make | None]:
    """Give a command; return it if it was taken for sending at once, to a session of this process."""
    make = Make(
        command_id=rules.new_id("make"),
        order_id=order.order_id,
        attempt_no=order.attempt_no,
        device_uuid=order.device_uuid,
        drink_no=order.drink_no,
        size=order.size,
        price_minor=order.price_minor,
        state=State.QUEUED,
        code=None,
        actuated="no",
        evidence="none",
        said="",
        epoch=None,
        journal_id=None,
        created_at=now,
        expires_at=life_until,
        sent_at=None,
        received_at=None,
        started_at=None,
        ended_at=None,
        wake_at=life_until,
    )
    session = rules.session_of(order.device_uuid)
    if session is None or not (yield from _goes_at_once(order.device_uuid, session, now)):
        yield from makes.add(make)
        return None
    sent = replace(make, **sent_in(session, now))
    yield from makes.add(sent)
    return sent


def _goes_at_once(device_uuid: str, session: Session, now: int) -> Transaction[bool]:
    if (yield from devices.newest_epoch(device_uuid)) != session[0]:
        return False  # its new session, wherever that is, is told
    return (yield from makes.has_none_before(device_uuid, now))


def open_case(
    rules: Rules, kind: str, subject: str, now: int, detail: str, order: Order | None = None
) -> Transaction[None]:
    """Put something in front of a person; one open case per kind and subject."""
    yield from cases.open_case(
        Case(
            case_id=rules.new_id("case"),
            kind=kind,
            subject=subject,
            order_id=order.order_id if order else None,
            device_uuid=order.device_uuid if order else None,
            detail=detail,
            opened_at=now,
            closed_at=None,
            closed_by=None,
            resolution=None,
            reason=None,
        )
    )


# --- money back -------------------------------------------------------------------------------------


def refund_order(rules: Rules, order: Order, now: int) -> Transaction[None]:
    """Begin the refund of the payment that bought the order; without one it is a case.

    A payment that has had a refund, even one that failed, is not it: it was one too many. What was given back
    by hand need not go back again.
    """
    refunds = yield from payments.refunds_of_order(order.order_id)
    if any(refund.reason == BY_HAND and refund.status != "failed" for refund in refunds):
        return
    given_back = {refund.payment_id for refund in refunds}
    for payment in (yield from payments.of_order(order.order_id)):
        if payment.status in ("held", "succeeded") and payment.payment_id not in given_back:
            yield from add_refund(rules, payment, now, "Напиток не приготовлен")
            return
    yield from open_case(
        rules, "refund_failed", order.order_id, now, "no payment that could be given back", order
    )


def add_refund(rules: Rules, payment: Payment, now: int, reason: str) -> Transaction[None]:
    """Write a full refund with its key and exact body, before the provider hears of it.

    Money that is only held is released.
    """
    refund_id = rules.new_id("refund")
    bodies = rules.bodies(payment.scenario)
    about = (payment.provider_payment_id or "", payment.amount_minor, payment.currency)
    held = payment.status == "held"
    yield from payments.add_refund(
        Refund(
            refund_id=refund_id,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            kind="release" if held else "refund",
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            reason=reason,
            idempotence_key=refund_id,
            body=bodies.release_body(*about) if held else bodies.refund_body(*about, reason, payment.body),
            provider_refund_id=None,
            status="pending",
            detail="",
            tries=0,
            next_try_at=now,
            created_at=now,
            updated_at=now,
        )
    )


# --- held money -------------------------------------------------------------------------------------


def capture_held(rules: Rules, order: Order, now: int) -> Transaction[bool]:
    """Begin to take the money that is held for the order; return whether there is any."""
    held = [payment for payment in (yield from payments.of_order(order.order_id)) if payment.status == "held"]
    if not held:
        return False
    given_back = {refund.payment_id for refund in (yield from payments.refunds_of_order(order.order_id))}
    ours = [payment for payment in held if payment.payment_id not in given_back]  # else it was one too many
    for payment in ours:
        yield from payments.add_capture(_capture(rules, payment, now))
    return bool(ours)


def _capture(rules: Rules, payment: Payment, now: int) -> Capture:
    bodies = rules.bodies(payment.scenario)
    return Capture(
        payment_id=payment.payment_id,
        idempotence_key=f"capture-{payment.payment_id}",
        body=bodies.capture_body(
            payment.provider_payment_id or "", payment.amount_minor, payment.currency, payment.body
        ),
        status="pending",
        detail="",
        tries=0,
        next_try_at=now,
        created_at=now,
        updated_at=now,
    )
