"""An order as its page and its JSON show it. Pure."""

from typing import Any

from server.fiscal import asks_email
from server.moments import instant
from server.money import roubles
from server.order import AWAITS_DRINK, Status
from server.sanitise import sanitise
from server.store.rows import TEXT_FIELDS, Device, Order
from server.texts import failure_customer, text


def status_json(order: Order, device: Device, lang: str = "ru") -> dict[str, Any]:
    """Return what `GET /v1/order-status/{order_id}` answers: the predecessor's fields, and ours."""
    return {
        "order_id": order.order_id,
        "status": order.status,
        "status_text": _status_text(order, lang),
        "drink_name": order.drink_name,
        "drink_size": text(f"size.{order.size}", lang),
        "price": roubles(order.price_minor),
        "expires_at": instant(order.expires_at),
        "payment_scenario": order.payment_scenario,
        "is_receipt_mandatory": asks_email(order.payment_scenario, device.receipt) == "required",
        "failure": _failure(order, lang),
        "refund_status": order.refund_status,
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
