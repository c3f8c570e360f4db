"""What a receipt says: the merchant's settings, the drink's own, and the customer's address."""

import json
from typing import Any

import pytest

from server.errors import BadRequest
from server.fiscal import asks_email, code_text, has_receipts, receipt_of
from server.payments import Receipt

EVERY: dict[str, Any] = {"vat_code": 1, "tax_system_code": 2}
OPTIONAL = {**EVERY, "email": "optional", "fallback_email": "books@coffee.example"}


def receipt(email: str | None = "buyer@example.com", merchant: Any = EVERY, drink: Any = None) -> Receipt:
    own = json.dumps(drink) if drink else None
    return receipt_of("Кофе", 9000, email, json.dumps(merchant), own)


def test_a_receipt_says_what_the_merchant_says():
    assert receipt() == Receipt(
        email="buyer@example.com",
        description="Кофе",
        amount_minor=9000,
        vat_code=1,
        payment_subject="commodity",
        payment_mode="full_payment",
        measure="piece",
        tax_system_code=2,
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("vat_code", 11),
        ("payment_subject", "service"),
        ("payment_mode", "advance"),
        ("measure", "milliliter"),
    ],
)
def test_a_drinks_own_word_counts_more(key: str, value: Any):
    assert getattr(receipt(drink={key: value}), key) == value
    assert getattr(receipt(merchant={**EVERY, key: value}), key) == value


def test_without_an_address_the_fallback_gets_the_receipt():
    assert receipt(email=None, merchant=OPTIONAL).email == "books@coffee.example"
    assert receipt(merchant=OPTIONAL).email == "buyer@example.com"


@pytest.mark.parametrize("more", [{}, {"fallback_email": "books@coffee.example"}])
def test_a_needed_address_cannot_be_left_out(more: dict[str, str]):
    with pytest.raises(BadRequest) as error:
        receipt(email=None, merchant={**EVERY, **more})
    assert error.value.key == "email_required"


def test_a_merchant_who_says_nothing_of_receipts_cannot_give_one():
    with pytest.raises(BadRequest) as error:
        receipt_of("Кофе", 9000, "buyer@example.com", None, None)
    assert error.value.key == "missing_credentials"


@pytest.mark.parametrize(
    ("scenario", "merchant", "asks"),
    [
        ("YookassaReceipt", EVERY, "required"),
        ("YookassaReceipt", OPTIONAL, "optional"),
        ("TBank", EVERY, "required"),
        ("Sandbox", OPTIONAL, "optional"),
        ("YookassaReceipt", None, None),
        ("TBank", None, None),
        ("Yookassa", EVERY, None),
        ("Custom", EVERY, None),
    ],
)
def test_an_address_is_asked_for_where_there_is_a_receipt(scenario: str, merchant: Any, asks: str | None):
    kept = json.dumps(merchant) if merchant else None
    assert asks_email(scenario, kept) == asks
    assert has_receipts(scenario, kept) == (asks is not None or scenario == "YookassaReceipt")


@pytest.mark.parametrize(("kind", "sign"), [("payment", 1), ("refund", 2)])
def test_a_receipts_code_is_what_scanners_read(kind: str, sign: int):
    registered = ("9999078900000001", "42", "0123456789", "2026-11-20T11:31:55.000+03:00")
    assert code_text(kind, 15000, *registered) == (
        f"t=20261120T1131&s=150.00&fn=9999078900000001&i=42&fp=0123456789&n={sign}"
    )
