"""What a shop may ask of the sandbox bank: requests checked as YooKassa checks them, and refusals. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from server.payments.notation import instant_ms, minor_units

AMOUNT = re.compile(r"[0-9]{1,8}\.[0-9]{2}")
CURRENCY = "RUB"
CARD_LEAST_MINOR = 100
CARD_MOST_MINOR = 350_000_00
"""What a card may pay at once: 1 to 350 000 roubles."""

KEY = re.compile(r"[0-9a-zA-Z+\-_.]{1,64}")
DESCRIPTION_LIMIT = 128
REFUND_DESCRIPTION_LIMIT = 250
ADDRESS_LIMIT = 2048
METADATA_LIMIT = 16
METADATA_KEY_LIMIT = 32
METADATA_VALUE_LIMIT = 512
PAGE_DEFAULT = 10
PAGE_LIMIT = 100

_STATUSES = {
    "payments": {"pending", "waiting_for_capture", "succeeded", "canceled"},
    "refunds": {"pending", "succeeded", "canceled"},
}


class Refused(Exception):
    """The bank's refusal: HTTP status and the body of using-api/response-handling/response-format."""

    def __init__(self, status: int, code: str, description: str, parameter: str = "") -> None:
        super().__init__(f"{status} {code}: {description}")
        self.status = status
        self.code = code
        self.description = description
        self.parameter = parameter

    def body(self, error_id: str) -> dict[str, Any]:
        """Return the error object; `error_id` is what a shop would quote to the bank's support."""
        told = {"type": "error", "id": error_id, "code": self.code, "description": self.description}
        return told | ({"parameter": self.parameter} if self.parameter else {})


def refused_parameter(parameter: str, description: str) -> Refused:
    """Return the refusal of a request whose `parameter` is wrong."""
    return Refused(400, "invalid_request", description, parameter)


@dataclass(frozen=True)
class PaymentDemand:
    """A checked `POST /payments`."""

    amount_minor: int
    currency: str
    capture: bool
    return_url: str
    description: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class RefundDemand:
    """A checked `POST /refunds`."""

    payment_id: str
    amount_minor: int
    currency: str
    description: str


@dataclass(frozen=True)
class ListDemand:
    """A checked question for a list; instants are UTC milliseconds, the upper one is excluded."""

    since_ms: int
    before_ms: int
    status: str
    payment_id: str
    limit: int
    after: tuple[int, str] | None
    """The creation time and id of the last object of the page before."""


def payment_demand(body: Mapping[str, Any]) -> PaymentDemand:
    """Return the payment that is asked for. Raises Refused, naming the parameter."""
    amount_minor, currency = _amount(body)
    if not CARD_LEAST_MINOR <= amount_minor <= CARD_MOST_MINOR:
        raise refused_parameter("amount.value", "A card pays from 1.00 to 350000.00")
    capture = body.get("capture", False)
    if not isinstance(capture, bool):
        _refuse("capture", "Not a boolean")
    method = _object(body, "payment_method_data", {"type": "bank_card"})
    if method.get("type") != "bank_card":
        _refuse("payment_method_data.type", "This shop takes cards only")
    return PaymentDemand(
        amount_minor=amount_minor,
        currency=currency,
        capture=capture,
        return_url=_return_url(body),
        description=_text(body, "description", DESCRIPTION_LIMIT),
        metadata=_metadata(body),
    )


def refund_demand(body: Mapping[str, Any]) -> RefundDemand:
    """Return the refund that is asked for. Raises Refused, naming the parameter."""
    payment_id = body.get("payment_id")
    if not isinstance(payment_id, str) or not payment_id:
        _refuse("payment_id", "Missing, or not a string")
    amount_minor, currency = _amount(body)
    description = _text(body, "description", REFUND_DESCRIPTION_LIMIT)
    return RefundDemand(payment_id, amount_minor, currency, description)


def capture_demand(body: Mapping[str, Any]) -> int | None:
    """Return how many kopecks of the hold to take; None: all of it. Raises Refused."""
    return _amount(body)[0] if "amount" in body else None


def list_demand(kind: str, query: Mapping[str, str]) -> ListDemand:
    """Return what a list of `payments` or `refunds` shall hold. Raises Refused, naming the parameter."""
    status = query.get("status", "")
    if status and status not in _STATUSES[kind]:
        _refuse("status", "No such status")
    limit = query.get("limit", str(PAGE_DEFAULT))
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= PAGE_LIMIT:
        _refuse("limit", f"Not a number from 1 to {PAGE_LIMIT}")
    since = max(_instant(query, "created_at.gte", 0), _instant(query, "created_at.gt", -1) + 1)
    before = min(_instant(query, "created_at.lt", 2**62), _instant(query, "created_at.lte", 2**62 - 1) + 1)
    return ListDemand(
        since_ms=since,
        before_ms=before,
        status=status,
        payment_id=query.get("payment_id", ""),
        limit=int(limit),
        after=_cursor(query.get("cursor", "")),
    )


def cursor_after(created_at: int, object_id: str) -> str:
    """Return the cursor of the page that follows an object."""
    return f"{created_at}_{object_id}"


def check_key(key: str | None) -> str:
    """Return a valid Idempotence-Key. Raises Refused."""
    if not key:
        _refuse("Idempotence-Key", "Idempotence key is missing")
    if not KEY.fullmatch(key):
        _refuse("Idempotence-Key", "Idempotence key is too long or has wrong characters")
    return key


def _amount(body: Mapping[str, Any]) -> tuple[int, str]:
    amount = body.get("amount")
    if not isinstance(amount, dict):
        _refuse("amount", "Missing, or not an object")
    value, currency = amount.get("value"), amount.get("currency")
    if not isinstance(value, str) or not AMOUNT.fullmatch(value) or minor_units(value) == 0:
        _refuse("amount.value", "Invalid amount value")
    if currency != CURRENCY:
        _refuse("amount.currency", "Invalid currency")
    return minor_units(value), CURRENCY


def _return_url(body: Mapping[str, Any]) -> str:
    confirmation = _object(body, "confirmation", {})
    if confirmation.get("type") != "redirect":
        _refuse("confirmation.type", "This shop confirms by redirect only")
    return_url = confirmation.get("return_url")
    if not isinstance(return_url, str) or not re.fullmatch(r"https?://[!-~]+", return_url):
        _refuse("confirmation.return_url", "Not an address")
    if len(return_url) > ADDRESS_LIMIT:
        _refuse("confirmation.return_url", f"Longer than {ADDRESS_LIMIT}")
    return return_url


def _metadata(body: Mapping[str, Any]) -> Mapping[str, str]:
    metadata = _object(body, "metadata", {})
    if len(metadata) > METADATA_LIMIT:
        _refuse("metadata", f"More than {METADATA_LIMIT} keys")
    for key, value in metadata.items():
        if len(key) > METADATA_KEY_LIMIT:
            _refuse("metadata", f"A key longer than {METADATA_KEY_LIMIT}")
        if not isinstance(value, str) or len(value) > METADATA_VALUE_LIMIT:
            _refuse(f"metadata.{key}", f"Not a string of at most {METADATA_VALUE_LIMIT}")
    return metadata


def _object(body: Mapping[str, Any], name: str, default: Mapping[str, Any]) -> Mapping[str, Any]:
    value = body.get(name, default)
    if not isinstance(value, dict):
        _refuse(name, "Not an object")
    return value


def _text(body: Mapping[str, Any], name: str, limit: int) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > limit:
        _refuse(name, f"Not a string of at most {limit}")
    return value


def _instant(query: Mapping[str, str], name: str, default: int) -> int:
    if name not in query:
        return default
    try:
        return instant_ms(query[name])
    except ValueError:
        _refuse(name, "Not an ISO 8601 instant with a zone")


def _cursor(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,15})_([0-9A-Za-z-]{1,64})", text)
    if not found:
        _refuse("cursor", "Not a cursor of this list")
    return int(found[1]), found[2]


def _refuse(parameter: str, description: str) -> NoReturn:
    raise refused_parameter(parameter, description)
