"""T-Bank's requests as they are saved: all but the terminal's key and the token, which sign them. Pure."""

import json

from server.payments import Method, NewPayment, tbank_api


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
    return _written(asked | {"Sbp": True} if new.method is Method.SBP else asked)


def capture_body(provider_payment_id: str, amount_minor: int, currency: str) -> str:
    """Return what `Confirm` is asked with."""
    return _written({"PaymentId": provider_payment_id, "Amount": _positive(amount_minor)})


def release_body(provider_payment_id: str, amount_minor: int, currency: str) -> str:
    """Return what `Cancel` is asked with, of money that is held."""
    return capture_body(provider_payment_id, amount_minor, currency)


def refund_body(
    provider_payment_id: str, amount_minor: int, currency: str, reason: str, payment_body: str
) -> str:
    """Return what `Cancel` is asked with; without an amount all would go back, so it is always there."""
    return capture_body(provider_payment_id, amount_minor, currency)


def is_hold(payment_body: str) -> bool:
    """Return whether the payment was asked for in two stages."""
    return bool(json.loads(payment_body).get("PayType") == "T")


def _positive(minor: int) -> int:
    if minor <= 0:
        raise ValueError(f"an amount is at least one kopeck, not {minor}")
    return minor


def _written(asked: dict[str, object]) -> str:
    return json.dumps(asked, ensure_ascii=False, separators=(",", ":"))
