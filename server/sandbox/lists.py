"""The sandbox bank's lists: pages of payments, refunds and receipts, the newest first."""

import json
from collections.abc import Sequence
from typing import Any

from server.db import Row, Statement, Transaction
from server.sandbox import bank
from server.sandbox.demands import ListDemand, cursor_after


def list_payments(demand: ListDemand) -> Transaction[bank.Object]:
    """Return a page of payments."""
    rows = yield from _page("sandbox_payments", "payment_id", demand)
    return _listed(rows, demand.limit, [bank.shown(json.loads(row["body"])) for row in rows])


def list_refunds(demand: ListDemand) -> Transaction[bank.Object]:
    """Return a page of refunds."""
    rows = yield from _page("sandbox_refunds", "refund_id", demand)
    return _listed(rows, demand.limit, [json.loads(row["body"]) for row in rows])


def list_receipts(demand: ListDemand) -> Transaction[bank.Object]:
    """Return a page of receipts; those of a payment are also those of its refunds."""
    rows = yield from _page("sandbox_receipts", "receipt_id", demand)
    return _listed(rows, demand.limit, [json.loads(row["body"]) for row in rows])


def _page(table: str, identifier: str, demand: ListDemand) -> Transaction[Sequence[Row]]:
    after_at, after_id = demand.after or (demand.before_ms, "")
    # only a receipt's own id is written so: quotation marks in a shop's text have a backslash before them
    of_refund = f'%"refund_id": "{demand.refund_id}"%' if demand.refund_id else "%"
    return (
        yield Statement(
            f"SELECT {identifier} AS id, created_at, body FROM {table}"
            " WHERE created_at >= $1 AND created_at < $2 AND ($3 = '' OR status = $3)"
            " AND ($4 = '' OR payment_id = $4) AND body LIKE $5"
            f" AND (created_at < $6 OR created_at = $6 AND {identifier} < $7)"
            f" ORDER BY created_at DESC, {identifier} DESC LIMIT $8",
            (
                demand.since_ms,
                demand.before_ms,
                demand.status,
                demand.payment_id,
                of_refund,
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
