"""What the bank accepts, and which parameter it names when it does not."""

from typing import Any

import pytest

from server.sandbox import demands
from server.sandbox.checks import Refused
from server.sandbox.demands import CARD, SBP

PAYMENT: dict[str, Any] = {
    "amount": {"value": "150.00", "currency": "RUB"},
    "capture": True,
    "confirmation": {"type": "redirect", "return_url": "https://shop.example/o/1"},
    "description": "Капучино",
    "metadata": {"order_id": "1"},
}
BACK = "https://shop.example/o/1"
OTHER_CONFIRMATIONS = ["embedded", "external", "mobile_application", "code_verification", None]
REFUND = {"payment_id": "p1", "amount": {"value": "150.00", "currency": "RUB"}}


def amount(value: Any, currency: Any = "RUB") -> dict[str, Any]:
    return {"amount": {"value": value, "currency": currency}}


def confirmation(kind: Any, address: Any) -> dict[str, Any]:
    return {"confirmation": {"type": kind, "return_url": address}}


def test_a_payment_is_read():
    demand = demands.payment_demand(PAYMENT)
    assert (demand.amount_minor, demand.currency, demand.capture) == (15000, "RUB", True)
    assert (demand.return_url, demand.metadata) == ("https://shop.example/o/1", {"order_id": "1"})


def test_without_a_word_about_capture_the_money_is_held():
    without = {name: value for name, value in PAYMENT.items() if name != "capture"}
    assert demands.payment_demand(without).capture is False


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"amount": None}, "amount"),
        (amount("150"), "amount.value"),
        (amount("150.0"), "amount.value"),
        (amount("-1.00"), "amount.value"),
        (amount("0.00"), "amount.value"),
        (amount("0.99"), "amount.value"),
        (amount("700000.01"), "amount.value"),
        (amount(150.0), "amount.value"),
        (amount("150.00", "USD"), "amount.currency"),
        ({"capture": "true"}, "capture"),
        ({"confirmation": "redirect"}, "confirmation"),
        *((confirmation(kind, "https://shop.example/"), "confirmation.type") for kind in OTHER_CONFIRMATIONS),
        (
            {"confirmation": {"type": "redirect", "return_url": BACK, "locale": "de_DE"}},
            "confirmation.locale",
        ),
        (confirmation("redirect", None), "confirmation.return_url"),
        (confirmation("redirect", "javascript:alert(1)"), "confirmation.return_url"),
        (confirmation("redirect", "https://shop.example/\r\nX: 1"), "confirmation.return_url"),
        (confirmation("redirect", "https://shop.example/" + "x" * 2048), "confirmation.return_url"),
        ({"payment_method_data": {"type": "yoo_money"}}, "payment_method_data.type"),
        ({"payment_method_data": {}}, "payment_method_data.type"),
        ({"payment_method_data": "sbp"}, "payment_method_data"),
        ({"payment_method_data": {"type": "bank_card"}} | amount("350000.01"), "amount.value"),
        ({"payment_method_data": {"type": "sbp"}} | amount("700000.01"), "amount.value"),
        ({"payment_method_data": {"type": "sbp"}} | amount("0.99"), "amount.value"),
        ({"payment_method_data": {"type": "sbp"}, "capture": False}, "capture"),
        ({"capture": False} | amount("350000.01"), "amount.value"),
        ({"receipt": []}, "receipt"),
        ({"description": "x" * 129}, "description"),
        ({"description": 1}, "description"),
        ({"metadata": ["a"]}, "metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "metadata"),
        ({"metadata": {"k" * 33: ""}}, "metadata"),
        ({"metadata": {"attempt": 1}}, "metadata.attempt"),
        ({"metadata": {"a": "v" * 513}}, "metadata.a"),
    ],
)
def test_a_wrong_payment_names_its_parameter(wrong: dict[str, Any], parameter: str):
    with pytest.raises(Refused) as refused:
        demands.payment_demand(PAYMENT | wrong)
    assert (refused.value.status, refused.value.parameter) == (400, parameter)


@pytest.mark.parametrize(
    ("options", "methods"),
    [
        ({}, (CARD, SBP)),
        ({"capture": False}, (CARD,)),
        (amount("350000.01"), (SBP,)),
        ({"payment_method_data": {"type": "bank_card"}}, (CARD,)),
        ({"payment_method_data": {"type": "sbp"}}, (SBP,)),
    ],
)
def test_a_customer_may_choose_what_the_shop_leaves_open_and_can_be(options: dict[str, Any], methods: Any):
    assert demands.payment_demand(PAYMENT | options).methods == methods


@pytest.mark.parametrize("method", [CARD, None])
def test_a_qr_code_is_for_sbp(method: str | None):
    chosen = {"payment_method_data": {"type": method}} if method else {}
    with pytest.raises(Refused) as refused:
        demands.payment_demand(PAYMENT | confirmation("qr", BACK) | chosen)
    assert refused.value.parameter == "confirmation.type"


@pytest.mark.parametrize(("given", "return_url"), [({}, ""), ({"return_url": BACK}, BACK)])
def test_a_qr_code_needs_no_way_back(given: dict[str, str], return_url: str):
    sbp = {"payment_method_data": {"type": "sbp"}, "confirmation": {"type": "qr"} | given}
    demand = demands.payment_demand(PAYMENT | sbp)
    assert (demand.confirmation, demand.return_url) == ("qr", return_url)


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"payment_id": None}, "payment_id"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"amount": {}}, "amount.value"),
        ({"description": "x" * 251}, "description"),
    ],
)
def test_a_wrong_refund_names_its_parameter(wrong: dict[str, Any], parameter: str):
    with pytest.raises(Refused) as refused:
        demands.refund_demand(REFUND | wrong)
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"refund_id": "r1", "payment_id": "p1"}, "refund_id"),
        ({"refund_id": "r%1"}, "refund_id"),
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"cursor": "; DROP"}, "cursor"),
        ({"created_at.gte": "yesterday"}, "created_at.gte"),
        ({"created_at.lt": "2026-11-20T08:30:00"}, "created_at.lt"),
    ],
)
def test_a_wrong_list_names_its_parameter(query: dict[str, str], parameter: str):
    with pytest.raises(Refused) as refused:
        demands.list_demand("payments", query)
    assert refused.value.parameter == parameter


def test_the_bounds_of_a_list_are_milliseconds_with_the_upper_one_excluded():
    instant = "1970-01-01T00:00:01.000Z"
    inside = demands.list_demand("payments", {"created_at.gte": instant, "created_at.lte": instant})
    outside = demands.list_demand("payments", {"created_at.gt": instant, "created_at.lt": instant})
    assert (inside.since_ms, inside.before_ms) == (1000, 1001)
    assert (outside.since_ms, outside.before_ms) == (1001, 1000)


def test_a_cursor_is_read_as_it_was_written():
    demand = demands.list_demand("refunds", {"cursor": demands.cursor_after(17, "r-1")})
    assert demand.after == (17, "r-1")


@pytest.mark.parametrize("key", ["", None, "k" * 65, "a b", "ключ"])
def test_a_key_that_is_missing_or_too_long_is_refused(key: str | None):
    with pytest.raises(Refused) as refused:
        demands.check_key(key)
    assert refused.value.parameter == "Idempotence-Key"


def test_a_key_may_have_every_sign_that_is_allowed():
    assert demands.check_key("pay-ord_1.Z+9") == "pay-ord_1.Z+9"
