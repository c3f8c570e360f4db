"""What T-Bank's statuses and error codes mean for us. Pure.

From developer.tbank.ru/eacq, intro/developer/operation-statuses and intro/errors/error-codes. What is not
known here is never an end: an unknown status is pending.
"""

from server.payments import (
    Declined,
    InDoubt,
    Misconfigured,
    NotFound,
    PaymentStatus,
    ProviderError,
    RefundStatus,
    RetryLater,
)

# Statuses. ------------------------------------------------------------------------------------------

_ENDED = {
    "CONFIRMED": PaymentStatus.SUCCEEDED,
    "REFUNDING": PaymentStatus.SUCCEEDED,
    "ASYNC_REFUNDING": PaymentStatus.SUCCEEDED,
    "PARTIAL_REFUNDED": PaymentStatus.SUCCEEDED,
    "REFUNDED": PaymentStatus.SUCCEEDED,
    "REJECTED": PaymentStatus.CANCELED,
    "DEADLINE_EXPIRED": PaymentStatus.CANCELED,
    "ATTEMPTS_EXPIRED": PaymentStatus.CANCELED,
    "CANCELED": PaymentStatus.CANCELED,
    "REVERSED": PaymentStatus.CANCELED,
}
_HELD = {"AUTHORIZED", "PARTIAL_REVERSED"}
_ON_ITS_WAY = {
    "NEW",
    "FORM_SHOWED",
    "PREAUTHORIZING",
    "AUTHORIZING",
    "3DS_CHECKING",
    "3DS_CHECKED",
    "PAY_CHECKING",
    "AUTH_FAIL",  # the customer may try again on the same form
    "CONFIRMING",
    "CONFIRM_CHECKING",
    "REVERSING",
}
_GONE_BACK = {"REFUNDED", "PARTIAL_REFUNDED", "REVERSED", "PARTIAL_REVERSED", "CANCELED"}


def payment_status(status: str, two_stage: bool) -> PaymentStatus:
    """Return what T-Bank's status says of a payment.

    In one stage `AUTHORIZED` comes beside `CONFIRMED`, which alone means money. A payment that was given back
    stays one whose money was taken.
    """
    if two_stage and status in _HELD:
        return PaymentStatus.WAITING_FOR_CAPTURE
    return _ENDED.get(status, PaymentStatus.PENDING)


def refund_status(status: str) -> RefundStatus:
    """Return what the payment's status, in the answer to a `Cancel` or after it, says of the money.

    T-Bank does not publish how a refund that failed looks: whatever does not say that money has gone back is
    pending.
    """
    return RefundStatus.SUCCEEDED if status in _GONE_BACK else RefundStatus.PENDING


def refund_told(status: str) -> RefundStatus | None:
    """Return the refund that the payment's status, when it is asked for, tells of; None: of none.

    Money that was only held and went back, or never came, was not refunded.
    """
    if status in ("REFUNDED", "PARTIAL_REFUNDED"):
        return RefundStatus.SUCCEEDED
    return RefundStatus.PENDING if status in ("REFUNDING", "ASYNC_REFUNDING") else None


def is_known(status: str) -> bool:
    """Say whether the status is in T-Bank's list."""
    return status in _ENDED or status in _HELD or status in _ON_ITS_WAY


# Error codes. ---------------------------------------------------------------------------------------

TERMINAL_CODES = frozenset({"191", "202", "204", "205", "331", "501", "648", "3001", "3019"})
"""The terminal is unknown, blocked or may not do this, or its password is wrong."""
LATER_CODES = {"402": 60.0, "3029": 3600.0, "3030": 86400.0, "3041": 86400.0, "3042": 3600.0}
"""Seconds to wait. The last four are SBP's limits of refused refunds in an hour and in a day."""
UNCERTAIN_CODES = frozenset(
    {"3", "21", "50", "96", "97", "98", "100", "120", "123", "125", "401", "1018", "1096", "9001", "9999"}
)
"""Troubles inside of T-Bank: it does not say whether the thing has happened."""
UNKNOWN_CODES = frozenset({"7", "255", "335"})
"""No such payment or order. 7, in the list the status of a customer, is said of orders in the wild."""
REPEATED_ORDER_CODES = frozenset({"8", "20"})
"""`Declined.code` of an `Init` that is repeated: `CheckOrder` finds what the first one has made."""

RETRY_AFTER_S = 2.0


def refusal(code: str, words: str, reading: bool) -> ProviderError:
    """Return what a refusal with an error code means. `reading` is true of a call that changes nothing."""
    detail = f"error {code}: {words}".strip()
    if code in TERMINAL_CODES:
        return Misconfigured(detail)
    if code in LATER_CODES:
        return RetryLater(detail, LATER_CODES[code])
    if code in UNCERTAIN_CODES:
        return InDoubt(detail)
    if code in UNKNOWN_CODES and reading:
        return NotFound(detail)
    return Declined(detail, code)


def http_refusal(http_status: int) -> ProviderError:
    """Return what an answer other than 200 means. T-Bank names only 500; the others are a proxy's."""
    detail = f"HTTP {http_status}"
    if http_status in (401, 403):
        return Misconfigured(detail)
    if http_status == 429:
        return RetryLater(detail, RETRY_AFTER_S)
    return InDoubt(detail)
