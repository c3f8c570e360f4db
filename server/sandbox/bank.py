"""The rules of the sandbox bank: how payments and refunds come to be, change and end. Pure.

An object is the JSON that YooKassa's API would show (yookassa.ru/developers, OpenAPI specification), and a
payment has `private`, what the bank keeps for itself. Functions return a new object and change none.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server.payments.notation import amount_text, instant_text, minor_units
from server.sandbox.checks import Refused, refuse, refused_parameter
from server.sandbox.demands import CARD, SBP, CaptureDemand, PaymentDemand, ReceiptDemand, RefundDemand
from server.sandbox.receipts import Content, check_total

ACCOUNT_ID = "sandbox"
GATEWAY_ID = "1"

PAYMENT_LIFE_MS = 60 * 60 * 1000
"""A payment by card or SBP that nobody pays is canceled after one hour."""
HOLD_LIFE_MS = 7 * 24 * 60 * 60 * 1000
"""A hold of a card that is not captured goes back after seven days."""

FEE_PERMILLE = 35

Object = Mapping[str, Any]


class Event(NamedTuple):
    """What the bank notifies about: the name, and the object as it was at that moment."""

    name: str
    object: Object


# Payments. ------------------------------------------------------------------------------------------


def new_payment(demand: PaymentDemand, payment_id: str, page_url: str, now_ms: int) -> Object:
    """Return the payment that waits for its customer at `page_url`."""
    payment = {
        "id": payment_id,
        "status": "pending",
        "paid": False,
        "amount": {"value": amount_text(demand.amount_minor), "currency": demand.currency},
        "confirmation": _confirmation(demand, page_url),
        "created_at": instant_text(now_ms),
        "metadata": dict(demand.metadata),
        "recipient": {"account_id": ACCOUNT_ID, "gateway_id": GATEWAY_ID},
        "refundable": False,
        "test": True,
        "private": {
            "capture": demand.capture,
            "return_url": demand.return_url,
            "methods": list(demand.methods),
            "receipt": demand.receipt,
        },
    }
    if demand.description:
        payment["description"] = demand.description
    if demand.method:
        payment["payment_method"] = _method(demand.method, payment_id)
    return payment


def shown(payment: Object) -> Object:
    """Return the payment as the API shows it."""
    return _without(payment, "private")


def methods(payment: Object) -> Sequence[str]:
    """Return the ways in which the customer may pay: more than one where the shop leaves it open."""
    found: Sequence[str] = payment["private"].get("methods", [CARD])
    return found


def receipt_content(payment: Object) -> Content | None:
    """Return what the shop has sent for the receipt of the payment; None: it wants none."""
    found: Content | None = payment.get("private", {}).get("receipt")
    return found


def paid(payment: Object, now_ms: int, method: str = "") -> tuple[Object, Event]:
    """Return the payment after its customer has paid: succeeded, or held when it was asked not to capture.

    Raises Refused when the payment is over, and for a method that is not open; "" is the first that is.
    """
    _require(payment, "pending")
    chosen = method or methods(payment)[0]
    if chosen not in methods(payment):
        raise refused_parameter("payment_method", "The payment is not open to this way")
    by_customer = {
        **_without(payment, "confirmation"),
        "paid": True,
        "payment_method": _used(chosen, payment["id"]),
    }
    if chosen == CARD:
        by_customer["authorization_details"] = _authorization(payment["id"])
    if payment["private"]["capture"]:
        return _succeeded(by_customer, payment["amount"], now_ms)
    held = {
        **by_customer,
        "status": "waiting_for_capture",
        "expires_at": instant_text(now_ms + HOLD_LIFE_MS),
    }
    return held, _payment_event(held)


def captured(payment: Object, demand: CaptureDemand, now_ms: int) -> tuple[Object, Event]:
    """Return the held payment after taking a part of it, or all of it. Raises Refused.

    The receipt of the payment is for all of it: when a part is taken, another must come with the capture.
    """
    _require(payment, "waiting_for_capture")
    held = minor_units(payment["amount"]["value"])
    taken = held if demand.amount_minor is None else demand.amount_minor
    if not 0 < taken <= held:
        raise refused_parameter("amount.value", "More than was held")
    receipt = demand.receipt or receipt_content(payment)
    if receipt is not None:
        check_total(receipt, taken)
    amount = {**payment["amount"], "value": amount_text(taken)}
    private = {**payment["private"], "receipt": receipt}
    return _succeeded({**payment, "amount": amount, "private": private}, amount, now_ms)


def released(payment: Object) -> tuple[Object, Event]:
    """Return the held payment after the shop has given the money back. Raises Refused for any other."""
    _require(payment, "waiting_for_capture")
    return _canceled(payment, "merchant", "canceled_by_merchant")


def declined(payment: Object, reason: str) -> tuple[Object, Event]:
    """Return the payment after its customer, or the customer's bank, has said no. Raises Refused."""
    _require(payment, "pending")
    return _canceled(payment, "payment_network", reason)


def expired(payment: Object) -> tuple[Object, Event]:
    """Return the payment after nobody has paid or captured it in time. Raises Refused for a final one."""
    _require(payment, "pending", "waiting_for_capture")
    late_for = "confirmation" if payment["status"] == "pending" else "capture"
    return _canceled(payment, "yoo_money", f"expired_on_{late_for}")


def _succeeded(payment: Object, amount: Object, now_ms: int) -> tuple[Object, Event]:
    minor = minor_units(amount["value"])
    income = {**amount, "value": amount_text(minor - minor * FEE_PERMILLE // 1000)}
    after = {
        **_without(payment, "expires_at"),
        "status": "succeeded",
        "income_amount": income,
        "captured_at": instant_text(now_ms),
        "refundable": True,
    }
    if receipt_content(payment) is not None:
        after["receipt_registration"] = "pending"
    return after, _payment_event(after)


def _canceled(payment: Object, party: str, reason: str) -> tuple[Object, Event]:
    after = {
        **_without(payment, "confirmation", "expires_at"),
        "status": "canceled",
        "paid": False,
        "cancellation_details": {"party": party, "reason": reason},
    }
    return after, _payment_event(after)


def _payment_event(payment: Object) -> Event:
    return Event(f"payment.{payment['status']}", shown(payment))


def _confirmation(demand: PaymentDemand, page_url: str) -> Object:
    """Return where the customer pays. A real QR code leads to NSPK; the sandbox has only its own page."""
    if demand.confirmation == "qr":
        return {"type": "qr", "confirmation_data": page_url}
    return {"type": "redirect", "return_url": demand.return_url, "confirmation_url": page_url}


def _method(method: str, payment_id: str) -> Object:
    return {"type": method, "id": payment_id, "saved": False, "status": "inactive"}


def _used(method: str, payment_id: str) -> Object:
    """Return the way that was used, with the card or the bank account."""
    if method == SBP:
        bank = {"bank_id": "100000000111", "bic": "044525225"}
        operation = _made_up(payment_id).upper()
        return {**_method(SBP, payment_id), "sbp_operation_id": operation, "payer_bank_details": bank}
    card = {
        "first6": "555555",
        "last4": "4444",
        "expiry_month": "12",
        "expiry_year": "2035",
        "card_type": "MasterCard",
    }
    return {**_method(CARD, payment_id), "title": "Bank card *4444", "card": card}


def _authorization(payment_id: str) -> Object:
    digits = str(int(_made_up(payment_id), 16))
    return {"rrn": digits[:12], "auth_code": digits[12:18], "three_d_secure": {"applied": True}}


def _made_up(text: str) -> str:
    """Return 32 hexadecimal digits that are always the same for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


# Refunds. -------------------------------------------------------------------------------------------


def new_refund(
    demand: RefundDemand, payment: Object | None, others: Sequence[Object], refund_id: str, now_ms: int
) -> Object:
    """Return the refund, pending. Raises Refused.

    `others` are the refunds of the same payment: together, but for the canceled, they are at most its amount.
    """
    if payment is None:
        raise refused_parameter("payment_id", "Payment doesn't exist or access denied")
    _require(payment, "succeeded")
    amount = payment["amount"]
    if demand.currency != amount["currency"]:
        raise refused_parameter("amount.currency", "Currency of the payment is another")
    going_back = sum(minor_units(other["amount"]["value"]) for other in others if _counts(other))
    if going_back + demand.amount_minor > minor_units(amount["value"]):
        raise refused_parameter("amount.value", "Refund amount exceeds the payment amount")
    refund = {
        "id": refund_id,
        "payment_id": demand.payment_id,
        "status": "pending",
        "created_at": instant_text(now_ms),
        "amount": {"value": amount_text(demand.amount_minor), "currency": demand.currency},
    }
    if refund_receipt(demand, payment) is not None:
        refund["receipt_registration"] = "pending"
    if demand.description:
        refund["description"] = demand.description
    if demand.metadata:
        refund["metadata"] = dict(demand.metadata)
    return refund


def refund_receipt(demand: RefundDemand, payment: Object) -> Content | None:
    """Return what goes on the receipt of a refund; None: the payment had none either. Raises Refused.

    A full refund repeats the items of the payment; a partial one must name its own (54fz/refunds).
    """
    of_payment = receipt_content(payment)
    if demand.receipt is not None or of_payment is None:
        return demand.receipt
    if demand.amount_minor != minor_units(payment["amount"]["value"]):
        refuse("receipt", "A partial refund needs the items that come back")
    return of_payment


def settled(refund: Object, payment: Object, canceled_because: str) -> tuple[Object, Object, Event | None]:
    """Return the refund after its end, its payment, and what is notified: nothing when it was canceled."""
    if canceled_because:
        details = {"party": "yoo_money", "reason": canceled_because}
        return {**refund, "status": "canceled", "cancellation_details": details}, payment, None
    after = {**refund, "status": "succeeded"}
    if payment.get("payment_method", {}).get("type") == SBP:
        after["refund_method"] = {"type": SBP, "sbp_operation_id": _made_up(refund["id"]).upper()}
    before = minor_units(payment.get("refunded_amount", {"value": "0"})["value"])
    total = before + minor_units(refund["amount"]["value"])
    returned = {
        **payment,
        "refunded_amount": {**refund["amount"], "value": amount_text(total)},
        "refundable": total < minor_units(payment["amount"]["value"]),
    }
    return after, returned, Event("refund.succeeded", after)


# Receipts that come later. --------------------------------------------------------------------------


def check_receipt(demand: ReceiptDemand, payment: Object | None, refund: Object | None) -> None:
    """Refuse a receipt whose payment or refund is not there, or has not come so far."""
    if demand.refund_id:
        if refund is None:
            refuse("refund_id", "Refund doesn't exist or access denied")
        if refund["status"] != "succeeded":
            refuse("refund_id", f"Refund is {refund['status']}; this needs succeeded")
        return
    if payment is None:
        refuse("payment_id", "Payment doesn't exist or access denied")
    fitting = ("waiting_for_capture", "succeeded") if demand.kind == "payment" else ("succeeded", "canceled")
    _require(payment, *fitting)


def _counts(refund: Object) -> bool:
    return bool(refund["status"] != "canceled")


def _require(payment: Object, *statuses: str) -> None:
    if payment["status"] not in statuses:
        text = f"Payment is {payment['status']}; this needs {' or '.join(statuses)}"
        raise Refused(400, "invalid_request", text)


def _without(value: Object, *names: str) -> dict[str, Any]:
    return {name: part for name, part in value.items() if name not in names}
