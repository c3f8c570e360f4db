"""Which finished orders may leave the database for an archive. Pure.

An order leaves only when nothing about it can change any more: whatever is open, disputed or owed stays.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.order import Status

Row = Mapping[str, Any]

TABLES = ("orders", "payments", "order_events", "captures", "refunds", "receipts", "makes", "cases")
"""What belongs to an order, each table after those it refers to."""

_OVER = (Status.SUCCESSFUL, Status.MAKE_FAILED, Status.FAILED, Status.NOT_PAID)
_PAYMENT_OVER = ("succeeded", "canceled", "failed")
_MAKE_OVER = ("done", "failed", "rejected", "expired")


@dataclass(frozen=True)
class Whole:
    """An order with every row that belongs to it, by table."""

    rows: Mapping[str, Sequence[Row]] = field(default_factory=dict)

    @property
    def order(self) -> Row:
        """The order's own row."""
        return self.rows["orders"][0]

    def names(self) -> set[str]:
        """Every id by which a case may speak of it."""
        ids = {self.order["order_id"]}
        for payment in self.rows["payments"]:
            ids |= {payment["payment_id"], payment["provider_payment_id"]}
        for refund in self.rows["refunds"]:
            ids |= {refund["refund_id"], refund["provider_refund_id"]}
        return ids


def wholes(found: Mapping[str, Sequence[Row]]) -> dict[str, Whole]:
    """Return the orders among `found`, by id, each with its rows."""
    owners = {row["payment_id"]: row["order_id"] for row in found["payments"]}
    rows: dict[str, dict[str, list[Row]]] = {
        row["order_id"]: {table: [] for table in TABLES} for row in found["orders"]
    }
    for table in TABLES:
        for row in found[table]:
            order_id = row["order_id"] if "order_id" in row else owners[row["payment_id"]]
            rows[order_id][table].append(row)
    return {order_id: Whole(its) for order_id, its in rows.items()}


def why_it_stays(whole: Whole, before: int, disputed: Collection[str]) -> str | None:
    """Return why an order may not leave yet; None when it may.

    `before` is the time before which orders leave; `disputed` is what open cases are about.
    """
    order, rows = whole.order, whole.rows
    if order["status"] not in _OVER or order["deadline_at"] is not None:
        return "open"
    if order["created_at"] >= before or order["updated_at"] >= before:
        return "changed later"
    if any(case["closed_at"] is None for case in rows["cases"]) or not whole.names().isdisjoint(disputed):
        return "case open"
    if any(make["state"] not in _MAKE_OVER or make["wake_at"] is not None for make in rows["makes"]):
        return "drink not known"
    return _why_its_money_stays(order, rows)


def _why_its_money_stays(order: Row, rows: Mapping[str, Sequence[Row]]) -> str | None:
    if any(
        row["status"] not in _PAYMENT_OVER or row["next_check_at"] is not None for row in rows["payments"]
    ):
        return "payment open"
    if any(row["status"] == "pending" or row["next_try_at"] is not None for row in rows["captures"]):
        return "payment open"
    if any(row["next_check_at"] is not None for row in rows["receipts"]):
        return "receipt open"
    given_back = {row["payment_id"] for row in rows["refunds"] if row["status"] == "succeeded"}
    if order["refund_status"] in ("pending", "failed") or any(
        row["next_try_at"] is not None or row["payment_id"] not in given_back for row in rows["refunds"]
    ):
        return "refund open"
    kept = {row["payment_id"] for row in rows["payments"] if row["status"] == "succeeded"} - given_back
    if (kept and order["status"] != Status.SUCCESSFUL) or len(kept) > 1:
        return "money kept without a drink"
    return None


def counted(orders: Iterable[Whole]) -> dict[str, int]:
    """Return how many rows of each table belong to the orders."""
    numbers = dict.fromkeys(TABLES, 0)
    for whole in orders:
        for table in TABLES:
            numbers[table] += len(whole.rows[table])
    return numbers
