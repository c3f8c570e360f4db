"""Receipts by 54-FZ: what a shop may send for one, and how a receipt comes to be and is registered. Pure.

A `Content` is what goes on the receipt, as the shop has sent it; a receipt is the JSON object of the API
(yookassa.ru/developers/payment-acceptance/receipts/54fz/other-services/parameters-values).
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from server.sandbox import checks
from server.sandbox.checks import Json, refuse

Content = Mapping[str, Any]

ITEMS_LIMIT = 100
DESCRIPTION_LIMIT = 128
NAME_LIMIT = 256
QUANTITY_MOST = Decimal("99999.999")
VAT_CODES = range(1, 13)
TAX_SYSTEMS = range(1, 7)
TIMEZONES = range(1, 12)


def _values(words: str) -> frozenset[str]:
    return frozenset(words.split())


MEASURES = _values(
    "piece gram kilogram ton centimeter decimeter meter square_centimeter square_decimeter square_meter"
    " milliliter liter cubic_meter kilowatt_hour gigacalorie day hour minute second"
    " kilobyte megabyte gigabyte terabyte another"
)
PAYMENT_SUBJECTS = _values(
    "commodity excise job service gambling_bet gambling_prize lottery lottery_prize intellectual_activity"
    " payment agent_commission property_right non_operating_gain insurance_premium sales_tax resort_fee"
    " composite another fine tax lien cost pension_insurance_without_payouts pension_insurance_with_payouts"
    " health_insurance_without_payouts health_insurance_with_payouts health_insurance casino"
    " agent_withdrawals non_marked_excise marked_excise marked non_marked"
)
PAYMENT_MODES = _values(
    "full_prepayment partial_prepayment advance full_payment partial_payment credit credit_payment"
)
SETTLEMENTS = _values("cashless prepayment postpayment consideration")

FISCAL_STORAGE_NUMBER = "9999078900000001"
"""The one cash register's storage; a real one starts with other digits."""
REGISTER_ZONE = timezone(timedelta(hours=3))
"""The cash register stands in Moscow, and its instants carry that offset."""

_QUANTITY = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"[0-9]{5,15}")
_INN = re.compile(r"[0-9]{10}|[0-9]{12}")
_LISTS = {"measure": MEASURES, "payment_subject": PAYMENT_SUBJECTS, "payment_mode": PAYMENT_MODES}
_CODES = {"tax_system_code": TAX_SYSTEMS, "timezone": TIMEZONES}


# What a shop sends. ---------------------------------------------------------------------------------


def content(body: Json, inside: str = "receipt.") -> Content:
    """Return what goes on the receipt. Raises Refused, naming the parameter below the path `inside`."""
    kept: dict[str, Any] = {
        "items": _items(body, inside),
        "internet": checks.flag(body, "internet", True, inside),
    }
    _check_customer(checks.part(body, "customer", inside=inside), inside + "customer.")
    for name, codes in _CODES.items():
        if name in body:
            kept[name] = _code(body[name], codes, inside + name)
    return kept


def content_of(body: Json, amount_minor: int) -> Content | None:
    """Return the `receipt` of a request that moves `amount_minor`, which its items must add up to."""
    if "receipt" not in body:
        return None
    found = content(checks.part(body, "receipt"))
    check_total(found, amount_minor)
    return found


def settlements(body: Json) -> list[dict[str, Any]]:
    """Return how a receipt that comes later was paid. Raises Refused."""
    given = body.get("settlements")
    if not isinstance(given, list) or not given:
        refuse("settlements", "Missing, or not a list")
    return [_settlement(each, f"settlements[{number}].") for number, each in enumerate(given)]


def check_total(found: Content, amount_minor: int) -> None:
    """Refuse a receipt whose items do not add up to the money."""
    if total_minor(found) != amount_minor:
        refuse("receipt.items", "The sum of the items is not the amount")


def total_minor(found: Content) -> int:
    """Return the kopecks of all items: quantity by the price of one, each rounded to a kopeck."""
    return sum(_position_minor(item) for item in found["items"])


def _position_minor(item: Json) -> int:
    price = Decimal(item["amount"]["value"]) * 100
    return int((Decimal(str(item["quantity"])) * price).quantize(Decimal(1), ROUND_HALF_UP))


def _items(body: Json, inside: str) -> list[dict[str, Any]]:
    given = body.get("items")
    if not isinstance(given, list) or not 1 <= len(given) <= ITEMS_LIMIT:
        refuse(inside + "items", f"Not a list of 1 to {ITEMS_LIMIT} items")
    return [_item(each, f"{inside}items[{number}].") for number, each in enumerate(given)]


def _item(given: Any, inside: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        refuse(inside.rstrip("."), "Not an object")
    checks.money(given, inside=inside)
    item = {
        "description": checks.text(given, "description", DESCRIPTION_LIMIT, inside, least=1),
        "quantity": _quantity(given.get("quantity"), inside + "quantity"),
        "amount": {"value": given["amount"]["value"], "currency": given["amount"]["currency"]},
        "vat_code": _code(given.get("vat_code"), VAT_CODES, inside + "vat_code"),
    }
    for name, values in _LISTS.items():
        if name in given:
            item[name] = _one_of(given[name], values, inside + name)
    return item


def _quantity(given: Any, parameter: str) -> int | float:
    """Return the quantity as a number; the API's own older examples send it as a string."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        refuse(parameter, "Missing, or not a number")
    written = str(given)
    if not _QUANTITY.fullmatch(written) or not 0 < Decimal(written) <= QUANTITY_MOST:
        refuse(parameter, f"Not a number up to {QUANTITY_MOST} with at most 3 decimals")
    return float(written) if "." in written else int(written)


def _code(given: Any, codes: range, parameter: str) -> int:
    """Return a code of a list; the API's own older examples send it as a string."""
    if isinstance(given, str) and re.fullmatch(r"[0-9]{1,2}", given):
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or given not in codes:
        refuse(parameter, f"Not a code from {codes[0]} to {codes[-1]}")
    return given


def _one_of(given: Any, values: frozenset[str], parameter: str) -> str:
    if not isinstance(given, str) or given not in values:
        refuse(parameter, "No such value")
    return given


def _check_customer(customer: Json, inside: str) -> None:
    checks.text(customer, "full_name", NAME_LIMIT, inside)
    for name, pattern in (("email", _EMAIL), ("phone", _PHONE), ("inn", _INN)):
        value = customer.get(name)
        if value is not None and not (isinstance(value, str) and pattern.fullmatch(value)):
            refuse(inside + name, "Not in the right form")
    if not customer.get("email") and not customer.get("phone"):
        refuse(inside.rstrip("."), "Neither email nor phone: the receipt cannot be sent to anyone")


def _settlement(given: Any, inside: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        refuse(inside.rstrip("."), "Not an object")
    checks.money(given, inside=inside)
    amount = {"value": given["amount"]["value"], "currency": given["amount"]["currency"]}
    return {"type": _one_of(given.get("type"), SETTLEMENTS, inside + "type"), "amount": amount}


# The receipts themselves. ---------------------------------------------------------------------------


def new_receipt(receipt_id: str, kind: str, about: Mapping[str, str], found: Content) -> Content:
    """Return the receipt, pending. `kind` is payment or refund; `about` holds the ids of what it is for."""
    return {"id": receipt_id, "type": kind, **about, "status": "pending", **found}


def registered(receipt: Content, document_number: int, now_ms: int) -> Content:
    """Return the receipt after the cash register has taken it; the three numbers are those of its QR code."""
    seal = hashlib.sha256(receipt["id"].encode()).hexdigest()
    at = datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(REGISTER_ZONE)
    return {
        **receipt,
        "status": "succeeded",
        "fiscal_document_number": str(document_number),
        "fiscal_storage_number": FISCAL_STORAGE_NUMBER,
        "fiscal_attribute": str(int(seal[:12], 16) % 10**10).zfill(10),
        "registered_at": at.isoformat(timespec="milliseconds"),
        "fiscal_provider_id": f"{seal[:8]}-{seal[8:12]}-{seal[12:16]}-{seal[16:20]}-{seal[20:32]}",
    }


def failed(receipt: Content) -> Content:
    """Return the receipt after the cash register has refused it."""
    return {**receipt, "status": "canceled"}
