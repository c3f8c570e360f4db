"""T-Bank's requests as they are saved: all but the terminal's key and the token, which sign them. Pure."""

import json

from server.payments import Method, NewPayment, Receipt, tbank_api


def payment_body(new: NewPayment) -> str:
    """Return what `Init` is asked with. `OrderId` is our payment's id: unique per attempt."""
    init = tbank_api.Init(
        order_id=new.payment_id,
        amount_minor=new.amount_minor,
        description=new.description,
        two_stage=new.hold,
        due_at_ms=new.expires_at,
        notification_url=new.notification_url,
        success_url=new.return_url,
        fail_url=new.return_url,
    )
    asked = tbank_api.init_facts(init)
    if new.receipt is not None:
        asked |= {"Receipt": _receipt(new.receipt)}
    return _written(asked | {"Sbp": True} if new.method is Method.SBP else asked)


def tells_receipt(payment_body: str) -> bool:
    """T-Bank sends the receipt to the customer, and its API does not tell what the register said."""
    return False


def capture_body(provider_payment_id: str, amount_minor: int, currency: str, payment_body: str) -> str:
    """Return what `Confirm` is asked with; the receipt of `Init` is for all of the money."""
    return _some_of(provider_payment_id, amount_minor)


def _some_of(provider_payment_id: str, amount_minor: int) -> str:
    return _written({"PaymentId": provider_payment_id, "Amount": _positive(amount_minor)})


def release_body(provider_payment_id: str, amount_minor: int, currency: str) -> str:
    """Return what `Cancel` is asked with, of money that is held."""
    return _some_of(provider_payment_id, amount_minor)


def refund_body(
    provider_payment_id: str, amount_minor: int, currency: str, reason: str, payment_body: str
) -> str:
    """Return what `Cancel` is asked with; without an amount all would go back, so it is always there.

    A refund of everything names no receipt (api/cancel): T-Bank makes it from that of `Init`.
    """
    return _some_of(provider_payment_id, amount_minor)


def is_hold(payment_body: str) -> bool:
    """Return whether the payment was asked for in two stages."""
    return bool(json.loads(payment_body).get("PayType") == "T")


# The receipt (54-FZ). --------------------------------------------------------------------------------

_TAXES = {
    1: "none",
    2: "vat0",
    3: "vat10",
    4: "vat20",
    5: "vat110",
    6: "vat120",
    7: "vat5",
    8: "vat7",
    9: "vat105",
    10: "vat107",
    11: "vat22",
    12: "vat122",
}
_TAXATIONS = {
    1: "osn",
    2: "usn_income",
    3: "usn_income_outcome",
    4: "envd",
    5: "esn",
    6: "patent",
}
_NAME_LIMIT = 128


def _receipt(receipt: Receipt) -> dict[str, object]:
    """Return the `Receipt` of one drink. Raises ValueError without a tax system, which T-Bank demands."""
    if receipt.tax_system_code is None:
        raise ValueError("a receipt at T-Bank needs the merchant's tax_system_code")
    prepaid_in_part = receipt.payment_mode == "partial_prepayment"
    item = {
        "Name": " ".join(receipt.description.split())[:_NAME_LIMIT],
        "Price": receipt.amount_minor,
        "Quantity": 1,
        "Amount": receipt.amount_minor,
        "Tax": _TAXES[receipt.vat_code],
        "PaymentMethod": "prepayment" if prepaid_in_part else receipt.payment_mode,
        "PaymentObject": receipt.payment_subject,
    }
    return {"Email": receipt.email, "Taxation": _TAXATIONS[receipt.tax_system_code], "Items": [item]}


def _positive(minor: int) -> int:
    if minor <= 0:
        raise ValueError(f"an amount is at least one kopeck, not {minor}")
    return minor


def _written(asked: dict[str, object]) -> str:
    return json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
