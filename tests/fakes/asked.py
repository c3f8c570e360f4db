"""What a provider is asked for in tests."""

from dataclasses import replace
from typing import Any

from server.payments import NewPayment

CAPPUCCINO = NewPayment(
    payment_id="p1",
    order_id="order-1",
    attempt_no=1,
    amount_minor=15000,
    currency="RUB",
    description="Капучино",
    return_url="https://shop.example/o/1",
    notification_url="https://shop.example/v1/tbank-webhook",
    expires_at=1_795_000_900_000,
)


def asked_for(**otherwise: Any) -> NewPayment:
    """Return the request for a cappuccino, with what is given otherwise."""
    return replace(CAPPUCCINO, **otherwise)
