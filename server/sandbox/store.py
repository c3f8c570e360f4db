"""The sandbox bank's books: each change is one transaction, with the notification that follows from it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from server.db import Row, Statement, Transaction
from server.payments.notation import instant_ms
from server.sandbox import bank
from server.sandbox.demands import (
    ListDemand,
    PaymentDemand,
    RefundDemand,
    Refused,
    cursor_after,
    refused_parameter,
)
from server.sandbox.outbox import notify

KEY_LIFE_MS = 24 * 60 * 60 * 1000
"""An idempotence key lives for a day from its first request; later it is a new one."""


class Answer(NamedTuple):
    """What the API answers: HTTP status and JSON object."""

    status: int
    body: bank.Object


@dataclass(frozen=True)
class Post:
    """A request that has an idempotence key."""

    key: str
    request_hash: str
    new_id: str
    """For what it makes, or for the error."""
    now_ms: int
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
        find = refund if "payment_id" in body else shown_payment
        body = (yield from find(body["id"])) or body
    return Answer(row["http_status"], body)


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


def change_payment(payment_id: str, change: Change, now_ms: int) -> Transaction[bank.Object]:
    """Change a payment and write the notification of it. Raises Refused when the rules forbid it."""
    before = yield from payment(payment_id)
    if before is None:
        raise Refused(404, "not_found", "Payment doesn't exist or access denied")
    after, event = change(before)
    yield from _save_payment(after)
    yield from notify(event, now_ms)
    return bank.shown(after)


def _save_payment(after: bank.Object) -> Transaction[None]:
    wakes_at = instant_ms(after["expires_at"]) if "expires_at" in after else None
    yield Statement(
        "UPDATE sandbox_payments SET body = $1, status = $2, expires_at = $3 WHERE payment_id = $4",
        (json.dumps(after), after["status"], wakes_at, after["id"]),
    )


# Refunds. -------------------------------------------------------------------------------------------


def create_refund(
    post: Post, demand: RefundDemand, settles_after_ms: int, canceled_because: str
) -> Transaction[bank.Object]:
    """Open a refund; with a delay of 0 it ends at once."""
    paid = yield from payment(demand.payment_id)
    rows = yield Statement("SELECT body FROM sandbox_refunds WHERE payment_id = $1", (demand.payment_id,))
    others = [json.loads(row["body"]) for row in rows]
    made = bank.new_refund(demand, paid, others, post.new_id, post.now_ms)
    yield Statement(
        "INSERT INTO sandbox_refunds (refund_id, payment_id, status, body, created_at, settles_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        (
            post.new_id,
            demand.payment_id,
            made["status"],
            json.dumps(made),
            post.now_ms,
            post.now_ms + settles_after_ms,
        ),
    )
    if settles_after_ms == 0:
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
    yield Statement(
        "UPDATE sandbox_refunds SET body = $1, status = $2, settles_at = NULL WHERE refund_id = $3",
        (json.dumps(after), after["status"], refund_id),
    )
    yield from _save_payment(returned)
    if event is not None:
        yield from notify(event, now_ms)


# Lists. ---------------------------------------------------------------------------------------------


def list_payments(demand: ListDemand) -> Transaction[bank.Object]:
    """Return a page of payments, the newest first."""
    rows = yield from _page("sandbox_payments", "payment_id", demand)
    return _listed(rows, demand.limit, [bank.shown(json.loads(row["body"])) for row in rows])


def list_refunds(demand: ListDemand) -> Transaction[bank.Object]:
    """Return a page of refunds, the newest first."""
    rows = yield from _page("sandbox_refunds", "refund_id", demand)
    return _listed(rows, demand.limit, [json.loads(row["body"]) for row in rows])


def _page(table: str, identifier: str, demand: ListDemand) -> Transaction[Sequence[Row]]:
    after_at, after_id = demand.after or (demand.before_ms, "")
    return (
        yield Statement(
            f"SELECT {identifier} AS id, created_at, body FROM {table}"
            " WHERE created_at >= $1 AND created_at < $2 AND ($3 = '' OR status = $3)"
            " AND ($4 = '' OR payment_id = $4)"
            f" AND (created_at < $5 OR created_at = $5 AND {identifier} < $6)"
            f" ORDER BY created_at DESC, {identifier} DESC LIMIT $7",
            (
                demand.since_ms,
                demand.before_ms,
                demand.status,
                demand.payment_id,
                after_at,
                after_id,
                demand.limit + 1,
            ),
        )
    )


def _listed(rows: Sequence[Row], limit: int, objects: list[bank.Object]) -> bank.Object:
    page: dict[str, Any] = {"type": "list", "items": objects[:limit]}
    if len(rows) > limit:
        last = rows[limit - 1]
        page["next_cursor"] = cursor_after(last["created_at"], last["id"])
    return page


# What happens by itself. ----------------------------------------------------------------------------


class Due(NamedTuple):
    """What should have happened by now: ids."""

    payments: list[str]
    refunds: list[str]


def due(now_ms: int) -> Transaction[Due]:
    """Return the payments that have expired and the refunds that settle."""
    payments = yield Statement(
        "SELECT payment_id AS id FROM sandbox_payments WHERE expires_at <= $1", (now_ms,)
    )
    refunds = yield Statement("SELECT refund_id AS id FROM sandbox_refunds WHERE settles_at <= $1", (now_ms,))
    return Due([row["id"] for row in payments], [row["id"] for row in refunds])


def next_due_at() -> Transaction[int | None]:
    """Return when something is to be done next; None: nothing waits."""
    rows = yield Statement(
        "SELECT MIN(at) AS at FROM (SELECT MIN(expires_at) AS at FROM sandbox_payments"
        " UNION ALL SELECT MIN(settles_at) FROM sandbox_refunds"
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
        yield from change_payment(payment_id, bank.expired, now_ms)


def forget_old_keys(now_ms: int) -> Transaction[None]:
    """Remove the keys that have lived their day."""
    yield Statement("DELETE FROM sandbox_keys WHERE created_at <= $1", (now_ms - KEY_LIFE_MS,))
