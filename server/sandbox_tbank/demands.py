"""What a shop may ask of the sandbox T-Bank: requests read and checked as T-Bank checks them. Pure.

A request is the JSON object after its token was found right. Amounts are kopecks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from server.payments.notation import instant_ms
from server.payments.tbank_api import DESCRIPTION_LIMIT, ORDER_ID_LIMIT, PAYMENT_ID, REQUEST_ID_LIMIT
from server.sandbox_tbank.receipt import check_receipt
from server.sandbox_tbank.refusals import Refused

CARD_LEAST_MINOR = 100
CARD_MOST_MINOR = 350_000_00
SBP_LEAST_MINOR = 1000
CANCEL_LEAST_MINOR = 100

LIFE_MS = 24 * 60 * 60 * 1000
"""How long a payment may be paid when `RedirectDueDate` does not say."""
LIFE_LEAST_MS = 60 * 1000
LIFE_MOST_MS = 90 * 24 * 60 * 60 * 1000

Body = Mapping[str, Any]


@dataclass(frozen=True)
class InitDemand:
    """A checked `Init`."""

    order_id: str
    amount_minor: int
    description: str
    two_stage: bool
    due_at: int
    notification_url: str
    success_url: str
    fail_url: str
    with_receipt: bool


class CancelDemand(NamedTuple):
    """A checked `Cancel`; whether the amount is too much is the payment's matter."""

    payment_id: str
    amount_minor: int | None
    """None: everything."""
    request_id: str
    receipt: object


def init_demand(body: Body, now_ms: int, receipts_required: bool) -> InitDemand:
    """Return the payment that is asked for. Raises Refused."""
    amount_minor = _amount(body, CARD_LEAST_MINOR)
    if amount_minor > CARD_MOST_MINOR:
        raise Refused("251", f"Сумма должна быть меньше или равна {CARD_MOST_MINOR} копеек.")
    pay_type = body.get("PayType", "O")
    if pay_type not in ("O", "T"):
        raise Refused("1", "PayType")
    if "Receipt" in body or receipts_required:
        check_receipt(body.get("Receipt"), amount_minor)
    return InitDemand(
        order_id=order_id(body),
        amount_minor=amount_minor,
        description=_text(body, "Description", "213", DESCRIPTION_LIMIT),
        two_stage=pay_type == "T",
        due_at=_due_at(body, now_ms),
        notification_url=_address(body, "NotificationURL"),
        success_url=_address(body, "SuccessURL"),
        fail_url=_address(body, "FailURL"),
        with_receipt="Receipt" in body,
    )


def cancel_demand(body: Body) -> CancelDemand:
    """Return what is to be given back. Raises Refused."""
    amount_minor = _amount(body, CANCEL_LEAST_MINOR) if "Amount" in body else None
    request_id = _text(body, "ExternalRequestId", "1", REQUEST_ID_LIMIT)
    return CancelDemand(payment_id(body), amount_minor, request_id, body.get("Receipt"))


def confirm_amount(body: Body) -> int | None:
    """Return how much of the held money to take; None: all of it. Raises Refused."""
    return _amount(body, CARD_LEAST_MINOR) if "Amount" in body else None


def payment_id(body: Body) -> str:
    """Return the id of the payment that is asked about, a text or a number. Raises Refused."""
    value = body.get("PaymentId")
    if isinstance(value, bool) or not PAYMENT_ID.fullmatch(str(value)):
        raise Refused("201", "PaymentId")
    return str(value)


def order_id(body: Body) -> str:
    """Return the shop's name of the order. Raises Refused."""
    value = _text(body, "OrderId", "212", ORDER_ID_LIMIT)
    if not value:
        raise Refused("201", "OrderId")
    return value


def check_qr(body: Body) -> None:
    """Check a `GetQr`: this bank gives links and draws no pictures. Raises Refused."""
    if body.get("DataType", "PAYLOAD") != "PAYLOAD":
        raise Refused("1", "DataType")


def sbp_test_result(body: Body) -> str:
    """Return the status that `SbpPayTest` shall bring about. Raises Refused."""
    flags = [body.get(name, False) for name in ("IsDeadlineExpired", "IsRejected")]
    if not all(isinstance(flag, bool) for flag in flags) or all(flags):
        raise Refused("1", "IsDeadlineExpired, IsRejected")
    expired, rejected = flags
    return "DEADLINE_EXPIRED" if expired else "REJECTED" if rejected else "CONFIRMED"


def _amount(body: Body, least: int) -> int:
    value = body.get("Amount")
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("251", "Amount")
    if value < least:
        raise Refused("251", f"Сумма должна быть больше или равна {least} копеек.")
    return value


def _due_at(body: Body, now_ms: int) -> int:
    if "RedirectDueDate" not in body:
        return now_ms + LIFE_MS
    try:
        due_at = instant_ms(str(body["RedirectDueDate"]))
    except (ValueError, OverflowError):
        raise Refused("12", "YYYY-MM-DDTHH24:MI:SS+GMT") from None
    if not LIFE_LEAST_MS <= due_at - now_ms <= LIFE_MOST_MS:
        raise Refused("12", "1 минута … 90 дней")
    return due_at


def _address(body: Body, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or (value and not re.fullmatch(r"https?://[!-~]{1,2000}", value)):
        raise Refused("1", name)
    return value


def _text(body: Body, name: str, code: str, limit: int) -> str:
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > limit:
        raise Refused(code, f"{name}: 0 … {limit}")
    return value
