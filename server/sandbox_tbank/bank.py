"""The rules of the sandbox T-Bank: how payments come to be, change and end. Pure.

From developer.tbank.ru/eacq: api/{init,confirm,cancel,get-qr,sbp-pay-test}, intro/developer/
operation-statuses. Functions return a new payment with what is notified of it, and change none.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from server.sandbox_tbank.demands import SBP_LEAST_MINOR, InitDemand
from server.sandbox_tbank.receipt import check_receipt
from server.sandbox_tbank.refusals import Refused

TERMINAL_KEY = "SandboxDEMO"

HOLD_LIFE_MS = 7 * 24 * 60 * 60 * 1000
"""A hold of a card that is not confirmed goes back after seven days."""

WAITING = ("NEW", "FORM_SHOWED")
HELD = ("AUTHORIZED", "PARTIAL_REVERSED")
TAKEN = ("CONFIRMED", "PARTIAL_REFUNDED")
NOTIFIED = frozenset(
    {
        "AUTHORIZED",
        "CONFIRMED",
        "PARTIAL_REVERSED",
        "REVERSED",
        "PARTIAL_REFUNDED",
        "REFUNDED",
        "REJECTED",
    }
)
"""T-Bank says nothing of `CANCELED` and, unless asked to, of `DEADLINE_EXPIRED`: a question finds them."""


@dataclass(frozen=True)
class Payment:
    """A payment as the bank keeps it."""

    payment_id: str
    order_id: str
    status: str
    amount_minor: int
    """What was asked for, or confirmed of it."""
    left_minor: int
    """What of it has not gone back."""
    two_stage: bool
    method: Literal["card", "sbp"]
    description: str
    notification_url: str
    success_url: str
    fail_url: str
    with_receipt: bool
    due_at: int | None
    """When it changes by itself."""
    error_code: str = "0"
    returning_minor: int = 0
    """What is on its way back through SBP."""
    events: int = 0
    """How many there were so far."""


class Event(NamedTuple):
    """What the bank notifies about: the payment as it was at that moment, in that status."""

    payment: Payment
    status: str


Changed = tuple[Payment, list[Event]]


def new_payment(demand: InitDemand, payment_id: str) -> Payment:
    """Return the payment that waits for its customer."""
    return Payment(
        payment_id=payment_id,
        order_id=demand.order_id,
        status="NEW",
        amount_minor=demand.amount_minor,
        left_minor=demand.amount_minor,
        two_stage=demand.two_stage,
        method="card",
        description=demand.description,
        notification_url=demand.notification_url,
        success_url=demand.success_url,
        fail_url=demand.fail_url,
        with_receipt=demand.with_receipt,
        due_at=demand.due_at,
    )


# The customer. --------------------------------------------------------------------------------------


def shown(payment: Payment) -> Changed:
    """Return the payment after its page was opened."""
    return (replace(payment, status="FORM_SHOWED") if payment.status == "NEW" else payment), []


def with_qr(payment: Payment) -> Changed:
    """Return the payment after a code was made for it: from now on it is one of SBP. Raises Refused."""
    _require(payment, *WAITING)
    if payment.two_stage:
        raise Refused("3001", "По СБП нельзя заблокировать деньги.")
    if payment.amount_minor < SBP_LEAST_MINOR:
        raise Refused("3016", f"Сумма должна быть больше или равна {SBP_LEAST_MINOR} копеек.")
    return replace(payment, status="FORM_SHOWED", method="sbp"), []


def paid(payment: Payment, now_ms: int) -> Changed:
    """Return the payment after its customer has paid. Raises Refused when it does not wait for that.

    In one stage a card's authorization and its confirmation are one moment, with a notification of each.
    """
    _require(payment, *WAITING)
    if payment.two_stage:
        return _changed(payment, "AUTHORIZED", due_at=now_ms + HOLD_LIFE_MS)
    taken = replace(payment, status="CONFIRMED", due_at=None)
    return _telling(taken, *(["CONFIRMED"] if payment.method == "sbp" else ["AUTHORIZED", "CONFIRMED"]))


def rejected(payment: Payment, error_code: str) -> Changed:
    """Return the payment after the customer's bank has said no. Raises Refused."""
    _require(payment, *WAITING)
    return _changed(payment, "REJECTED", due_at=None, error_code=error_code)


def expired(payment: Payment) -> Changed:
    """Return the payment after nobody has paid it in time. Raises Refused."""
    _require(payment, *WAITING)
    return _changed(payment, "DEADLINE_EXPIRED", due_at=None)


def tested(payment: Payment, status: str, now_ms: int) -> Changed:
    """Return the payment of SBP after a test has paid it, or not. Raises Refused when it has no code."""
    if payment.method != "sbp":
        raise Refused("8", "Сначала GetQr.")
    if status == "CONFIRMED":
        return paid(payment, now_ms)
    return expired(payment) if status == "DEADLINE_EXPIRED" else rejected(payment, "5060")


# The shop. ------------------------------------------------------------------------------------------


def confirmed(payment: Payment, amount_minor: int | None, receipt: object) -> Changed:
    """Return the held payment after taking `amount_minor` of it, or all of it. Raises Refused."""
    _require(payment, "AUTHORIZED")
    taken = payment.left_minor if amount_minor is None else amount_minor
    if taken > payment.left_minor:
        raise Refused("330", f"Amount {payment.left_minor}")
    if receipt is not None:
        check_receipt(receipt, taken)
    return _changed(payment, "CONFIRMED", due_at=None, amount_minor=taken, left_minor=taken)


def canceled(
    payment: Payment, amount_minor: int | None, receipt: object, refunded_at: int, only_new: bool
) -> Changed:
    """Return the payment after money has gone back, or before any came. Raises Refused.

    Without an amount everything goes back. What was paid through SBP is on its way until `refunded_at`.
    """
    if payment.status in (WAITING[:1] if only_new else WAITING):
        return _changed(payment, "CANCELED", due_at=None, left_minor=0)
    _require(payment, *HELD, *TAKEN)
    back = payment.left_minor if amount_minor is None else amount_minor
    if back > payment.left_minor:
        raise Refused("330", f"Amount {payment.left_minor}")
    left = payment.left_minor - back
    if receipt is not None or (payment.with_receipt and left > 0 and payment.status in TAKEN):
        check_receipt(receipt, back)
    if payment.status in HELD:
        status = "PARTIAL_REVERSED" if left else "REVERSED"
        return _changed(payment, status, due_at=payment.due_at if left else None, left_minor=left)
    if payment.method == "sbp":
        return _changed(payment, "ASYNC_REFUNDING", due_at=refunded_at, returning_minor=back)
    return _changed(payment, "PARTIAL_REFUNDED" if left else "REFUNDED", due_at=None, left_minor=left)


# Time. ----------------------------------------------------------------------------------------------


def time_passed(payment: Payment, refunds_fail: bool) -> Changed:
    """Return the payment after the moment that it was due: expired, given back, or refunded through SBP."""
    if payment.status in WAITING:
        return expired(payment)
    if payment.status in HELD:
        return _changed(payment, "REVERSED", due_at=None, left_minor=0)
    left = payment.left_minor - (0 if refunds_fail else payment.returning_minor)
    settled = replace(payment, due_at=None, left_minor=left, returning_minor=0)
    before = "CONFIRMED" if payment.left_minor == payment.amount_minor else "PARTIAL_REFUNDED"
    if refunds_fail:  # T-Bank does not publish how this looks
        return replace(settled, status=before), []
    return _changed(settled, "PARTIAL_REFUNDED" if left else "REFUNDED")


def _changed(payment: Payment, status: str, **about: Any) -> Changed:
    return _telling(replace(payment, status=status, **about), status)


def _telling(payment: Payment, *statuses: str) -> Changed:
    told = [status for status in statuses if status in NOTIFIED]
    after = replace(payment, events=payment.events + len(told))
    return after, [
        Event(replace(payment, events=number), status) for number, status in enumerate(told, payment.events)
    ]


def _require(payment: Payment, *statuses: str) -> None:
    if payment.status not in statuses:
        raise Refused("8", f"{payment.status}, а нужен {' или '.join(statuses)}.")


# Answers. -------------------------------------------------------------------------------------------


def answer(payment: Payment, **about: Any) -> dict[str, Any]:
    """Return what the API says of a payment; values given by name are added, or replace."""
    return {
        "Success": True,
        "ErrorCode": "0",
        "Message": "OK",
        "TerminalKey": TERMINAL_KEY,
        "Status": payment.status,
        "PaymentId": payment.payment_id,
        "OrderId": payment.order_id,
        "Amount": payment.amount_minor,
        **about,
    }


def cancel_answer(before: Payment, after: Payment, request_id: str) -> dict[str, Any]:
    """Return what `Cancel` says: what was there and what is left; money on its way counts as gone."""
    told = answer(
        after,
        OriginalAmount=before.left_minor,
        NewAmount=after.left_minor - after.returning_minor,
        **({"ExternalRequestId": request_id} if request_id else {}),
    )
    del told["Amount"]
    return told


def order_answer(order_id: str, payment: Payment) -> dict[str, Any]:
    """Return what `CheckOrder` says; inside of `Payments` codes are numbers, as in the documentation."""
    good = payment.error_code == "0"
    listed = {
        "PaymentId": payment.payment_id,
        "Amount": payment.amount_minor,
        "Status": payment.status,
        "Success": good,
        "ErrorCode": int(payment.error_code),
        "Message": "ok" if good else "Отказ",
    }
    return {
        "Success": True,
        "ErrorCode": "0",
        "Message": "OK",
        "TerminalKey": TERMINAL_KEY,
        "OrderId": order_id,
        "Payments": [listed],
    }
