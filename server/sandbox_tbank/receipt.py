"""How the sandbox T-Bank checks a `Receipt` (54-FZ) as its cash register would. Pure.

Prices and amounts are kopecks. Codes: 308 when sums differ, 309 when something is missing, 1 for values that
are not in the register's lists.
"""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from server.sandbox_tbank.refusals import Refused

TAXATIONS = frozenset({"osn", "usn_income", "usn_income_outcome", "envd", "esn", "patent"})
TAXES = frozenset(
    {
        "none",
        "vat0",
        "vat5",
        "vat7",
        "vat10",
        "vat20",
        "vat22",
        "vat105",
        "vat107",
        "vat110",
        "vat120",
        "vat122",
    }
)
METHODS = frozenset(
    {
        "full_prepayment",
        "prepayment",
        "advance",
        "full_payment",
        "partial_payment",
        "credit",
        "credit_payment",
    }
)
NAME_LIMIT = 128
QUANTITY_DIGITS = 3
QUANTITY_MOST = 99_999


def check_receipt(receipt: object, amount_minor: int) -> None:
    """Check a receipt over the amount that is paid or given back. Raises Refused."""
    if not isinstance(receipt, dict) or not receipt:
        raise Refused("309", "Receipt")
    if not any(isinstance(receipt.get(name), str) and receipt[name] for name in ("Email", "Phone")):
        raise Refused("309", "Receipt.Email, Receipt.Phone")
    _listed(receipt, "Taxation", TAXATIONS)
    items = receipt.get("Items")
    if not isinstance(items, list) or not items:
        raise Refused("309", "Receipt.Items")
    if sum(_checked_item(item) for item in items) != amount_minor:
        raise Refused("308", f"Receipt.Items, Amount {amount_minor}")


def _checked_item(item: object) -> int:
    """Return the amount of one position."""
    if not isinstance(item, dict):
        raise Refused("309", "Receipt.Items")
    name = item.get("Name")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        raise Refused("309", "Receipt.Items.Name")
    _listed(item, "Tax", TAXES)
    if "PaymentMethod" in item:
        _listed(item, "PaymentMethod", METHODS)
    if not re.fullmatch(r"[a-z_]{1,40}", str(item.get("PaymentObject", "commodity"))):
        raise Refused("1", "Receipt.Items.PaymentObject")
    amount_minor = _kopecks(item, "Amount")
    if _kopecks(item, "Price") * _quantity(item) != amount_minor:
        raise Refused("308", "Receipt.Items: Price * Quantity, Amount")
    return amount_minor


def _listed(about: Mapping[str, Any], name: str, known: frozenset[str]) -> None:
    value = about.get(name)
    if value is None:
        raise Refused("309", f"Receipt: {name}")
    if not isinstance(value, str) or value not in known:
        raise Refused("1", f"Receipt: {name}")


def _kopecks(item: Mapping[str, Any], name: str) -> int:
    value = item.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise Refused("309", f"Receipt.Items.{name}")
    return value


def _quantity(item: Mapping[str, Any]) -> Decimal:
    try:
        quantity = Decimal(str(item.get("Quantity")))
        if 0 < quantity <= QUANTITY_MOST and quantity == round(quantity, QUANTITY_DIGITS):
            return quantity
    except InvalidOperation:  # not a number, or NaN, which is compared with nothing
        pass
    raise Refused("309", "Receipt.Items.Quantity")
