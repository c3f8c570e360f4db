"""The rules of the sandbox bank: how payments and refunds come to be, change and end. Pure.

An object is the JSON that YooKassa's API would show (yookassa.ru/developers, OpenAPI specification), and a
payment has `private`, what the bank keeps for itself. Functions return a new object and change none.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from server.payments.notation import amount_text, instant_text, minor_units
from server.sandbox.demands import PaymentDemand, RefundDemand, Refused, refused_parameter

ACCOUNT_ID = "sandbox"
GATEWAY_ID = "1"

PAYMENT_LIFE_MS = 60 * 60 * 1000
"""A card payment that nobody pays is canceled after one hour."""
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
        "confirmation": {
            "type": "redirect",
            "return_url": demand.return_url,
            "confirmation_url": page_url,
        },
        "created_at": instant_text(now_ms),
        "metadata": dict(demand.metadata),
        "recipient": {"account_id": ACCOUNT_ID, "gateway_id": GATEWAY_ID},
        "refundable": False,
        "test": True,
        "private": {"capture": demand.capture, "return_url": demand.return_url},
    }
    return payment | ({"description": demand.description} if demand.description else {})


def shown(payment: Object) -> Object:
    """Return the payment as the API shows it."""
    return _without(payment, "private")


def paid(payment: Object, now_ms: int) -> tuple[Object, Event]:
    """Return the payment after its customer has paid: succeeded, or held when it was asked not to capture."""
    _require(payment, "pending")
    with_card = {
        **_without(payment, "confirmation"),
        "paid": True,
        "payment_method": _card(payment["id"]),
    }
    if payment["private"]["capture"]:
        return _succeeded(with_card, payment["amount"], now_ms)
    held = {
        **with_card,
        "status": "waiting_for_capture",
        "expires_at": instant_text(now_ms + HOLD_LIFE_MS),
    }
    return held, _payment_event(held)


def captured(payment: Object, amount_minor: int | None, now_ms: int) -> tuple[Object, Event]:
    """Return the held payment after taking `amount_minor` of it, or all of it. Raises Refused."""
    _require(payment, "waiting_for_capture")
    held = minor_units(payment["amount"]["value"])
    taken = held if amount_minor is None else amount_minor
    if not 0 < taken <= held:
        raise refused_parameter("amount.value", "More than was held")
    amount = {**payment["amount"], "value": amount_text(taken)}
    return _succeeded({**payment, "amount": amount}, amount, now_ms)


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


def _card(payment_id: str) -> Object:
    return {
        "type": "bank_card",
        "id": payment_id,
        "saved": False,
        "status": "inactive",
        "title": "Bank card *4444",
        "card": {
            "first6": "555555",
            "last4": "4444",
            "expiry_month": "12",
            "expiry_year": "2035",
            "card_type": "MasterCard",
        },
    }


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
    return refund | ({"description": demand.description} if demand.description else {})


def settled(refund: Object, payment: Object, canceled_because: str) -> tuple[Object, Object, Event | None]:
    """Return the refund after its end, its payment, and what is notified: nothing when it was canceled."""
    if canceled_because:
        details = {"party": "yoo_money", "reason": canceled_because}
        return {**refund, "status": "canceled", "cancellation_details": details}, payment, None
    after = {**refund, "status": "succeeded"}
    before = minor_units(payment.get("refunded_amount", {"value": "0"})["value"])
    total = before + minor_units(refund["amount"]["value"])
    returned = {
        **payment,
        "refunded_amount": {**refund["amount"], "value": amount_text(total)},
        "refundable": total < minor_units(payment["amount"]["value"]),
    }
    return after, returned, Event("refund.succeeded", after)


def _counts(refund: Object) -> bool:
    return bool(refund["status"] != "canceled")


def _require(payment: Object, *statuses: str) -> None:
    if payment["status"] not in statuses:
        text = f"Payment is {payment['status']}; this needs {' or '.join(statuses)}"
        raise Refused(400, "invalid_request", text)


def _without(value: Object, *names: str) -> dict[str, Any]:
    return {name: part for name, part in value.items() if name not in names}
