"""What may stand on a receipt, and what the cash register makes of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sandbox import demands, receipts
from server.sandbox.checks import Refused

NOW = 1_795_163_400_129
ITEM: dict[str, Any] = {
    "description": "Капучино 300 мл",
    "quantity": 1,
    "amount": {"value": "150.00", "currency": "RUB"},
    "vat_code": 1,
}
RECEIPT: dict[str, Any] = {"customer": {"email": "buyer@example.com"}, "items": [ITEM]}
LATER: dict[str, Any] = RECEIPT | {
    "type": "payment",
    "payment_id": "p1",
    "send": True,
    "settlements": [{"type": "prepayment", "amount": ITEM["amount"]}],
}


def with_item(**options: Any) -> dict[str, Any]:
    return RECEIPT | {"items": [ITEM | options]}


def refused_parameter(receipt: Any, amount_minor: int = 15000) -> str:
    with pytest.raises(Refused) as refused:
        receipts.content_of({"receipt": receipt}, amount_minor)
    assert refused.value.status == 400
    return refused.value.parameter


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ("receipt", "receipt"),
        (None, "receipt"),
        ({"items": [ITEM]}, "receipt.customer"),
        (RECEIPT | {"customer": {"full_name": "Иванов"}}, "receipt.customer"),
        (RECEIPT | {"customer": {"email": "buyer"}}, "receipt.customer.email"),
        (RECEIPT | {"customer": {"phone": "+7 900"}}, "receipt.customer.phone"),
        (RECEIPT | {"customer": {"email": "a@b.ru", "inn": "123"}}, "receipt.customer.inn"),
        (RECEIPT | {"customer": {"email": "a@b.ru", "full_name": "x" * 257}}, "receipt.customer.full_name"),
        (RECEIPT | {"items": None}, "receipt.items"),
        (RECEIPT | {"items": []}, "receipt.items"),
        (RECEIPT | {"items": [ITEM] * 101}, "receipt.items"),
        (RECEIPT | {"items": [ITEM, "coffee"]}, "receipt.items[1]"),
        (RECEIPT | {"internet": "no"}, "receipt.internet"),
        (RECEIPT | {"tax_system_code": 0}, "receipt.tax_system_code"),
        (RECEIPT | {"timezone": 12}, "receipt.timezone"),
        (with_item(description=""), "receipt.items[0].description"),
        (with_item(description="x" * 129), "receipt.items[0].description"),
        (with_item(quantity=0), "receipt.items[0].quantity"),
        (with_item(quantity=-1), "receipt.items[0].quantity"),
        (with_item(quantity=True), "receipt.items[0].quantity"),
        (with_item(quantity="one"), "receipt.items[0].quantity"),
        (with_item(quantity=1.0001), "receipt.items[0].quantity"),
        (with_item(quantity=100_000), "receipt.items[0].quantity"),
        (with_item(quantity=None), "receipt.items[0].quantity"),
        (with_item(amount="150.00"), "receipt.items[0].amount"),
        (with_item(amount={"value": 150, "currency": "RUB"}), "receipt.items[0].amount.value"),
        (with_item(amount={"value": "150.00"}), "receipt.items[0].amount.currency"),
        (with_item(vat_code=0), "receipt.items[0].vat_code"),
        (with_item(vat_code=13), "receipt.items[0].vat_code"),
        (with_item(vat_code=None), "receipt.items[0].vat_code"),
        (with_item(vat_code=True), "receipt.items[0].vat_code"),
        (with_item(measure="cup"), "receipt.items[0].measure"),
        (with_item(payment_subject="coffee"), "receipt.items[0].payment_subject"),
        (with_item(payment_mode=["full_payment"]), "receipt.items[0].payment_mode"),
    ],
)
def test_a_wrong_receipt_names_its_parameter(wrong: Any, parameter: str):
    assert refused_parameter(wrong) == parameter


def test_a_receipt_for_another_sum_is_refused():
    assert refused_parameter(RECEIPT, 15001) == "receipt.items"


def test_without_a_receipt_there_is_none():
    assert receipts.content_of({}, 15000) is None


@pytest.mark.parametrize("code", range(1, 13))
def test_every_vat_code_of_2026_is_taken(code: int):
    assert receipts.content(with_item(vat_code=code))["items"][0]["vat_code"] == code


@pytest.mark.parametrize(("written", "number"), [(2, 2), ("2", 2), (2.0, 2.0), ("2.00", 2.0), (0.5, 0.5)])
def test_a_quantity_is_a_number_and_may_come_as_a_string(written: Any, number: float):
    item = receipts.content(with_item(quantity=written, vat_code="2"))["items"][0]
    assert (item["quantity"], item["vat_code"]) == (number, 2)


def test_the_sum_is_of_quantity_by_the_price_of_one():
    half = ITEM | {"quantity": 0.5, "amount": {"value": "33.33", "currency": "RUB"}}
    assert receipts.total_minor({"items": [ITEM | {"quantity": 2}, half]}) == 30000 + 1667


@given(st.lists(st.tuples(st.integers(1, 99_999_999), st.integers(1, 50)), min_size=1, max_size=5))
def test_whole_quantities_add_up_to_the_kopeck(positions: list[tuple[int, int]]):
    items = [
        ITEM | {"quantity": count, "amount": {"value": f"{minor // 100}.{minor % 100:02}", "currency": "RUB"}}
        for minor, count in positions
    ]
    total = sum(minor * count for minor, count in positions)
    assert receipts.total_minor(receipts.content(RECEIPT | {"items": items})) == total


def test_the_customer_and_what_nobody_knows_do_not_stand_on_the_receipt():
    content = receipts.content(with_item(colour="brown", measure="piece") | {"refund_id": "r1"})
    assert set(content) == {"items", "internet"}
    assert set(content["items"][0]) == {*ITEM, "measure"}


def test_a_registered_receipt_has_the_numbers_of_its_qr_code():
    pending = receipts.new_receipt("rt-p1", "payment", {"payment_id": "p1"}, receipts.content(RECEIPT))
    assert pending["status"] == "pending"
    receipt = receipts.registered(pending, 7, NOW)
    assert (receipt["status"], receipt["fiscal_document_number"]) == ("succeeded", "7")
    assert len(receipt["fiscal_storage_number"]) == 16
    assert len(receipt["fiscal_attribute"]) == 10
    at = datetime.fromisoformat(receipt["registered_at"])
    assert (at.timestamp(), at.utcoffset()) == (NOW // 1000, timedelta(hours=3))


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"type": "sale"}, "type"),
        ({"send": False}, "send"),
        ({"payment_id": ""}, "payment_id"),
        ({"type": "refund", "refund_id": 1}, "refund_id"),
        ({"customer": {}}, "customer"),
        ({"items": [ITEM | {"vat_code": 13}]}, "items[0].vat_code"),
        ({"settlements": []}, "settlements"),
        ({"settlements": ["cashless"]}, "settlements[0]"),
        ({"settlements": [{"type": "barter", "amount": ITEM["amount"]}]}, "settlements[0].type"),
        ({"settlements": [{"type": "cashless"}]}, "settlements[0].amount"),
        ({"settlements": LATER["settlements"] * 2}, "settlements"),
    ],
)
def test_a_wrong_receipt_that_comes_later_names_its_parameter(wrong: dict[str, Any], parameter: str):
    with pytest.raises(Refused) as refused:
        demands.receipt_demand(LATER | wrong)
    assert refused.value.parameter == parameter


@pytest.mark.parametrize(
    ("about", "found"),
    [
        ({"type": "payment"}, ("payment", "p1", "")),
        ({"type": "refund"}, ("refund", "p1", "")),
        ({"type": "refund", "refund_id": "r1"}, ("refund", "", "r1")),
    ],
)
def test_a_receipt_that_comes_later_is_about_a_payment_or_a_refund(about: dict[str, str], found: Any):
    demand = demands.receipt_demand(LATER | about)
    assert (demand.kind, demand.payment_id, demand.refund_id) == found
