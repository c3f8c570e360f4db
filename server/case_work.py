"""What a person may do about a case, as whole transactions: each with who, when and why."""

from dataclasses import dataclass

from agent.wire import Actuated, Code
from server.db import Transaction
from server.errors import AlreadyDecided, BadRequest, NotFound
from server.make import State
from server.order import Event
from server.payment_ends import end_by_hand
from server.progress import EXTRA_PAYMENT, Change, Rules, add_refund, happen
from server.store import cases, makes, orders, payments
from server.store.rows import Case, Make, Order, Refund

REASON_LIMIT = 500

ACTIONS: dict[str, tuple[str, ...]] = {
    "outcome_unknown": ("made", "not_made", "make_again"),
    "refund_failed": ("refund_again", "returned_by_hand"),
    "payment_mismatch": ("settled_at_bank",),
    "payment_unasked": ("settled_at_bank",),
    "stray_money": ("settled",),
    "delivered_and_refunded": ("settled",),
    "capture_failed": ("settled",),
    "receipt_failed": ("settled",),
    "books_differ": ("settled",),
}
"""Kind of case → what may be done about it."""

_UNSETTLED = (State.UNKNOWN, State.OVERDUE)

_EVENTS = {"made": Event.MADE, "not_made": Event.NOT_MADE, "make_again": Event.MAKE_AGAIN}


@dataclass(frozen=True)
class Decision:
    """What a person decided about a case."""

    case_id: str
    action: str
    user: str
    reason: str


def settle_case(rules: Rules, decision: Decision, now: int) -> Transaction[Change | None]:
    """Do what a person decided and close the case; return what changed of the order, if anything.

    Raises NotFound, BadRequest (no such action here, no reason given), AlreadyDecided (the case is closed, or
    evidence came first).
    """
    case = yield from cases.get(decision.case_id)
    if case is None:
        raise NotFound("page_not_found", f"case {decision.case_id[:80]}")
    if decision.action not in ACTIONS[case.kind]:
        raise BadRequest("invalid_request", f"{decision.action[:40]!r} is no action of {case.kind}")
    if not decision.reason.strip() or len(decision.reason) > REASON_LIMIT:
        raise BadRequest("reason_required", f"case {case.case_id}")
    if case.closed_at is not None:
        raise AlreadyDecided("choice_not_possible", f"case {case.case_id} is closed")
    change: Change | None = None
    if case.kind == "outcome_unknown":
        change = yield from _settle_outcome(rules, case, decision, now)
    elif case.kind == "refund_failed":
        yield from _settle_refund(rules, case, decision, now)
    elif decision.action == "settled_at_bank":
        change = yield from end_by_hand(rules, case.subject, decision.user, decision.reason, now)
    yield from cases.close(case.kind, case.subject, now, decision.user, decision.action, decision.reason)
    return change


def _settle_outcome(rules: Rules, case: Case, decision: Decision, now: int) -> Transaction[Change]:
    order = yield from _order(case)
    make = (yield from makes.of_order(order.order_id))[-1]
    if make.state not in _UNSETTLED:
        raise AlreadyDecided("choice_not_possible", f"{make.command_id} is {make.state}", order.device_uuid)
    settled = yield from _settle_make(make, decision, now)
    return (
        yield from happen(
            rules,
            order,
            _EVENTS[decision.action],
            now,
            decision.user,
            code=Code(make.code) if make.code else None,
            said=f"{decision.action}: {decision.reason}",
            make=settled,
        )
    )


def _settle_make(make: Make, decision: Decision, now: int) -> Transaction[Make]:
    """Close the attempt with the person's word as its evidence; later proof of the machine may still come."""
    made = decision.action == "made"
    changes = {
        "state": State.DONE if made else State.FAILED,
        "actuated": Actuated.YES if made else Actuated.UNKNOWN,
        "evidence": f"person: {decision.user}",
        "ended_at": now,
        "wake_at": None,
    }
    settled = yield from makes.change(make, changes)
    if settled is None:
        raise AlreadyDecided("choice_not_possible", f"{make.command_id} has moved on", make.device_uuid)
    return settled


def _settle_refund(rules: Rules, case: Case, decision: Decision, now: int) -> Transaction[None]:
    order = yield from _order(case)
    refused = yield from payments.get_refund(case.subject)
    if decision.action == "refund_again":
        yield from _refund_again(rules, order, refused, now)
    status = "pending" if decision.action == "refund_again" else "succeeded"
    note = f"{decision.action}: {decision.reason}"
    if order.refund_status is not None and (refused is None or refused.reason != EXTRA_PAYMENT):
        order = yield from orders.change(order, {"refund_status": status, "updated_at": now})
    yield from orders.add_event(
        order.order_id, now, decision.action, order.status, order.status, decision.user, note
    )


def _refund_again(rules: Rules, order: Order, refused: Refund | None, now: int) -> Transaction[None]:
    """A new refund with a new key: the old one was refused for good, so the money cannot go back twice."""
    payment = (yield from payments.get(refused.payment_id)) if refused is not None else None
    if refused is None or payment is None or (yield from payments.refund_of(payment.payment_id)) is not None:
        raise AlreadyDecided("choice_not_possible", f"order {order.order_id} has no payment to give back")
    yield from add_refund(rules, payment, now, refused.reason)


def _order(case: Case) -> Transaction[Order]:
    order = (yield from orders.get(case.order_id)) if case.order_id else None
    if order is None:
        raise AlreadyDecided("choice_not_possible", f"case {case.case_id} has no order")
    return order
