"""The texts of YooKassa's API, with the samples of its documentation."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments import Hint, InDoubt, NotANotification, OfNoConcern, PaymentStatus, RefundStatus
from server.payments import yookassa_api as api
from tests.fakes.asked import asked_for

ID = "2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d"
REFUND_ID = "2d7f1d99-0015-5000-8000-1f2e3d4c5b6a"
SUCCEEDED: dict[str, Any] = {
    "id": ID,
    "status": "succeeded",
    "paid": True,
    "amount": {"value": "150.00", "currency": "RUB"},
    "income_amount": {"value": "144.75", "currency": "RUB"},
    "captured_at": "2026-11-20T08:31:10.551Z",
    "created_at": "2026-11-20T08:30:00.129Z",
    "metadata": {"order_id": "ord_01J9ZK", "payment_id": "p1", "attempt": "1"},
    "recipient": {"account_id": "100500", "gateway_id": "100700"},
    "refundable": True,
    "refunded_amount": {"value": "50.00", "currency": "RUB"},
    "test": True,
}
REFUND = {
    "id": REFUND_ID,
    "payment_id": ID,
    "status": "canceled",
    "amount": {"value": "150.00", "currency": "RUB"},
    "cancellation_details": {"party": "yoo_money", "reason": "insufficient_funds"},
}


def notification(event: str, of: Any) -> bytes:
    return json.dumps({"type": "notification", "event": event, "object": of}).encode()


def test_a_payment_body_takes_the_money_at_once_and_carries_our_ids():
    body = json.loads(api.payment_body(asked_for(attempt_no=2, description="Кофе\n300 мл")))
    assert body == {
        "amount": {"value": "150.00", "currency": "RUB"},
        "capture": True,
        "confirmation": {"type": "redirect", "return_url": "https://shop.example/o/1"},
        "description": "Кофе 300 мл",
        "metadata": {"order_id": "order-1", "payment_id": "p1", "attempt": "2"},
    }


def test_long_descriptions_are_cut_to_what_is_accepted():
    payment = json.loads(api.payment_body(asked_for(description="ы" * 300)))
    refund = json.loads(api.refund_body(ID, 100, "RUB", "ы" * 300, "{}"))
    assert (len(payment["description"]), len(refund["description"])) == (128, 250)


@pytest.mark.parametrize("amount_minor", [0, -1])
def test_a_refund_always_has_an_amount(amount_minor: int):
    with pytest.raises(ValueError, match="at least one kopeck"):
        api.refund_body(ID, amount_minor, "RUB", "", "{}")


def test_the_payment_of_the_documentation_is_read():
    payment = api.payment(SUCCEEDED)
    assert (payment.provider_payment_id, payment.status) == (ID, PaymentStatus.SUCCEEDED)
    assert (payment.amount_minor, payment.refunded_minor, payment.currency) == (15000, 5000, "RUB")
    assert (payment.account_id, payment.test, payment.reason) == ("100500", True, "")
    assert payment.metadata["order_id"] == "ord_01J9ZK"


def test_the_refund_of_the_documentation_is_read():
    refund = api.refund(REFUND)
    assert (refund.status, refund.reason) == (RefundStatus.CANCELED, "insufficient_funds")
    assert (refund.provider_refund_id, refund.provider_payment_id) == (REFUND_ID, ID)


def test_what_money_does_not_depend_on_may_be_missing_or_strange():
    strange = {
        "metadata": ["x"],
        "recipient": None,
        "confirmation": {"confirmation_url": "javascript:alert(1)"},
    }
    payment = api.payment({**{name: SUCCEEDED[name] for name in ("id", "status", "amount")}, **strange})
    assert (payment.account_id, payment.metadata, payment.confirmation) == (None, {}, None)
    assert payment.test is False


@pytest.mark.parametrize("name", ["id", "status", "amount"])
@pytest.mark.parametrize("value", [None, 7, {}, []])
def test_what_money_depends_on_must_be_readable(name: str, value: Any):
    with pytest.raises(InDoubt):
        api.payment({**SUCCEEDED, name: value})


def test_a_status_that_nobody_knows_is_not_the_end():
    assert api.payment({**SUCCEEDED, "status": "thinking"}).status is PaymentStatus.PENDING
    assert api.unknown_status({"status": "thinking"}) == "thinking"
    assert api.unknown_status({"status": "succeeded"}) == ""


def test_half_a_surrogate_pair_does_not_come_in():
    payment = api.payment({**SUCCEEDED, "metadata": {"order_id": "\ud800"}})
    assert payment.metadata == {"order_id": "?"}


@pytest.mark.parametrize(
    ("event", "of", "hint"),
    [
        ("payment.succeeded", SUCCEEDED, Hint("payment.succeeded", "payment", ID, ID)),
        ("payment.of_tomorrow", {"id": ID}, Hint("payment.of_tomorrow", "payment", ID, ID)),
        ("refund.succeeded", REFUND, Hint("refund.succeeded", "refund", REFUND_ID, ID)),
    ],
)
def test_a_notification_is_a_hint(event: str, of: Any, hint: Hint):
    assert api.parse_notification(notification(event, of)) == hint


def test_a_notification_of_something_else_is_of_no_concern():
    with pytest.raises(OfNoConcern):
        api.parse_notification(notification("payment_method.active", {"id": ID}))


@pytest.mark.parametrize(
    ("raw", "wrong"),
    [
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[" * 50_000, "JSON"),
        (b"[]", "object"),
        (b"{}", "type"),
        (b'{"type":"notification"}', "event"),
        (notification("payment", SUCCEEDED), "event"),
        (notification("payment.succeeded\n", SUCCEEDED), "event"),
        (notification("payment.succeeded", None), "object"),
        (notification("payment.succeeded", {"id": "../refunds"}), "object"),
        (notification("refund.succeeded", {"id": REFUND_ID}), "object"),
        (notification("payment.succeeded", {"id": "x" * 70_000}), "longer"),
    ],
)
def test_what_is_no_notification_is_named(raw: bytes, wrong: str):
    with pytest.raises(NotANotification, match=wrong):
        api.parse_notification(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["type", "event", "id", "status", "amount", "object", "metadata", "refunded_amount", "payment_id"]


@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_hint_or_no_notification(raw: bytes):
    with pytest.raises(NotANotification):
        api.parse_notification(raw)


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_answer_is_a_payment_or_in_doubt(spoiled: dict[str, Any]):
    try:
        payment = api.payment({**SUCCEEDED, **spoiled})
    except InDoubt:
        return
    assert payment.amount_minor >= 0
