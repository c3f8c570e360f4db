"""T-Bank's acquiring API v2 as texts: the token, request bodies, answers, refusals and notifications. Pure.

Facts are from developer.tbank.ru/eacq (pages named below). Every call is a POST whose answer is HTTP 200 also
when it is refused; `Success` and `ErrorCode` tell, and `tbank_codes` knows what of. Money is kopecks, an int.
Unknown fields are ignored, since T-Bank adds some; what money depends on is read strictly.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NoReturn

from server.payments import (
    Confirmation,
    Credentials,
    Hint,
    InDoubt,
    NotANotification,
    OfNoConcern,
    PaymentSnapshot,
    PaymentStatus,
    RefundSnapshot,
)
from server.payments.tbank_codes import http_refusal, payment_status, refund_status, refund_told, refusal

BASE_URL = "https://securepay.tinkoff.ru/v2"
CURRENCY = "RUB"
"""The only one that T-Bank takes; its answers do not name it."""

ORDER_ID_LIMIT = 50
DESCRIPTION_LIMIT = 140
REQUEST_ID_LIMIT = 255
NOTIFICATION_LIMIT_BYTES = 64 * 1024

A_PART = 0
"""The amount of a refund of which it is only known that it is not of everything."""

NOTIFICATION_REPLY = "OK"
"""The body that acknowledges a notification, with HTTP 200; anything else has it sent again."""

PAYMENT_ID = re.compile(r"[0-9]{1,20}")
_STATUS = re.compile(r"[A-Z0-9_]{1,40}")
_MOSCOW = timezone(timedelta(hours=3))

Json = Mapping[str, Any]


# The token (intro/developer/token). -----------------------------------------------------------------


def token(fields: Mapping[str, object], password: str) -> str:
    """Return the token of a request or a notification: SHA-256 over the values of its scalar root fields.

    `Token` itself, nulls, objects and lists do not count. The values are joined in the order of their names,
    the password's among them under the name `Password`.
    """
    counted = {name: _plain(value) for name, value in fields.items() if name != "Token"}
    counted["Password"] = password
    joined = "".join(value for _, value in sorted(counted.items()) if value is not None)
    return hashlib.sha256(joined.encode("utf-8", "replace")).hexdigest()


def verify(fields: Mapping[str, object], password: str) -> bool:
    """Say whether the fields carry the right `Token`; all that came count, also those not known here."""
    given = fields.get("Token")
    if not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode("utf-8", "replace"), token(fields, password).encode())


def _plain(value: object) -> str | None:
    """Return a scalar as the token takes it; None for what does not count."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    return str(value) if isinstance(value, int | str) else None


# Requests. ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Init:
    """What a payment is asked for with (api/init). `order_id` is unique per attempt: our payment's id."""

    order_id: str
    amount_minor: int
    description: str
    two_stage: bool
    """The money is held at first, and taken by `Confirm`. Not with SBP."""
    due_at_ms: int
    """Until when it may be paid: from one minute to 90 days ahead."""
    notification_url: str
    success_url: str
    fail_url: str
    receipt: Json | None = None


def init_facts(init: Init) -> dict[str, object]:
    """Return what `Init` is asked with, but for the terminal's key and the token."""
    return {
        "Amount": _amount(init.amount_minor),
        "OrderId": _identifier(init.order_id, ORDER_ID_LIMIT),
        "Description": " ".join(init.description.split())[:DESCRIPTION_LIMIT],
        "PayType": "T" if init.two_stage else "O",
        "RedirectDueDate": due_date_text(init.due_at_ms),
        "NotificationURL": init.notification_url,
        "SuccessURL": init.success_url,
        "FailURL": init.fail_url,
    }


def init_body(credentials: Credentials, init: Init) -> str:
    """Return the body of `Init`. A repeat of it is refused: only `CheckOrder` finds a payment again."""
    return signed(credentials, init_facts(init), init.receipt)


def get_state_body(credentials: Credentials, payment_id: str) -> str:
    """Return the body of `GetState`."""
    return signed(credentials, {"PaymentId": payment_id})


def confirm_body(
    credentials: Credentials, payment_id: str, amount_minor: int, receipt: Json | None = None
) -> str:
    """Return the body of `Confirm`, which takes money that is held."""
    return signed(credentials, {"PaymentId": payment_id, "Amount": _amount(amount_minor)}, receipt)


def cancel_body(
    credentials: Credentials, payment_id: str, amount_minor: int, request_id: str, receipt: Json | None = None
) -> str:
    """Return the body of `Cancel`: unpaid, it ends the payment; held or taken, the money goes back.

    The amount is explicit also when all goes back, since without one all would. With the same `request_id` it
    happens once. A receipt belongs to a part only: what it lists goes back.
    """
    asked: dict[str, object] = {
        "PaymentId": payment_id,
        "Amount": _amount(amount_minor),
        "ExternalRequestId": _identifier(request_id, REQUEST_ID_LIMIT),
    }
    return signed(credentials, asked, receipt)


def check_order_body(credentials: Credentials, order_id: str) -> str:
    """Return the body of `CheckOrder`, which tells of an `Init` whose answer was lost."""
    return signed(credentials, {"OrderId": _identifier(order_id, ORDER_ID_LIMIT)})


def get_qr_body(credentials: Credentials, payment_id: str) -> str:
    """Return the body of `GetQr`, which makes the payment one of SBP."""
    return signed(credentials, {"PaymentId": payment_id, "DataType": "PAYLOAD"})


def due_date_text(at_ms: int) -> str:
    """Return UTC milliseconds as T-Bank writes a time, its part of a second left off."""
    instant = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(_MOSCOW)
    return instant.isoformat(timespec="seconds")


def signed(credentials: Credentials, asked: Mapping[str, object], receipt: Json | None = None) -> str:
    """Return the body of a request: what is asked, with the terminal's key and the token."""
    body = {"TerminalKey": credentials.account_id, **asked}
    body["Token"] = token(body, credentials.secret_key)
    if receipt is not None:
        body["Receipt"] = receipt
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _amount(minor: int) -> int:
    if minor <= 0:
        raise ValueError(f"an amount is at least one kopeck, not {minor}")
    return minor


def _identifier(value: str, limit: int) -> str:
    if not 0 < len(value) <= limit:
        raise ValueError(f"not 1 to {limit} characters: {value[:80]!r}")
    return value


# Answers. -------------------------------------------------------------------------------------------


def read_answer(http_status: int, raw: bytes, reading: bool = False) -> Json:
    """Return the answer of a call that succeeded; raises ProviderError, which says how it ended otherwise.

    `reading` is true of a call that changes nothing; such an answer is returned also when it only tells that
    the payment itself has failed.
    """
    if http_status != 200:
        raise http_refusal(http_status)
    answer = _object(raw)
    code = _text(answer.get("ErrorCode"))
    if answer.get("Success") in (True, "true") and code == "0":
        return answer
    if reading and {"PaymentId", "OrderId", "Status", "Amount"} <= answer.keys():
        return answer
    if answer.get("Success") not in (False, "false") or code in ("", "0"):
        raise InDoubt(f"an answer that contradicts itself: Success and error {code!r}")
    words = " ".join(_text(answer.get(name))[:200] for name in ("Message", "Details"))
    raise refusal(code, words, reading)


def payment(answer: Json, two_stage: bool) -> PaymentSnapshot:
    """Return the payment of an answer to `Init` or `GetState`. Raises InDoubt when it cannot be read.

    `refunded_minor` is all of it also while it is on its way, and of a part one kopeck: T-Bank does not tell
    how much.
    """
    try:
        status = _status(answer["Status"])
        amount_minor = _kopecks(answer["Amount"])
        meaning = payment_status(status, two_stage)
        terminal_key, url = _text(answer["TerminalKey"]), _web_address(answer.get("PaymentURL"))
        return PaymentSnapshot(
            provider_payment_id=_payment_id(answer["PaymentId"]),
            status=meaning,
            amount_minor=amount_minor,
            currency=CURRENCY,
            account_id=terminal_key,
            test=terminal_key.endswith("DEMO"),
            metadata={"payment_id": _text(answer["OrderId"])},
            reason=status if meaning is PaymentStatus.CANCELED else "",
            confirmation=Confirmation("redirect", url) if url else None,
            refunded_minor=_refunded(status, amount_minor),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InDoubt(f"a payment that cannot be read: {error!r}") from error


def _refunded(status: str, amount_minor: int) -> int:
    if refund_told(status) is None:
        return 0
    return 1 if status == "PARTIAL_REFUNDED" else amount_minor


def payments_of_order(answer: Json, two_stage: bool) -> Sequence[PaymentSnapshot]:
    """Return every payment of an answer to `CheckOrder`. Raises InDoubt when one cannot be read."""
    listed = answer.get("Payments")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise InDoubt("an order whose payments cannot be read")
    about = {name: answer.get(name) for name in ("TerminalKey", "OrderId")}
    return [payment({**item, **about}, two_stage) for item in listed]


def confirmed(answer: Json) -> PaymentStatus:
    """Return what an answer to `Confirm` says; it has no amount. Raises InDoubt when it cannot be read."""
    try:
        return payment_status(_status(answer["Status"]), two_stage=True)
    except (KeyError, ValueError) as error:
        raise InDoubt(f"an answer to Confirm that cannot be read: {error!r}") from error


def refund(answer: Json, request_id: str) -> RefundSnapshot:
    """Return the refund of an answer to `Cancel`. Raises InDoubt when it cannot be read.

    T-Bank gives refunds no ids; ours is the `ExternalRequestId`. The amount is what the answer says that the
    payment has lost by it.
    """
    try:
        return RefundSnapshot(
            provider_refund_id=request_id,
            provider_payment_id=_payment_id(answer["PaymentId"]),
            status=refund_status(_status(answer["Status"])),
            amount_minor=_kopecks(answer["OriginalAmount"]) - _kopecks(answer["NewAmount"]),
            currency=CURRENCY,
            reason="",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InDoubt(f"an answer to Cancel that cannot be read: {error!r}") from error


def refund_told_of(answer: Json) -> RefundSnapshot | None:
    """Return the refund that an answer to `GetState` tells of; None: there is none. Raises InDoubt.

    It may be anybody's. Of one of a part T-Bank does not tell how much: its amount is A_PART.
    """
    of = payment(answer, two_stage=False)
    status = refund_told(answer["Status"])
    if status is None:
        return None
    return RefundSnapshot(
        provider_refund_id=refund_id(of.provider_payment_id),
        provider_payment_id=of.provider_payment_id,
        status=status,
        amount_minor=A_PART if answer["Status"] == "PARTIAL_REFUNDED" else of.amount_minor,
        currency=CURRENCY,
        reason="",
    )


def refund_id(payment_id: str) -> str:
    """Return our name of a payment's refund at T-Bank, which gives it none."""
    return f"{payment_id}/refund"


def qr_link(answer: Json) -> str:
    """Return the link of an answer to `GetQr`, to be opened or drawn. Raises InDoubt without one."""
    link = _web_address(answer.get("Data"))
    if link is None:
        raise InDoubt("an answer to GetQr without a link")
    return link


def _object(raw: bytes) -> Json:
    try:
        # A fraction stays as it is written: so the token counts it, and no amount has one.
        answer = json.loads(raw, parse_float=str, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InDoubt(f"an answer of {len(raw)} bytes that is not JSON: {error}") from error
    if not isinstance(answer, dict):
        raise InDoubt("an answer that is not a JSON object")
    return answer


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _status(value: object) -> str:
    if not isinstance(value, str) or not _STATUS.fullmatch(value):
        raise ValueError(f"not a status: {_text(value)[:80]!r}")
    return value


def _payment_id(value: object) -> str:
    """Return the id of a payment, which T-Bank writes as a number or as a text."""
    text = "" if isinstance(value, bool) else _text(value)
    if not PAYMENT_ID.fullmatch(text):
        raise ValueError(f"not a payment's id: {text[:80]!r}")
    return text


def _kopecks(value: object) -> int:
    """Return an amount, which some of the documentation's samples write as a text of digits."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,15}", value):
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"not kopecks: {_text(value)[:80]!r}")
    return value


def _web_address(value: object) -> str | None:
    text = _text(value)
    return text if text.startswith(("https://", "http://")) else None


def _text(value: object) -> str:
    # JSON can carry half a surrogate pair, which no database takes.
    return "" if value is None else str(value).encode("utf-8", "replace").decode()


# Notifications (intro/developer/notification). ------------------------------------------------------


@dataclass(frozen=True)
class Notification:
    """What a notification claims. Only the token proves that it is T-Bank's, and only `GetState` that it is
    still so."""

    terminal_key: str
    order_id: str
    payment_id: str
    status: str
    amount_minor: int
    """The current amount of the payment: after a refund less than what was paid."""
    fields: Json = field(repr=False)
    """All that came, for `verify`."""

    @property
    def hint(self) -> Hint:
        """What to ask the provider about."""
        return Hint(self.status, "payment", self.payment_id, self.payment_id)


def parse_notification(raw: bytes) -> Notification:
    """Return what a notification claims; nothing in it is proved.

    Raises NotANotification, and OfNoConcern for those of cards and accounts that customers have bound.
    """
    if len(raw) > NOTIFICATION_LIMIT_BYTES:
        raise NotANotification(f"{len(raw)} bytes: longer than any notification")
    try:
        told = _object(raw)
    except InDoubt as error:
        raise NotANotification(str(error)) from error
    if "NotificationType" in told:
        raise OfNoConcern(f"a notification of another kind: {_text(told['NotificationType'])[:40]!r}")
    try:
        return Notification(
            terminal_key=_named(told, "TerminalKey"),
            order_id=_named(told, "OrderId"),
            payment_id=_payment_id(told.get("PaymentId")),
            status=_status(told.get("Status")),
            amount_minor=_kopecks(told.get("Amount")),
            fields=told,
        )
    except ValueError as error:
        raise NotANotification(str(error)) from error


def _named(told: Json, name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= ORDER_ID_LIMIT:
        raise ValueError(f"`{name}` is not a text of 1 to {ORDER_ID_LIMIT} characters")
    return _text(value)
