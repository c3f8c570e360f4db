"""An order as its page and its JSON show it. Pure."""

from typing import Any
from urllib.parse import quote

from server.fiscal import asks_email, code_text
from server.moments import instant
from server.money import roubles
from server.order import AWAITS_DRINK, Status
from server.order_facts import Facts
from server.payments.accounts import methods_of
from server.sanitise import sanitise
from server.store.rows import TEXT_FIELDS, Order, Receipt
from server.texts import failure_customer, text


def status_json(facts: Facts, lang: str = "ru") -> dict[str, Any]:
    """Return what `GET /v1/order-status/{order_id}` answers: the predecessor's fields, and ours."""
    order, device = facts.order, facts.device
    asks = asks_email(order.payment_scenario, device.receipt)
    return {
        "order_id": order.order_id,
        "status": order.status,
        "status_text": _status_text(order, lang),
        "drink_name": order.drink_name,
        "drink_size": text(f"size.{order.size}", lang),
        "price": roubles(order.price_minor),
        "expires_at": instant(order.expires_at),
        "payment_scenario": order.payment_scenario,
        "is_receipt_mandatory": asks == "required",
        "receipt_email": asks,
        "methods": methods_of(order.payment_scenario, order.price_minor),
        "pay_at": _pay_at(facts),
        "money": _money(facts),
        "failure": _failure(order, lang),
        "refund_status": order.refund_status,
        "receipts": [_receipt(order, number, receipt) for number, receipt in enumerate(facts.receipts, 1)],
        "updated_at": instant(order.updated_at),
        "device": {
            "location": device.location,
            "logo_url": device.logo_url,
            **{name: sanitise(getattr(device, name)) for name in TEXT_FIELDS},
        },
    }


def outcome_unknown(order: Order) -> bool:
    """Whether nobody can tell yet if the drink came out."""
    return order.status in AWAITS_DRINK and order.failure_code is not None


def _pay_at(facts: Facts) -> dict[str, str] | None:
    """Return where the newest payment under way is paid, and the picture of it that a phone scans."""
    waiting = [payment for payment in facts.payments if payment.status == "pending"]
    if facts.order.status != Status.PENDING or not waiting or waiting[-1].confirmation_url is None:
        return None
    newest = waiting[-1]
    found = {"kind": newest.confirmation_kind or "redirect", "url": newest.confirmation_url or ""}
    if newest.confirmation_kind == "qr":
        found["qr"] = f"/v1/order-qr/{quote(newest.order_id, safe='')}?attempt={newest.attempt_no}"
    return found


def _money(facts: Facts) -> str | None:
    """Return where the money is: held (the customer's still, but set aside), taken, or released from hold."""
    statuses = {payment.status for payment in facts.payments}
    if "held" in statuses:
        return "held"
    if any(refund.kind == "release" and refund.status == "succeeded" for refund in facts.refunds):
        return "released"
    return "taken" if "succeeded" in statuses else None


def _receipt(order: Order, number: int, receipt: Receipt) -> dict[str, str | None]:
    registered = receipt.status == "succeeded"
    address = f"/v1/order-receipt/{quote(order.order_id, safe='')}/{number}"
    numbers = (receipt.storage_number, receipt.document_number, receipt.attribute)
    return {
        "kind": receipt.kind,
        "status": receipt.status,
        "qr": address if registered else None,
        "numbers": "ФН {} ФД {} ФПД {}".format(*numbers) if registered else None,
    }


def code_of(receipt: Receipt) -> str:
    """Return what the code of a registered receipt says."""
    return code_text(
        receipt.kind,
        receipt.amount_minor,
        receipt.storage_number or "",
        receipt.document_number or "",
        receipt.attribute or "",
        receipt.registered_at or "",
    )


def _status_text(order: Order, lang: str) -> str:
    if outcome_unknown(order):
        return text("page.unknown_title", lang)
    return text(f"status.{order.status}", lang)


def _failure(order: Order, lang: str) -> dict[str, str] | None:
    if outcome_unknown(order):
        return {"code": str(order.failure_code), "text": text("page.unknown_text", lang)}
    if order.status == Status.FAILED:
        return {"code": "order_expired", "text": text("error.order_expired", lang)}
    if order.failure_code is None:
        return None
    return {"code": order.failure_code, "text": failure_customer(order.failure_code, lang)}
