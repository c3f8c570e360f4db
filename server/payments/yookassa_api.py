"""YooKassa's API v3 as texts: request bodies, answers, refusals and notifications. Pure.

Facts are from yookassa.ru/developers (pages named below) and its OpenAPI specification. Unknown fields are
ignored and unknown values tolerated, since YooKassa adds both; what money depends on is read strictly.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, TypeVar

from server.payments import (
    Confirmation,
    Declined,
    Hint,
    InDoubt,
    Method,
    Misconfigured,
    NewPayment,
    NotANotification,
    NotFound,
    OfNoConcern,
    PaymentSnapshot,
    PaymentStatus,
    ProviderError,
    Receipt,
    ReceiptSnapshot,
    RefundSnapshot,
    RefundStatus,
    RetryLater,
)
from server.payments.notation import amount_text, minor_units

BASE_URL = "https://api.yookassa.ru/v3"

DESCRIPTION_LIMIT = 128
REFUND_DESCRIPTION_LIMIT = 250
NOTIFICATION_LIMIT_BYTES = 64 * 1024

RETRY_AFTER_S = 1.8
"""When they ask for patience without a time: what YooKassa's own PHP SDK waits."""
RETRY_AFTER_LIMIT_S = 600.0

OBJECT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
"""Ids look like UUIDs and are none. They go into paths, and a notification's id comes from anyone."""

Json = Mapping[str, Any]
S = TypeVar("S", bound=StrEnum)


# Requests. ------------------------------------------------------------------------------------------


def payment_body(new: NewPayment) -> str:
    """Return the body of `POST /payments`. `capture` is explicit, since its default is to hold the money."""
    by_sbp = new.method is Method.SBP
    body = {
        "amount": _amount(new.amount_minor, new.currency),
        "capture": not new.hold,
        "confirmation": {"type": "qr" if by_sbp else "redirect", "return_url": new.return_url},
        "description": _shortened(new.description, DESCRIPTION_LIMIT),
        "metadata": {
            "order_id": new.order_id,
            "payment_id": new.payment_id,
            "attempt": str(new.attempt_no),
        },
    }
    if by_sbp or new.hold:  # else YooKassa's page offers all that the shop has, wallets too
        body["payment_method_data"] = {"type": "sbp" if by_sbp else "bank_card"}
    if new.receipt is not None:
        body["receipt"] = _receipt(new.receipt, new.currency)
    return _written(body)


def is_hold(payment_body: str) -> bool:
    """Return whether the payment was asked for with `capture` off."""
    return json.loads(payment_body).get("capture") is False


def tells_receipt(payment_body: str) -> bool:
    """Return whether the payment was asked for with a receipt."""
    return "receipt" in json.loads(payment_body)


def capture_body(provider_payment_id: str, amount_minor: int, currency: str, payment_body: str) -> str:
    """Return the body of `POST /payments/{id}/capture`; all of it is explicit also when all is taken."""
    return _written({"amount": _amount(amount_minor, currency), **_same_receipt(payment_body)})


def release_body(provider_payment_id: str, amount_minor: int, currency: str) -> str:
    """Return the body of `POST /payments/{id}/cancel`, which says nothing: all that is held goes back."""
    return "{}"


def refund_body(
    provider_payment_id: str, amount_minor: int, currency: str, reason: str, payment_body: str
) -> str:
    """Return the body of `POST /refunds`; amount and receipt are explicit also when all goes back."""
    body = {
        "payment_id": provider_payment_id,
        "amount": _amount(amount_minor, currency),
        "description": _shortened(reason, REFUND_DESCRIPTION_LIMIT),
    }
    return _written({**body, **_same_receipt(payment_body)})


def _same_receipt(payment_body: str) -> Json:
    receipt = json.loads(payment_body).get("receipt")
    return {"receipt": receipt} if receipt else {}


def _receipt(receipt: Receipt, currency: str) -> Json:
    """Return the receipt of one drink (54fz/parameters-values); it is sold at a machine, not on the web."""
    item = {
        "description": _shortened(receipt.description, DESCRIPTION_LIMIT),
        "quantity": 1,
        "amount": _amount(receipt.amount_minor, currency),
        "vat_code": receipt.vat_code,
        "payment_subject": receipt.payment_subject,
        "payment_mode": receipt.payment_mode,
        "measure": receipt.measure,
    }
    told: dict[str, Any] = {"customer": {"email": receipt.email}, "internet": False, "items": [item]}
    if receipt.tax_system_code is not None:
        told["tax_system_code"] = receipt.tax_system_code
    return told


def _amount(amount_minor: int, currency: str) -> dict[str, str]:
    if amount_minor <= 0:
        raise ValueError(f"an amount is at least one kopeck, not {amount_minor}")
    return {"value": amount_text(amount_minor), "currency": currency}


def _shortened(text: str, limit: int) -> str:
    return " ".join(text.split())[:limit]


def _written(body: Json) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


# Answers. -------------------------------------------------------------------------------------------


def read_object(raw: bytes) -> Json:
    """Return the JSON object of a body. Raises InDoubt: nobody can tell what such an answer means."""
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise InDoubt(f"an answer of {len(raw)} bytes that is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise InDoubt("an answer that is not a JSON object")
    return answer


def payment(answer: Json) -> PaymentSnapshot:
    """Return the payment of an answer. Raises InDoubt when its id, status or amount cannot be read."""
    try:
        value, currency = _money(answer["amount"])
        refunded = answer.get("refunded_amount")
        return PaymentSnapshot(
            provider_payment_id=_identifier(answer["id"]),
            status=_status(PaymentStatus, answer["status"], PaymentStatus.PENDING),
            amount_minor=value,
            currency=currency,
            account_id=_text_or_none(_part(answer, "recipient").get("account_id")),
            test=answer.get("test") is True,
            metadata={_text(key): _text(value) for key, value in _part(answer, "metadata").items()},
            reason=_reason(answer),
            confirmation=_confirmation(_part(answer, "confirmation")),
            refunded_minor=_money(refunded)[0] if refunded is not None else 0,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InDoubt(f"a payment that cannot be read: {error!r}") from error


def refund(answer: Json) -> RefundSnapshot:
    """Return the refund of an answer. Raises InDoubt when it cannot be read."""
    try:
        value, currency = _money(answer["amount"])
        return RefundSnapshot(
            provider_refund_id=_identifier(answer["id"]),
            provider_payment_id=_identifier(answer["payment_id"]),
            status=_status(RefundStatus, answer["status"], RefundStatus.PENDING),
            amount_minor=value,
            currency=currency,
            reason=_reason(answer),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InDoubt(f"a refund that cannot be read: {error!r}") from error


def receipt(answer: Json) -> ReceiptSnapshot:
    """Return the receipt of an answer; registered without all its numbers, it counts as pending."""
    kind, status = answer.get("type"), answer.get("status")
    if kind not in ("payment", "refund") or not isinstance(status, str):
        raise InDoubt(f"a receipt that cannot be read: type {_text(kind)[:40]}")
    storage, document, attribute = (_number(answer.get(name)) for name in _FISCAL_NUMBERS)
    registered_at = _text(answer.get("registered_at", ""))
    whole = bool(storage and document and attribute and _INSTANT.match(registered_at))
    known: Literal["pending", "succeeded", "canceled"] = "pending"
    if status == "canceled" or (status == "succeeded" and whole):
        known = "canceled" if status == "canceled" else "succeeded"
    return ReceiptSnapshot(kind, known, storage, document, attribute, registered_at)


_FISCAL_NUMBERS = ("fiscal_storage_number", "fiscal_document_number", "fiscal_attribute")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")


def _number(value: object) -> str:
    """Return digits as they are, and nothing for what is no number."""
    written = _text(value)
    return written if re.fullmatch(r"[0-9]{1,20}", written) else ""


def unknown_status(answer: Json) -> str:
    """Return the object's status if neither payments nor refunds are known to have it; else nothing."""
    status = _text(answer.get("status", ""))
    return "" if status in set(PaymentStatus) else status


def page(answer: Json) -> tuple[list[Json], str | None]:
    """Return the objects of one page of a list, and the cursor of the next. Raises InDoubt."""
    items = answer.get("items", [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InDoubt("a list that cannot be read")
    return items, _text_or_none(answer.get("next_cursor"))


def _status(known: type[S], value: object, otherwise: S) -> S:
    if not isinstance(value, str):
        raise ValueError("a status is a text")
    return known(value) if value in set(known) else otherwise


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not OBJECT_ID.fullmatch(value):
        raise ValueError(f"not an id: {_text(value)[:80]!r}")
    return value


def _money(amount: Any) -> tuple[int, str]:
    value, currency = amount["value"], amount["currency"]
    if not isinstance(value, str) or not isinstance(currency, str):
        raise ValueError("an amount is two texts")
    return minor_units(value), _text(currency)


def _reason(answer: Json) -> str:
    details = _part(answer, "cancellation_details")
    return _text(details.get("reason", ""))


def _confirmation(told: Json) -> Confirmation | None:
    if told.get("type") == "qr":
        url = _web_address(told.get("confirmation_data"))
        return Confirmation("qr", url) if url else None
    url = _web_address(told.get("confirmation_url"))
    return Confirmation("redirect", url) if url else None


def _web_address(value: object) -> str | None:
    text = _text(value)
    return text if text.startswith(("https://", "http://")) else None


def _part(answer: Json, name: str) -> Json:
    part = answer.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str:
    # JSON can carry half a surrogate pair, which no database takes.
    return str(value).encode("utf-8", "replace").decode()


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


# Refusals. ------------------------------------------------------------------------------------------

UNCERTAIN_4XX = frozenset({408, 409, 425})
"""Not from YooKassa's list: a proxy's, or of a request whose twin still runs. Said of no final outcome."""


def refusal(status: int, raw: bytes, reading: bool, retry_after: str = "") -> ProviderError:
    """Return what an answer other than 200 means (response-handling/http-codes).

    `reading` is true of a request that changes nothing. `retry_after` is the HTTP header, in seconds.
    """
    try:
        told = read_object(raw)
    except InDoubt:
        told = {}
    detail = f"HTTP {status} {_text(told.get('code', ''))} {_text(told.get('description', ''))[:200]}".strip()
    if status in (401, 403):
        return Misconfigured(detail)
    if status in (404, 410) and reading:
        return NotFound(detail)
    if status == 429:
        return RetryLater(detail, _patience(told, retry_after) or RETRY_AFTER_S)
    if 400 <= status < 500 and status not in UNCERTAIN_4XX:
        return Declined(detail, _text(told.get("code", "")), _text(told.get("parameter", "")))
    return InDoubt(detail, _patience(told, retry_after))


def _patience(told: Json, retry_after: str) -> float | None:
    """Return the seconds they ask us to wait: the body's `retry_after` (milliseconds), or the header's."""
    milliseconds = told.get("retry_after")
    if isinstance(milliseconds, int) and not isinstance(milliseconds, bool) and milliseconds > 0:
        return min(milliseconds / 1000, RETRY_AFTER_LIMIT_S)
    if re.fullmatch(r"[0-9]{1,6}", retry_after):
        return min(float(retry_after), RETRY_AFTER_LIMIT_S) or None
    return None


# Notifications. -------------------------------------------------------------------------------------


def parse_notification(raw: bytes) -> Hint:
    """Return what a notification is about (using-api/webhooks). It has no signature: nothing in it is proved.

    Raises NotANotification, and OfNoConcern for events of other objects.
    """
    if len(raw) > NOTIFICATION_LIMIT_BYTES:
        raise NotANotification(f"{len(raw)} bytes: longer than any notification")
    try:
        told = read_object(raw)
    except InDoubt as error:
        raise NotANotification(str(error)) from error
    if told.get("type") != "notification":
        raise NotANotification("`type` is not `notification`")
    event = told.get("event")
    if not isinstance(event, str) or not re.fullmatch(r"[a-z0-9_]{1,40}\.[a-z0-9_]{1,40}", event):
        raise NotANotification("`event` does not look like `payment.succeeded`")
    return _hint(event, _part(told, "object"))


def _hint(event: str, of: Json) -> Hint:
    kind: Literal["payment", "refund"]
    try:
        match event.partition(".")[0]:
            case "payment":
                kind, payment_id = "payment", _identifier(of.get("id"))
            case "refund":
                kind, payment_id = "refund", _identifier(of.get("payment_id"))
            case _:
                raise OfNoConcern(f"an event of neither payments nor refunds: {event}")
        return Hint(event, kind, _identifier(of.get("id")), payment_id)
    except OfNoConcern:
        raise
    except ValueError as error:
        raise NotANotification(f"`object`: {error}") from error
