"""The life of an order: every status with every event."""

import itertools

import pytest

from agent.wire import Code
from server.order import (
    AWAITS_DRINK,
    PAYABLE,
    SETTLED,
    TRANSITIONS,
    Effect,
    Event,
    IllegalTransition,
    Order,
    Refund,
    Status,
    advance,
)

GOES_TO = {
    "created": {"pending", "failed"},
    "pending": {"paid", "not_paid", "manual_make", "failed"},
    "not_paid": {"pending", "paid", "manual_make"},
    "paid": {"make_pending", "make_failed", "successful"},
    "make_pending": {"successful", "make_failed", "paid"},
    "successful": set(),
    "make_failed": {"successful", "paid"},
    "manual_make": {"paid", "make_failed"},
    "failed": set(),
}
"""The table of the design; `make_pending` may also be made again on purpose."""

PAIRS = list(itertools.product(Status, Event))
LEGAL = [(status, event) for status, event in PAIRS if event in TRANSITIONS[status]]
MONEY_IS_OURS = [Status.PAID, Status.MAKE_PENDING, Status.MANUAL_MAKE]


def an_order(status: Status, refund: Refund | None = None, failure: Code | None = None) -> Order:
    if status is Status.MAKE_FAILED and failure is None:
        failure = Code.NO_WATER
    return Order("order-1", status, refund, failure)


def test_every_status_has_a_row():
    assert set(TRANSITIONS) == set(Status)


@pytest.mark.parametrize("status", Status)
def test_a_status_goes_where_the_design_says(status: Status):
    assert {after for after in TRANSITIONS[status].values() if after is not status} == GOES_TO[status]


@pytest.mark.parametrize(("status", "event"), PAIRS)
def test_a_pair_follows_the_table_or_is_an_alarm(status: Status, event: Event):
    order = an_order(status)
    if event not in TRANSITIONS[status]:
        with pytest.raises(IllegalTransition, match=f"order-1: {event} cannot happen in {status}"):
            advance(order, event)
        return
    after, _ = advance(order, event, Code.NO_BEANS)
    assert after.status is TRANSITIONS[status][event]


def reachable(status: Status) -> set[Status]:
    found, left = {status}, [status]
    while left:
        for after in set(TRANSITIONS[left.pop()].values()) - found:
            found.add(after)
            left.append(after)
    return found


@pytest.mark.parametrize("status", [*MONEY_IS_OURS, Status.PENDING, Status.NOT_PAID])
def test_money_can_still_become_a_drink_or_a_refund(status: Status):
    assert {Status.SUCCESSFUL, Status.MAKE_FAILED} <= reachable(status)


@pytest.mark.parametrize("status", [Status.SUCCESSFUL, Status.FAILED])
def test_an_end_is_an_end(status: Status):
    assert reachable(status) == {status}


@pytest.mark.parametrize(("status", "event"), LEGAL)
@pytest.mark.parametrize("refund", [None, *Refund])
def test_no_order_gets_success_and_refund(status: Status, event: Event, refund: Refund | None):
    if refund is not None and status is not Status.MAKE_FAILED:
        refund = None
    try:
        after, effects = advance(an_order(status, refund), event)
    except IllegalTransition:
        return
    assert (after.status is Status.SUCCESSFUL) <= (after.refund is None)
    assert (Effect.REFUND in effects) <= (Effect.SEND_MAKE not in effects)


@pytest.mark.parametrize(("status", "event"), LEGAL)
def test_a_new_make_failed_always_begins_a_refund(status: Status, event: Event):
    after, effects = advance(an_order(status), event)
    becomes = after.status is Status.MAKE_FAILED and status is not Status.MAKE_FAILED
    assert becomes == (Effect.REFUND in effects) == (after.refund is Refund.PENDING)


@pytest.mark.parametrize(("status", "event"), LEGAL)
def test_a_command_is_sent_only_when_the_money_is_ours(status: Status, event: Event):
    after, effects = advance(an_order(status), event)
    if Effect.SEND_MAKE in effects:
        assert after.status is Status.PAID and after.refund is None and after.failure is None


@pytest.mark.parametrize("event", [Event.NOT_MADE, Event.OUTCOME_UNKNOWN, Event.COMMAND_RECEIVED])
@pytest.mark.parametrize("status", sorted(SETTLED))
def test_what_is_settled_stays_settled(status: Status, event: Event):
    order = an_order(status)
    assert advance(order, event, Code.DOOR_OPEN) == (order, ())


@pytest.mark.parametrize("refund", Refund)
def test_a_drink_after_a_refund_is_a_loss(refund: Refund):
    order = an_order(Status.MAKE_FAILED, refund)
    assert advance(order, Event.MADE) == (order, (Effect.BOOK_LOSS,))


def test_a_second_drink_is_a_loss():
    order = an_order(Status.SUCCESSFUL)
    assert advance(order, Event.MADE) == (order, (Effect.BOOK_LOSS,))


def test_late_proof_before_a_refund_makes_it_successful():
    after, effects = advance(an_order(Status.MAKE_FAILED), Event.MADE)
    assert after == Order("order-1", Status.SUCCESSFUL)
    assert Effect.REFUND not in effects


@pytest.mark.parametrize("refund", Refund)
def test_what_is_refunded_is_not_made_again(refund: Refund):
    with pytest.raises(IllegalTransition):
        advance(an_order(Status.MAKE_FAILED, refund), Event.MAKE_AGAIN)


@pytest.mark.parametrize("status", sorted(AWAITS_DRINK))
def test_an_unknown_outcome_keeps_status_and_money_and_calls_a_person(status: Status):
    after, effects = advance(an_order(status), Event.OUTCOME_UNKNOWN, Code.POWER_LOSS)
    assert after == Order("order-1", status, None, Code.POWER_LOSS)
    assert effects == (Effect.OPEN_CASE,)


@pytest.mark.parametrize("status", sorted(AWAITS_DRINK))
@pytest.mark.parametrize("event", [Event.MADE, Event.NOT_MADE, Event.MONEY_BACK, Event.MAKE_AGAIN])
def test_an_answer_closes_the_case(status: Status, event: Event):
    _, effects = advance(an_order(status, failure=Code.POWER_LOSS), event)
    assert Effect.CLOSE_CASE in effects


@pytest.mark.parametrize("status", sorted(AWAITS_DRINK))
@pytest.mark.parametrize("event", [Event.MADE, Event.NOT_MADE, Event.MONEY_BACK])
def test_what_has_ended_is_not_sent_any_more(status: Status, event: Event):
    _, effects = advance(an_order(status), event)
    assert Effect.CANCEL_MAKES in effects


def test_the_reason_of_a_failure_is_kept():
    after, _ = advance(an_order(Status.PAID), Event.NOT_MADE, Code.NO_MILK)
    assert after.failure is Code.NO_MILK


def test_money_back_after_an_unknown_outcome_keeps_its_reason():
    after, _ = advance(an_order(Status.PAID, failure=Code.POWER_LOSS), Event.MONEY_BACK)
    assert after.failure is Code.POWER_LOSS


def test_only_unpaid_orders_can_be_paid():
    takes_money = {
        status for status, row in TRANSITIONS.items() if row.keys() & {Event.PAYMENT_STARTED, Event.PAID_LATE}
    }
    assert takes_money == PAYABLE
