"""Our books against a provider's: what stands in one only, or otherwise, is a difference."""

from dataclasses import replace

import pytest

from server.books import differences
from server.payments import PaymentSnapshot, PaymentStatus, RefundSnapshot, RefundStatus
from server.store.rows import Payment, Refund

OURS = Payment(
    payment_id="pay-1",
    order_id="order-1",
    attempt_no=1,
    scenario="Yookassa",
    merchant_id="m1",
    method="card",
    amount_minor=9000,
    currency="RUB",
    idempotence_key="pay-1",
    body="{}",
    provider_payment_id="bank-1",
    confirmation_url=None,
    confirmation_kind=None,
    status="succeeded",
    detail="",
    checks=0,
    next_check_at=None,
    created_at=0,
    updated_at=0,
)
THEIRS = PaymentSnapshot(
    "bank-1", PaymentStatus.SUCCEEDED, 9000, "RUB", "100500", False, {"order_id": "order-1"}, "", None, 0
)
REFUND = Refund(
    refund_id="refund-1",
    payment_id="pay-1",
    order_id="order-1",
    kind="refund",
    amount_minor=9000,
    currency="RUB",
    reason="",
    idempotence_key="refund-1",
    body="{}",
    provider_refund_id="back-1",
    status="succeeded",
    detail="",
    tries=0,
    next_try_at=None,
    created_at=0,
    updated_at=0,
)
THEIR_REFUND = RefundSnapshot("back-1", "bank-1", RefundStatus.SUCCEEDED, 9000, "RUB", "")


def told(**books: list[object]) -> list[tuple[str, str]]:
    whole = {
        "payments": [OURS],
        "refunds": [REFUND],
        "their_payments": [THEIRS],
        "their_refunds": [THEIR_REFUND],
    }
    return [(found.subject, found.text) for found in differences(**{**whole, **books})]  # type: ignore[arg-type]


def test_books_that_agree_have_no_differences():
    assert told() == []


@pytest.mark.parametrize(
    ("theirs", "text"),
    [
        ({"amount_minor": 500}, "payment of 5.00 RUB: 90.00 RUB in our books"),
        ({"status": PaymentStatus.CANCELED}, "payment is canceled: succeeded in our books"),
        ({"status": PaymentStatus.PENDING}, "payment is pending: succeeded in our books"),
    ],
)
def test_a_payment_of_which_the_provider_says_otherwise(theirs: dict[str, object], text: str):
    assert told(their_payments=[replace(THEIRS, **theirs)]) == [("bank-1", text)]


def test_a_payment_that_only_the_provider_has():
    assert told(payments=[]) == [("bank-1", "payment of 90.00 RUB succeeded: not in our books")]


def test_a_payment_that_the_provider_does_not_have():
    assert told(their_payments=[]) == [("bank-1", "payment of 90.00 RUB: not in the provider's")]


def test_a_payment_that_nobody_paid_is_no_difference_wherever_it_stands():
    unpaid = replace(THEIRS, provider_payment_id="bank-2", status=PaymentStatus.CANCELED)
    assert told(their_payments=[THEIRS, unpaid]) == []
    assert told(payments=[OURS, replace(OURS, provider_payment_id=None, status="failed")]) == []


def test_refunds_are_compared_as_payments_are():
    assert told(refunds=[]) == [("back-1", "refund of 90.00 RUB succeeded: not in our books")]
    assert told(their_refunds=[]) == [("back-1", "refund of 90.00 RUB: not in the provider's")]
    less = replace(THEIR_REFUND, amount_minor=100)
    assert told(their_refunds=[less]) == [("back-1", "refund of 1.00 RUB: 90.00 RUB in our books")]
    undone = replace(THEIR_REFUND, status=RefundStatus.CANCELED)
    assert told(their_refunds=[undone]) == [("back-1", "refund is canceled: succeeded in our books")]


def test_a_release_of_held_money_is_no_refund_at_the_provider():
    assert told(refunds=[replace(REFUND, kind="release", provider_refund_id=None)], their_refunds=[]) == []
