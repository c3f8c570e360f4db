"""Receipts as the register takes them, and which code it gives when it does not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sandbox_tbank.receipt import TAXATIONS, TAXES, check_receipt
from server.sandbox_tbank.refusals import Refused

ITEM: dict[str, Any] = {
    "Name": "Капучино 300 мл",
    "Price": 15000,
    "Quantity": 1,
    "Amount": 15000,
    "Tax": "vat22",
    "PaymentMethod": "full_payment",
    "PaymentObject": "commodity",
}


def receipt(*items: Any, **about: Any) -> dict[str, Any]:
    return {"Email": "a@b.example", "Taxation": "osn", "Items": list(items), **about}


def code_of(wrong: Any, amount_minor: int = 15000) -> str:
    with pytest.raises(Refused) as refused:
        check_receipt(wrong, amount_minor)
    return refused.value.code


@pytest.mark.parametrize("taxation", sorted(TAXATIONS))
@pytest.mark.parametrize("tax", sorted(TAXES))
def test_every_tax_is_taken(taxation: str, tax: str):
    check_receipt(receipt({**ITEM, "Tax": tax}, Taxation=taxation), 15000)


def test_a_phone_does_instead_of_an_email():
    check_receipt({"Phone": "+79000000000", "Taxation": "osn", "Items": [ITEM]}, 15000)


@pytest.mark.parametrize("quantity", [0.5, "0.5", 1.5, 2])
def test_a_quantity_may_be_a_fraction(quantity: Any):
    amount_minor = int(10000 * float(quantity))
    check_receipt(
        receipt({**ITEM, "Price": 10000, "Quantity": quantity, "Amount": amount_minor}), amount_minor
    )


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 50)), min_size=1, max_size=5), st.booleans())
def test_the_positions_add_up_to_the_payment(sold: list[tuple[int, int]], differs: bool):
    items = [{**ITEM, "Price": price, "Quantity": many, "Amount": price * many} for price, many in sold]
    total = sum(price * many for price, many in sold)
    if differs:
        assert code_of(receipt(*items), total + 1) == "308"
    else:
        check_receipt(receipt(*items), total)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (None, "309"),
        ([], "309"),
        ({}, "309"),
        (receipt(ITEM, Email=""), "309"),
        (receipt(ITEM, Email=7), "309"),
        (receipt(ITEM, Taxation=None), "309"),
        (receipt(ITEM, Taxation="none"), "1"),
        (receipt(ITEM, Taxation=["osn"]), "1"),
        (receipt(), "309"),
        (receipt("x"), "309"),
        (receipt(ITEM, Items=None), "309"),
        (receipt({**ITEM, "Name": ""}), "309"),
        (receipt({**ITEM, "Name": "x" * 129}), "309"),
        (receipt({**ITEM, "Tax": None}), "309"),
        (receipt({**ITEM, "Tax": "vat18"}), "1"),
        (receipt({**ITEM, "PaymentMethod": "later"}), "1"),
        (receipt({**ITEM, "PaymentObject": 7}), "1"),
        (receipt({**ITEM, "Price": 0}), "309"),
        (receipt({**ITEM, "Amount": "15000"}), "309"),
        (receipt({**ITEM, "Amount": True}), "309"),
        (receipt({**ITEM, "Quantity": None}), "309"),
        (receipt({**ITEM, "Quantity": 0}), "309"),
        (receipt({**ITEM, "Quantity": "NaN"}), "309"),
        (receipt({**ITEM, "Quantity": "1e999999999"}), "309"),
        (receipt({**ITEM, "Quantity": "1.0001"}), "309"),
        (receipt({**ITEM, "Quantity": 2}), "308"),
        (receipt({**ITEM, "Price": 14999}), "308"),
    ],
)
def test_a_wrong_receipt_has_a_code(wrong: Any, code: str):
    assert code_of(wrong) == code
