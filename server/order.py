"""The life of one order: which event leads from which status to which, and what must follow. Pure.

Everything that changes an order's status or opens a refund stands here. A pair that is not in the table is
an `IllegalTransition`: an alarm, since repeated events are recognised by the store before they come here.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from agent.wire import Code


class Status(StrEnum):
    """The statuses that machines, printed codes and reports know."""

    CREATED = "created"
    PENDING = "pending"
    NOT_PAID = "not_paid"
    PAID = "paid"
    MAKE_PENDING = "make_pending"
    SUCCESSFUL = "successful"
    MAKE_FAILED = "make_failed"
    MANUAL_MAKE = "manual_make"
    FAILED = "failed"


class Refund(StrEnum):
    """Where the money of an order that was paid is on its way back."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Event(StrEnum):
    """What can happen to an order."""

    PAYMENT_STARTED = "payment_started"
    PAYMENT_SUCCEEDED = "payment_succeeded"
    PAID_LATE = "paid_late"
    PAYMENT_CANCELED = "payment_canceled"
    ABANDONED = "abandoned"
    COMMAND_RECEIVED = "command_received"
    COMMAND_LOST = "command_lost"
    """The device never saw the command, and never will: its journal says so."""
    MADE = "made"
    NOT_MADE = "not_made"
    OUTCOME_UNKNOWN = "outcome_unknown"
    MAKE_NOW = "make_now"
    MONEY_BACK = "money_back"
    MAKE_AGAIN = "make_again"


class Effect(StrEnum):
    """What must follow from an event, written in the same transaction and done after it."""

    SEND_MAKE = "send_make"
    """A new make attempt for the order."""
    REFUND = "refund"
    """The order's money goes back."""
    OPEN_CASE = "open_case"
    """A person must decide."""
    CLOSE_CASE = "close_case"
    """Evidence has decided: the open question of this order is answered."""
    BOOK_LOSS = "book_loss"
    """A drink without its money, or a second one: the operator sees the loss."""
    CANCEL_MAKES = "cancel_makes"
    """Attempts of this order that were not sent yet must never be."""
    CAPTURE = "capture"
    """The drink is made: money that is only held is taken."""


class IllegalTransition(Exception):
    """An event came that cannot happen in this status: an alarm, for a person to settle."""

    def __init__(self, order_id: str, status: Status, event: Event) -> None:
        super().__init__(f"order {order_id}: {event} cannot happen in {status}")


S, E = Status, Event

TRANSITIONS: dict[Status, dict[Event, Status]] = {
    S.CREATED: {
        E.PAYMENT_STARTED: S.PENDING,
        E.ABANDONED: S.FAILED,
    },
    S.PENDING: {
        E.PAYMENT_SUCCEEDED: S.PAID,
        E.PAID_LATE: S.MANUAL_MAKE,
        E.PAYMENT_CANCELED: S.NOT_PAID,
        E.ABANDONED: S.FAILED,
    },
    S.NOT_PAID: {
        E.PAYMENT_STARTED: S.PENDING,
        E.PAYMENT_SUCCEEDED: S.PAID,
        E.PAID_LATE: S.MANUAL_MAKE,
    },
    S.PAID: {
        E.COMMAND_RECEIVED: S.MAKE_PENDING,
        E.COMMAND_LOST: S.PAID,
        E.MADE: S.SUCCESSFUL,
        E.NOT_MADE: S.MAKE_FAILED,
        E.OUTCOME_UNKNOWN: S.PAID,
        E.MONEY_BACK: S.MAKE_FAILED,
        E.MAKE_AGAIN: S.PAID,
    },
    S.MAKE_PENDING: {
        E.COMMAND_RECEIVED: S.MAKE_PENDING,
        E.MADE: S.SUCCESSFUL,
        E.NOT_MADE: S.MAKE_FAILED,
        E.OUTCOME_UNKNOWN: S.MAKE_PENDING,
        E.MONEY_BACK: S.MAKE_FAILED,
        E.MAKE_AGAIN: S.PAID,
    },
    S.SUCCESSFUL: {
        E.COMMAND_RECEIVED: S.SUCCESSFUL,
        E.COMMAND_LOST: S.SUCCESSFUL,
        E.NOT_MADE: S.SUCCESSFUL,
        E.OUTCOME_UNKNOWN: S.SUCCESSFUL,
        E.MADE: S.SUCCESSFUL,
    },
    S.MAKE_FAILED: {
        E.COMMAND_RECEIVED: S.MAKE_FAILED,
        E.COMMAND_LOST: S.MAKE_FAILED,
        E.NOT_MADE: S.MAKE_FAILED,
        E.OUTCOME_UNKNOWN: S.MAKE_FAILED,
        E.MADE: S.SUCCESSFUL,
        E.MAKE_AGAIN: S.PAID,
    },
    S.MANUAL_MAKE: {
        E.MAKE_NOW: S.PAID,
        E.MONEY_BACK: S.MAKE_FAILED,
    },
    S.FAILED: {},
}
"""Status → event → next status. README's diagram is printed from here."""

PAYABLE = frozenset({S.CREATED, S.PENDING, S.NOT_PAID})
"""Statuses in which a confirmed payment still buys the drink; in any other it goes back."""

SETTLED = frozenset({S.SUCCESSFUL, S.MAKE_FAILED})
"""Statuses whose money is decided: what the machine says later changes them only by a proof or a person."""

AWAITS_DRINK = frozenset({S.PAID, S.MAKE_PENDING})
"""Statuses in which the money is ours and the drink is owed."""


@dataclass(frozen=True)
class Order:
    """What the decisions need to know of an order.

    `refund` is None until money goes back. `failure` is the code shown with `make_failed`, or, in `paid` and
    `make_pending`, the reason why the outcome is not known.
    """

    order_id: str
    status: Status
    refund: Refund | None = None
    failure: Code | None = None


def advance(order: Order, event: Event, code: Code | None = None) -> tuple[Order, tuple[Effect, ...]]:
    """Return the order after `event`, and what must be written with it. `code` says why it failed.

    Raises IllegalTransition when the event cannot happen in the order's status.
    """
    try:
        status = TRANSITIONS[order.status][event]
    except KeyError:
        raise IllegalTransition(order.order_id, order.status, event) from None
    if order.status in SETTLED and event not in (Event.MAKE_AGAIN, Event.MADE):
        return order, ()
    match event:
        case Event.PAYMENT_SUCCEEDED | Event.MAKE_NOW | Event.COMMAND_LOST:
            return replace(order, status=status, failure=None), (Effect.SEND_MAKE,)
        case Event.MAKE_AGAIN:
            return _made_again(order, status)
        case Event.MADE:
            return _made(order, status)
        case Event.NOT_MADE | Event.MONEY_BACK:
            failure = code or order.failure or Code.EXPIRED_BEFORE_START
            failed = replace(order, status=status, failure=failure, refund=Refund.PENDING)
            return failed, (Effect.CLOSE_CASE, Effect.CANCEL_MAKES, Effect.REFUND)
        case Event.OUTCOME_UNKNOWN:
            return replace(order, status=status, failure=code), (Effect.OPEN_CASE,)
        case Event.COMMAND_RECEIVED:
            return replace(order, status=status, failure=None), (Effect.CLOSE_CASE,)
    return replace(order, status=status), ()


def _made_again(order: Order, status: Status) -> tuple[Order, tuple[Effect, ...]]:
    if order.refund is not None:  # the money is on its way back: a new drink would not be paid
        raise IllegalTransition(order.order_id, order.status, Event.MAKE_AGAIN)
    return replace(order, status=status, failure=None), (Effect.CLOSE_CASE, Effect.SEND_MAKE)


def _made(order: Order, status: Status) -> tuple[Order, tuple[Effect, ...]]:
    if order.refund is not None or order.status is Status.SUCCESSFUL:
        return order, (Effect.BOOK_LOSS,)  # a drink without its money, or a second one
    return replace(order, status=status, failure=None), (
        Effect.CLOSE_CASE,
        Effect.CANCEL_MAKES,
        Effect.CAPTURE,
    )
