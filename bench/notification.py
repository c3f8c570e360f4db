"""What the provider posts when a payment has succeeded: a whole payment object, as YooKassa's is."""

from bench.shop import ACCOUNT_ID, PRICE_MINOR, order_name, payment_name, provider_name

_AMOUNT = f'{{"value": "{PRICE_MINOR / 100:.2f}", "currency": "RUB"}}'


def payment(number: int) -> str:
    """Return the payment of an order, paid."""
    return (
        f'{{"id": "{provider_name(number)}", "status": "succeeded", "paid": true, "amount": {_AMOUNT}, '
        f'"income_amount": {_AMOUNT}, "captured_at": "2026-11-25T12:00:00.000Z", '
        '"created_at": "2026-11-25T11:59:00.000Z", "description": "Эспрессо", '
        f'"metadata": {{"order_id": "{order_name(number)}", "payment_id": "{payment_name(number)}", '
        f'"attempt": "1"}}, '
        f'"payment_method": {{"type": "bank_card", "id": "pm-{number}", "saved": false}}, '
        f'"recipient": {{"account_id": "{ACCOUNT_ID}", "gateway_id": "100700"}}, "refundable": true, '
        '"test": true}'
    )


def notification(number: int) -> bytes:
    """Return the notification of it."""
    return f'{{"type": "notification", "event": "payment.succeeded", "object": {payment(number)}}}'.encode()
