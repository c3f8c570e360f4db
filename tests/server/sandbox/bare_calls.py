"""What a shop sends to the bank and hears from it, without a client between them."""

import json
from typing import Any

import aiohttp

from server.sandbox import ACCOUNT_ID, SECRET_KEY
from tests.server.sandbox.street import Street

ROUBLES = {"value": "150.00", "currency": "RUB"}
RECEIPT = {
    "customer": {"phone": "79000000000"},
    "items": [{"description": "Капучино", "quantity": "1.00", "amount": ROUBLES, "vat_code": "1"}],
}


async def make(street: Street, key: str = "pay-1", **options: Any) -> tuple[int, Any]:
    """Return the bare answer to a `POST /payments`."""
    return await street.call("POST", "/payments", key=key, json=json.loads(street.body()) | options)


async def pay(street: Street, key: str = "pay-1", method: str = "", **options: Any) -> str:
    """Return the id of a payment that its customer has paid, or that is held."""
    payment_id = (await make(street, key, **options))[1]["id"]
    await street.sandbox.teller.pay(payment_id, method)
    return str(payment_id)


async def get(street: Street, path: str) -> Any:
    return (await street.call("GET", path))[1]


async def give_back(street: Street, payment_id: str, key: str = "r1", **options: Any) -> tuple[int, Any]:
    """Return the bare answer to a `POST /refunds` of all."""
    body = {"payment_id": payment_id, "amount": ROUBLES} | options
    return await street.call("POST", "/refunds", key=key, json=body)


CUT = "cut"


async def heard(street: Street, method: str, path: str, **options: Any) -> tuple[Any, str]:
    """Return the status and the text of an answer as they come over the wire."""
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_ID, SECRET_KEY), "Idempotence-Key": "k"}
    url = street.sandbox.api_url + path
    try:
        async with street.session.request(method, url, headers=headers, **options) as response:
            return response.status, await response.text()
    except aiohttp.ClientError:
        return CUT, ""
