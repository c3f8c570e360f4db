"""What must be true of money at every moment, and of everything once nothing more happens. Reads only."""

import json
from collections import Counter as Tally
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server.order import TRANSITIONS, Event, Status
from server.progress import BY_HAND
from tests.money.counter import PRICE_MINOR, Counter

FINAL = ("created", "not_paid", "successful", "make_failed", "failed")


@dataclass
class AtBank:
    """What the bank has of one payment, in kopecks."""

    payment_id: str
    order_id: str
    taken: int = 0
    held: int = 0
    back: int = 0
    on_its_way: int = 0
    refunds: int = 0
    """How many refunds were asked for, by whomever."""

    @property
    def kept(self) -> int:
        return self.taken - self.back


def at_bank(counter: Counter) -> list[AtBank]:
    """Return the bank's own truth, by payment."""
    return [*_at_yookassa(counter), *_at_tbank(counter)]


def _at_yookassa(counter: Counter) -> Iterator[AtBank]:
    refunds = counter.rows("SELECT payment_id, status, body FROM sandbox_refunds")
    for row in counter.rows("SELECT payment_id, status, body FROM sandbox_payments"):
        body = json.loads(row["body"])
        told = AtBank(row["payment_id"], body["metadata"]["order_id"])
        told.taken = _kopecks(body) if row["status"] == "succeeded" else 0
        told.held = _kopecks(body) if row["status"] == "waiting_for_capture" else 0
        for refund in refunds:
            if refund["payment_id"] == row["payment_id"] and refund["status"] != "canceled":
                told.refunds += 1
                told.back += _kopecks(json.loads(refund["body"])) if refund["status"] == "succeeded" else 0
                told.on_its_way += refund["status"] == "pending"
        yield told


def _at_tbank(counter: Counter) -> Iterator[AtBank]:
    orders = {payment.payment_id: payment.order_id for payment in counter.payments()}
    for row in counter.rows("SELECT payment_id, order_id, status, body FROM sandbox_tbank_payments"):
        body = json.loads(row["body"])
        told = AtBank(row["payment_id"], orders[row["order_id"]])
        if row["status"] in ("CONFIRMED", "PARTIAL_REFUNDED", "REFUNDED", "ASYNC_REFUNDING"):
            told.taken = body["amount_minor"]
            told.back = body["amount_minor"] - body["left_minor"]
        told.held = body["left_minor"] if row["status"] in ("AUTHORIZED", "PARTIAL_REVERSED") else 0
        told.on_its_way = row["status"] == "ASYNC_REFUNDING"
        yield told


def _kopecks(body: dict[str, Any]) -> int:
    return int(body["amount"]["value"].replace(".", ""))


# --- always -----------------------------------------------------------------------------------------


def broken_now(counter: Counter, by_hand: Tally[str]) -> Iterator[str]:
    """Yield what must never be so. `by_hand` has how many refunds were made by hand, by payment."""
    yield from _backwards(counter)
    rows = counter.rows(
        "SELECT provider_payment_id, count(*) AS n FROM refunds JOIN payments USING (payment_id) "
        "WHERE kind = 'refund' AND reason <> ? GROUP BY 1",
        BY_HAND,
    )
    asked = {row["provider_payment_id"]: row["n"] for row in rows}
    for payment in at_bank(counter):
        name = payment.payment_id
        if payment.back > payment.taken:
            yield f"{name}: {payment.back} went back of {payment.taken}"
        if payment.refunds > asked.get(name, 0) + by_hand[name]:
            yield f"{name}: {payment.refunds} refunds at the bank, {asked.get(name, 0)} in our books"
    for order_id, drinks in counter.board.drinks.items():
        if drinks > 1:
            yield f"{order_id} got {drinks} drinks"


def _backwards(counter: Counter) -> Iterator[str]:
    """Each step of an order is one that the table has, and begins where the last one ended."""
    ends: dict[str, str] = {}
    for row in counter.rows("SELECT * FROM order_events ORDER BY order_id, seq"):
        before, after = row["from_status"], row["to_status"]
        if ends.get(row["order_id"], before) != before:
            yield f"{row['order_id']} went from {ends[row['order_id']]} to {before} without an event"
        if row["event"] in set(Event):
            allowed = TRANSITIONS[Status(before)].get(Event(row["event"]))
            if after not in (allowed, before):
                yield f"{row['order_id']}: {row['event']} led from {before} to {after}"
        elif before != after:
            yield f"{row['order_id']}: {row['event']} led from {before} to {after}"
        ends[row["order_id"]] = after
    for row in counter.rows("SELECT order_id, status FROM orders"):
        if ends[row["order_id"]] != row["status"]:
            yield f"{row['order_id']} is {row['status']}, and its history ends with {ends[row['order_id']]}"


# --- in the end -------------------------------------------------------------------------------------


def broken_at_last(counter: Counter) -> Iterator[str]:
    """Yield what must not be so once nothing more happens."""
    yield from _unfinished(counter)
    cases = counter.rows("SELECT order_id, subject, kind, closed_at FROM cases")
    for row in counter.rows("SELECT order_id, status, refund_status FROM orders"):
        order_id = row["order_id"]
        of_order = [payment for payment in at_bank(counter) if payment.order_id == order_id]
        by_hand = counter.rows("SELECT 1 FROM refunds WHERE order_id = ? AND reason = ?", order_id, BY_HAND)
        about = {payment.payment_id for payment in of_order} | {order_id}
        ever = [case for case in cases if case["order_id"] == order_id or case["subject"] in about]
        is_open = any(case["closed_at"] is None for case in ever)
        told = f"{order_id}: {row['status']}, refund {row['refund_status']}"
        if row["status"] not in FINAL and not is_open:
            yield f"{told}, and nobody is asked"
        yield from _kept(counter, told, order_id, of_order, is_open, bool(ever or by_hand))


def _kept(
    counter: Counter, told: str, order_id: str, of_order: list[AtBank], is_open: bool, ever: bool
) -> Iterator[str]:
    kept, made = sum(payment.kept for payment in of_order), counter.board.drinks[order_id]
    if kept != PRICE_MINOR * made and kept > 0 and not is_open:
        yield f"{told}: {made} drinks, {kept} kept, and nobody is asked"
    if kept < PRICE_MINOR * made and not ever:
        yield f"{told}: {made} drinks, {kept} kept, and nobody was ever asked"
    if any(payment.held for payment in of_order) and not is_open:
        yield f"{told}: money is still held"


def _unfinished(counter: Counter) -> Iterator[str]:
    """Yield what our tables still want to do, though nobody stands in its way."""
    about_case = "SELECT subject FROM cases WHERE closed_at IS NULL"
    for what, query in {
        "payment": "SELECT payment_id AS name, status FROM payments WHERE next_check_at IS NOT NULL "
        f"AND payment_id NOT IN ({about_case})",
        "capture": "SELECT payment_id AS name, status FROM captures WHERE next_try_at IS NOT NULL",
        "refund": "SELECT refund_id AS name, status FROM refunds WHERE next_try_at IS NOT NULL "
        f"AND refund_id NOT IN ({about_case})",
        "notification": "SELECT object_id AS name, event AS status FROM notifications "
        "WHERE handled_at IS NULL",
        "make": "SELECT command_id AS name, state AS status FROM makes WHERE wake_at IS NOT NULL",
    }.items():
        for row in counter.rows(query):
            yield f"{what} {row['name']} is still {row['status']}"


# --- for who has to understand it -------------------------------------------------------------------

_STORY = {
    "order_events": "order_id, at, event, from_status, to_status, cause, detail",
    "payments": "payment_id, order_id, method, status, provider_payment_id, detail, next_check_at",
    "captures": "payment_id, status, detail, tries, next_try_at",
    "refunds": "refund_id, payment_id, kind, reason, status, provider_refund_id, detail, tries, next_try_at",
    "makes": "command_id, order_id, state, code, wake_at",
    "cases": "kind, subject, order_id, detail, closed_by, resolution",
    "notifications": "event, object_id, outcome, tries",
    "sandbox_payments": "payment_id, status",
    "sandbox_refunds": "refund_id, payment_id, status",
    "sandbox_tbank_payments": "payment_id, status, body",
}


def story(counter: Counter) -> str:
    """Return what the books of both sides say, a line for each row."""
    lines = [
        f"{table}: {tuple(row.values())}"
        for table, columns in _STORY.items()
        for row in counter.rows(f"SELECT {columns} FROM {table}")
    ]
    return "\n".join([f"now: {counter.now_ms()}", f"drinks: {dict(counter.board.drinks)}", *lines])
