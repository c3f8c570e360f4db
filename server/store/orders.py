"""Orders and the history of each."""

from typing import Any

from server.db import Statement, Transaction
from server.errors import Conflict
from server.store.rows import Order, OrderEvent, columns, from_row, insert, many, one, update

_ALL = columns(Order)


def get(order_id: str) -> Transaction[Order | None]:
    """The order, or None."""
    return one(Order, (yield Statement(f"SELECT {_ALL} FROM orders WHERE order_id = $1", (order_id,))))


def add(order: Order) -> Transaction[None]:
    """A new order. Raises Conflict when the id is taken."""
    yield Statement(*insert("orders", order), touches=order.order_id)


def change(order: Order, changes: dict[str, Any]) -> Transaction[Order]:
    """Write just `changes`, if nobody was first; return the row as it is now. Raises Conflict."""
    sql, values = update(
        "orders",
        {**changes, "version": order.version + 1},
        "order_id = $1 AND version = $2",
        order.order_id,
        order.version,
    )
    rows = yield Statement(f"{sql} RETURNING {_ALL}", values, touches=order.order_id)
    if not rows:
        raise Conflict(f"order {order.order_id} was changed by someone else first")
    return from_row(Order, rows[0])


def add_event(
    order_id: str, at: int, event: str, from_status: str, to_status: str, cause: str, detail: str = ""
) -> Transaction[None]:
    """Record what happened to an order, also when it changed nothing."""
    yield Statement(
        "INSERT INTO order_events (order_id, seq, at, event, from_status, to_status, cause, detail) "
        "SELECT $1, coalesce(max(seq), 0) + 1, $2, $3, $4, $5, $6, $7 FROM order_events WHERE order_id = $1",
        (order_id, at, event, from_status, to_status, cause, detail),
    )


def history(order_id: str) -> Transaction[list[OrderEvent]]:
    """All that happened to an order, oldest first."""
    rows = yield Statement(
        f"SELECT {columns(OrderEvent)} FROM order_events WHERE order_id = $1 ORDER BY seq", (order_id,)
    )
    return many(OrderEvent, rows)


def past_deadline(now: int, limit: int = 100) -> Transaction[list[Order]]:
    """Orders whose wait for the customer is over."""
    rows = yield Statement(
        f"SELECT {_ALL} FROM orders WHERE deadline_at IS NOT NULL AND deadline_at <= $1 "
        "ORDER BY deadline_at LIMIT $2",
        (now, limit),
    )
    return many(Order, rows)


def next_deadline() -> Transaction[int | None]:
    """When the next order's wait is over, or None."""
    rows = yield Statement("SELECT min(deadline_at) AS at FROM orders WHERE deadline_at IS NOT NULL")
    at: int | None = rows[0]["at"]
    return at
