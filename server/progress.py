"""What happens to orders, as whole transactions: the pure tables joined with the rows.

Each change of an order is written together with its history and with what must follow from it (a make
command, a refund, a case), so that a process that dies right after loses nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.wire import Code, Report
from server import make as make_core
from server import order as order_core
from server.db import Transaction
from server.make import State
from server.order import Effect, Event, Status
from server.store import cases, devices, makes, orders, payments
from server.store.rows import Case, Make, Order, Refund

ANSWER_WITHIN_MS = 5_000
"""How long a command may stay unanswered in a session before the agent is asked where it stands."""

GRACE_MS = 25_000
"""Added to a command's life before it is overdue: the time in which a dead session is known, and some."""


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
    refund_body: Callable[[str, int, str, str], str]
    """The provider's payment id, kopecks, currency, reason → the exact request to save."""


@dataclass(frozen=True)
class Change:
    """What one event did to an order. `make` is the attempt it came from, if any."""

    before: Order
    after: Order
    event: Event
    effects: tuple[Effect, ...] = ()
    code: Code | None = None
    said: str = ""
    make: Make | None = None


class StaleSession(Exception):
    """The device has a newer session: nothing of the older one counts."""


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
    after = order
    if changes:
        after = yield from orders.change(order, {**changes, "updated_at": now})
    detail = f"{code}: {said}" if code else said
    yield from orders.add_event(order.order_id, now, event, order.status, after.status, cause, detail)
    for effect in effects:
        after = yield from _follow(rules, after, effect, now, cause, event, detail, life_until)
    return Change(order, after, event, effects, code, said, make)


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
    life_until: int | None,
) -> Transaction[Order]:
    match effect:
        case Effect.SEND_MAKE:
            return (yield from _queue_make(rules, order, now, life_until or now + rules.make_life_ms))
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
    return order


def _queue_make(rules: Rules, order: Order, now: int, life_until: int) -> Transaction[Order]:
    attempt_no = order.attempt_no + 1
    yield from makes.add(
        Make(
            command_id=rules.new_id("make"),
            order_id=order.order_id,
            attempt_no=attempt_no,
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
    )
    return (yield from orders.change(order, {"attempt_no": attempt_no}))


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

    A payment that has had a refund, even one that failed, is not it: it was one too many.
    """
    given_back = {refund.payment_id for refund in (yield from payments.refunds_of_order(order.order_id))}
    for payment in (yield from payments.of_order(order.order_id)):
        if payment.status == "succeeded" and payment.payment_id not in given_back:
            yield from add_refund(rules, payment, now, "Напиток не приготовлен")
            return
    yield from open_case(
        rules, "refund_failed", order.order_id, now, "no payment that could be given back", order
    )


def add_refund(rules: Rules, payment: Any, now: int, reason: str) -> Transaction[None]:
    """Write a full refund with its key and exact body, before the provider hears of it."""
    refund_id = rules.new_id("refund")
    yield from payments.add_refund(
        Refund(
            refund_id=refund_id,
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            reason=reason,
            idempotence_key=refund_id,
            body=rules.refund_body(
                payment.provider_payment_id, payment.amount_minor, payment.currency, reason
            ),
            provider_refund_id=None,
            status="pending",
            detail="",
            tries=0,
            next_try_at=now,
            created_at=now,
            updated_at=now,
        )
    )


# --- make commands ----------------------------------------------------------------------------------


def claim_make(device_uuid: str, epoch: int, journal_id: str, now: int) -> Transaction[Make | None]:
    """Take the device's longest waiting command for sending: from here on only the agent's word ends it.

    None when nothing waits, its machine is taken, or the session is over.
    """
    if (yield from devices.epoch(device_uuid)) != epoch:
        return None
    if (yield from makes.in_flight(device_uuid)) is not None:
        return None
    make = yield from makes.next_queued(device_uuid, now)
    if make is None:
        return None
    return (
        yield from makes.change(
            make,
            {
                "state": State.SENT,
                "epoch": epoch,
                "journal_id": journal_id,
                "sent_at": now,
                "wake_at": now + ANSWER_WITHIN_MS,
            },
        )
    )


def give_up_make(
    rules: Rules, command_id: str, state: State, code: Code, said: str, now: int
) -> Transaction[Change | None]:
    """End a command that surely was never sent: it is `state` with `code`, and the order not made."""
    make = yield from makes.get(command_id)
    if make is None or make.state not in (State.QUEUED, State.SENT):
        return None
    ended = yield from makes.change(
        make, {"state": state, "code": code, "said": said, "ended_at": now, "wake_at": None}
    )
    order = yield from orders.get(make.order_id)
    if ended is None or order is None or order.attempt_no != make.attempt_no:
        return None
    return (yield from happen(rules, order, Event.NOT_MADE, now, "server", code=code, said=said, make=ended))


def expire_queued(rules: Rules, command_id: str, now: int) -> Transaction[Change | None]:
    """End a command whose life ran out before it was sent to any agent."""
    make = yield from makes.get(command_id)
    if make is None or make.state != State.QUEUED or make.expires_at > now:
        return None
    agent = yield from devices.agent(make.device_uuid)
    if agent is None or agent.connected_at is None:
        code, said = Code.AGENT_OFFLINE, "the agent was not connected while the order lived"
    elif (yield from makes.in_flight(make.device_uuid)) is not None:
        code, said = Code.AGENT_REJECTED_BUSY, "the machine was taken by another order all the while"
    else:
        code, said = Code.EXPIRED_BEFORE_START, "the command could not be sent while the order lived"
    return (yield from give_up_make(rules, command_id, State.EXPIRED, code, said, now))


def overdue_make(rules: Rules, command_id: str, now: int) -> Transaction[Change | None]:
    """The agent is silent past the deadline: the outcome is not known, and a person is told."""
    make = yield from makes.get(command_id)
    if make is None or make.state not in make_core.IN_FLIGHT or make.wake_at is None or make.wake_at > now:
        return None
    code = Code.TIMEOUT_NO_RESULT
    said = f"no word from the agent since the command was {make.state}"
    late = yield from makes.change(make, {"state": State.OVERDUE, "code": code, "wake_at": None})
    order = yield from orders.get(make.order_id)
    if late is None or order is None or order.attempt_no != make.attempt_no:
        return None
    return (
        yield from happen(rules, order, Event.OUTCOME_UNKNOWN, now, "timer", code=code, said=said, make=late)
    )


def look_again(command_id: str, wake_at: int) -> Transaction[None]:
    """Look at a command that was sent again at `wake_at`."""
    make = yield from makes.get(command_id)
    if make is not None and make.state == State.SENT:
        yield from makes.change(make, {"wake_at": wake_at})


def take_report(
    rules: Rules, device_uuid: str, epoch: int, journal_id: str, report: Report, now: int
) -> Transaction[Change | None]:
    """Take in what a device says of a command. None when it changes nothing of an order.

    Raises StaleSession when the device has a newer session.
    """
    agent = yield from devices.agent(device_uuid)
    if agent is None or agent.epoch != epoch:
        raise StaleSession(f"{device_uuid}: session {epoch} is over")
    if report.seq is not None and report.seq > agent.acked_seq:  # one that came again is lower
        yield from devices.change_agent(device_uuid, epoch, {"acked_seq": report.seq})
    make = yield from makes.get(report.command_id)
    if make is None or make.device_uuid != device_uuid:
        return None
    same_journal, was_received = make.journal_id == journal_id, make.received_at is not None
    step = make_core.advance(State(make.state), report, same_journal, was_received)
    order = yield from orders.get(make.order_id)
    if order is None:
        return None
    if step is None:
        if report.seq is not None:
            note = f"attempt {make.attempt_no} is {make.state}; the agent says {report.state}: {report.said}"
            yield from orders.add_event(
                order.order_id, now, "report", order.status, order.status, "agent", note
            )
        return None
    changed = yield from makes.change(make, _make_changes(rules, make, step, report, now))
    if changed is None:
        return None
    if make.attempt_no != order.attempt_no and step.event is not Event.MADE:
        return None  # an attempt that no longer counts moves the order only by a proved drink
    return (yield from _order_step(rules, order, changed, step, report, now))


def _make_changes(rules: Rules, make: Make, step: make_core.Step, report: Report, now: int) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "state": step.state,
        "code": step.code,
        "actuated": report.actuated,
        "evidence": report.evidence,
        "said": report.said,
    }
    match step.state:
        case State.RECEIVED:
            changes |= {"received_at": now, "wake_at": max(now, make.expires_at) + GRACE_MS}
        case State.STARTED:
            changes |= {"received_at": make.received_at or now, "started_at": now}
            changes |= {"wake_at": now + rules.make_result_ms}
        case State.UNKNOWN:
            changes |= {"wake_at": None}
        case _:
            changes |= {"ended_at": now, "wake_at": None}
    return changes


def _order_step(
    rules: Rules, order: Order, make: Make, step: make_core.Step, report: Report, now: int
) -> Transaction[Change]:
    event, code, life_until = step.event, step.code, None
    if event is Event.COMMAND_LOST:
        if now < make.expires_at and order.status == Status.PAID:
            life_until = make.expires_at
        else:
            event = Event.NOT_MADE
    return (
        yield from happen(
            rules, order, event, now, "agent", code=code, said=report.said, make=make, life_until=life_until
        )
    )
