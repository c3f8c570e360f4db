"""What a shop may ask of the sandbox bank: requests checked as YooKassa checks them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from server.payments.notation import instant_ms
from server.sandbox import checks, receipts
from server.sandbox.checks import CURRENCY, Json, refuse
from server.sandbox.receipts import Content

CARD = "bank_card"
SBP = "sbp"
MOST_MINOR = {CARD: 350_000_00, SBP: 700_000_00}
"""What each way may pay at once, in kopecks; at least a rouble."""
LEAST_MINOR = 100

KEY = re.compile(r"[0-9a-zA-Z+\-_.]{1,64}")
OBJECT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
DESCRIPTION_LIMIT = 128
REFUND_DESCRIPTION_LIMIT = 250
ADDRESS_LIMIT = 2048
PAGE_DEFAULT = 10
PAGE_LIMIT = 100

_STATUSES = {
    "payments": {"pending", "waiting_for_capture", "succeeded", "canceled"},
    "refunds": {"pending", "succeeded", "canceled"},
    "receipts": {"pending", "succeeded", "canceled"},
}


@dataclass(frozen=True)
class PaymentDemand:
    """A checked `POST /payments`."""

    amount_minor: int
    capture: bool
    methods: tuple[str, ...]
    """The ways to pay that the customer may choose from."""
    method: str
    """The way that the shop has chosen; "": it leaves it to the customer."""
    confirmation: str
    """`redirect` or `qr`."""
    return_url: str
    """"": the customer stays at the bank's."""
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    receipt: Content | None = None
    currency: str = CURRENCY


@dataclass(frozen=True)
class CaptureDemand:
    """A checked `POST /payments/{id}/capture`."""

    amount_minor: int | None = None
    """None: all that is held."""
    receipt: Content | None = None


@dataclass(frozen=True)
class RefundDemand:
    """A checked `POST /refunds`."""

    payment_id: str
    amount_minor: int
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    receipt: Content | None = None
    currency: str = CURRENCY


@dataclass(frozen=True)
class ReceiptDemand:
    """A checked `POST /receipts`: for a payment, or for a refund; the other id is ""."""

    kind: str
    payment_id: str
    refund_id: str
    content: Content


@dataclass(frozen=True)
class ListDemand:
    """A checked question for a list; instants are UTC milliseconds, the upper one is excluded."""

    since_ms: int
    before_ms: int
    status: str
    payment_id: str
    refund_id: str
    limit: int
    after: tuple[int, str] | None
    """The creation time and id of the last object of the page before."""


def payment_demand(body: Json) -> PaymentDemand:
    """Return the payment that is asked for. Raises Refused, naming the parameter."""
    amount_minor = checks.money(body)
    capture = checks.flag(body, "capture", default=False)
    method = _method(body)
    if method == SBP and not capture:
        refuse("capture", "SBP cannot hold money: capture must be true")
    candidates = (method,) if method else (CARD, SBP) if capture else (CARD,)
    methods = tuple(each for each in candidates if LEAST_MINOR <= amount_minor <= MOST_MINOR[each])
    if not methods:
        refuse("amount.value", "Less or more than can be paid so")
    confirmation, return_url = _confirmation(body, method)
    return PaymentDemand(
        amount_minor=amount_minor,
        capture=capture,
        methods=methods,
        method=method,
        confirmation=confirmation,
        return_url=return_url,
        description=checks.text(body, "description", DESCRIPTION_LIMIT),
        metadata=checks.metadata(body),
        receipt=receipts.content_of(body, amount_minor),
    )


def capture_demand(body: Json) -> CaptureDemand:
    """Return how much of the hold to take. Raises Refused."""
    if "amount" in body:
        amount_minor = checks.money(body)
        return CaptureDemand(amount_minor, receipts.content_of(body, amount_minor))
    receipt = receipts.content(checks.part(body, "receipt")) if "receipt" in body else None
    return CaptureDemand(None, receipt)


def refund_demand(body: Json) -> RefundDemand:
    """Return the refund that is asked for. Raises Refused, naming the parameter."""
    payment_id, amount_minor = checks.identifier(body, "payment_id"), checks.money(body)
    return RefundDemand(
        payment_id=payment_id,
        amount_minor=amount_minor,
        description=checks.text(body, "description", REFUND_DESCRIPTION_LIMIT),
        metadata=checks.metadata(body),
        receipt=receipts.content_of(body, amount_minor),
    )


def receipt_demand(body: Json) -> ReceiptDemand:
    """Return the receipt that is asked for after its payment or refund. Raises Refused."""
    kind = body.get("type")
    if kind not in ("payment", "refund"):
        refuse("type", "Neither payment nor refund")
    if body.get("send") is not True:
        refuse("send", "Must be true")
    of_refund = kind == "refund" and "refund_id" in body
    settled = receipts.settlements(body)
    content = receipts.content(body, inside="")
    if receipts.total_minor(content) != sum(checks.money(each) for each in settled):
        refuse("settlements", "The sum of the settlements is not that of the items")
    return ReceiptDemand(
        kind=kind,
        payment_id="" if of_refund else checks.identifier(body, "payment_id"),
        refund_id=checks.identifier(body, "refund_id") if of_refund else "",
        content={**content, "settlements": settled},
    )


def list_demand(kind: str, query: Mapping[str, str]) -> ListDemand:
    """Return what a list of `payments`, `refunds` or `receipts` shall hold. Raises Refused."""
    status = query.get("status", "")
    if status and status not in _STATUSES[kind]:
        refuse("status", "No such status")
    limit = query.get("limit", str(PAGE_DEFAULT))
    if not re.fullmatch(r"[0-9]{1,3}", limit) or not 1 <= int(limit) <= PAGE_LIMIT:
        refuse("limit", f"Not a number from 1 to {PAGE_LIMIT}")
    refund_id = query.get("refund_id", "")
    if refund_id and ("payment_id" in query or not OBJECT_ID.fullmatch(refund_id)):
        refuse("refund_id", "Not an id, or payment_id is given as well")
    since = max(_instant(query, "created_at.gte", 0), _instant(query, "created_at.gt", -1) + 1)
    before = min(_instant(query, "created_at.lt", 2**62), _instant(query, "created_at.lte", 2**62 - 1) + 1)
    return ListDemand(
        since_ms=since,
        before_ms=before,
        status=status,
        payment_id=query.get("payment_id", ""),
        refund_id=refund_id,
        limit=int(limit),
        after=_cursor(query.get("cursor", "")),
    )


def cursor_after(created_at: int, object_id: str) -> str:
    """Return the cursor of the page that follows an object."""
    return f"{created_at}_{object_id}"


def check_key(key: str | None) -> str:
    """Return a valid Idempotence-Key. Raises Refused."""
    if not key:
        refuse("Idempotence-Key", "Idempotence key is missing")
    if not KEY.fullmatch(key):
        refuse("Idempotence-Key", "Idempotence key is too long or has wrong characters")
    return key


def _method(body: Json) -> str:
    if "payment_method_data" not in body:
        return ""
    method = checks.part(body, "payment_method_data").get("type")
    if method not in (CARD, SBP):
        refuse("payment_method_data.type", "This shop takes cards and SBP only")
    return str(method)


def _confirmation(body: Json, method: str) -> tuple[str, str]:
    """Return the kind of confirmation and where the customer goes afterwards; only SBP may leave that out."""
    confirmation = checks.part(body, "confirmation", {})
    kind = confirmation.get("type")
    if kind not in ("redirect", "qr"):
        refuse("confirmation.type", "This shop confirms by redirect or by QR code only")
    if kind == "qr" and method != SBP:
        refuse("confirmation.type", "A QR code is for SBP only")
    if confirmation.get("locale", "ru_RU") not in ("ru_RU", "en_US"):
        refuse("confirmation.locale", "Neither ru_RU nor en_US")
    if kind == "qr" and "return_url" not in confirmation:
        return kind, ""
    return_url = confirmation.get("return_url")
    if not isinstance(return_url, str) or not re.fullmatch(r"https?://[!-~]+", return_url):
        refuse("confirmation.return_url", "Not an address")
    if len(return_url) > ADDRESS_LIMIT:
        refuse("confirmation.return_url", f"Longer than {ADDRESS_LIMIT}")
    return kind, return_url


def _instant(query: Mapping[str, str], name: str, default: int) -> int:
    if name not in query:
        return default
    try:
        return instant_ms(query[name])
    except ValueError:
        refuse(name, "Not an ISO 8601 instant with a zone")


def _cursor(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,15})_([0-9A-Za-z-]{1,64})", text)
    if not found:
        refuse("cursor", "Not a cursor of this list")
    return int(found[1]), found[2]
