"""The sandbox bank's books: each change is one transaction, with the notification that follows from it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from server.db import Row, Statement, Transaction
from server.payments.notation import instant_ms
from server.sandbox import bank, receipt_books
from server.sandbox.checks import Refused, refused_parameter
from server.sandbox.demands import PaymentDemand, ReceiptDemand, RefundDemand
from server.sandbox.outbox import notify

KEY_LIFE_MS = 24 * 60 * 60 * 1000
"""An idempotence key lives for a day from its first request; later it is a new one."""


class Answer(NamedTuple):
    """What the API answers: HTTP status and JSON object."""

    status: int
    body: bank.Object


class Delays(NamedTuple):
    """How long the bank takes, in milliseconds."""

    refund_ms: int
    """From a refund to its end; 0: it ends at once."""
    receipt_ms: int
    """From a receipt to its registration."""


@dataclass(frozen=True)
class Post:
    """A request that has an idempotence key."""

    key: str
    request_hash: str
    new_id: str
    """For what it makes, or for the error."""
    now_ms: int
    delays: Delays
    replays_are_old: bool = False
    """A repeat shows the object as it was at the first answer, and not as it is now."""


Act = Callable[[Post], Transaction[bank.Object]]


def answer_once(post: Post, act: Act) -> Transaction[Answer]:
    """Do what is asked for, unless the key was used: then repeat its answer, or refuse another request."""
    rows = yield Statement(
        "SELECT request_hash, http_status, answer FROM sandbox_keys"
        " WHERE idempotence_key = $1 AND created_at > $2",
        (post.key, post.now_ms - KEY_LIFE_MS),
    )
    if rows:
        return (yield from _repeated(post, rows[0]))
    try:
        answer = Answer(200, (yield from act(post)))
    except Refused as refused:
        answer = Answer(refused.status, refused.body(post.new_id))
    yield Statement(
        "INSERT INTO sandbox_keys (idempotence_key, request_hash, http_status, answer, created_at)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (idempotence_key) DO UPDATE SET"
        " request_hash = excluded.request_hash, http_status = excluded.http_status,"
        " answer = excluded.answer, created_at = excluded.created_at",
        (post.key, post.request_hash, answer.status, json.dumps(answer.body), post.now_ms),
    )
    return answer


def _repeated(post: Post, row: Row) -> Transaction[Answer]:
    if row["request_hash"] != post.request_hash:
        refused = refused_parameter("Idempotence-Key", "Idempotence key duplicated")
        return Answer(refused.status, refused.body(post.new_id))
    body = json.loads(row["answer"])
    if row["http_status"] == 200 and not post.replays_are_old:
        body = (yield from _as_it_is_now(body["id"])) or body
    return Answer(row["http_status"], body)


def _as_it_is_now(object_id: str) -> Transaction[bank.Object | None]:
    for find in (shown_payment, refund, receipt_books.receipt):
        if (found := (yield from find(object_id))) is not None:
            return found
    return None


# Payments. ------------------------------------------------------------------------------------------


def create_payment(post: Post, demand: PaymentDemand, page_url: str) -> Transaction[bank.Object]:
    """Open a payment whose page is at `page_url` + its id."""
    made = bank.new_payment(demand, post.new_id, page_url + post.new_id, post.now_ms)
    yield Statement(
        "INSERT INTO sandbox_payments (payment_id, status, body, created_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5)",
        (post.new_id, made["status"], json.dumps(made), post.now_ms, post.now_ms + bank.PAYMENT_LIFE_MS),
    )
    return bank.shown(made)


def payment(payment_id: str) -> Transaction[bank.Object | None]:
    """Return the payment with what the bank keeps for itself."""
    rows = yield Statement("SELECT body FROM sandbox_payments WHERE payment_id = $1", (payment_id,))
    return json.loads(rows[0]["body"]) if rows else None


def shown_payment(payment_id: str) -> Transaction[bank.Object | None]:
    """Return the payment as the API shows it."""
    found = yield from payment(payment_id)
    return bank.shown(found) if found is not None else None


Change = Callable[[bank.Object], tuple[bank.Object, bank.Event]]


def change_payment(
    payment_id: str, change: Change, now_ms: int, receipt_delay_ms: int
) -> Transaction[bank.Object]:
    """Change a payment, write the notification of it, and send its receipt once the money is taken.

    Raises Refused when the rules forbid the change.
    """
    before = yield from payment(payment_id)
    if before is None:
        raise Refused(404, "not_found", "Payment doesn't exist or access denied")
    after, event = change(before)
    yield from _save_payment(after)
    yield from notify(event, now_ms)
    content = bank.receipt_content(after)
    if after["status"] == "succeeded" and content is not None:
        yield from receipt_books.send("payment", payment_id, "", content, now_ms, now_ms + receipt_delay_ms)
    return bank.shown(after)


def _save_payment(after: bank.Object) -> Transaction[None]:
    wakes_at = instant_ms(after["expires_at"]) if "expires_at" in after else None
    yield Statement(
        "UPDATE sandbox_payments SET body = $1, status = $2, expires_at = $3 WHERE payment_id = $4",
        (json.dumps(after), after["status"], wakes_at, after["id"]),
    )


# Refunds. -------------------------------------------------------------------------------------------


def create_refund(post: Post, demand: RefundDemand, canceled_because: str) -> Transaction[bank.Object]:
    """Open a refund and send its receipt; `canceled_because` is for one that ends at once."""
    paid = yield from payment(demand.payment_id)
    rows = yield Statement("SELECT body FROM sandbox_refunds WHERE payment_id = $1", (demand.payment_id,))
    others = [json.loads(row["body"]) for row in rows]
    made = bank.new_refund(demand, paid, others, post.new_id, post.now_ms)
    settles_at = post.now_ms + post.delays.refund_ms
    yield Statement(
        "INSERT INTO sandbox_refunds (refund_id, payment_id, status, body, created_at, settles_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        (post.new_id, demand.payment_id, made["status"], json.dumps(made), post.now_ms, settles_at),
    )
    content = bank.refund_receipt(demand, paid) if paid is not None else None
    if content is not None:
        registers_at = post.now_ms + post.delays.receipt_ms
        yield from receipt_books.send(
            "refund", demand.payment_id, post.new_id, content, post.now_ms, registers_at
        )
    if post.delays.refund_ms == 0:
        yield from settle_refund(post.new_id, canceled_because, post.now_ms)
        return (yield from refund(post.new_id)) or made
    return made


def refund(refund_id: str) -> Transaction[bank.Object | None]:
    """Return the refund."""
    rows = yield Statement("SELECT body FROM sandbox_refunds WHERE refund_id = $1", (refund_id,))
    return json.loads(rows[0]["body"]) if rows else None


def settle_refund(refund_id: str, canceled_because: str, now_ms: int) -> Transaction[None]:
    """End a pending refund: canceled when a reason is given; any other is left as it is."""
    before = yield from refund(refund_id)
    paid = yield from payment(before["payment_id"] if before else "")
    if before is None or paid is None or before["status"] != "pending":
        return
    after, returned, event = bank.settled(before, paid, canceled_because)
    yield from _save_refund(after)
    yield Statement("UPDATE sandbox_refunds SET settles_at = NULL WHERE refund_id = $1", (refund_id,))
    yield from _save_payment(returned)
    if event is not None:
        yield from notify(event, now_ms)


def _save_refund(after: bank.Object) -> Transaction[None]:
    yield Statement(
        "UPDATE sandbox_refunds SET body = $1, status = $2 WHERE refund_id = $3",
        (json.dumps(after), after["status"], after["id"]),
    )


# Receipts. ------------------------------------------------------------------------------------------


def create_receipt(post: Post, demand: ReceiptDemand) -> Transaction[bank.Object]:
    """Send a receipt that comes after its payment or refund, which is not changed by it."""
    returned = (yield from refund(demand.refund_id)) if demand.refund_id else None
    payment_id = returned["payment_id"] if returned is not None else demand.payment_id
    paid = yield from payment(payment_id)
    bank.check_receipt(demand, paid, returned)
    yield from receipt_books.check_room(payment_id, demand.refund_id)
    registers_at = post.now_ms + post.delays.receipt_ms
    return (
        yield from receipt_books.send(
            demand.kind, payment_id, demand.refund_id, demand.content, post.now_ms, registers_at, post.new_id
        )
    )


def end_receipt(receipt_id: str, registered: bool, now_ms: int) -> Transaction[None]:
    """Register a pending receipt, or let it fail, and tell so on the payment or refund that it came with."""
    ended = yield from receipt_books.end(receipt_id, registered, now_ms)
    if ended is None or receipt_books.came_later(ended):
        return
    told = {"receipt_registration": ended["status"]}
    if "refund_id" in ended:
        returned = yield from refund(ended["refund_id"])
        if returned is not None:
            yield from _save_refund({**returned, **told})
    else:
        paid = yield from payment(ended["payment_id"])
        if paid is not None:
            yield from _save_payment({**paid, **told})


# What happens by itself. ----------------------------------------------------------------------------


class Due(NamedTuple):
    """What should have happened by now: ids."""

    payments: list[str]
    refunds: list[str]
    receipts: list[str]


def due(now_ms: int) -> Transaction[Due]:
    """Return the payments that have expired, the refunds that settle, and the receipts to register."""
    payments = yield from _ids("payment_id", "sandbox_payments", "expires_at", now_ms)
    refunds = yield from _ids("refund_id", "sandbox_refunds", "settles_at", now_ms)
    receipts = yield from _ids("receipt_id", "sandbox_receipts", "settles_at", now_ms)
    return Due(payments, refunds, receipts)


def _ids(identifier: str, table: str, due_at: str, now_ms: int) -> Transaction[list[str]]:
    rows = yield Statement(f"SELECT {identifier} AS id FROM {table} WHERE {due_at} <= $1", (now_ms,))
    return [row["id"] for row in rows]


def next_due_at() -> Transaction[int | None]:
    """Return when something is to be done next; None: nothing waits."""
    rows = yield Statement(
        "SELECT MIN(at) AS at FROM (SELECT MIN(expires_at) AS at FROM sandbox_payments"
        " UNION ALL SELECT MIN(settles_at) FROM sandbox_refunds"
        " UNION ALL SELECT MIN(settles_at) FROM sandbox_receipts"
        " UNION ALL SELECT MIN(next_try_at) FROM sandbox_notifications) AS waiting"
    )
    at: int | None = rows[0]["at"]
    return at


def expire_payment(payment_id: str, now_ms: int) -> Transaction[None]:
    """Cancel a payment whose time is over; one that has ended meanwhile is left as it is."""
    rows = yield Statement(
        "SELECT 1 FROM sandbox_payments WHERE payment_id = $1 AND expires_at <= $2", (payment_id, now_ms)
    )
    if rows:
        yield from change_payment(payment_id, bank.expired, now_ms, receipt_delay_ms=0)


def forget_old_keys(now_ms: int) -> Transaction[None]:
    """Remove the keys that have lived their day."""
    yield Statement("DELETE FROM sandbox_keys WHERE created_at <= $1", (now_ms - KEY_LIFE_MS,))
