"""What a fiscal receipt (54-FZ) says of a drink, from the merchant's and the drink's settings. Pure.

Codes are YooKassa's (54fz/parameters-values); which are right is for the operator's accountant to say.
"""

import re
from typing import Annotated, Literal

import msgspec

from server.errors import BadRequest
from server.payments import Receipt
from server.payments.notation import amount_text

EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,188}\.[^@\s.]{1,63}")
"""Loose on purpose: the mail server knows what exists."""

ALWAYS = "YookassaReceipt"
WHERE_DESCRIBED = ("TBank", "Sandbox")
"""Scenarios with receipts: always, and where the merchant says what is on them."""

VatCode = Annotated[int, msgspec.Meta(ge=1, le=12)]
Subject = Literal["commodity", "service", "excise", "payment", "another"]
Mode = Literal[
    "full_payment",
    "full_prepayment",
    "partial_prepayment",
    "advance",
    "partial_payment",
    "credit",
    "credit_payment",
]
Measure = Literal["piece", "gram", "kilogram", "milliliter", "liter", "another"]


class DrinkReceipt(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a drink's receipt says otherwise than its merchant's."""

    vat_code: VatCode | None = None
    payment_subject: Subject | None = None
    payment_mode: Mode | None = None
    measure: Measure | None = None


class MerchantReceipt(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What every receipt of a merchant says."""

    vat_code: VatCode
    payment_subject: Subject = "commodity"
    payment_mode: Mode = "full_payment"
    measure: Measure = "piece"
    tax_system_code: Annotated[int, msgspec.Meta(ge=1, le=6)] | None = None
    email: Literal["required", "optional"] = "required"
    """Whether the customer must give an address."""
    fallback_email: str | None = None
    """Where receipts go of customers who give none; needed when theirs is optional."""


def is_email(text: str) -> bool:
    """Return whether the text may be an address."""
    return EMAIL.fullmatch(text) is not None


def has_receipts(scenario: str, merchant: str | None) -> bool:
    """Return whether payments of a scenario come with a receipt; `merchant` is the saved JSON."""
    return scenario == ALWAYS or (scenario in WHERE_DESCRIBED and merchant is not None)


def receipt_of(
    description: str, amount_minor: int, email: str | None, merchant: str | None, drink: str | None
) -> Receipt:
    """Return the receipt of one drink; `merchant` and `drink` are the saved JSON.

    Raises BadRequest when an address is needed and there is none, or the merchant has no receipt settings.
    """
    if merchant is None:
        raise BadRequest("missing_credentials", "the merchant has no receipt settings")
    every = msgspec.json.decode(merchant, type=MerchantReceipt)
    own = msgspec.json.decode(drink, type=DrinkReceipt) if drink else DrinkReceipt()
    to = email or every.fallback_email
    if not to or (every.email == "required" and not email):
        raise BadRequest("email_required", "a receipt needs an e-mail address")
    return Receipt(
        email=to,
        description=description,
        amount_minor=amount_minor,
        vat_code=own.vat_code or every.vat_code,
        payment_subject=own.payment_subject or every.payment_subject,
        payment_mode=own.payment_mode or every.payment_mode,
        measure=own.measure or every.measure,
        tax_system_code=every.tax_system_code,
    )


def asks_email(scenario: str, merchant: str | None) -> Literal["required", "optional"] | None:
    """Return whether customers must or may give an address; None: there is no receipt to be sent."""
    if merchant is None or not has_receipts(scenario, merchant):
        return None
    return msgspec.json.decode(merchant, type=MerchantReceipt).email


SIGN = {"payment": 1, "refund": 2}
"""`n` of a receipt's code: a sale, or the return of one."""


def code_text(
    kind: str, amount_minor: int, storage: str, document: str, attribute: str, registered_at: str
) -> str:
    """Return what a registered receipt's QR code says, as every scanner of receipts expects it.

    The time is the register's own, as its wall clock shows it; seconds are left out.
    """
    at = registered_at[:16].replace("-", "").replace(":", "")
    return f"t={at}&s={amount_text(amount_minor)}&fn={storage}&i={document}&fp={attribute}&n={SIGN[kind]}"
