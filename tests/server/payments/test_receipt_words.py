"""Receipts in the words of each provider: what is asked for, and what is read of their registration."""

import json
from dataclasses import replace
from typing import Any

import pytest

from server.payments import InDoubt, NewPayment, Receipt, tbank_requests, yookassa_api
from server.sandbox_tbank.receipt import check_receipt

RECEIPT = Receipt(
    email="buyer@example.com",
    description="Капучино",
    amount_minor=15000,
    vat_code=1,
    payment_subject="commodity",
    payment_mode="full_payment",
    measure="piece",
    tax_system_code=2,
)
NEW = NewPayment(
    payment_id="pay-1",
    order_id="order-1",
    attempt_no=1,
    amount_minor=15000,
    currency="RUB",
    description="Капучино",
    return_url="https://coffee.example/o",
    notification_url="https://coffee.example/n",
    expires_at=1_800_000_000_000,
    receipt=RECEIPT,
)
REGISTERED = {
    "id": "rt-1",
    "type": "payment",
    "status": "succeeded",
    "fiscal_document_number": "42",
    "fiscal_storage_number": "9999078900000001",
    "fiscal_attribute": "0123456789",
    "registered_at": "2026-11-20T11:31:00.000+03:00",
}


# --- YooKassa -------------------------------------------------------------------------------------------


def test_capture_and_refund_carry_the_receipt_of_the_payment():
    asked = yookassa_api.payment_body(NEW)
    about = ("2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d", 15000, "RUB")
    captured = json.loads(yookassa_api.capture_body(*about, asked))
    returned = json.loads(yookassa_api.refund_body(*about, "Напиток не приготовлен", asked))
    assert captured["receipt"] == returned["receipt"] == json.loads(asked)["receipt"]
    assert yookassa_api.tells_receipt(asked)


def test_without_a_receipt_nothing_carries_one():
    asked = yookassa_api.payment_body(replace(NEW, receipt=None))
    about = ("2d7f1c2e-000f-5000-9000-1b4e5f6a7c8d", 15000, "RUB")
    assert "receipt" not in json.loads(yookassa_api.capture_body(*about, asked))
    assert "receipt" not in json.loads(yookassa_api.refund_body(*about, "x", asked))
    assert not yookassa_api.tells_receipt(asked)


def test_a_registered_receipt_is_read_with_its_numbers():
    read = yookassa_api.receipt(REGISTERED)
    assert (read.kind, read.status) == ("payment", "succeeded")
    assert (read.storage_number, read.document_number, read.attribute) == (
        "9999078900000001",
        "42",
        "0123456789",
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"status": "pending"}, "pending"),
        ({"status": "canceled"}, "canceled"),
        ({"status": "something new"}, "pending"),
        ({"fiscal_attribute": None}, "pending"),
        ({"fiscal_document_number": "42&n=2"}, "pending"),
        ({"registered_at": "yesterday"}, "pending"),
        ({"fiscal_document_number": 42}, "succeeded"),
    ],
)
def test_a_receipt_counts_as_registered_only_with_all_that_its_code_says(changes: Any, status: str):
    assert yookassa_api.receipt({**REGISTERED, **changes}).status == status


@pytest.mark.parametrize("changes", [{"type": "gift"}, {"type": None}, {"status": 5}])
def test_a_receipt_that_cannot_be_read_is_in_doubt(changes: Any):
    with pytest.raises(InDoubt):
        yookassa_api.receipt({**REGISTERED, **changes})


# --- T-Bank ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vat_code", range(1, 13))
@pytest.mark.parametrize("tax_system_code", range(1, 7))
def test_every_code_has_a_word_that_the_register_at_tbank_knows(vat_code: int, tax_system_code: int):
    receipt = replace(RECEIPT, vat_code=vat_code, tax_system_code=tax_system_code)
    asked = json.loads(tbank_requests.payment_body(replace(NEW, receipt=receipt)))
    check_receipt(asked["Receipt"], 15000)


def test_a_part_paid_ahead_has_another_name_at_tbank():
    receipt = replace(RECEIPT, payment_mode="partial_prepayment")
    asked = json.loads(tbank_requests.payment_body(replace(NEW, receipt=receipt)))
    assert asked["Receipt"]["Items"][0]["PaymentMethod"] == "prepayment"
    check_receipt(asked["Receipt"], 15000)


def test_tbank_needs_the_tax_system():
    with pytest.raises(ValueError, match="tax_system_code"):
        tbank_requests.payment_body(replace(NEW, receipt=replace(RECEIPT, tax_system_code=None)))
