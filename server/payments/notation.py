"""How YooKassa writes money and time, to and from kopecks and milliseconds. Pure, exact, no floats."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def amount_text(minor: int) -> str:
    """Return kopecks as roubles with two decimals: 15000 is "150.00". Raises ValueError when negative."""
    if minor < 0:
        raise ValueError(f"money is never negative: {minor}")
    return f"{minor // 100}.{minor % 100:02}"


def minor_units(text: str) -> int:
    """Return the kopecks of "150.00". Raises ValueError for anything but digits and up to two decimals."""
    if not _AMOUNT.fullmatch(text):
        raise ValueError(f"not an amount: {text[:40]!r}")
    return int(Decimal(text).scaleb(2))


def instant_text(at_ms: int) -> str:
    """Return UTC milliseconds as "2026-11-20T08:30:00.129Z"."""
    instant = _EPOCH + at_ms * _MILLISECOND
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03}Z"


def instant_ms(text: str) -> int:
    """Return the UTC milliseconds of an ISO 8601 instant with a zone; raises ValueError."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"an instant without a zone: {text!r}")
    return (instant - _EPOCH) // _MILLISECOND
