"""The sandbox T-Bank's books: each change is one transaction, with the notifications that follow from it."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from server.db import Statement, Transaction
from server.sandbox_tbank import bank
from server.sandbox_tbank.bank import TERMINAL_KEY, Changed, Payment
from server.sandbox_tbank.demands import CancelDemand, InitDemand
from server.sandbox_tbank.outbox import notify
from server.sandbox_tbank.refusals import Refused

Answer = dict[str, Any]
Change = Callable[[Payment], Changed]


def create_payment(demand: InitDemand, payment_id: str, now_ms: int) -> Transaction[Payment]:
    """Open a payment. Raises Refused when the order has one, whatever it was asked for with.

    `Init` has no key that makes a repeat harmless: T-Bank answers 8, and `CheckOrder` finds the first.
    """
    if (yield from payment_of_order(demand.order_id)) is not None:
        raise Refused("8", "Заказ с таким order_id уже существует.")
    made = bank.new_payment(demand, payment_id)
    yield Statement(
        "INSERT INTO sandbox_tbank_payments"
        " (payment_id, terminal_key, order_id, status, body, created_at, due_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        (
            payment_id,
            TERMINAL_KEY,
            demand.order_id,
            made.status,
            json.dumps(asdict(made)),
            now_ms,
            made.due_at,
        ),
    )
    return made


def payment(payment_id: str) -> Transaction[Payment]:
    """Return the payment. Raises Refused when there is none."""
    rows = yield Statement("SELECT body FROM sandbox_tbank_payments WHERE payment_id = $1", (payment_id,))
    if not rows:
        raise Refused("255", f"PaymentId {payment_id}")
    return Payment(**json.loads(rows[0]["body"]))


def payment_of_order(order_id: str) -> Transaction[Payment | None]:
    """Return the payment of an order of the shop."""
    rows = yield Statement(
        "SELECT body FROM sandbox_tbank_payments WHERE terminal_key = $1 AND order_id = $2",
        (TERMINAL_KEY, order_id),
    )
    return Payment(**json.loads(rows[0]["body"])) if rows else None


def change_payment(payment_id: str, change: Change, now_ms: int) -> Transaction[Payment]:
    """Change a payment and write the notifications of it. Raises Refused when the rules forbid it."""
    before = yield from payment(payment_id)
    after, events = change(before)
    yield Statement(
        "UPDATE sandbox_tbank_payments SET status = $1, body = $2, due_at = $3 WHERE payment_id = $4",
        (after.status, json.dumps(asdict(after)), after.due_at, payment_id),
    )
    yield from notify(events, now_ms)
    return after


def cancel_payment(
    demand: CancelDemand, now_ms: int, refunded_at: int, only_new: bool, replays_are_old: bool
) -> Transaction[Answer]:
    """Give money back, or repeat the answer that the `ExternalRequestId` had. Raises Refused."""
    request_id = f"{demand.payment_id}/{demand.request_id}"
    rows = yield Statement("SELECT answer FROM sandbox_tbank_requests WHERE request_id = $1", (request_id,))
    before = yield from payment(demand.payment_id)
    if rows:
        first: Answer = json.loads(rows[0]["answer"])
        return first if replays_are_old else {**first, "Status": before.status}
    change = partial(
        bank.canceled,
        amount_minor=demand.amount_minor,
        receipt=demand.receipt,
        refunded_at=refunded_at,
        only_new=only_new,
    )
    after = yield from change_payment(demand.payment_id, change, now_ms)
    answer = bank.cancel_answer(before, after, demand.request_id)
    if demand.request_id:
        yield Statement(
            "INSERT INTO sandbox_tbank_requests (request_id, answer, created_at) VALUES ($1, $2, $3)",
            (request_id, json.dumps(answer), now_ms),
        )
    return answer


# What happens by itself. ----------------------------------------------------------------------------


def due(now_ms: int) -> Transaction[list[str]]:
    """Return the payments that should have changed by now: ids."""
    rows = yield Statement("SELECT payment_id FROM sandbox_tbank_payments WHERE due_at <= $1", (now_ms,))
    return [row["payment_id"] for row in rows]


def pass_time(payment_id: str, now_ms: int, refunds_fail: bool) -> Transaction[None]:
    """Change a payment that is due; one that has changed meanwhile is left as it is."""
    found = yield from payment(payment_id)
    if found.due_at is not None and found.due_at <= now_ms:
        yield from change_payment(payment_id, partial(bank.time_passed, refunds_fail=refunds_fail), now_ms)


def next_due_at() -> Transaction[int | None]:
    """Return when something is to be done next; None: nothing waits."""
    rows = yield Statement(
        "SELECT MIN(at) AS at FROM (SELECT MIN(due_at) AS at FROM sandbox_tbank_payments"
        " UNION ALL SELECT MIN(next_try_at) FROM sandbox_tbank_notifications) AS waiting"
    )
    at: int | None = rows[0]["at"]
    return at
