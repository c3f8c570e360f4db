"""What came out of the machines, against the bank's books: the promise, checked from outside after the end.

A drink belongs to the command that its agent had started last; the money is what the bank says, not the
server.
"""

import json
import sqlite3
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.processes.site import Machine, Site

Row = dict[str, Any]

NOBODY = "no order"
"""Whose drink it is that came out before any command was started."""


@dataclass
class Books:
    """Everything that was written down, by order."""

    orders: dict[str, Row]
    cups: Counter[str] = field(default_factory=Counter)
    forbidden: list[str] = field(default_factory=list)
    paid: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The payments that succeeded at the bank."""
    given_back: Counter[str] = field(default_factory=Counter)
    """Payment → its refunds that succeeded at the bank."""
    open_cases: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    cases: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The cases that there are or were."""
    asked_for: set[str] = field(default_factory=set)
    """The orders with a payment that the server still asks the bank about."""

    def kept(self, order_id: str) -> int:
        """How many payments of the order were taken and not given back."""
        return sum(not self.given_back[payment] for payment in self.paid[order_id])


@dataclass(frozen=True)
class Verdict:
    """What is wrong, in words, each beginning with an order's id."""

    doubled: list[str]
    lost: list[str]
    stuck: list[str]

    @property
    def broken(self) -> list[str]:
        """Everything that is wrong; empty: the promise was kept."""
        return [*self.doubled, *self.lost, *self.stuck]


def read(site: Site, machines: Iterable[Machine]) -> Books:
    """Gather what the machines, the bank and the server have written."""
    books = Books({row["order_id"]: row for row in site.rows("SELECT * FROM orders")})
    for machine in machines:
        _count_cups(books, machine)
    for row in site.rows("SELECT payment_id, body FROM sandbox_payments WHERE status = 'succeeded'"):
        books.paid[json.loads(row["body"])["metadata"]["order_id"]].append(row["payment_id"])
    for row in site.rows("SELECT payment_id FROM sandbox_refunds WHERE status = 'succeeded'"):
        books.given_back[row["payment_id"]] += 1
    for row in site.rows("SELECT * FROM cases WHERE order_id IS NOT NULL"):
        books.cases[row["order_id"]].append(row["kind"])
        if row["closed_at"] is None:
            books.open_cases[row["order_id"]].append(row["kind"])
    asked = "SELECT order_id FROM payments WHERE next_check_at IS NOT NULL"
    books.asked_for = {row["order_id"] for row in site.rows(asked)}
    return books


def _count_cups(books: Books, machine: Machine) -> None:
    journal = sqlite3.connect(machine.journal)
    started = journal.execute(
        "SELECT started_at_ms, order_id FROM commands WHERE started_at_ms IS NOT NULL ORDER BY started_at_ms"
    ).fetchall()
    journal.close()
    for line in machine.ledger.read_text().splitlines():
        entry = json.loads(line)
        if "FORBIDDEN" in entry:
            books.forbidden.append(f"{machine.device_uuid}: {entry['FORBIDDEN']}")
            continue
        before = bisect_right(started, entry["time"] * 1000, key=lambda command: float(command[0]))
        books.cups[started[before - 1][1] if before else NOBODY] += 1


def judge(books: Books) -> Verdict:
    """Return what breaks the promise."""
    return Verdict(list(_doubled(books)), list(_lost(books)), list(_stuck(books)))


def _doubled(books: Books) -> Iterator[str]:
    for order_id, cups in books.cups.items():
        if cups > 1 or order_id not in books.orders:
            yield f"{order_id}: {cups} drinks"
        elif not books.kept(order_id) and not books.cases[order_id]:
            yield f"{order_id}: a drink, no money kept, and there never was a case"
    orders = {payment: order_id for order_id, payments in books.paid.items() for payment in payments}
    for payment_id, times in books.given_back.items():
        if times > 1:
            yield f"{orders[payment_id]}: payment {payment_id} was given back {times} times"


def _lost(books: Books) -> Iterator[str]:
    for order_id in list(books.paid):
        kept, cups = books.kept(order_id), books.cups[order_id]
        if kept > cups and not books.open_cases[order_id]:
            yield f"{order_id}: {kept} payments kept for {cups} drinks, and no open case"


def _stuck(books: Books) -> Iterator[str]:
    for order_id, order in books.orders.items():
        status, refund = order["status"], order["refund_status"]
        match status:
            case "created" | "manual_make":
                waits = order["deadline_at"] is not None
            case "pending":
                waits = order_id in books.asked_for
            case "paid" | "make_pending":
                waits = bool(books.open_cases[order_id])
            case "make_failed":
                waits = refund == "succeeded" or bool(books.open_cases[order_id])
            case _:
                waits = True
        if not waits:
            yield f"{order_id}: {status}, refund {refund}, and nobody looks after it"
